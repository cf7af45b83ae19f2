"""Targets and lanes: the variables of a step, and which of them one run of the rule updates together.

A large variable is a lane of its own and is updated in place. Small ones of one kind are laid end to end and share a lane: a
compiled program spends about as long on starting the loop of a small tensor as on a few thousand elements. Elementwise rules
give the same numbers either way; saved state stays one variable a weight.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import tensorflow as tf

from pyadam.engine.gradients import compute_dtype

__all__ = ["SMALL", "Lane", "Target", "make_lanes"]

SMALL = 4096
"""Elements up to which a variable shares a lane."""

State = dict[str, Any]
"""What a lane's update reads and writes: tensors under "weight", "average" and the names of the slots."""


@dataclass(eq=False)
class Target:
    """A model variable and the state that the optimizer keeps for it; every state has the weight's shape.

    Attributes:
        weight: the variable; float16, bfloat16, float32 or float64.
        path: its name, for error messages.
        slots: the rule's state, in the dtype of the arithmetic (float32, or float64 for float64 weights).
        average: the running average of the weight, or None.
        accumulator: the sum of the gradients since the last update, or None.
        decayed: whether weight decay applies.
        replaced: whether the "gradient" is the variable's next value (Keras' ``overwrite_with_gradient``, used by float8).
        constraint: a function from the new weight to the one that is kept, or None.
        received: whether it ever got a gradient; with accumulation a missing one counts as zero from then on.
    """

    weight: Any
    path: str
    slots: dict[str, Any] = field(default_factory=dict)
    average: Any = None
    accumulator: Any = None
    decayed: bool = True
    replaced: bool = False
    constraint: Any = None
    received: bool = False

    @property
    def pending(self) -> bool:
        """Whether gradients may wait in the accumulator."""
        return self.accumulator is not None and self.received

    @property
    def dtype(self) -> Any:
        """The dtype of the arithmetic."""
        return compute_dtype(self.weight.dtype)

    def state(self) -> dict[str, Any]:
        """The variables that an update reads and writes."""
        average = {} if self.average is None else {"average": self.average}
        return {"weight": self.weight, **average, **self.slots}


@dataclass(eq=False)
class Lane:
    """Targets that one run of the rule updates.

    Attributes:
        indices: their places among the targets of the step.
        targets: the targets; all alike in dtype, decay, and taking part or not.
        takes_part: whether they have a gradient; without one only their averages advance.
    """

    indices: list[int]
    targets: list[Target]
    takes_part: bool

    @property
    def packed(self) -> bool:
        """Whether the lane lays several variables end to end."""
        return len(self.targets) > 1

    def join(self, values: Sequence[Any]) -> Any:
        """One value a target, laid end to end in the dtype of the arithmetic."""
        dtype = self.targets[0].dtype
        if not self.packed:
            return tf.cast(values[0], dtype)
        return tf.concat([_shaped(tf.cast(value, dtype), [-1]) for value in values], 0)

    def read(self) -> State:
        """The current state."""
        columns = [target.state() for target in self.targets]
        return {name: self.join([column[name] for column in columns]) for name in columns[0]}

    def write(self, state: State) -> None:
        """Assigns a new state; what it does not name stays."""
        for name, value in state.items():
            variables = [target.state()[name] for target in self.targets]
            sizes = [variable.shape.num_elements() for variable in variables]
            parts = tf.split(value, sizes) if self.packed else [value]
            for variable, part in zip(variables, parts, strict=True):
                variable.assign(tf.cast(_shaped(part, variable.shape), variable.dtype))


def _shaped(value: Any, shape: Any) -> Any:
    """The value in this shape; vectors are in the shape of vectors already, and an operation saved is time saved."""
    return value if value.shape.rank == 1 == len(shape) else tf.reshape(value, shape)


def make_lanes(targets: Sequence[Target], taking_part: Sequence[bool], pack: bool) -> list[Lane]:
    """The lanes of a step; ``pack`` says whether small variables may share one."""
    groups: dict[Any, list[int]] = {}
    for i, (target, takes_part) in enumerate(zip(targets, taking_part, strict=True)):
        if target.replaced or not (takes_part or target.average is not None):
            continue
        small = pack and target.weight.shape.num_elements() <= SMALL
        kind = (target.dtype, target.weight.device, target.decayed, takes_part) if small else i
        groups.setdefault(kind, []).append(i)
    return [Lane(group, [targets[i] for i in group], taking_part[group[0]]) for group in groups.values()]
