"""Some rows of a variable: their gradients, each row once, and how they are read and overwritten.

TensorFlow's operations that gather rows from a variable, or scatter rows into it, switch the variable to copy-on-read, so that
no value changes under its reader. The forward pass would then copy an embedding's table at every step, so the mode is switched
off again. Values read earlier are still safe: the scatter itself copies the table while one of them is in use.
"""

import math
from typing import Any, NamedTuple

import tensorflow as tf

from pyadam.engine.part import Part

__all__ = ["Rows", "gather", "merged", "no_rows", "padded", "scatter_update"]


class Rows(NamedTuple):
    """A gradient of some rows of a variable, each of them once.

    Attributes:
        values: one gradient per row, then zeros. Their number is the number of rows as given, duplicates included (it is the
            same for most batches), rounded up to a power of two and at most the variable's, so that few sizes are compiled.
        index: the rows, then zeros.
        count: how many there are.
    """

    values: Any
    index: Any
    count: Any


def merged(slices: Any, shape: Any) -> Rows:
    """The rows of tf.IndexedSlices for a variable of this shape; those that name the same index are summed."""
    index, place = tf.unique(tf.cast(slices.indices, tf.int64))
    count, given = tf.size(index), slices.indices.shape.num_elements()
    if given is None:  # half a row less, so that no logarithm is a whole number, which might be rounded up
        rows = tf.cast(tf.maximum(tf.size(slices.indices), 1), tf.float64) - 0.5
        power = 2 ** tf.maximum(tf.cast(tf.math.ceil(tf.math.log(rows) / math.log(2.0)), tf.int32), 0)
        size = tf.minimum(power, shape[0])
    else:
        size = min(1 << max(given - 1, 0).bit_length(), shape[0])
    values = tf.math.unsorted_segment_sum(tf.ensure_shape(slices.values, [None, *shape[1:]]), place, size)
    index = tf.ensure_shape(tf.pad(index, [[0, size - count]]), [None if tf.is_tensor(size) else size])
    return Rows(values, index, count)


def no_rows(size: int, shape: Any, dtype: Any) -> Rows:
    """A gradient of none of the rows of a variable of this shape, in this size."""
    return Rows(tf.zeros([size, *shape[1:]], dtype), tf.zeros([size], tf.int64), tf.constant(0))


def padded(rows: Rows, size: int) -> Rows:
    """The same rows in a larger size."""
    more = size - rows.index.shape[0]
    values = tf.pad(rows.values, [[0, more]] + [[0, 0]] * (len(rows.values.shape) - 1))
    return Rows(values, tf.pad(rows.index, [[0, more]]), rows.count)


def gather(variable: Any, index: Any) -> Any:
    """Some rows of a tf.Variable or `Part`."""
    if not isinstance(variable, Part):
        tf.raw_ops.DisableCopyOnRead(resource=variable.handle)
    return tf.gather(tf.convert_to_tensor(variable), index)


def scatter_update(variable: Any, rows: Any) -> None:
    """Overwrites some rows of a tf.Variable or `Part`, given as tf.IndexedSlices."""
    variable.scatter_update(rows)
    if not isinstance(variable, Part):
        tf.raw_ops.DisableCopyOnRead(resource=variable.handle)
