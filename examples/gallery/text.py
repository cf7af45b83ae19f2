"""An LSTM continues a text, letter by letter.

It reads scikit-learn's descriptions of three data sets, 40 letters at a time, and says after each letter what comes next. Its
gradients are clipped, since those of long sequences can be large. In the end it writes a line of its own.

python examples/gallery/text.py [PICTURE]
"""

import sys

import keras
import numpy as np
import picture
from keras import layers
from sklearn import datasets

from pyadam import Adam

pages = [load().DESCR for load in (datasets.load_breast_cancer, datasets.load_iris, datasets.load_wine)]
text = np.array([ord(letter) % 128 for letter in "".join(pages)])
rows = text[np.arange(0, len(text) - 40, 20)[:, None] + np.arange(41)]

keras.utils.set_random_seed(1)
model = keras.Sequential(
    [
        layers.Embedding(128, 16),
        layers.LSTM(96, return_sequences=True),
        layers.Dense(128, activation="softmax"),
    ]
)
optimizer = Adam(0.02, global_clipnorm=1.0)
model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])


def progress(epoch, logs):
    if (epoch + 1) % 5 == 0:
        print(f"epoch {epoch + 1:2}: loss {logs['loss']:.4f}, next letter {logs['accuracy']:.2%} right", flush=True)


losses = model.fit(
    rows[:, :-1],
    rows[:, 1:],
    epochs=30,
    verbose=0,
    callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=progress)],
).history

written = [ord(letter) for letter in "The mean "]
while len(written) < 60:
    written.append(int(np.argmax(model(np.array([written]))[0, -1])))

print(f"\nloss            {losses['loss'][-1]:.9g}")
print(f"guessed rightly {losses['accuracy'][-1]:.9g}")
print("it writes:", *"".join(map(chr, written)).split())

if len(sys.argv) > 1:
    lines = {"training": losses["loss"]}
    picture.draw(sys.argv[1], {"lines": lines, "title": "loss of a letter", "xlabel": "epoch"})
