"""A custom learning-rate schedule.

The rate rises in a straight line, then falls with the root of the step. A schedule is a class that computes it from the number
of the step; with `get_config()` the model can be saved. Here it trains a network of eight layers, beside the same rate without
a schedule.

python examples/gallery/schedule.py [PICTURE]
"""

import sys

import keras
import picture
from keras import layers, ops
from sklearn.datasets import load_digits

from pyadam import Adam

digits = load_digits()
x, y = digits.data / 16, digits.target


@keras.saving.register_keras_serializable()
class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """The rate after so many steps is `rate`; before, it rises to it, and afterwards it falls."""

    def __init__(self, rate, steps):
        self.rate, self.steps = rate, steps

    def __call__(self, step):
        done = (ops.cast(step, "float32") + 1.0) / self.steps
        return self.rate * ops.minimum(done, ops.rsqrt(done))

    def get_config(self):
        return {"rate": self.rate, "steps": self.steps}


def train(rate):
    """The losses of a deep network."""
    keras.utils.set_random_seed(1)
    hidden = [layers.Dense(64, activation="relu") for _ in range(7)]
    model = keras.Sequential([keras.Input([64]), *hidden, layers.Dense(10, activation="softmax")])
    model.compile(optimizer=Adam(rate), loss="sparse_categorical_crossentropy")

    def progress(epoch, logs):
        shown = float(model.optimizer.learning_rate)
        print(f"epoch {epoch + 1:2}: loss {logs['loss']:.4f}, learning rate {shown:.6f}", flush=True)

    callback = keras.callbacks.LambdaCallback(on_epoch_end=progress)
    return model.fit(x, y, epochs=12, verbose=0, callbacks=[callback]).history["loss"]


schedule = WarmUp(0.01, steps=100)
constant, warmed = train(0.01), train(schedule)

print(f"\nconstant rate {constant[-1]:.9g}")
print(f"warm-up       {warmed[-1]:.9g}")

if len(sys.argv) > 1:
    lines = {"constant rate": constant, "warm-up": warmed}
    rates = [float(schedule(step)) for step in range(12 * 57)]
    picture.draw(
        sys.argv[1],
        {"lines": lines, "title": "loss", "xlabel": "epoch", "yscale": "log"},
        {"lines": {"warm-up": rates}, "title": "learning rate", "xlabel": "step"},
    )
