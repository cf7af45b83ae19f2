"""Operations that fix what plain arithmetic leaves to compilers: where to round, and in which order to compute."""

from functools import partial
from typing import Any

from pyadam.optimizers.tensorflow import tf

__all__ = ["apart", "mean", "quotient", "root", "rounded", "scalar", "sequenced", "settled", "sum_of_squares", "total"]

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
    return value - _zero(t, value.dtype)


def _zero(t: Any, dtype: Any) -> Any:
    """A zero that compilers can't recognize as one, made once in each graph."""
    made: dict[Any, Any] = {}
    graph = None if tf.executing_eagerly() else tf.compat.v1.get_default_graph()
    if graph is not None:
        kept = graph.get_collection_ref("pyadam zeros")  # those of the branches of a conditional lie there, too
        kept += [made] * (not kept)
        made = kept[0]
    key = id(graph), id(t), dtype
    if key not in made:
        zero = tf.cast(tf.minimum(t, tf.zeros_like(t)), dtype)
        # XLA never repeats a division for each element of a loop
        zero = zero / tf.cast(t + 1, dtype) if zero.dtype.is_floating else zero
        made[key] = zero, t  # it and the graph of the zero are kept, so that their ids can't come again
    return made[key][0]


def apart(value: Any, t: Any) -> Any:
    """A scalar that XLA can't know to equal the value. It computes floating-point ones before the loops, not in them."""
    return quotient(value, 1.0, t) if value.dtype.is_floating else rounded(value, t)


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


def _sum(wide: Any, apart: Any) -> Any:
    """The sum over a float64 tensor: over groups of 16 neighbors, and then over the groups.

    On CPUs, XLA's own sum over a whole tensor first writes all elements to memory, then sums windows of 32 by 32 element by
    element. Its order of summation also depends on what else the loop computes. In float64 the order does not affect a float32
    result. ``apart`` changes nothing of the groups' sums; it keeps XLA from merging the two sums into one.
    """
    wide = tf.reshape(wide, [-1])
    if not wide.shape[0]:
        return tf.reduce_sum(wide)
    whole = wide.shape[0] - wide.shape[0] % _NEIGHBORS
    sums = apart(tf.reduce_sum(tf.reshape(wide[:whole], [-1, _NEIGHBORS]), axis=1))
    return tf.reduce_sum(sums) + tf.reduce_sum(wide[whole:])


def sum_of_squares(x: Any) -> Any:
    """The sum of squares over all elements, a scalar. In float64 the square of a float32 number is exact."""
    wide = tf.cast(x, tf.float64)
    return tf.cast(_sum(wide * wide, tf.abs), x.dtype)


def total(x: Any, t: Any) -> Any:
    """The sum over all elements, a float64 scalar; ``t`` as in `rounded`."""
    return _sum(tf.cast(x, tf.float64), partial(rounded, t=t))


def settled(value: Any) -> Any:
    """A float64 sum with the digits of float32: the order in which it was summed almost never leaves a trace.

    That order differs between compilers, and with which variables share memory or a replica.
    """
    return tf.cast(tf.cast(value, tf.float32), tf.float64)


def mean(x: Any, axis: int, keepdims: bool = False) -> Any:
    """The mean along an axis, summed in float64 for the same reason as in `sum_of_squares`."""
    return tf.cast(tf.reduce_mean(tf.cast(x, tf.float64), axis, keepdims), x.dtype)
