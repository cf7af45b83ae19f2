"""Operations that say to compilers what plain arithmetic leaves open: where to round, and what comes in which order."""

from typing import Any

import tensorflow as tf

__all__ = ["after", "rounded", "scalar", "sum_of_squares"]

_NEIGHBOURS = 16


def scalar(value: Any, dtype: Any) -> Any:
    """A number or scalar tensor in a dtype; ``tf.cast`` would take a Python number through float32, whatever the dtype."""
    return tf.cast(value, dtype) if tf.is_tensor(value) else tf.constant(value, dtype)


def _infinity(t: Any, dtype: Any) -> Any:
    """Infinity, of which a compiler can't know that it is one; ``t`` is any positive scalar tensor."""
    return tf.cast(t, dtype) * scalar(float("inf"), dtype)


def rounded(value: Any, t: Any) -> Any:
    """The value, which a compiler may not draw into a sum that follows, nor know to be equal to another ``rounded``.

    XLA may contract a product and a sum into one operation that rounds once, and does so here and not there: the number would
    depend on what else its loop computes. A minimum with infinity, of which the compiler can't know that it is one, keeps the
    product apart; it costs nothing that could be measured, since the update waits for memory. ``t`` is any positive
    scalar tensor.
    """
    return tf.minimum(value, _infinity(t, value.dtype))


def after(t: Any, value: Any) -> Any:
    """``t``, once the value is there: what is computed from it comes later, of which XLA can't know that it needs not.

    State is overwritten in place. A loop that reads an old value has to be over by then, or XLA copies it. What is asked of the
    value is asked in a conditional, since outside of one XLA would compute the one element anew and not wait for the others.
    """

    def beyond() -> Any:
        first = tf.reshape(value, [-1])[:1]
        return t + tf.cast(tf.reduce_any(first > _infinity(t, value.dtype)), t.dtype)

    return tf.cond(t > 0, beyond, lambda: t)


def sum_of_squares(x: Any) -> Any:
    """The sum of all elements' squares, a scalar: in float64, of 16 neighbours each, and then of those.

    XLA's own sum over a whole tensor on a CPU first writes all squares to memory, then sums windows of 32 by 32 element by
    element. It also takes its terms in an order that depends on what else the loop computes; in float64, where the square of
    a float32 number is exact, that does not show in a float32 result. The absolute values, which change nothing, keep XLA
    from making one sum of both.
    """
    if not x.shape.num_elements():
        return tf.reduce_sum(x * x)
    wide = tf.cast(tf.reshape(x, [-1]), tf.float64)
    squares = wide * wide
    whole = wide.shape[0] - wide.shape[0] % _NEIGHBOURS
    sums = tf.abs(tf.reduce_sum(tf.reshape(squares[:whole], [-1, _NEIGHBOURS]), axis=1))
    return tf.cast(tf.reduce_sum(sums) + tf.reduce_sum(squares[whole:]), x.dtype)
