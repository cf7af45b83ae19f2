"""A table with a column of categories.

From length and width of an iris's sepal, and from its species, the network predicts length and width of its petal. For each
species an embedding learns two numbers. The table is scikit-learn's, in R the data frame iris; every fifth flower is unseen.

python examples/gallery/tabular.py [PICTURE]
"""

import sys

import keras
import numpy as np
import picture
from keras import layers
from sklearn.datasets import load_iris

from pyadam import Adam

iris = load_iris()
sepal, petal = iris.data[:, :2] / 10, iris.data[:, 2:] / 10  # in dm
species = iris.target[:, None]
unseen = np.arange(len(sepal)) % 5 == 0

keras.utils.set_random_seed(1)
numbers, category = keras.Input([2]), keras.Input([1], dtype="int32")
embedding = layers.Embedding(3, 2)
both = layers.Concatenate()([numbers, layers.Flatten()(embedding(category))])
model = keras.Model([numbers, category], layers.Dense(2)(layers.Dense(16, activation="relu")(both)))
model.compile(optimizer=Adam(0.01), loss="mse", metrics=["mae"])


def progress(epoch, logs):
    if (epoch + 1) % 5 == 0:
        print(f"epoch {epoch + 1:2}: off by {10 * logs['mae']:.4f} cm, unseen {10 * logs['val_mae']:.4f}", flush=True)


losses = model.fit(
    [sepal[~unseen], species[~unseen]],
    petal[~unseen],
    epochs=40,
    batch_size=16,
    validation_data=([sepal[unseen], species[unseen]], petal[unseen]),
    verbose=0,
    callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=progress)],
).history

print(f"\nunseen petals are off by {10 * losses['val_mae'][-1]:.9g} cm")
for name, (first, second) in zip(iris.target_names, embedding.get_weights()[0], strict=True):
    print(f"{name:<10} is at {first:.9g}, {second:.9g}")

if len(sys.argv) > 1:
    predicted = model.predict([sepal, species], verbose=0)
    points = {
        name: (10 * petal[iris.target == number, 0], 10 * predicted[iris.target == number, 0])
        for number, name in enumerate(iris.target_names)
    }
    picture.draw(
        sys.argv[1],
        {"lines": {"training": losses["mae"], "unseen": losses["val_mae"]}, "title": "off by, dm", "xlabel": "epoch"},
        {"points": points, "title": "length of petals, cm", "xlabel": "measured", "ylabel": "predicted"},
    )
