"""Operations that say to compilers what plain arithmetic leaves open: where to round, and what comes in which order."""

from typing import Any

from pyadam.optimizers.tensorflow import tf

__all__ = ["sequenced", "mean", "quotient", "root", "rounded", "scalar", "sum_of_squares"]

_NEIGHBOURS = 16


def scalar(value: Any, dtype: Any) -> Any:
    """A number or scalar tensor in a dtype; ``tf.cast`` would take a Python number through float32, whatever the dtype."""
    return tf.cast(value, dtype) if tf.is_tensor(value) else tf.constant(value, dtype)


def rounded(value: Any, t: Any) -> Any:
    """The value itself, rounded before it goes on, whatever follows; no compiler knows it to be equal to another ``rounded``.

    Processors with such an operation contract a product and a sum into one that rounds once, others don't; and XLA does so here
    and not there. The number would depend on the machine, and on what else a loop computes. What is taken off here is 0, of
    which a compiler can't know that it is; a product contracted with that is what it was. (A factor of 1 would not do, for XLA
    moves constant factors past it.) It costs nothing that could be measured, since the update waits for memory. ``t`` is a
    scalar tensor that is not negative, such as the number of the update.
    """
    return value - tf.cast(tf.minimum(t, tf.zeros_like(t)), value.dtype)


def quotient(value: Any, divisor: float, t: Any) -> Any:
    """The value over a number; a compiler that knew the number would multiply with its reciprocal, and contract that."""
    return value / rounded(scalar(divisor, value.dtype), t)


def root(value: Any, t: Any) -> Any:
    """The square root, `rounded`, so that one can divide by it.

    From a quotient by a plain root compilers make a product with its reciprocal, which they have from an instruction that is
    an approximation, another one on every processor, and a step of Newton's. Roots and quotients are rounded right everywhere.
    """
    return rounded(tf.sqrt(value), t)


def sequenced(t: Any, value: Any) -> Any:
    """``t``, once the value is there: what is computed from it comes later, of which XLA can't know that it needs not.

    State is overwritten in place. A loop that reads an old value has to be over by then, or XLA copies it. What is asked of the
    value is asked in a conditional, since outside of one XLA would compute the one element anew and not wait for the others.
    """

    def beyond() -> Any:
        first = tf.reshape(value, [-1])[:1]
        return t + tf.cast(tf.reduce_any(rounded(first, t) < first), t.dtype)

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


def mean(x: Any, axis: int, keepdims: bool = False) -> Any:
    """The mean along an axis, summed in float64 like `sum_of_squares`, and for the same reason."""
    return tf.cast(tf.reduce_mean(tf.cast(x, tf.float64), axis, keepdims), x.dtype)
