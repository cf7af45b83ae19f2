"""Targets: the variables that an engine updates, with their state."""

from dataclasses import dataclass, field, replace
from typing import Any

import tensorflow as tf

from pyadam.engine.components import of_replica
from pyadam.engine.gradients import compute_dtype

__all__ = ["Numbering", "Target"]


@dataclass
class Numbering:
    """The number of a variable's first element, counting the elements of all variables; its replicas and pieces share it."""

    first: int = 0


@dataclass(eq=False)
class Target:
    """A model variable and the state that the optimizer keeps for it; every state has the weight's shape.

    Attributes:
        weight: the variable; float16, bfloat16, float32 or float64, or complex where it needs no state.
        path: its name, for error messages.
        slots: the rule's state, in the dtype of the arithmetic (float32, or float64 for float64 weights), or in bfloat16.
        average: the running average of the weight, or None.
        accumulator: the sum of the gradients since the last update, or None.
        decayed: whether weight decay applies.
        replaced: whether the "gradient" is the variable's next value (Keras' ``overwrite_with_gradient``, used by float8).
        constraint: a function from the new weight to the one that is kept, or None.
        arenas: where its state lies, if it shares memory with that of others.
        numbering: knows the number of its first element.
        offset: what comes on top of that, where this is a piece of the variable.
        group: the number of its group, whose values some hyperparameters have for it, or None.
        copies: the names of the slots that are the weight's value at the first update.
        summed: whether the rule sums over it even if it does not move.
    """

    weight: Any
    path: str
    slots: dict[str, Any] = field(default_factory=dict)
    average: Any = None
    accumulator: Any = None
    decayed: bool = True
    replaced: bool = False
    constraint: Any = None
    arenas: Any = None
    numbering: Numbering = field(default_factory=Numbering)
    offset: int = 0
    group: int | None = None
    copies: list[str] = field(default_factory=list)
    summed: bool = False

    @property
    def always(self) -> bool:
        """Whether a step includes it without a gradient, too."""
        return self.average is not None or self.summed

    @property
    def dtype(self) -> Any:
        """The dtype of the arithmetic."""
        return compute_dtype(self.weight.dtype)

    @property
    def bfloat16_slots(self) -> list[str]:
        """The names of the slots that are stored in bfloat16, with stochastic rounding."""
        return [name for name, variable in self.slots.items() if variable.dtype == tf.bfloat16]

    @property
    def first(self) -> int:
        """The number of its first element, counting the elements of all variables."""
        return self.numbering.first + self.offset

    def of_replica(self, local: int) -> "Target":
        """The same with the components of a local replica in place of the variables."""
        return replace(
            self,
            weight=of_replica(self.weight, local),
            slots={name: of_replica(slot, local) for name, slot in self.slots.items()},
            average=of_replica(self.average, local),
            accumulator=of_replica(self.accumulator, local),
        )

    def state(self) -> dict[str, Any]:
        """The variables that an update reads and writes."""
        average = {} if self.average is None else {"average": self.average}
        return {"weight": self.weight, **average, **self.slots}
