"""Lanes: which of the variables of a step one run of the rule updates together.

A large variable is a lane of its own and is updated in place. Small ones of one kind are concatenated into one lane;
docs/performance.md says why. Elementwise rules give the same numbers either way, and saved state stays one variable per weight.
A variable with a sparse gradient has a lane for the rows that it names, and another for all rows if the others move as well.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any, cast

import numpy as np
import tensorflow as tf

from pyadam.engine.arena import Arenas
from pyadam.engine.even import padding
from pyadam.engine.gradients import as_real, from_real
from pyadam.engine.part import Part
from pyadam.engine.rounding import random_bits, stochastically_rounded
from pyadam.engine.rows import Rows, gather, scatter_update
from pyadam.engine.target import Target
from pyadam.optimizers.numerics import rounded, sequenced
from pyadam.optimizers.sparse import Way

__all__ = ["SMALL", "Lane", "is_small", "make_arenas", "make_lanes"]

SMALL = 4096
"""Elements up to which a variable shares a lane."""

_MOST = 128
"""Variables that share a lane, at most. Whenever TensorFlow's optimizer of graphs learns the shape of one operand of a
concatenation, it looks at all of them anew, which takes seconds for a thousand."""

State = dict[str, Any]
"""What a lane's update reads and writes: tensors under "weight", "average" and the names of the slots."""


@dataclass(eq=False)
class Lane:
    """Targets that one run of the rule updates.

    Attributes:
        indices: their places among the targets of the step.
        targets: the targets; all alike in dtype, device, decay, group, arena, and taking part or not.
        takes_part: whether they have a gradient; without one only their averages advance.
        masked: whether a mask decides that instead, target by target.
        separate: whether each new value is computed in a loop of its own, from old values alone.
    """

    indices: list[int]
    targets: list[Target]
    takes_part: bool
    masked: bool = False
    separate: bool = False

    @property
    def packed(self) -> bool:
        """Whether the lane lays several variables end to end."""
        return len(self.targets) > 1

    @property
    def sizes(self) -> list[int]:
        """The elements of each target."""
        return [target.weight.shape.num_elements() for target in self.targets]

    @property
    def fill(self) -> int:
        """How many elements follow those of targets that share the lane, and belong to none."""
        return padding(sum(self.sizes))

    @property
    def dtype(self) -> Any:
        """The dtype of the arithmetic."""
        return self.targets[0].dtype

    def variables(self, name: str) -> list[Any]:
        """The targets' variables of this name."""
        return [target.state()[name] for target in self.targets]

    @property
    def passed(self) -> list[str]:
        """The states that are concatenated before the program, passed to it, and split after it.

        The program captures the others: those of a single variable, and those whose memory is an arena.
        """
        names = self.targets[0].state() if self.packed else ()
        return [name for name in names if not all(isinstance(v, Part) for v in self.variables(name))]

    @property
    def captured(self) -> list[str]:
        """The states that the program reads and assigns itself."""
        passed = self.passed
        return [name for name in self.targets[0].state() if name not in passed]

    @property
    def replaced(self) -> bool:
        """Whether its "gradient" is the next value of its one variable."""
        return self.targets[0].replaced

    @property
    def kind(self) -> Any:
        """What decides how the lane is computed, besides dtypes and shapes of what it is computed from."""
        x = self.targets[0]
        one = None if self.packed else (x.weight.shape, *x.slots, "", *x.bfloat16_slots)
        return (
            type(self),
            one,
            self.takes_part,
            self.masked,
            self.separate,
            x.group,
            x.decayed,
            x.weight.dtype,
            x.weight.device,
        )

    def rows(self, rows: Sequence[Any]) -> Rows | None:
        """Which rows of its variable a step moves, from those of all targets; None if it moves all."""
        return None

    def gradient(self, dense: Sequence[Any], rows: Rows | None) -> Any:
        """The lane's gradient as its program takes it; None if it has none.

        Args:
            dense: the dense gradients of the step, one per target.
            rows: what `rows` has returned.
        """
        return self.join([dense[i] for i in self.indices])

    def mask(self, taking_part: Any) -> Any:
        """The lane's part of a vector that says which targets take part, with one element for each element of the lane."""
        if not self.masked:
            return None
        if not self.packed:
            return taking_part[self.indices[0]]
        sizes = self.sizes
        sizes[-1] += self.fill
        return tf.ensure_shape(tf.repeat(tf.gather(taking_part, self.indices), sizes), [sum(sizes)])

    def typed(self, gradient: Any) -> Any:
        """The gradient inside the program, in the dtype of the arithmetic."""
        return None if gradient is None else as_real(gradient, self.dtype)

    def join(self, values: Sequence[Any]) -> Any:
        """One value per target, concatenated in the dtype of the arithmetic. None counts as zeros, unless all are None."""
        if not self.packed:
            return values[0]
        if all(value is None for value in values):
            return None
        typed = [
            tf.zeros([size], self.dtype) if v is None else tf.cast(v, self.dtype)
            for size, v in zip(self.sizes, values, strict=True)
        ]
        typed += [tf.zeros([self.fill], self.dtype)] * bool(self.fill)
        return tf.concat(_reshaped(typed, [[-1]] * len(typed)), 0)

    def split(self, value: Any) -> list[Any]:
        """What ``join`` has joined: one value per target, in the weight's shape."""
        if not self.packed:
            return [value]
        parts = tf.split(value, self.sizes + [self.fill] * bool(self.fill))
        return _reshaped(parts[: len(self.targets)], [target.weight.shape for target in self.targets])

    def read(self, names: Sequence[str], rows: Rows | None = None) -> State:
        """The current state, in these rows."""
        return {name: self._read(self.variables(name), rows) for name in names}

    def read_accumulator(self) -> Any:
        """The sum of the gradients since the last update."""
        return self._read([target.accumulator for target in self.targets], None)

    def write_accumulator(self, value: Any) -> None:
        """Assigns the sum of the gradients since the last update."""
        self._write([target.accumulator for target in self.targets], value, None)

    def stored(self, state: State, t: Any, first: Any, ordered: bool, slots_ordered: bool) -> State:
        """A new state as it is stored: bfloat16 slots are rounded with the random bits of update ``t``.

        ``first`` is the number of the first element, an int64 scalar that need not be a constant; those of several variables
        that share a lane are known.

        ``ordered`` says that some loops read old state, which must not be overwritten before they finish. If only the weight's
        loop does, the slots wait for the weight. If those of slots do (``slots_ordered``), or every value has its own loop,
        the state is written in reverse: the average, the weight, then the slots, since a value may depend on those before it.
        """
        new, target, wait = dict(state), self.targets[0], t
        if self.separate:
            for name in reversed(state) if ordered else ():
                new[name] = rounded(new[name], wait)
                wait = sequenced(wait, new[name])
            return new
        if ordered:
            wait = sequenced(t, new["weight"])
        for place, name in reversed(list(enumerate(target.slots))):
            if name in new and name in target.bfloat16_slots:
                bits = random_bits(wait, place, *self._elements(new[name].shape, first, t))
                new[name] = stochastically_rounded(new[name], bits)
            elif name in new and ordered:
                new[name] = rounded(new[name], wait)
                wait = sequenced(wait, new[name]) if slots_ordered else wait
        return new

    def _elements(self, shape: Any, first: Any, t: Any) -> list[Any]:
        """The numbers of a state's elements in update ``t``, as terms of a sum. A lane of another kind has the same ones."""
        if not self.packed:
            terms = [first]
            if len(shape) > 1:
                # hidden, because XLA joins the loops of lanes that read one constant tensor
                width = tf.cast(rounded(tf.constant(shape[-1], tf.int64), t), tf.uint32)
                rows = tf.cast(tf.range(math.prod(shape[:-1]), dtype=tf.int64), tf.uint32)
                terms.append(tf.reshape(width * rows, [*shape[:-1], 1]))
            if len(shape):
                terms.append(tf.range(shape[-1]))
            return [tf.cast(term, tf.uint32) for term in terms]
        ranges = [range(x.first, x.first + size) for x, size in zip(self.targets, self.sizes, strict=True)]
        ranges[-1] = range(ranges[-1].start, ranges[-1].stop + self.fill)
        if all(a.stop == b.start for a, b in pairwise(ranges)):
            numbers = tf.range(ranges[0].start, ranges[-1].stop, dtype=tf.int64)
        else:
            numbers = tf.constant(np.concatenate(ranges), tf.int64)
        return [tf.reshape(tf.cast(numbers, tf.uint32), shape)]

    def write(self, state: State, rows: Rows | None = None) -> None:
        """Assigns a new state in these rows; what it does not name stays."""
        for name, value in state.items():
            self._write(self.variables(name), value, rows)

    def clear_accumulator(self) -> None:
        """Sets the sum of the gradients to zero."""
        accumulators = [target.accumulator for target in self.targets]
        arena = _whole_arena(accumulators)
        for memory in accumulators if arena is None else [arena]:
            memory.assign(tf.zeros(memory.shape, memory.dtype))

    def _read(self, variables: list[Any], rows: Rows | None) -> Any:
        arena = _whole_arena(variables)
        return as_real(self.join(variables) if arena is None else arena, self.dtype)

    def _write(self, variables: list[Any], value: Any, rows: Rows | None) -> None:
        arena = _whole_arena(variables)
        if arena is not None:
            arena.assign(value)
            return
        for variable, part in zip(variables, self.split(value), strict=True):
            variable.assign(from_real(part, variable.dtype), read_value=False)


class RowLane(Lane):
    """Some rows of one variable: gathered before the program, scattered after it."""

    @property
    def passed(self) -> list[str]:
        """All of the state."""
        return list(self.targets[0].state())

    def rows(self, rows: Sequence[Any]) -> Rows | None:
        """The rows that have a gradient."""
        found: Rows = rows[self.indices[0]]
        return found

    def gradient(self, dense: Sequence[Any], rows: Rows | None) -> Any:
        """The gradients of the rows."""
        assert rows is not None
        return rows.values

    def _read(self, variables: list[Any], rows: Rows | None) -> Any:
        assert rows is not None
        return as_real(gather(variables[0], rows), self.dtype)

    def _write(self, variables: list[Any], value: Any, rows: Rows | None) -> None:
        assert rows is not None
        scatter_update(variables[0], rows, from_real(value, variables[0].dtype))


@dataclass(eq=False)
class OtherRowsLane(Lane):
    """All rows of one variable, as they move without a gradient; a `RowLane` scatters those that have one over them.

    A dense gradient, which would be as large as the variable and mostly zeros, is not made, unless the run shows that most rows
    have one: then it is this lane that takes it. Left to itself XLA would fuse its loops differently and insert copies, so each
    new value has a loop of its own that reads old values, in a fixed order.
    """

    separate: bool = True

    def rows(self, rows: Sequence[Any]) -> Rows | None:
        """What is known of the gradient."""
        return cast(Rows, rows[self.indices[0]])

    def gradient(self, dense: Sequence[Any], rows: Rows | None) -> Any:
        """The dense gradient, or no rows of it."""
        assert rows is not None
        return rows.whole

    def typed(self, gradient: Any) -> Any:
        """Zeros in place of what is not there. XLA folds them into the loops, so they take no memory."""
        shape = self.targets[0].weight.shape
        missing = [[0, shape[0] - tf.shape(gradient)[0]]] + [[0, 0]] * (len(shape) - 1)
        return tf.ensure_shape(tf.pad(as_real(gradient, self.dtype), missing), shape)


def _lanes_for(ways: Collection[Way]) -> list[type[Lane]]:
    """The lanes of a variable whose gradients become these; without any, the variable moves without a gradient, if at all.

    The lane that moves all rows comes first; the one for some rows then overwrites its result.
    """
    whole = [Lane] if Way.DENSE in ways or not ways else [OtherRowsLane] if Way.ALL_ROWS in ways else []
    return whole + [RowLane] * bool({Way.ROWS, Way.ALL_ROWS} & set(ways))


def _whole_arena(variables: list[Any]) -> Any:
    """The memory of the arena whose parts these are, if they are all of its parts in order; else None."""
    arena = getattr(variables[0], "arena", None)
    if arena is None or len(arena.parts) != len(variables):
        return None
    return arena.memory if all(a is b for a, b in zip(arena.parts, variables, strict=True)) else None


def _reshaped(values: Sequence[Any], shapes: Sequence[Any]) -> list[Any]:
    """Each value in its shape. To save operations vectors are left alone, and equal shapes share a constant."""
    constants = {shape: tf.constant(shape, tf.int32) for shape in set(map(tuple, shapes))}
    return [
        value if value.shape.rank == 1 == len(shape) else tf.reshape(value, constants[tuple(shape)])
        for value, shape in zip(values, shapes, strict=True)
    ]


def _in_shares(members: list[Any]) -> list[list[Any]]:
    """What could share a lane, in as few shares of nearly the same size as there may be."""
    size = math.ceil(len(members) / math.ceil(len(members) / _MOST))
    return [members[i : i + size] for i in range(0, len(members), size)]


def make_arenas(targets: Sequence[Target]) -> None:
    """Gives new targets their arenas: those that can share a lane share them, too."""
    groups: dict[Any, list[Target]] = {}
    for target in targets:
        if (kind := _kind(target)) is not None:
            groups.setdefault(kind, []).append(target)
    for group in groups.values():
        for part in _in_shares(group):
            if len(part) > 1:
                arenas = Arenas(part, [target.weight.shape for target in part], part[0].dtype, part[0].weight)
                for target in part:
                    target.arenas = arenas


def make_lanes(
    targets: Sequence[Target],
    taking_part: Sequence[bool],
    ways: Sequence[Collection[Way]],
    pack: bool,
    masked: Sequence[bool],
) -> list[Lane]:
    """The lanes of a step.

    Args:
        targets: the variables of the step.
        taking_part: whether each has a gradient, in this call or perhaps an accumulated one.
        ways: how each one's gradient of this call goes into the step; none if it has none, several where that may differ.
        pack: whether small variables may share a lane.
        masked: whether a mask says whether each moves.
    """
    groups: dict[Any, list[int]] = {}
    for i, (target, takes_part) in enumerate(zip(targets, taking_part, strict=True)):
        if takes_part or target.always:
            kind = _kind(target) if pack and _lanes_for(ways[i]) == [Lane] else None
            groups.setdefault(i if kind is None else (*kind, takes_part), []).append(i)
    return [
        lane(group, [targets[i] for i in group], taking_part[group[0]], has_mask and lane is not RowLane)
        for group in chain.from_iterable(map(_in_shares, groups.values()))
        for has_mask in [any(masked[i] for i in group)]
        for lane in _lanes_for(ways[group[0]])
    ]


def _kind(target: Target) -> Any:
    """What the targets of one lane have in common; None for a target that needs a lane of its own."""
    if target.replaced or target.weight.dtype.is_complex or not is_small(target):
        return None
    return target.dtype, target.weight.device, target.decayed, target.group, id(target.arenas)


def is_small(target: Target) -> bool:
    """Whether a variable may share a lane."""
    return target.weight.shape.is_fully_defined() and bool(target.weight.shape.num_elements() <= SMALL)
