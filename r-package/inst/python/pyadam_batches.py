"""Batches that an R function makes, for fit(), evaluate() and predict() of a Keras model.

R runs on its own thread only, and TensorFlow reads data on threads of its own. So a callback calls the R
function at the beginning of each step, on R's thread, and what it returns waits in a queue until
TensorFlow asks for it, within the same step. Nothing reads ahead.
"""

import sys
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf


class Batches:
    """What an R function draws, as a dataset, and the callback that feeds it.

    Args:
        draw: the R function; it returns a tuple of arrays, or None at the end.
        model: the model that will use the batches.
        kind: the kind of step that does: "train", "test" or "predict".
        name: how errors call the batches.
    """

    def __init__(self, draw: Callable[[], tuple[Any, ...] | None], model: Any, kind: str, name: str):
        self.draw, self.model, self.kind, self.name = draw, model, kind, name
        modules = {base.__module__.partition(".")[0] for base in type(model).__mro__}
        self.keras = sys.modules["tf_keras" if "tf_keras" in modules else "keras"]
        self.has_begun = False
        self.queue: deque[Any] = deque([self.converted()])
        if self.queue[0] is None:
            raise ValueError(f"{name}: the function returned NULL at its first call; it must make at least one batch")

    def dataset(self) -> tf.data.Dataset:
        options = tf.data.Options()
        options.autotune.enabled = False
        options.experimental_optimization.inject_prefetch = False
        signature = tf.nest.map_structure(lambda a: tf.TensorSpec((None, *a.shape[1:]), a.dtype), self.queue[0])
        return tf.data.Dataset.from_generator(lambda: iter(self), output_signature=signature).with_options(options)

    def callback(self) -> Any:
        feed = {f"on_{self.kind}_batch_begin": lambda _, batch, logs=None: self.supply()}
        return type("Batches", (self.keras.callbacks.Callback,), feed)()

    def supply(self) -> None:
        """Draws what the step that begins will read; an end is the last that is drawn."""
        self.has_begun = True
        while len(self.queue) < self.steps_per_execution() and None not in self.queue:
            self.queue.append(self.converted())

    def steps_per_execution(self) -> int:
        steps = getattr(self.model, "_steps_per_execution", None)  # tf_keras has a variable
        return int(getattr(self.model, "steps_per_execution", 1) if steps is None else steps)

    def __iter__(self) -> Iterator[Any]:
        while True:
            if not self.has_begun:
                yield self.queue[0]  # Keras looks at a batch to build the model
            elif not self.queue:
                raise RuntimeError(f"{self.name}: batches of an R function cannot be read ahead of the step")
            elif (batch := self.queue.popleft()) is None:
                return
            else:
                yield batch

    def converted(self) -> Any:
        batch = self.draw()
        return None if batch is None else self.arrays(tuple(batch))

    def arrays(self, value: Any) -> Any:
        """Numbers in the precision that Keras gives to arrays; a list would be one tensor to TensorFlow."""
        if isinstance(value, dict):
            return {key: self.arrays(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return tuple(self.arrays(item) for item in value)
        array = np.asarray(value)
        return array.astype(self.keras.backend.floatx()) if array.dtype == np.float64 else array
