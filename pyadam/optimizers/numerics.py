"""Operations that fix what plain arithmetic leaves to compilers: where to round, and in which order to compute."""

from typing import Any

from pyadam.optimizers.tensorflow import tf

__all__ = ["sequenced", "mean", "quotient", "root", "rounded", "scalar", "sum_of_squares"]

_NEIGHBORS = 16


def scalar(value: Any, dtype: Any) -> Any:
    """Casts a number or scalar tensor to a dtype; ``tf.cast`` alone would round Python numbers to float32 first."""
    return tf.cast(value, dtype) if tf.is_tensor(value) else tf.constant(value, dtype)


def rounded(value: Any, t: Any) -> Any:
    """Rounds the value here, whatever follows; compilers can't tell that the result equals the value or another ``rounded``.

    With fused multiply-add, a product and a sum become one operation that rounds once. Not all processors have it, and XLA uses
    it only in some places, so results would depend on the machine and on what else a loop computes. This function subtracts a
    zero that compilers can't recognize as one, so fusing the product with the subtraction leaves its value unchanged.
    (Multiplying by 1 would not work, since XLA moves constant factors past it.) There is no measurable cost, as the update is
    memory-bound. ``t`` is a non-negative scalar tensor, such as the number of the update.
    """
    return value - tf.cast(tf.minimum(t, tf.zeros_like(t)), value.dtype)


def quotient(value: Any, divisor: float, t: Any) -> Any:
    """Divides by a number hidden from compilers, which would otherwise multiply by its reciprocal and fuse the product."""
    return value / rounded(scalar(divisor, value.dtype), t)


def root(value: Any, t: Any) -> Any:
    """The square root, `rounded`, so that it is safe to divide by.

    Compilers turn division by a plain root into multiplication by a reciprocal root, computed by an approximate instruction,
    which differs between processors, and a Newton step. Roots and quotients themselves are correctly rounded everywhere.
    """
    return rounded(tf.sqrt(value), t)


def sequenced(t: Any, value: Any) -> Any:
    """Returns ``t`` with a dependency on the value that XLA can't remove: whatever uses the result is computed later.

    State is overwritten in place. Loops that read an old value must finish first, or XLA makes a copy. The value is tested
    inside a conditional; without one, XLA would recompute the single element instead of waiting for all of them.
    """

    def beyond() -> Any:
        first = tf.reshape(value, [-1])[:1]
        return t + tf.cast(tf.reduce_any(rounded(first, t) < first), t.dtype)

    return tf.cond(t > 0, beyond, lambda: t)


def sum_of_squares(x: Any) -> Any:
    """The sum of squares over all elements, a scalar: in float64, over groups of 16 neighbors and then over the groups.

    On CPUs, XLA's own sum over a whole tensor first writes all squares to memory, then sums windows of 32 by 32 element by
    element. Its order of summation also depends on what else the loop computes. In float64, where the square of a float32
    number is exact, the order does not affect a float32 result. Taking absolute values changes nothing; it keeps XLA from
    merging the two sums into one.
    """
    if not x.shape.num_elements():
        return tf.reduce_sum(x * x)
    wide = tf.cast(tf.reshape(x, [-1]), tf.float64)
    squares = wide * wide
    whole = wide.shape[0] - wide.shape[0] % _NEIGHBORS
    sums = tf.abs(tf.reduce_sum(tf.reshape(squares[:whole], [-1, _NEIGHBORS]), axis=1))
    return tf.cast(tf.reduce_sum(sums) + tf.reduce_sum(squares[whole:]), x.dtype)


def mean(x: Any, axis: int, keepdims: bool = False) -> Any:
    """The mean along an axis, summed in float64 for the same reason as in `sum_of_squares`."""
    return tf.cast(tf.reduce_mean(tf.cast(x, tf.float64), axis, keepdims), x.dtype)
