"""The optimizers: one file each, with arguments and update rule. TensorFlow is imported only when something is computed.

To add an optimizer, add a file with a spec (a frozen dataclass) and a ``RULE`` (pure functions); it is found automatically.
"""

import importlib
import pkgutil
from typing import Any

from pyadam.optimizers.loss_scale import LossScaleOptimizer
from pyadam.optimizers.multi import MultiOptimizer, OptimizerMap
from pyadam.optimizers.rule import Rule
from pyadam.optimizers.spec import (
    NEW_TO_KERAS,
    Spec,
    argument,
    arguments,
    bind,
    class_signature,
    function_signature,
    optional,
)
from pyadam.optimizers.wrapper import Wrapper

_MODULES = [importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
_FOUND = sorted((module.RULE for module in _MODULES if hasattr(module, "RULE")), key=lambda rule: rule.spec.__name__)

RULES: dict[type[Spec], Rule] = {rule.spec: rule for rule in _FOUND}
SPECS: dict[str, type[Spec]] = {spec.__name__: spec for spec in RULES}
WRAPPERS: dict[str, type[Wrapper]] = {
    spec.__name__: spec for spec in (LossScaleOptimizer, MultiOptimizer, OptimizerMap)
}

__all__ = [
    "NEW_TO_KERAS",
    "RULES",
    "SPECS",
    "WRAPPERS",
    "LossScaleOptimizer",
    "MultiOptimizer",
    "OptimizerMap",
    "Rule",
    "Spec",
    "Wrapper",
    "argument",
    "arguments",
    "bind",
    "class_signature",
    "function_signature",
    "optional",
]


def __getattr__(name: str) -> Any:
    if name in SPECS:  # an ImportError, because Python puts words of its own in place of an AttributeError's
        raise ImportError(f"pyadam.optimizers has no optimizers to use, only what they are made of; use pyadam.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
