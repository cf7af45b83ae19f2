"""The same small model in either Keras, and ways to train it."""

import textwrap

import keras
import numpy as np
import tensorflow as tf
import tf_keras
from helpers import assert_same, run_python

X = np.random.default_rng(0).normal(size=(32, 4)).astype("float32")
Y = np.random.default_rng(1).normal(size=(32, 2)).astype("float32")
MODES = {"graph": {}, "eager": {"run_eagerly": True}, "compiled": {"jit_compile": True}}  # arguments of compile


def mean_square(y, prediction):
    """A loss that is the same to the bit in both generations of Keras."""
    return tf.reduce_mean(tf.square(y - prediction))


for host in (keras, tf_keras):  # so that files with it load
    host.saving.register_keras_serializable("pyadam-tests")(mean_square)


def make_model(optimizer, host=keras, sizes=(4, 3, 2), **compile_arguments):
    """Two dense layers, with the same initial weights in either Keras."""
    inputs, hidden, outputs = sizes
    layers = host.layers
    model = host.Sequential([host.Input((inputs,)), layers.Dense(hidden, activation="tanh"), layers.Dense(outputs)])
    rng = np.random.default_rng(6)
    model.set_weights([rng.normal(size=w.shape).astype("float32") for w in model.get_weights()])
    model.compile(optimizer=optimizer, loss=mean_square, **compile_arguments)
    return model


def train(model, steps, x=X, y=Y):
    """Single steps: averages don't overwrite the weights."""
    for _ in range(steps):
        model.train_on_batch(x, y)
    return model


def fit(model, steps=3):
    """The same steps in ``fit``, which copies the averages into the weights at its end."""
    model.fit(X, Y, batch_size=len(X), epochs=steps, shuffle=False, verbose=0)
    return model


def goes_on_in_a_fresh_process(model, folder, before=""):
    """Saves a model, and checks that two steps elsewhere have the bits of two here; ``before`` is run there first."""
    model.save(folder / "model.keras")
    np.savez(folder / "data.npz", x=X, y=Y)
    load = """
        import sys
        import keras, numpy as np, tensorflow as tf
        import pyadam

        @keras.saving.register_keras_serializable("pyadam-tests")
        def mean_square(y, prediction):
            return tf.reduce_mean(tf.square(y - prediction))
    """
    go_on = """
        folder = sys.argv[1]
        model, data = keras.models.load_model(folder + "/model.keras"), np.load(folder + "/data.npz")
        for _ in range(2):
            model.train_on_batch(data["x"], data["y"])
        np.savez(folder + "/end.npz", *model.get_weights())
    """
    done = run_python("".join(map(textwrap.dedent, (load, before, go_on))), str(folder))
    assert done.returncode == 0, done.stderr
    train(model, 2)
    with np.load(folder / "end.npz") as end:
        assert_same(model.get_weights(), [end[name] for name in end.files])


def arrays(model):
    """Weights and state."""
    return [np.array(v) for v in [*model.get_weights(), *model.optimizer.variables]]
