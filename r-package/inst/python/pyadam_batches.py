"""Batches made by an R function, for fit(), evaluate() and predict() of a Keras model.

R runs only on its own thread, and TensorFlow reads data on others. So a callback calls the R function at
the beginning of each step, on R's thread, and the result waits in a queue until TensorFlow asks for it,
within the same step. Nothing reads ahead.
"""

import contextlib
import logging
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf


@contextlib.contextmanager
def expected_end() -> Iterator[None]:
    """Suppresses the warning, in either Keras, that the input ran out of data."""
    words = "Your input ran out of data"
    logger = logging.getLogger("tensorflow")

    def other(record: logging.LogRecord) -> bool:
        return words not in str(record.msg)

    logger.addFilter(other)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=words)
            yield
    finally:
        logger.removeFilter(other)


class Batches:
    """The batches of an R function as a dataset, and the callback that feeds it.

    Args:
        draw: the R function; it returns a tuple of arrays, or None at the end.
        model: the model that will use the batches.
        kind: the kind of step that uses them: "train", "test" or "predict".
        name: the name of the batches in errors.
        steps: the number of steps per epoch that the user set, or None if the function ends the epoch.

    Attributes:
        shortage: what to warn about if the function ended before that number of steps, or None.
    """

    def __init__(
        self,
        draw: Callable[[], tuple[Any, ...] | None],
        model: Any,
        kind: str,
        name: str,
        steps: int | None = None,
    ):
        self.draw, self.model, self.kind, self.name, self.steps = draw, model, kind, name, steps
        self.shortage: str | None = None
        modules = {base.__module__.partition(".")[0] for base in type(model).__mro__}
        self.keras = sys.modules["tf_keras" if "tf_keras" in modules else "keras"]
        self.has_begun = False
        self.queue: deque[Any] = deque([self.converted()])
        if self.queue[0] is None:
            raise ValueError(f"{name}: the function returned NULL on its first call; it must make at least one batch")

    def dataset(self) -> tf.data.Dataset:
        options = tf.data.Options()
        options.autotune.enabled = False
        options.experimental_optimization.inject_prefetch = False
        signature = tf.nest.map_structure(lambda a: tf.TensorSpec((None, *a.shape[1:]), a.dtype), self.queue[0])
        return tf.data.Dataset.from_generator(lambda: iter(self), output_signature=signature).with_options(options)

    def callback(self) -> Any:
        feed = {f"on_{self.kind}_batch_begin": lambda _, batch, logs=None: self.supply(batch)}
        return type("Batches", (self.keras.callbacks.Callback,), feed)()

    def supply(self, step: int) -> None:
        """Draws the batches that the beginning step will read; nothing is drawn after an end."""
        self.has_begun = True
        if step == 0 and not self.queue:
            self.queue.append(self.first_of_epoch())
        while len(self.queue) < self.steps_per_execution() and None not in self.queue:
            self.queue.append(self.converted())
        if self.steps is not None and None in self.queue:
            done = step + self.queue.index(None)
            if done < self.steps:
                self.shortage = f"{self.name}: the function returned NULL after {done} of {self.steps} steps"

    def first_of_epoch(self) -> Any:
        """The first batch of a later epoch, which may follow a NULL that has not been drawn yet."""
        for _ in range(2):
            if (batch := self.converted()) is not None:
                return batch
        raise ValueError(
            f"{self.name}: the function returned NULL at the start of another epoch; after NULL it must start over, or it must "
            "make enough batches for all epochs"
        )

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
        """Arrays in the precision that Keras would use; lists become tuples, since TensorFlow makes a list one tensor."""
        if isinstance(value, dict):
            return {key: self.arrays(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return tuple(self.arrays(item) for item in value)
        array = np.asarray(value)
        return array.astype(self.keras.backend.floatx()) if array.dtype == np.float64 else array
