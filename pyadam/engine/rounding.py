"""Stochastic rounding to bfloat16, from random bits that follow from the step, the slot and the element alone."""

from typing import Any

import tensorflow as tf

__all__ = ["random_bits", "stochastically_rounded"]

_LARGEST = float.fromhex("0x1.fep127")  # the largest finite bfloat16
_NAN = 0x7FC00000


def _unsigned(value: Any) -> Any:
    return tf.cast(value, tf.uint32) if tf.is_tensor(value) else tf.constant(value % 2**32, tf.uint32)


def _hash(x: Any) -> Any:
    """A one-to-one map of the 32-bit numbers in which every bit of the argument moves every bit of the result.

    Source: C. Wellons (2018), Prospecting for Hash Functions, https://nullprogram.com/blog/2018/07/31/: its "lowbias32".
    """
    x = tf.bitwise.bitwise_xor(x, tf.bitwise.right_shift(x, _unsigned(16))) * _unsigned(0x7FEB352D)
    x = tf.bitwise.bitwise_xor(x, tf.bitwise.right_shift(x, _unsigned(15))) * _unsigned(0x846CA68B)
    return tf.bitwise.bitwise_xor(x, tf.bitwise.right_shift(x, _unsigned(16)))


def random_bits(t: Any, slot: int, *element: Any) -> Any:
    """Numbers from 0 to 65535, uint32: the upper half of hash(element + hash(t xor hash(slot))).

    A pure function of integers: the same in every language, compiled or not, and after a restart.

    Args:
        t: the number of the update.
        slot: the place of the slot among those of its variable.
        element: uint32 tensors whose sum is the number of each element. (Were it in one tensor, TensorFlow would compute that
            while it compiles, and keep it.)
    """
    key = _hash(tf.bitwise.bitwise_xor(_unsigned(t), _hash(_unsigned(slot))))
    for part in element:
        key = key + part
    return tf.bitwise.right_shift(_hash(key), _unsigned(16))


def stochastically_rounded(value: Any, bits: Any) -> Any:
    """Rounds float32 to bfloat16: to one of the two neighbors, the closer one with the higher probability.

    That probability is the distance from the other one, relative to the gap, so the expected result is the value itself. The
    bits are added to the lower 16 bits of the value, which are then dropped. Values that bfloat16 can represent stay unchanged,
    as do infinities and NaN; finite values beyond its largest number become that number.

    Source: Gupta et al. (2015), Deep Learning with Limited Numerical Precision, https://arxiv.org/abs/1502.02551, section 3.1.

    Args:
        value: float32 tensor.
        bits: of the same shape, numbers from 0 to 65535.
    """
    pattern = tf.bitcast(value, tf.int32)
    added = pattern + tf.where(tf.abs(value) < _LARGEST, tf.cast(bits, tf.int32), 0)
    kept = tf.where(tf.math.is_nan(value), _NAN, added)
    return tf.bitcast(tf.cast(tf.bitwise.right_shift(kept, 16), tf.uint16), tf.bfloat16)
