"""Operations that say to compilers what plain arithmetic leaves open: where to round, and what comes in which order."""

from typing import Any

import tensorflow as tf

__all__ = ["after", "rounded", "scalar", "sum_of_squares"]

_PARTS = 16


def scalar(value: Any, dtype: Any) -> Any:
    """A number or scalar tensor in a dtype; ``tf.cast`` would take a Python number through float32, whatever the dtype."""
    return tf.cast(value, dtype) if tf.is_tensor(value) else tf.constant(value, dtype)


def rounded(value: Any, t: Any) -> Any:
    """The value, which a compiler may not draw into a sum that follows, nor know to be equal to another ``rounded``.

    XLA may contract a product and a sum into one operation that rounds once, and does so here and not there: the number would
    depend on what else its loop computes. A minimum with infinity, of which the compiler can't know that it is one, keeps the
    product apart; it costs nothing that could be measured, since the update waits for memory. ``t`` is any positive
    scalar tensor.
    """
    return tf.minimum(value, tf.cast(t, value.dtype) * scalar(float("inf"), value.dtype))


def after(t: Any, value: Any) -> Any:
    """``t``, once the value is there: what is computed from it comes later, of which XLA can't know that it needs not.

    State is overwritten in place. A loop of the weight that reads a slot's old value has to be over by then, or XLA copies the
    slot for it.
    """
    first = tf.reshape(value, [-1])[:1]
    return t + tf.cast(tf.reduce_any(first > tf.cast(t, value.dtype) * float("inf")), t.dtype)


def sum_of_squares(x: Any) -> Any:
    """The sum of all elements' squares, a scalar: the sums of 16 elements each, and in float64 the sum of those.

    XLA's own sum over a whole tensor on a CPU first writes all squares to memory, then sums windows of 32 by 32 element by
    element. It also takes its terms in an order that depends on what else the loop computes; here the order is given as far as
    it shows in the result.
    """
    if not x.shape.num_elements():
        return tf.reduce_sum(x * x)
    flat = tf.reshape(x, [-1])
    size = flat.shape[0] // _PARTS
    any_number = tf.abs(flat[0]) + 1.0

    def squares(begin: int, end: int) -> Any:
        return rounded(flat[begin:end] * flat[begin:end], any_number)

    parts = [squares(i * size, (i + 1) * size) for i in range(_PARTS)]
    while len(parts) > 1:
        parts = [a + b for a, b in zip(parts[::2], parts[1::2], strict=True)]
    rest = squares(_PARTS * size, flat.shape[0])
    return tf.cast(tf.add_n([tf.reduce_sum(tf.cast(part, tf.float64)) for part in (*parts, rest)]), x.dtype)
