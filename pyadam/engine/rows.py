"""Some rows of a variable: their gradients, each row once, and how they are read and overwritten.

TensorFlow's operations that gather rows from a variable, or scatter rows into it, switch the variable to copy-on-read, so that
no value changes under its reader. The forward pass would then copy an embedding's table at every step, so the mode is switched
off again. Values read earlier are still safe: the scatter itself copies the table while one of them is in use.

In a train step that XLA compiles as a whole no tensor has a size that depends on values, so there are as many rows as were
given. Those that repeat another are placeholders, whose index is that of no row: XLA writes none of them.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from pyadam.engine.compiler import inside_xla
from pyadam.engine.even import padding
from pyadam.engine.part import Part
from pyadam.optimizers.sparse import FEW

__all__ = ["Rows", "few_or_whole", "gather", "merged", "no_rows", "padded", "scatter_update"]


class Rows(NamedTuple):
    """A gradient of some rows of a variable, each of them once.

    Attributes:
        values: one gradient per row, then zeros. Their number is the number of rows as given, duplicates included (it is the
            same for most batches), rounded up to a power of two and at most the variable's, so that few sizes are compiled.
        index: the rows, then zeros.
        count: how many there are.
        whole: a tensor without rows; or the dense gradient, where only the run shows how many rows there are and they are
            many. Then there are no others.

    Inside XLA zeros and placeholders may be anywhere, and ``count`` includes them.
    """

    values: Any
    index: Any
    count: Any
    whole: Any

    def map(self, change: Callable[[Any], Any]) -> "Rows":
        """The same rows with their gradients changed."""
        return self._replace(values=change(self.values), whole=change(self.whole))


def merged(slices: Any, shape: Any) -> Rows:
    """The rows of tf.IndexedSlices for a variable of this shape; those that name the same index are summed."""
    if inside_xla():
        return _merged_in_place(slices, shape)
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
    return Rows(values, index, count, values[:0])


def few_or_whole(slices: Any, shape: Any) -> Rows:
    """The same, or the dense gradient of all rows, where only the run shows whether they are few."""
    if slices.indices.shape.num_elements() is not None:
        return merged(slices, shape)

    def few() -> Rows:
        return merged(slices, shape)

    def whole() -> Rows:
        return no_rows(1, shape, slices.values.dtype)._replace(whole=tf.convert_to_tensor(slices))

    found = tf.cond(tf.size(slices.indices) <= int(FEW * shape[0]), few, whole)
    values, dense = (tf.ensure_shape(x, [None, *shape[1:]]) for x in (found.values, found.whole))
    return Rows(values, found.index, found.count, dense)


def _merged_in_place(slices: Any, shape: Any) -> Rows:
    """The same inside XLA: rows of one index are summed at the position of the last, and the others become placeholders.

    That place is looked up in a vector with an element for each of the variable's rows. An index that is none of them counts
    for nothing, as in a dense gradient.
    """
    size, given = tf.size(slices.indices), tf.cast(slices.indices, tf.int64)
    is_row = (given >= 0) & (given < shape[0])
    index, places = tf.where(is_row, given, shape[0]), tf.range(size)
    elements = shape[0] + 1
    none = tf.zeros([elements + padding(elements)], tf.int32)
    last = tf.gather(tf.tensor_scatter_nd_max(none, index[:, None], places), index)
    values = tf.math.unsorted_segment_sum(tf.ensure_shape(slices.values, [None, *shape[1:]]), last, size)
    return Rows(values, tf.where(tf.equal(last, places), index, shape[0]), size, values[:0])


def no_rows(size: int, shape: Any, dtype: Any) -> Rows:
    """A gradient of none of the rows of a variable of this shape, in this size."""
    values = tf.zeros([size, *shape[1:]], dtype)
    return Rows(values, tf.fill([size], _nowhere(shape)), tf.constant(0), values[:0])


def padded(rows: Rows, size: int, shape: Any) -> Rows:
    """The same rows of a variable of this shape in a larger size."""
    more = size - rows.index.shape[0]
    values = tf.pad(rows.values, [[0, more]] + [[0, 0]] * (len(shape) - 1))
    return rows._replace(values=values, index=tf.pad(rows.index, [[0, more]], constant_values=_nowhere(shape)))


def _nowhere(shape: Any) -> Any:
    """The index of what is not among the rows."""
    return tf.constant(shape[0] if inside_xla() else 0, tf.int64)


def gather(variable: Any, rows: Rows) -> Any:
    """Some rows of a tf.Variable or `Part`. Those of placeholders are anything."""
    _read_without_copies(variable)
    return tf.gather(tf.convert_to_tensor(variable), rows.index)


def scatter_update(variable: Any, rows: Rows, values: Any) -> None:
    """Overwrites some rows of a tf.Variable or `Part`."""
    index = rows.index
    if not inside_xla():
        values, index = values[: rows.count], index[: rows.count]
    variable.scatter_update(tf.IndexedSlices(values, index))
    _read_without_copies(variable)


def _read_without_copies(variable: Any) -> None:
    if not (isinstance(variable, Part) or inside_xla()):
        tf.raw_ops.DisableCopyOnRead(resource=variable.handle)
