"""Steps per second of ``model.fit`` with default settings: pyadam against Keras, in turn, in one run.

python benchmarks/fit.py            # prints the table
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
    "9 k parameters": ((64, 64, 64, 10), 400),
    "1.3 M parameters, 22 layers": ((240,) * 23, 60),
    "7.4 M parameters": ((784, 2048, 2048, 800), 20),
}
BATCH = 32


def make_model(widths, optimizer):
    keras.utils.set_random_seed(1)
    layers = [keras.Input((widths[0],)), *(keras.layers.Dense(n, activation="relu") for n in widths[1:])]
    model = keras.Sequential(layers)
    model.compile(optimizer=optimizer, loss="mse")
    return model


def seconds(model, x, y):
    start = time.perf_counter()
    model.fit(x, y, batch_size=BATCH, epochs=1, shuffle=False, verbose=0)
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
        seconds(model, x, y)
    times = {name: [] for name in models}
    for _ in range(rounds):
        for name, model in models.items():
            times[name].append(seconds(model, x, y) / steps)
    ratios = [a / b for a, b in zip(times["keras"], times["pyadam"], strict=True)]
    return {name: statistics.median(values) for name, values in times.items()}, sorted(ratios), first


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    print(f"Adam in model.fit, default settings, {rounds} rounds in turn; medians (and the spread of the ratio)")
    print(f"{'model':30} {'keras ms':>9} {'pyadam ms':>9} {'ratio':>6} {'spread':>12} {'first step, s':>14}")
    for name, (widths, steps) in MODELS.items():
        median, ratios, first = measure(widths, steps, rounds)
        spread = f"{ratios[0]:.2f}-{ratios[-1]:.2f}"
        keras_ms, pyadam_ms = median["keras"] * 1e3, median["pyadam"] * 1e3
        print(
            f"{name:30} {keras_ms:9.2f} {pyadam_ms:9.2f} {statistics.median(ratios):6.2f} {spread:>12}"
            f" {first['keras']:6.1f} {first['pyadam']:6.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
