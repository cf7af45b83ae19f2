"""Transfer learning, unfrozen in stages.

A network learns the digits 0 to 4. With a new last layer it continues with 100 pictures of 5 to 9: first that layer alone, then
the last two, then all, each layer at 0.3 times the learning rate of the next. One optimizer does all three stages, so its
state for a layer is kept.

python examples/gallery/transfer.py [PICTURE]
"""

import sys

import keras
import picture
from keras import layers
from sklearn.datasets import load_digits

from pyadam import Adam, layerwise_decay

digits = load_digits()
x, y, is_old = digits.images[..., None] / 16, digits.target, digits.target < 5
x_new, y_new = x[~is_old], y[~is_old] - 5
LOSS = {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}

keras.utils.set_random_seed(1)
body = [
    keras.Input([8, 8, 1]),
    layers.Conv2D(16, 3, padding="same", activation="relu"),
    layers.MaxPooling2D(),
    layers.Conv2D(32, 3, padding="same", activation="relu"),
    layers.Flatten(),
    layers.Dense(32, activation="relu"),
]
first = keras.Sequential([*body, layers.Dense(5, activation="softmax")])
first.compile(optimizer=Adam(2e-3), **LOSS)
losses = first.fit(x[is_old], y[is_old], epochs=10, verbose=0).history
print(f"digits 0 to 4: loss {losses['loss'][-1]:.4f}")

model = keras.Sequential([*body, layers.Dense(5, activation="softmax")])
optimizer = Adam(5e-3, groups=layerwise_decay(model, 0.3))  # while all layers are trainable
right = []
for trained in (1, 2, len(model.layers)):
    for layer in model.layers:
        layer.trainable = layer in model.layers[-trained:]
    model.compile(optimizer=optimizer, **LOSS)
    losses = model.fit(
        x_new[:100],
        y_new[:100],
        batch_size=10,
        epochs=10,
        validation_data=(x_new[100:], y_new[100:]),
        verbose=0,
    ).history
    right += losses["val_accuracy"]
    print(f"last layers trained: {trained}, loss {losses['loss'][-1]:.4f}, read correctly {right[-1]:.4f}", flush=True)

print(f"\nloss           {losses['loss'][-1]:.9g}")
print(f"read correctly {right[9]:.9g} with one layer, {right[19]:.9g} with two, {right[29]:.9g} with all")

if len(sys.argv) > 1:
    marks = {1: "one layer", 11: "two", 21: "all"}
    picture.draw(
        sys.argv[1],
        {"lines": {"unseen 5 to 9": right}, "marks": marks, "title": "share read correctly", "xlabel": "epoch"},
    )
