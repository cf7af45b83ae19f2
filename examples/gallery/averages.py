"""Averages of the weights.

Steps that are too large overshoot back and forth; the average of the weights lies in between. Within `averaged_weights()` the
model holds the averages, at any time: here after each epoch, to compare them with the weights.

python examples/gallery/averages.py [PICTURE]
"""

import sys

import keras
import picture
from keras import layers
from sklearn.datasets import load_digits

from pyadam import Adam

digits = load_digits()
x, y = digits.data / 16, digits.target
known, unseen = slice(0, 1437), slice(1437, None)

keras.utils.set_random_seed(1)
model = keras.Sequential(
    [keras.Input([64]), layers.Dense(64, activation="relu"), layers.Dense(10, activation="softmax")]
)
optimizer = Adam(0.02, use_ema=True, ema_momentum=0.98)
model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy")
weights, averages = [], []


def compare(epoch, logs):
    weights.append(model.evaluate(x[unseen], y[unseen], verbose=0))
    with optimizer.averaged_weights():
        averages.append(model.evaluate(x[unseen], y[unseen], verbose=0))
    print(f"epoch {epoch + 1}: unseen digits {weights[-1]:.4f}, with averages {averages[-1]:.4f}", flush=True)


model.fit(
    x[known],
    y[known],
    batch_size=16,
    epochs=8,
    verbose=0,
    callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=compare)],
)

print(f"\nweights          {weights[-1]:.9g}")
print(f"averages         {averages[-1]:.9g}")
print(f"what fit() left  {model.evaluate(x[unseen], y[unseen], verbose=0):.9g}: the averages")

if len(sys.argv) > 1:
    lines = {"weights": weights, "averages": averages}
    picture.draw(sys.argv[1], {"lines": lines, "title": "loss, unseen digits", "xlabel": "epoch"})
