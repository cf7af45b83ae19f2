"""The reduction of gradients over replicas: one batch for each dtype, in the order of the replicas."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from pyadam.engine.gradients import as_real, compute_dtype, from_real, gradient_dtype
from pyadam.engine.wire import Call

__all__ = ["LocalGradient", "flat", "reduced", "sparse_sums"]


class LocalGradient(NamedTuple):
    """A gradient of one replica.

    Attributes:
        weight: the variable.
        gradient: as `typed` returns it, or None.
        replaced: whether it is the variable's next value, of which the largest counts.
    """

    weight: Any
    gradient: Any
    replaced: bool = False


def reduced(call: Call, given: Sequence[LocalGradient]) -> list[Any]:
    """The sum of each gradient over all replicas: dense ones as tensors, sparse ones with the rows of all replicas in order."""
    found = [x.gradient for x in given]
    sparse = [i for i, x in enumerate(given) if isinstance(x.gradient, tf.IndexedSlices)]
    dense = [i for i, x in enumerate(given) if x.gradient is not None and i not in sparse]
    for replaced in (False, True):
        places = [i for i in dense if given[i].replaced is replaced]
        for i, g in zip(places, _dense(call, [given[i] for i in places], replaced), strict=True):
            found[i] = g
    for i, g in zip(sparse, sparse_sums(call, [given[i] for i in sparse]), strict=True):
        found[i] = g
    return found


def _dense(call: Call, given: Sequence[LocalGradient], replaced: bool) -> list[Any]:
    """The sums, or the largest values, of dense gradients."""
    typed = [tf.cast(x.gradient, gradient_dtype(x.weight.dtype)) for x in given]
    real = [as_real(g, compute_dtype(g.dtype)) for g in typed]
    whole = (lambda x: tf.reduce_max(call.gather(x), axis=0)) if replaced else call.reduce
    found: dict[int, Any] = {}
    for dtype in dict.fromkeys(g.dtype for g in real):
        places = [i for i, g in enumerate(real) if g.dtype == dtype]
        sizes = [
            tf.size(real[i]) if real[i].shape.num_elements() is None else real[i].shape.num_elements() for i in places
        ]
        joined = whole(tf.concat([flat(real[i]) for i in places], 0))
        for i, part in zip(places, tf.split(joined, sizes), strict=True):
            found[i] = from_real(_in_shape_of(real[i], part), typed[i].dtype)
    return [found[i] for i in range(len(given))]


def flat(value: Any) -> Any:
    """The value as a vector."""
    return value if value.shape.rank == 1 else tf.reshape(value, [-1])


def _in_shape_of(model: Any, vector: Any) -> Any:
    if model.shape.rank == 1:
        return vector
    if model.shape.is_fully_defined():
        return tf.reshape(vector, model.shape)
    return tf.ensure_shape(tf.reshape(vector, tf.shape(model)), model.shape)


def sparse_sums(call: Call, given: Sequence[LocalGradient]) -> list[Any]:
    """Sparse gradients with the rows of all replicas. How many each has is sent first."""
    if not given:
        return []
    gradients = [_with_rows_of_the_weight(x) for x in given]
    lengths = call.gather(tf.stack([tf.size(g.indices, tf.int64) for g in gradients]))
    indices = _laid_out(call, [tf.cast(g.indices, tf.int64) for g in gradients], lengths)
    values = [as_real(g.values, compute_dtype(g.values.dtype)) for g in gradients]
    rows: dict[int, Any] = {}
    for dtype in dict.fromkeys(v.dtype for v in values):
        places = [i for i, v in enumerate(values) if v.dtype == dtype]
        sizes = tf.gather(lengths, places, axis=1) * tf.constant([_width(values[i]) for i in places], tf.int64)
        for i, part in zip(places, _laid_out(call, [values[i] for i in places], sizes), strict=True):
            rows[i] = from_real(tf.reshape(part, [-1, *values[i].shape[1:]]), gradients[i].values.dtype)
    return [
        tf.IndexedSlices(rows[i], tf.cast(index, g.indices.dtype), g.dense_shape)
        for i, (g, index) in enumerate(zip(gradients, indices, strict=True))
    ]


def _with_rows_of_the_weight(given: LocalGradient) -> Any:
    """A sparse gradient whose rows have a known shape, that of the weight's."""
    g = given.gradient
    values = tf.ensure_shape(g.values, [*g.indices.shape, *given.weight.shape[1:]])
    return tf.IndexedSlices(values, g.indices, g.dense_shape)


def _width(values: Any) -> int:
    """The number of values in a row."""
    return int(values.shape[1:].num_elements())


def _rounded_up(size: Any) -> Any:
    """A size, at most an eighth larger: there are few such sizes, and TensorFlow remembers each that is sent."""
    bits = tf.math.ceil(tf.math.log(tf.maximum(tf.cast(size, tf.float64), 1.0) + 0.5) / math.log(2.0))
    unit = 2 ** tf.maximum(tf.cast(bits, tf.int32) - 4, 0)
    return tf.maximum(-(-size // unit) * unit, 1)  # TensorFlow dies of a gather of nothing


def _laid_out(call: Call, parts: Sequence[Any], sizes: Any) -> list[Any]:
    """Each of some tensors, flat, with those of all replicas end to end; ``sizes`` has a row for each replica."""
    joined = tf.concat([flat(part) for part in parts], 0)
    most = _rounded_up(tf.cast(tf.reduce_max(tf.reduce_sum(sizes, axis=1)), tf.int32))
    every = call.gather(tf.pad(joined, [[0, most - tf.size(joined)]]))
    split = [
        tf.split(every[replica, : tf.reduce_sum(sizes[replica])], sizes[replica], num=len(parts))
        for replica in range(call.size)
    ]
    return [tf.concat(each, 0) for each in zip(*split, strict=True)]
