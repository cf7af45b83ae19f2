"""TensorFlow's debugging tools: kept out of compiled programs, and applied to what goes in and what comes out.

`tf.debugging.enable_check_numerics` and similar tools add an operation after every other one. XLA can't compile these, and a
program's intermediate values, such as the branch of a quotient that is not taken, may be non-finite on purpose. So programs are
traced and run without the tools, and numbers are checked where they enter a step and where they leave it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

__all__ = ["checked", "numbers_are_checked", "unwatched"]


def _watchers() -> list[Any]:
    """This thread's operation callbacks: the list itself, not a copy."""
    from tensorflow.python.eager import context

    return context.context().op_callbacks


@contextmanager
def unwatched() -> Iterator[None]:
    """Hides operations from the debugging tools, while they run and while functions are traced."""
    watchers = _watchers()
    held = watchers[:]
    watchers.clear()
    try:
        yield
    finally:
        watchers[:] = held


def numbers_are_checked() -> bool:
    """Whether `tf.debugging.enable_check_numerics` is on in this thread."""
    from tensorflow.python.debug.lib.check_numerics_callback import CheckNumericsCallback

    return any(isinstance(getattr(watcher, "__self__", None), CheckNumericsCallback) for watcher in _watchers())


def checked(value: Any, what: str) -> Any:
    """The value. Evaluating it raises an InvalidArgumentError that begins with ``what`` if a number is not finite."""
    return tf.debugging.check_numerics(value, what) if value.dtype.is_floating else value
