"""The specs of several optimizers in one: which variables are whose."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyadam.optimizers.kinds import Inner, Kind, Name, Pattern
from pyadam.optimizers.spec import POSITIVE, argument, optional
from pyadam.optimizers.wrapper import Wrapper

__all__ = ["MultiOptimizer", "OptimizerMap"]


@dataclass(frozen=True)
class ByPattern(Kind):
    """Optimizers by pattern."""

    def allowed(self) -> str:
        return "optimizers by regular expression, as a dictionary (a named list in R)"

    def convert(self, value: Any) -> Any:
        if value == []:  # R's list()
            return {}
        if not isinstance(value, Mapping):
            raise TypeError
        return {Pattern().convert(pattern): Inner().convert(optimizer) for pattern, optimizer in value.items()}


@dataclass(frozen=True)
class Chooser(Kind):
    """What chooses an optimizer for a variable."""

    def allowed(self) -> str:
        return "an OptimizerMap, or a function from a variable to its optimizer"

    def convert(self, value: Any) -> Any:
        if not callable(value) or isinstance(value, type):
            raise TypeError
        return value


@dataclass(frozen=True, kw_only=True)
class OptimizerMap(Wrapper):
    """OptimizerMap: which optimizer each variable has, by its path.

    A key is a path, or a regular expression that has to match the whole of one; in a Sequential model a path begins with the
    model's name: ``.*head/.*`` finds the layer ``head`` in any. More can be added as to a dictionary.
    """

    title = "OptimizerMap"
    r_name = "optimizer_map"
    needs_keras = (3, 15)

    default_optimizer: Any = argument(
        dataclasses.MISSING, Inner(), "The optimizer of all variables that no key matches."
    )
    optimizer_map: Any = argument(None, optional(ByPattern()), "The optimizers of the others.")


@dataclass(frozen=True, kw_only=True)
class MultiOptimizer(Wrapper):
    """MultiOptimizer: several optimizers in one, each for some of the variables.

    Where only the values of arguments differ, the argument ``groups`` of a single optimizer does the same with one program.
    """

    title = "MultiOptimizer"
    r_name = "optimizer_multi"
    needs_keras = (3, 15)

    optimizer_map: Any = argument(dataclasses.MISSING, Chooser(), "What chooses the optimizer of each variable.")
    loss_scale_factor: float | None = argument(
        None, optional(POSITIVE), "Factor that multiplies the loss and divides the gradients, for all optimizers in it."
    )
    name: str | None = argument(None, optional(Name()), "Name of the optimizer; by default, the one Keras gives it.")
