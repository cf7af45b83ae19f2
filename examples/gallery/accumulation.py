"""Gradient accumulation: four small batches make a large one.

Twice the same network on the same data in the same order, in batches of 128 and of 32. With
`gradient_accumulation_steps=4` three of four calls only add up; the fourth updates the weights by the mean. What remains
between the two is the rounding of the sums.

python examples/gallery/accumulation.py [PICTURE]
"""

import sys

import keras
import numpy as np
import picture
from keras import layers
from sklearn.datasets import load_digits

from pyadam import Adam

digits = load_digits()
x, y = digits.data / 16, digits.target
known, unseen = slice(0, 12 * 128), slice(12 * 128, None)


def train(batch_size, steps):
    """A network and its losses."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [keras.Input([64]), layers.Dense(64, activation="relu"), layers.Dense(10, activation="softmax")]
    )
    optimizer = Adam(5e-3, clipnorm=1.0, gradient_accumulation_steps=steps)
    model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy")

    def progress(epoch, logs):
        print(f"batches of {batch_size}, epoch {epoch + 1:2}: unseen digits {logs['val_loss']:.6f}", flush=True)

    losses = model.fit(
        x[known],
        y[known],
        batch_size=batch_size,
        epochs=10,
        shuffle=False,
        validation_data=(x[unseen], y[unseen]),
        verbose=0,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=progress)],
    ).history
    return model, losses["val_loss"]


large, of_large = train(128, None)
small, of_small = train(32, 4)
apart = max(np.abs(a - b).max() for a, b in zip(large.get_weights(), small.get_weights(), strict=True))

print(f"\nbatches of 128      {of_large[-1]:.9g}")
print(f"4 batches of 32     {of_small[-1]:.9g}")
print(f"weights differ by   {apart:.9g} at most")

if len(sys.argv) > 1:
    lines = {"batches of 128": of_large, "4 batches of 32": of_small}
    gap = np.abs(np.subtract(of_large, of_small))
    picture.draw(
        sys.argv[1],
        {"lines": lines, "title": "loss, unseen digits", "xlabel": "epoch"},
        {"lines": {"difference": gap}, "title": "difference of the two", "xlabel": "epoch"},
    )
