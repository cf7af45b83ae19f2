"""Trainings in files of every format, and loading them again, for the tests of `convert`."""

import keras
import numpy as np
import tensorflow as tf
import tf_keras

import pyadam
import pyadam.tf_keras

HOSTS = {"keras": (keras, pyadam), "tf_keras": (tf_keras, pyadam.tf_keras)}
SOURCES = [("keras", name) for name in ("m.keras", "m.h5", "m.weights.h5", "checkpoint")]
SOURCES += [("tf_keras", name) for name in ("m.keras", "m.h5", "m.weights.h5", "checkpoint", "saved_model")]
TARGETS = SOURCES[:-1]
X = np.linspace(-1, 1, 60, dtype="float32").reshape(12, 5)
Y = np.sin(np.arange(24, dtype="float32")).reshape(12, 2)


def holds_model(name):
    return name in ("m.keras", "m.h5", "saved_model")


def maker(make_optimizer, ours):
    """A function of a module of Keras that returns a compiled model; its layers give the same numbers in both."""

    def model_in(k):
        k.utils.set_random_seed(1)
        layers = [k.layers.InputLayer((5,)), k.layers.Dense(4, activation="tanh"), k.layers.Dense(2)]
        model = k.Sequential(layers)
        classes = HOSTS[k.__name__][1] if ours else k.optimizers
        model.compile(make_optimizer(k, classes), k.losses.MeanSquaredError())
        return model

    return model_in


def train(model, epochs=1):
    model.fit(X, Y, batch_size=4, epochs=epochs, verbose=0, shuffle=False)
    return model


def save(model, name, path):
    if name == "checkpoint":
        tf.train.Checkpoint(model=model, optimizer=model.optimizer).write(str(path))
    elif "weights" in name:
        model.save_weights(str(path))
    else:
        model.save(str(path), **({"save_format": "tf"} if name == "saved_model" else {}))


def load(host, name, path, model_in):
    k = HOSTS[host][0]
    if holds_model(name):
        return k.models.load_model(str(path))
    model = model_in(k)
    model.optimizer.build(model.trainable_variables)
    if name == "checkpoint":
        tf.train.Checkpoint(model=model, optimizer=model.optimizer).read(str(path)).expect_partial()
    else:
        model.load_weights(str(path))
    return model
