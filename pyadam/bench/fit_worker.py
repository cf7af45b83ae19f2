"""The process that trains one model with ``fit``; `fit.R` does the same in R and imports its Python parts from here.

It speaks the protocol of the peers' worker. A step is timed from the end of the one before it.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import keras
import numpy as np

import pyadam
from pyadam.bench.worker import limit, peak_bytes, serve

__all__ = ["RATE", "Clock", "data", "limit", "network", "peak_bytes"]

BATCH = 32
LOOKUPS = 128  # in the embedding, for each example
RATE = 1e-4


class Clock(keras.callbacks.Callback):
    """Records when each step ends."""

    def on_train_begin(self, logs: Any = None) -> None:
        self._ends: list[float] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._ends.append(time.perf_counter())

    def seconds(self) -> list[float]:
        """The time of every step but the first."""
        return [after - before for before, after in zip(self._ends, self._ends[1:], strict=False)]


def network(widths: Sequence[int], optimizer: Any, rows: int | None = None) -> Any:
    """Dense layers of these widths; the first width is that of the input, or of an embedding whose lookups are averaged."""
    keras.utils.set_random_seed(1)
    layers = keras.layers
    first, *others = map(int, widths)
    below = [keras.Input((first,))]
    if rows:
        below = [keras.Input((LOOKUPS,)), layers.Embedding(int(rows), first), layers.GlobalAveragePooling1D()]
    model = keras.Sequential([*below, *(layers.Dense(n, activation="relu") for n in others)])
    model.compile(optimizer=optimizer, loss="mse")
    return model


def data(steps: int, widths: Sequence[int], rows: int | None = None) -> dict[str, np.ndarray]:
    """Inputs and targets for this many steps."""
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=(int(steps) * BATCH, int(widths[i]))).astype("float32") for i in (0, -1))
    return {"x": rng.integers(int(rows), size=(len(y), LOOKUPS)) if rows else x, "y": y}


def answers(commands: Iterable[Any]) -> Iterator[dict[str, Any]]:
    """The answer to each command."""
    given: dict[str, Any] = {}
    model, before = None, 0
    for command in commands:
        if isinstance(command, dict):
            before, given = peak_bytes(), command["network"]
            library = pyadam if command["optimizer"] == "pyadam" else keras.optimizers
            model = network(optimizer=library.Adam(RATE), **given)
            yield {}
            continue
        assert model is not None
        clock = Clock()
        examples = data(1 if command == "first" else command + 1, **given)
        start = time.perf_counter()
        model.fit(**examples, batch_size=BATCH, shuffle=False, verbose=0, callbacks=[clock])
        seconds = time.perf_counter() - start if command == "first" else clock.seconds()
        yield {"seconds": seconds, "bytes": peak_bytes() - before}


if __name__ == "__main__":
    serve(answers)
