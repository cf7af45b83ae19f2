"""Gradients like those of a backward pass: tensors that a graph computes, unknown when it is compiled."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf

from pyadam.parity.inputs import Slices

__all__ = ["Gradients"]

_INLINED = 128  # elements: a tf.function inlines tensors up to this size as constants, which its compilers would fold


class Gradients:
    """Called while a graph is traced, returns the gradients as tensors of that graph, none of them a constant.

    Large ones are captured as they are, without a copy. Small ones are slices of one captured tensor.
    """

    def __init__(self, arrays: Iterable[np.ndarray | Slices]) -> None:
        self._found: list[Any] = []
        small: list[np.ndarray] = []
        for array in arrays:
            if isinstance(array, Slices):
                self._found.append(tf.IndexedSlices(*map(tf.constant, (array.values, array.indices, array.shape))))
            elif array.size > _INLINED:
                self._found.append(tf.constant(array))
            else:
                self._found.append(array.shape)
                small.append(array.ravel())
        self._sizes = [array.size for array in small]
        self._sizes.append(_INLINED + 1)  # keeps their one tensor above that size
        self._small = tf.concat([*small, tf.zeros(_INLINED + 1)], 0)

    @property
    def has_rows(self) -> bool:
        """Whether there are sparse gradients."""
        return any(isinstance(x, tf.IndexedSlices) for x in self._found)

    def __call__(self) -> list[Any]:
        small = iter(tf.split(self._small, self._sizes) if len(self._sizes) > 1 else [])
        return [tf.reshape(next(small), x) if isinstance(x, tuple) else x for x in self._found]
