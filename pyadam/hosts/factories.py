"""The optimizers as functions with R keras 2.11's signatures: ``pyadam.optimizer_adam(...)`` is R's ``optimizer_adam(...)``."""

import importlib
from collections.abc import Callable
from typing import Any

from pyadam.hosts.generation import class_of, keras3_classes, uses_tf_keras
from pyadam.hosts.reference import documentation
from pyadam.optimizers import RULES, SPECS, WRAPPERS, Spec, Wrapper, arguments, bind, function_signature
from pyadam.optimizers.spec import dressed

__all__ = ["FUNCTIONS"]


def _classes() -> Any:
    """The module with the classes for the Keras in use."""
    return importlib.import_module("pyadam.tf_keras") if uses_tf_keras() else keras3_classes()


def _make_function(spec: type[Spec]) -> Callable[..., Any]:
    signature = function_signature(spec)

    def function(*args: Any, **kwargs: Any) -> Any:
        values = bind(spec, signature, args, kwargs)
        return getattr(_classes(), spec.__name__)(**{name: getattr(values, name) for name in arguments(spec)})

    return dressed(function, spec.r_name, documentation(spec, RULES[spec]), signature)


def _make_wrapper(spec: type[Wrapper]) -> Callable[..., Any]:
    def function(*args: Any, **kwargs: Any) -> Any:
        return class_of(_classes(), spec.__name__)(*args, **kwargs)

    return dressed(function, spec.r_name, spec.documentation(), spec.signature())


FUNCTIONS = {
    **{spec.r_name: _make_function(spec) for spec in SPECS.values()},
    **{spec.r_name: _make_wrapper(spec) for spec in WRAPPERS.values()},
}
