"""Handwritten digits, trained with pyadam from Python. digits.R is the same in R.

python examples/digits.py [FILE]    writes FILE.keras, the trained model, and FILE.json, its losses
"""

import json
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
from sklearn.datasets import load_digits

from pyadam import optimizer_adam


def train(optimizer):
    """A small network, trained for 15 epochs on 1,437 pictures of 8 x 8 pixels, and validated on 360."""
    digits = load_digits()
    keras.utils.set_random_seed(7)
    model = keras.Sequential(
        [
            keras.layers.Input([64]),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    training = model.fit(digits.data / 16, digits.target, epochs=15, validation_split=0.2, verbose=0)
    return model, training.history


def save(file, model, losses):
    """Writes the model with its optimizer, and the losses with all their digits."""
    model.save(file + ".keras")
    with open(file + ".json", "w") as out:
        json.dump(losses, out)


if __name__ == "__main__":
    model, losses = train(optimizer_adam(1e-3))
    print(f"accuracy on unseen digits: {losses['val_accuracy'][-1]:.4f}")
    if len(sys.argv) > 1:
        save(sys.argv[1], model, losses)
