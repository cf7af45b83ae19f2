"""Arenas: the state of many small variables in one flat variable.

Passing a variable to a compiled program has a fixed cost, however small the variable is (docs/performance.md). So the slots of
small weights are concatenated in an arena, one arena for each slot name. Outside the engine this doesn't show: each part of an
arena is a variable that is read, assigned and saved like any other.
"""

from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import accumulate
from typing import Any

import tensorflow as tf

from pyadam.engine.components import beside, components
from pyadam.engine.even import padding
from pyadam.engine.part import Part

__all__ = ["Arena", "Arenas", "memories"]


class Arena:
    """A flat variable and its parts.

    Args:
        memory: the tf.Variable, of all parts' elements, and perhaps some more.
        shapes: of the parts, which it holds end to end.
    """

    def __init__(self, memory: tf.Variable, shapes: Sequence[tf.TensorShape]) -> None:
        self.memory, self._shapes = memory, shapes
        ends = list(accumulate(shape.num_elements() for shape in shapes))
        self.parts = [Part(self, begin, shape) for begin, shape in zip([0, *ends], shapes, strict=False)]

    @cached_property
    def components(self) -> tuple["Arena", ...]:
        """The arenas of the local replicas, if there are several; else this one."""
        memories = components(self.memory)
        return (self,) if len(memories) == 1 else tuple(Arena(memory, self._shapes) for memory in memories)

    def number(self, part: Part) -> int:
        """The place of one of its parts among them."""
        return self._numbers[id(part)]

    @cached_property
    def _numbers(self) -> dict[int, int]:
        return {id(part): number for number, part in enumerate(self.parts)}


class Arenas:
    """The arenas of variables that came together: one for each name, made when it is first asked for.

    Args:
        owners: the variables that share arenas, in order; any objects.
        shapes: their shapes.
        dtype: of the state, unless a slot names another.
        weight: a variable on the device where it lives.
    """

    def __init__(self, owners: Sequence[Any], shapes: Sequence[Any], dtype: Any, weight: Any) -> None:
        self._place = {id(owner): i for i, owner in enumerate(owners)}
        self._shapes, self._dtype, self._weight = [tf.TensorShape(shape) for shape in shapes], dtype, weight
        self._arenas: dict[str, Arena] = {}

    def part(self, owner: Any, slot: Any) -> Part:
        """The owner's part of the arena of this slot, which has the slot's start and, where it is given, its dtype."""
        if slot.name not in self._arenas:
            size = sum(shape.num_elements() for shape in self._shapes)
            filling = tf.constant(slot.filling, slot.dtype or self._dtype)
            with beside(self._weight):
                memory = tf.Variable(tf.fill([size + padding(size)], filling), trainable=False)
            self._arenas[slot.name] = Arena(memory, self._shapes)
        return self._arenas[slot.name].parts[self._place[id(owner)]]


def memories(variables: Iterable[Any]) -> dict[str, tf.Variable]:
    """The memory behind those of the variables that have none of their own, each once, under names."""
    behind = {id(memory): memory for v in variables if isinstance(v, Part) for memory in v.memories}
    return {f"arena_{i}": memory for i, memory in enumerate(behind.values())}
