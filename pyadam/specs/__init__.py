"""What every optimizer is called and what it takes, written once, without TensorFlow."""

from pyadam.specs.base import (
    NEW_TO_KERAS,
    Spec,
    argument,
    arguments,
    bind,
    class_signature,
    function_signature,
    optional,
)
from pyadam.specs.loss_scale import LossScaleOptimizer
from pyadam.specs.optimizers import *  # noqa: F403
from pyadam.specs.optimizers import SPECS

__all__ = [
    "NEW_TO_KERAS",
    "LossScaleOptimizer",
    "SPECS",
    "Spec",
    "argument",
    "arguments",
    "bind",
    "class_signature",
    "function_signature",
    "optional",
    *SPECS,
]
