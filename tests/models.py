"""The same small model in either Keras, and ways to train it."""

import keras
import numpy as np
import tensorflow as tf
import tf_keras

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


def arrays(model):
    """Weights and state."""
    return [np.array(v) for v in [*model.get_weights(), *model.optimizer.variables]]
