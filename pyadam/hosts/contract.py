"""Declarations for the mixins of `BaseOptimizer`: the attributes and methods that they share, with their types."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from pyadam.engine import Engine
from pyadam.hosts.ledger import Ledger
from pyadam.optimizers import Rule, Spec

__all__ = ["Contract", "path", "untracked"]


def path(variable: Any) -> str:
    """The name of a variable in messages and among paths."""
    return str(getattr(variable, "path", variable.name))


def untracked(owner: Any, **values: Any) -> None:
    """Sets attributes that TensorFlow's checkpoints must not look into: what they hold is in ``_variables`` already."""
    for name, value in values.items():
        object.__setattr__(owner, name, value)


class Contract:
    """The base of each part. It only declares; the comments say who provides what."""

    # the class of an optimizer
    spec_type: ClassVar[type[Spec]]
    _saving: ClassVar[Any]  # the module of this Keras that serializes objects

    # its Keras
    name: str
    built: bool
    learning_rate: Any
    _iterations: Any
    _learning_rate: Any
    _variables: list[Any]
    _var_key: Callable[[Any], Any]
    _overwrite_variable_with_gradient: Callable[[Any], bool]

    # its class in `keras3` or `tf_keras`
    _is_variable: Callable[[Any], bool]  # whether a learning rate is held in a variable

    # `BaseOptimizer`
    _spec: Any  # a Spec with the arguments of this optimizer
    _rule: Rule
    _engine: Engine
    _ledger: Ledger
    _native: Callable[[Any], Any]
    _say: Callable[[str], None]
    _unknown: Callable[[Sequence[Any]], ValueError]
    _check_known: Callable[[Sequence[Any]], None]

    # `Hyperparameters` and `Saving`
    _current_hyper: Callable[[], dict[str, Any]]
    _take_kept: Callable[[], None]
