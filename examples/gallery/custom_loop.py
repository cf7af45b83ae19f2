"""A custom training loop.

Each step is yours, and the optimizer is one line of it; `tf.function` compiles the step into a graph. This one returns what
`fit()` does not show: the norm of all gradients, before they are clipped.

python examples/gallery/custom_loop.py [PICTURE]
"""

import sys

import keras
import numpy as np
import picture
import tensorflow as tf
from keras import layers
from sklearn.datasets import load_digits

from pyadam import Nadam

digits = load_digits()
x, y = digits.images[..., None] / 16, digits.target

keras.utils.set_random_seed(1)
model = keras.Sequential(
    [
        keras.Input([8, 8, 1]),
        layers.Conv2D(16, 3, activation="relu"),
        layers.Flatten(),
        layers.Dense(10, activation="softmax"),
    ]
)
optimizer = Nadam(2e-3, global_clipnorm=1.0)
weights = model.trainable_variables


@tf.function
def train_step(images, labels):
    with tf.GradientTape() as tape:
        losses = keras.losses.sparse_categorical_crossentropy(labels, model(images, training=True))
        loss = tf.reduce_mean(losses)
    gradients = tape.gradient(loss, weights)
    optimizer.apply(gradients, weights)
    return loss, tf.linalg.global_norm(gradients)


data = tf.data.Dataset.from_tensor_slices((x[:1437], y[:1437])).shuffle(1437, seed=1).batch(32)
norms = []
for epoch in range(10):
    steps = np.array([train_step(images, labels) for images, labels in data], dtype=float)
    loss, norm = steps.mean(axis=0)
    norms += list(steps[:, 1])
    print(f"epoch {epoch + 1:2}: loss {loss:.4f}, norm of the gradients {norm:.4f}", flush=True)

right = tf.equal(tf.argmax(model(x[1437:]), axis=1), y[1437:])
print(f"\nloss of the last step {steps[-1, 0]:.9g}")
print(f"norm of the last step {norms[-1]:.9g}")
print(f"unseen digits read correctly: {np.mean(right):.9g}")

if len(sys.argv) > 1:
    picture.draw(
        sys.argv[1], {"lines": {"norm": norms}, "title": "norm of the gradients", "xlabel": "step", "yscale": "log"}
    )
