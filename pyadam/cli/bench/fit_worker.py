"""The process in which one model is trained by ``fit``; `fit.R` is the same in R, with the parts that are Python's from here.

It answers as the peers' worker does. A step is timed from the end of the one before it.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import keras
import numpy as np

import pyadam
from pyadam.cli.bench.worker import limit, peak_bytes, serve

__all__ = ["RATE", "Clock", "data", "limit", "network", "peak_bytes"]

BATCH = 32
RATE = 1e-4


class Clock(keras.callbacks.Callback):
    """Notes when each step ends."""

    def on_train_begin(self, logs: Any = None) -> None:
        self._ends: list[float] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._ends.append(time.perf_counter())

    def seconds(self) -> list[float]:
        """Of every step but the first."""
        return [after - before for before, after in zip(self._ends, self._ends[1:], strict=False)]


def network(widths: Sequence[int], optimizer: Any) -> Any:
    """Dense layers of these widths, the first of them the input."""
    keras.utils.set_random_seed(1)
    first, *others = map(int, widths)
    model = keras.Sequential([keras.Input((first,)), *(keras.layers.Dense(n, activation="relu") for n in others)])
    model.compile(optimizer=optimizer, loss="mse")
    return model


def data(widths: Sequence[int], steps: int) -> dict[str, np.ndarray]:
    """Inputs and targets for so many steps."""
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=(int(steps) * BATCH, int(widths[i]))).astype("float32") for i in (0, -1))
    return {"x": x, "y": y}


def answers(commands: Iterable[Any]) -> Iterator[dict[str, Any]]:
    """The answer to each command."""
    widths, model, before = [1], None, 0
    for command in commands:
        if isinstance(command, dict):
            before, widths = peak_bytes(), command["widths"]
            library = pyadam if command["optimizer"] == "pyadam" else keras.optimizers
            model = network(widths, library.Adam(RATE))
            yield {}
            continue
        assert model is not None
        clock = Clock()
        given = data(widths, 1 if command == "first" else command + 1)
        start = time.perf_counter()
        model.fit(**given, batch_size=BATCH, shuffle=False, verbose=0, callbacks=[clock])
        seconds = time.perf_counter() - start if command == "first" else clock.seconds()
        yield {"seconds": seconds, "bytes": peak_bytes() - before}


if __name__ == "__main__":
    serve(answers)
