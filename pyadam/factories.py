"""The optimizers as functions with R keras 2.11's signatures: ``pyadam.optimizer_adam(...)`` is R's ``optimizer_adam(...)``."""

import importlib
from collections.abc import Callable
from typing import Any

from pyadam import specs
from pyadam.generation import keras3_classes, legacy
from pyadam.reference import documentation
from pyadam.specs.base import dressed

__all__ = ["optimizer_loss_scale", *(spec.r_name for spec in specs.SPECS.values())]


def _classes() -> Any:
    """The module with the classes for the Keras in use."""
    return importlib.import_module("pyadam.tf_keras") if legacy() else keras3_classes()


def _make_function(spec: type[specs.Spec]) -> Callable[..., Any]:
    signature = specs.function_signature(spec)

    def function(*args: Any, **kwargs: Any) -> Any:
        values = specs.bind(spec, signature, args, kwargs)
        return getattr(_classes(), spec.__name__)(**{name: getattr(values, name) for name in specs.arguments(spec)})

    return dressed(function, spec.r_name, documentation(spec), signature)


def _make_loss_scale(spec: type[specs.LossScaleOptimizer]) -> Callable[..., Any]:
    def function(*args: Any, **kwargs: Any) -> Any:
        return getattr(_classes(), spec.__name__)(*args, **kwargs)

    return dressed(function, spec.r_name, spec.documentation(), spec.signature())


optimizer_loss_scale = _make_loss_scale(specs.LossScaleOptimizer)
globals().update({spec.r_name: _make_function(spec) for spec in specs.SPECS.values()})
