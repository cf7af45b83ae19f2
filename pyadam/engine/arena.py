"""Arenas: the state of many small variables in one flat variable.

Handing a variable to a compiled program takes a time of its own, however small it is (docs/performance.md). So the slots of
small weights lie end to end in an arena, one for each slot name. Outside the engine nothing shows of it: the shell dresses each
part of an arena as a variable, which is read, assigned and saved as any other.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from pyadam.engine.rows import scatter_update

__all__ = ["Arena", "Arenas", "Part"]


class Arena:
    """A flat variable and its parts.

    Attributes:
        memory: the tf.Variable, of all parts' elements.
        parts: what it holds, end to end.
    """

    def __init__(self, shapes: Sequence[Any], start: float, dtype: Any) -> None:
        shapes = [tf.TensorShape(shape) for shape in shapes]
        sizes = [shape.num_elements() for shape in shapes]
        self.memory = tf.Variable(tf.fill([sum(sizes)], tf.constant(start, dtype)), trainable=False)
        self.parts = [Part(self, sum(sizes[:i]), shape) for i, shape in enumerate(shapes)]


class Part:
    """One variable's share of an arena: read and assigned as a tf.Variable is."""

    def __init__(self, arena: Arena, begin: int, shape: Any) -> None:
        self.arena, self.shape, self.dtype = arena, shape, arena.memory.dtype
        self._slice = slice(begin, begin + shape.num_elements())

    def read_value(self) -> Any:
        """The current value, a tensor."""
        return tf.reshape(self.arena.memory[self._slice], self.shape)

    def assign(self, value: Any) -> None:
        """Overwrites the value."""
        if self.shape.num_elements():
            self.arena.memory[self._slice].assign(tf.reshape(value, [-1]))

    def scatter_update(self, rows: Any) -> None:
        """Overwrites some rows, given as tf.IndexedSlices."""
        width = self.shape[1:].num_elements()
        first = self._slice.start + rows.indices * width
        place = first[:, None] + tf.range(width, dtype=first.dtype)
        scatter_update(self.arena.memory, tf.IndexedSlices(tf.reshape(rows.values, [-1]), tf.reshape(place, [-1])))

    def __repr__(self) -> str:
        return repr(self.read_value())

    def __tf_tensor__(self, dtype: Any = None, name: str | None = None) -> Any:
        return tf.convert_to_tensor(self.read_value(), dtype, name=name)


class Arenas:
    """The arenas of variables that came together: one for each name, made when it is first asked for.

    Args:
        owners: the variables that share arenas, in order; any objects.
        shapes: their shapes.
        dtype: of the state, unless a slot names another.
        device: where it lives.
    """

    def __init__(self, owners: Sequence[Any], shapes: Sequence[Any], dtype: Any, device: str) -> None:
        self._place = {id(owner): i for i, owner in enumerate(owners)}
        self._shapes, self._dtype, self._device = shapes, dtype, device
        self._arenas: dict[str, Arena] = {}

    def part(self, owner: Any, slot: Any) -> Part:
        """The owner's part of the arena of this slot, which has the slot's start and, where it is given, its dtype."""
        if slot.name not in self._arenas:
            with tf.device(self._device):
                self._arenas[slot.name] = Arena(self._shapes, slot.start, slot.dtype or self._dtype)
        return self._arenas[slot.name].parts[self._place[id(owner)]]
