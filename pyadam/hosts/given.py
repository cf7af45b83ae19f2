"""What a step is given: gradients and variables, in the two forms that Keras has for them."""

from collections.abc import Iterable
from typing import Any

from pyadam.hosts.contract import path
from pyadam.optimizers.kinds import is_variable, shown

__all__ = ["matched", "parted"]


def parted(optimizer: Any, grads_and_vars: Iterable[tuple[Any, Any]]) -> tuple[list[Any], list[Any]]:
    """The gradients and the variables of pairs.

    Raises:
        TypeError: they are no pairs.
    """
    owner = type(optimizer).__name__
    wanted = f"{owner}: grads_and_vars must be pairs of gradient and variable, got"
    try:
        every = list(grads_and_vars)
    except Exception:
        raise TypeError(f"{wanted} {shown(grads_and_vars)}") from None
    grads, variables = [], []
    for pair in every:
        if not _has_class(pair) or not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise TypeError(f"{wanted} {shown(pair)} among them")
        grads.append(pair[0])
        variables.append(pair[1])
    return grads, variables


def matched(optimizer: Any, grads: Iterable[Any], variables: Iterable[Any] | None) -> tuple[list[Any], list[Any]]:
    """The gradients and variables of a call of ``apply``, as many of each; by default the variables of ``build``.

    Raises:
        TypeError: a variable that is none, or no list.
        ValueError: another number of gradients than variables, or no variables before ``build``.
    """
    owner = type(optimizer).__name__
    if variables is None and not optimizer.built:
        raise ValueError(
            f"{owner}: apply(grads) without variables needs an optimizer that is built: call build(variables) first"
        )
    grads = _listed(owner, "grads", grads)
    variables = _listed(owner, "variables", optimizer._trainable_variables if variables is None else variables)
    if len(grads) != len(variables):
        raise ValueError(
            f"{owner}: expected one gradient per variable, got {len(grads)} for {len(variables)} variables"
        )
    for place, (gradient, variable) in enumerate(zip(grads, variables, strict=True)):
        if not _is_variable(variable):
            raise TypeError(f"{owner}: variable {place} must be a variable, got {shown(variable)}")
        if not _has_class(gradient):
            raise TypeError(f"{owner}: the gradient of {path(variable)} must be a tensor, got {shown(gradient)}")
    return grads, variables


def _listed(owner: str, name: str, values: Iterable[Any]) -> list[Any]:
    try:
        return list(values)
    except Exception:
        raise TypeError(f"{owner}: {name} must be a list, got {shown(values)}") from None


def _has_class(value: Any) -> bool:
    """Whether an object can be asked for its class."""
    try:
        return isinstance(value.__class__, type)
    except Exception:
        return False


def _is_variable(value: Any) -> bool:
    try:
        return is_variable(value)
    except Exception:
        return False
