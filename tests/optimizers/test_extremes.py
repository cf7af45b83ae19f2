"""Huge gradients leave the weights finite where Keras' own steps do; counts of steps may be as large as anybody's patience."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from family import EVERY
from helpers import run_python

import pyadam.tf_keras

PROGRAM = """
import json, sys
import numpy as np, tensorflow as tf
import {host} as host, pyadam, pyadam.tf_keras
ours = pyadam if host.__name__ == "keras" else pyadam.tf_keras
found = {{}}
for name, given in (("RMSprop", {{}}), ("RMSprop", {{"momentum": 0.9}}), ("RMSprop", {{"centered": True}}), ("Adadelta", {{}}),
                    ("Adagrad", {{}}), ("Adamax", {{}}), ("Lion", {{}})):
    for size in (2, 9000):
        rows = []
        for optimizers in (ours, host.optimizers):
            v = tf.Variable(tf.ones([size])) if host.__name__ == "tf_keras" else host.Variable(tf.ones([size]))
            optimizer = getattr(optimizers, name)(0.01, **given)
            for first in (1e20, 0.1, 0.1):
                optimizer.apply_gradients([(tf.concat([[first], tf.fill([size - 1], 0.1)], 0), v)])
            rows.append([float(v.numpy()[0]), float(v.numpy()[-1])])
        found[f"{{name}} {{given}} {{size}}"] = rows
print(json.dumps(found))
"""


@pytest.mark.parametrize("host", ["keras", pytest.param("tf_keras", marks=pytest.mark.long)])
@pytest.mark.parametrize("single_pass", ["0", pytest.param("1", marks=pytest.mark.long)])
def test_huge_gradients(host, single_pass):
    """RMSprop and Adadelta had NaN for the first element, Keras 1.0: once infinite, a mean of squares stays so."""
    result = run_python(PROGRAM.format(host=host), PYADAM_SINGLE_PASS=single_pass)
    for name, (ours, theirs) in json.loads(result.stdout.splitlines()[-1]).items():
        assert np.isfinite(ours).all(), (name, ours)
        assert np.allclose(ours, theirs, rtol=1e-5), (name, ours, theirs)


@pytest.mark.parametrize("size", [4, 9000])
def test_clipnorm_of_a_gradient_whose_squares_are_beyond_the_range(size):
    """The norm was infinite, so nothing moved; so it is in Keras."""
    v = keras.Variable(np.zeros(size, "float32"))
    pyadam.SGD(1.0, clipnorm=1.0).apply([tf.fill([size], 1e30)], [v])
    np.testing.assert_allclose(v.numpy(), -1 / np.sqrt(size), rtol=1e-6)


COUNTS = [{}, {"use_ema": True, "ema_overwrite_frequency": 3}, {"gradient_accumulation_steps": 3}]


@pytest.mark.sample(3)
@pytest.mark.parametrize("host", ["keras", "tf_keras"])
@pytest.mark.parametrize("start", [2**31 - 2, 2**53 - 2, 2**53 + 1, 2**62])
@pytest.mark.parametrize("given", COUNTS, ids=str)
@pytest.mark.parametrize("name", EVERY)
def test_large_counts(name, given, start, host, tmp_path):
    """Steps continue, are counted one by one, and the count comes back from a checkpoint."""
    made = tf.Variable if host == "tf_keras" else keras.Variable
    ours = pyadam.tf_keras if host == "tf_keras" else pyadam
    v = made(np.ones((3, 2), "float32"))
    optimizer = getattr(ours, name)(0.1, jit_compile=False, **given)
    optimizer.build([v])
    optimizer._iterations.assign(start)
    for _ in range(4):
        optimizer.apply_gradients([(tf.fill((3, 2), 0.5), v)])
    assert int(optimizer._iterations) == start + 4
    assert np.isfinite(np.array(tf.convert_to_tensor(v))).all()
    if start + 4 <= 2**62:
        saved = tf.train.Checkpoint(optimizer=optimizer).write(str(tmp_path / "c"))
        other = getattr(ours, name)(0.1, jit_compile=False, **given)
        tf.train.Checkpoint(optimizer=other).read(saved)
        other.build([v])
        assert int(other._iterations) == start + 4


@pytest.mark.parametrize("size", [1e-10, 1.0, 1e8])
def test_adafactor_where_nothing_happens(size):
    """Beside gradients of 1e5, the share of a row underflowed before its root was taken: NaN for all weights."""
    v = keras.Variable(np.ones((2, 2), "float32"))
    optimizer = pyadam.Adafactor(0.1)
    for _ in range(2):
        optimizer.apply([tf.constant([[size, 0.0], [0.0, 0.0]])], [v])
    assert np.isfinite(v.numpy()).all()
    assert v.numpy()[0, 0] < 1.0
    assert (v.numpy().ravel()[1:] == 1.0).all()


@pytest.mark.parametrize("name", EVERY)
def test_rates_of_zero_and_places_without_gradients(name):
    """Warm-ups start at 0, decays end there, and pictures have black edges beside dead units: Ftrl and Adafactor had NaN."""
    rates = iter([0.0, 0.1, 0.0, 0.1])
    v, w = keras.Variable(np.ones((3, 2), "float32")), keras.Variable(np.ones(2, "float32"))
    optimizer = getattr(pyadam, name)(lambda: next(rates))
    optimizer.build([v, w])
    for _ in range(4):
        optimizer.apply([tf.constant([[1.0, 0.0], [0.5, 0.0], [0.0, 0.0]]), tf.constant([1.0, 0.0])], [v, w])
    assert np.isfinite(v.numpy()).all()
    assert np.isfinite(w.numpy()).all()
    assert v.numpy()[0, 0] < 1.0
    if name == "Ftrl":  # which computes each weight from its gradients alone
        assert v.numpy()[2, 1] == 0.0
    else:  # some have a weight decay
        assert 0.99 < v.numpy()[2, 1] <= 1.0
