"""Handwritten digits, read by a small convolution network.

scikit-learn's 1,797 pictures of 8 x 8 pixels, the last fifth of them unseen, and Adam at twice its default learning rate.
Dropout before the last layer holds overfitting back.

python examples/gallery/digits.py [PICTURE]
"""

import sys

import keras
import picture
from keras import layers
from sklearn.datasets import load_digits

from pyadam import Adam

digits = load_digits()
x, y = digits.images[..., None] / 16, digits.target

keras.utils.set_random_seed(1)
model = keras.Sequential(
    [
        keras.Input([8, 8, 1]),
        layers.Conv2D(16, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(32, 3, padding="same", activation="relu"),
        layers.Flatten(),
        layers.Dropout(0.5),
        layers.Dense(10, activation="softmax"),
    ]
)
model.compile(optimizer=Adam(2e-3), loss="sparse_categorical_crossentropy", metrics=["accuracy"])


def progress(epoch, logs):
    print(f"epoch {epoch + 1:2}: loss {logs['loss']:.4f}, unseen digits {logs['val_loss']:.4f}", flush=True)


losses = model.fit(
    x,
    y,
    epochs=12,
    validation_split=0.2,
    verbose=0,
    callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=progress)],
).history

print(f"\nloss           {losses['loss'][-1]:.9g}")
print(f"unseen digits  {losses['val_loss'][-1]:.9g}")
print(f"read correctly {losses['val_accuracy'][-1]:.9g}")

if len(sys.argv) > 1:
    lines = {"training": losses["loss"], "unseen digits": losses["val_loss"]}
    picture.draw(sys.argv[1], {"lines": lines, "title": "loss", "xlabel": "epoch", "yscale": "log"})
