"""Steps per second of ``model.fit`` with default settings: pyadam against Keras, in turn, in one run.

python benchmarks/fit.py            # prints the table

Each step is timed on its own, from the end of the one before it; batches of 32, as ``fit`` makes them by default.
"""

import argparse
import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import pyadam

MODELS = {  # name: (widths of the dense layers, steps timed at a time)
    "9 k parameters: 64-64-64-10": ((64, 64, 64, 10), 400),
    "1.3 M: 22 layers of 240": ((240,) * 23, 60),
    "7.4 M: 3072-2048-512-10": ((3072, 2048, 512, 10), 25),
    "7.4 M: 784-2048-2048-800": ((784, 2048, 2048, 800), 25),
}
BATCH = 32


class Clock(keras.callbacks.Callback):
    """Notes when each step ends."""

    def on_train_begin(self, logs=None):
        self.ends = []

    def on_train_batch_end(self, batch, logs=None):
        self.ends.append(time.perf_counter())

    def milliseconds(self):
        return [1e3 * (b - a) for a, b in zip(self.ends, self.ends[1:], strict=False)]


def make_model(widths, optimizer):
    keras.utils.set_random_seed(1)
    layers = [keras.Input((widths[0],)), *(keras.layers.Dense(n, activation="relu") for n in widths[1:])]
    model = keras.Sequential(layers)
    model.compile(optimizer=optimizer, loss="mse")
    return model


def fit(model, x, y):
    """The milliseconds of every step but the first."""
    clock = Clock()
    model.fit(x, y, batch_size=BATCH, epochs=1, shuffle=False, verbose=0, callbacks=[clock])
    return clock.milliseconds()


def seconds(model, x, y):
    start = time.perf_counter()
    fit(model, x, y)
    return time.perf_counter() - start


def measure(widths, steps, rounds):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(steps * BATCH, widths[0])).astype("float32")
    y = rng.normal(size=(steps * BATCH, widths[-1])).astype("float32")
    models = {
        "keras": make_model(widths, keras.optimizers.Adam(1e-4)),
        "pyadam": make_model(widths, pyadam.Adam(1e-4)),
    }
    first = {name: seconds(model, x[:BATCH], y[:BATCH]) for name, model in models.items()}
    for model in models.values():
        fit(model, x, y)
    rounded = [{name: statistics.median(fit(model, x, y)) for name, model in models.items()} for _ in range(rounds)]
    medians = {name: statistics.median(times[name] for times in rounded) for name in models}
    return medians, sorted(times["keras"] / times["pyadam"] for times in rounded), first


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    print(
        f"Adam in model.fit, default settings, {rounds} rounds in turn: medians of steps, and of the ratio, with its spread"
    )
    print(f"{'model':30} {'keras ms':>9} {'pyadam ms':>9} {'ratio':>6} {'spread':>12} {'first step, s':>14}")
    for name, (widths, steps) in MODELS.items():
        median, ratios, first = measure(widths, steps, rounds)
        ratio, spread = statistics.median(ratios), f"{ratios[0]:.2f}-{ratios[-1]:.2f}"
        print(
            f"{name:30} {median['keras']:9.2f} {median['pyadam']:9.2f} {ratio:6.2f} {spread:>12}"
            f" {first['keras']:6.1f} {first['pyadam']:6.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
