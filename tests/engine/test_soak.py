"""Memory stays flat over many steps and many calls of compile, beside Keras in the same process."""

import json

import pytest
from helpers import run_python

RESIDENT = """
import gc, json, sys, keras, numpy as np, tensorflow as tf, pyadam, tf_keras, pyadam.tf_keras

def resident():
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 1e6
"""

STEPS = """
def grown(optimizer, step, count):
    for _ in range(500):
        step()
    before = resident()
    for _ in range(count):
        step()
    return resident() - before

def eager(optimizers):
    vs = [keras.Variable(np.ones((50, 20), "float32")), keras.Variable(np.ones(20, "float32"))]
    grads = [tf.ones((50, 20)), tf.ones(20)]
    optimizer = optimizers.Adam(1e-3)
    return lambda: optimizer.apply(grads, vs)

def in_a_function(optimizers):
    return tf.function(eager(optimizers))

print(json.dumps([[grown(None, way(each), COUNT) for each in (keras.optimizers, pyadam)] for way in (eager, in_a_function)]))
"""

COMPILES = """
def grown(host, optimizers, count):
    x, y = np.ones((16, 8), "float32"), np.ones((16, 1), "float32")
    model = host.Sequential([host.layers.InputLayer((8,)), host.layers.Dense(64), host.layers.Dense(1)])
    def once():
        model.compile(optimizers.Adam(1e-3), "mse")
        model.fit(x, y, verbose=0)
    for _ in range(5):
        once()
    before = resident()
    for _ in range(count):
        once()
    return (resident() - before) / count

pairs = [(keras, keras.optimizers), (keras, pyadam), (tf_keras, tf_keras.optimizers), (tf_keras, pyadam.tf_keras)]
print(json.dumps([grown(*pair, COUNT) for pair in pairs]))
"""


def measured(program, count):
    run = run_python(RESIDENT + program.replace("COUNT", str(count)))
    assert run.returncode == 0, run.stderr[-2000:]
    return json.loads(run.stdout.splitlines()[-1])


@pytest.mark.long
@pytest.mark.parametrize("steps", [10_000, 100_000])
def test_steps(steps, count):
    """MB after so many steps."""
    for way, (theirs, ours) in zip(("eager", "in a function"), measured(STEPS, steps), strict=True):
        count("memory", f"MB after {steps} steps, {way}: Keras {theirs:.1f}, pyadam {ours:.1f}")
        assert ours < max(2, theirs + 2)


@pytest.mark.long
def test_calls_of_compile(count):
    """MB for each call, with the `fit` after it: TensorFlow keeps some of what it traced, whoever's optimizer it is."""
    keras3, ours3, before, ours = measured(COMPILES, 50)
    count("memory", f"MB for each of 50 calls of compile: Keras 3 {keras3:.2f}, pyadam {ours3:.2f}")
    count("memory", f"MB for each of 50 calls of compile: tf_keras {before:.2f}, pyadam {ours:.2f}")
    assert ours3 < keras3 + 1
    assert ours < before + 1
