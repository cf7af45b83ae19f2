"""Variables, gradients, comparisons and processes for tests."""

import os
import subprocess
import sys
import textwrap

import keras
import numpy as np
import tensorflow as tf

RNG = np.random.default_rng(0)
START = RNG.bit_generator.state
WIDTH = 3  # of tables


def restart():
    RNG.bit_generator.state = START


def variables(*shapes, dtype="float32"):
    return [keras.Variable(RNG.normal(size=shape), dtype=dtype, name=f"v{i}") for i, shape in enumerate(shapes)]


def table(rows, dtype="float32"):
    """The weights of an embedding."""
    return keras.Variable(np.random.default_rng(7).standard_normal((rows, WIDTH)), dtype=dtype)


def gradients_of(vs):
    return [tf.cast(RNG.normal(size=v.shape), v.dtype) for v in vs]


def values(vs):
    return [np.array(tf.cast(v if isinstance(v, tf.Variable) else v.value, tf.float64)) for v in vs]


def assert_same(a, b):
    assert len(a) == len(b)
    for x, y in zip(a, b, strict=True):
        np.testing.assert_array_equal(x, y)


def run_python(code, *arguments, **environment):
    """Runs the code in a separate process with these arguments, without XLA options from the user's environment."""
    inherited = {name: value for name, value in os.environ.items() if name not in ("XLA_FLAGS", "PYADAM_SINGLE_PASS")}
    command = [sys.executable, "-c", textwrap.dedent(code), *arguments]
    return subprocess.run(
        command, env=inherited | environment, capture_output=True, text=True, check=False, timeout=900
    )
