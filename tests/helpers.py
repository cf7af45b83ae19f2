"""Variables and gradients for tests."""

import keras
import numpy as np
import tensorflow as tf

RNG = np.random.default_rng(0)
START = RNG.bit_generator.state


def restart():
    RNG.bit_generator.state = START


def variables(*shapes, dtype="float32"):
    return [keras.Variable(RNG.normal(size=shape), dtype=dtype, name=f"v{i}") for i, shape in enumerate(shapes)]


def gradients_of(vs):
    return [tf.cast(RNG.normal(size=v.shape), v.dtype) for v in vs]


def values(vs):
    return [np.array(tf.cast(v if isinstance(v, tf.Variable) else v.value, tf.float64)) for v in vs]
