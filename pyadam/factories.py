"""The optimizers as functions with R keras 2.11's signatures: ``pyadam.optimizer_adam(...)`` is R's ``optimizer_adam(...)``."""

import importlib
from collections.abc import Callable
from typing import Any

from pyadam import specs
from pyadam.generation import legacy
from pyadam.reference import documentation

__all__ = ["optimizer_loss_scale", *(spec.r_name for spec in specs.SPECS.values())]


def _classes() -> Any:
    """The module with the classes for the Keras in use."""
    return importlib.import_module("pyadam.tf_keras" if legacy() else "pyadam.keras3")


def _make_function(spec: type[specs.Spec]) -> Callable[..., Any]:
    signature = specs.function_signature(spec)

    def function(*args: Any, **kwargs: Any) -> Any:
        values = specs.bind(spec, signature, args, kwargs)
        return getattr(_classes(), spec.__name__)(**{name: getattr(values, name) for name in specs.arguments(spec)})

    function.__name__ = function.__qualname__ = spec.r_name
    function.__doc__ = documentation(spec)
    function.__signature__ = signature  # type: ignore[attr-defined]
    return function


def optimizer_loss_scale(*args: Any, **kwargs: Any) -> Any:  # noqa: D103 it has the spec's
    return _classes().LossScaleOptimizer(*args, **kwargs)


optimizer_loss_scale.__doc__ = specs.LossScaleOptimizer.documentation()
optimizer_loss_scale.__signature__ = specs.LossScaleOptimizer.signature()  # type: ignore[attr-defined]

globals().update({spec.r_name: _make_function(spec) for spec in specs.SPECS.values()})
