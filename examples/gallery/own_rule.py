"""A custom optimizer.

It is Adam that moves a weight only where its step agrees with the gradient's sign: elsewhere the weight stays, and the other
steps grow in proportion (Liang et al., 2024, Cautious Optimizers). The rule is a function of one weight's tensors;
checked arguments, clipping, averages, saving and the rest come with it.

python examples/gallery/own_rule.py [PICTURE]
"""

import sys

import keras
import picture
import tensorflow as tf
from keras import layers
from sklearn.datasets import load_digits

from pyadam import Adam, new_optimizer_class

digits = load_digits()
x, y = digits.data / 16, digits.target


def update(w, g, s, h):
    m = s.m + (1 - h.beta_1) * (g - s.m)
    v = s.v + (1 - h.beta_2) * (g * g - s.v)
    step = tf.sqrt(1 - h.beta_2**h.t) / (1 - h.beta_1**h.t) * m / (tf.sqrt(v) + h.epsilon)
    agrees = tf.cast(step * g > 0, w.dtype)
    step = step * agrees / tf.maximum(tf.reduce_mean(agrees), 0.001)
    return w - h.learning_rate * step, {"m": m, "v": v}


CautiousAdam = new_optimizer_class(
    "CautiousAdam",
    update,
    slots=["m", "v"],
    beta_1={"default": 0.9, "low": 0, "high": 1},
    beta_2={"default": 0.999, "low": 0, "high": 1},
    epsilon=1e-7,
)


def train(optimizer):
    """The losses of a network."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [keras.Input([64]), layers.Dense(64, activation="relu"), layers.Dense(10, activation="softmax")]
    )
    model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy")

    def progress(epoch, logs):
        print(f"{optimizer.name}, epoch {epoch + 1:2}: loss {logs['loss']:.4f}", flush=True)

    callback = keras.callbacks.LambdaCallback(on_epoch_end=progress)
    return model.fit(x, y, epochs=12, validation_split=0.2, verbose=0, callbacks=[callback]).history


plain, cautious = train(Adam(1e-3, name="Adam")), train(CautiousAdam(1e-3, name="CautiousAdam"))

for name, losses in {"Adam": plain, "CautiousAdam": cautious}.items():
    print(f"\n{name}: loss {losses['loss'][-1]:.9g}, unseen digits {losses['val_loss'][-1]:.9g}", end="")
print()

if len(sys.argv) > 1:
    lines = {"Adam": plain["loss"], "cautious": cautious["loss"]}
    picture.draw(sys.argv[1], {"lines": lines, "title": "loss", "xlabel": "epoch"})
