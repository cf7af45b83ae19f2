"""Arenas: the state of many small variables in one flat variable.

Passing a variable to a compiled program has a fixed cost, however small the variable is (docs/performance.md). So the slots of
small weights are concatenated in an arena, one arena for each slot name. Outside the engine this doesn't show: each part of an
arena is a variable that is read, assigned and saved like any other.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import tensorflow as tf

from pyadam.engine.part import Part

__all__ = ["Arena", "Arenas", "memories"]


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


def memories(variables: Iterable[Any]) -> dict[str, tf.Variable]:
    """The memory behind those of the variables that are parts of arenas, each once, under names."""
    arenas = {id(v.arena): v.arena for v in variables if isinstance(v, Part)}
    return {f"arena_{i}": arena.memory for i, arena in enumerate(arenas.values())}
