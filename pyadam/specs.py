"""What every optimizer is called and what it takes: the specs, without TensorFlow."""

from typing import Any

from pyadam.optimizers import (
    NEW_TO_KERAS,
    SPECS,
    WRAPPERS,
    LossScaleOptimizer,
    MultiOptimizer,
    OptimizerMap,
    Spec,
    Wrapper,
    argument,
    arguments,
    bind,
    class_signature,
    function_signature,
    optional,
)

__all__ = [
    "NEW_TO_KERAS",
    "SPECS",
    "WRAPPERS",
    "LossScaleOptimizer",
    "MultiOptimizer",
    "OptimizerMap",
    "Spec",
    "Wrapper",
    "argument",
    "arguments",
    "bind",
    "class_signature",
    "function_signature",
    "optional",
    *SPECS,
]


def __getattr__(name: str) -> Any:
    if name in SPECS:
        return SPECS[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
