"""TensorFlow's debugging tools, kept out of the programs and served at their doors.

`tf.debugging.enable_check_numerics` and its kin look at every operation, by adding others behind it. XLA has none of these; and
what is inside a program is no user's, such as a quotient of which another branch is taken. So programs are made and run unseen,
and where numbers are to be checked, that is done with what goes into a step and with what comes out of it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from pyadam.engine.rows import Rows

__all__ = ["checked", "numbers_are_checked", "unwatched"]


def _watchers() -> list[Any]:
    """The functions that this thread shows every operation to; the list itself."""
    from tensorflow.python.eager import context

    return context.context().op_callbacks


@contextmanager
def unwatched() -> Iterator[None]:
    """Keeps operations from the debugging tools, those that are run and those of functions that are traced."""
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
    """The value; an InvalidArgumentError that begins with ``what``, once it is run, if a number in it is not finite."""
    if isinstance(value, Rows):
        return value._replace(values=checked(value.values, what))
    return tf.debugging.check_numerics(value, what) if value.dtype.is_floating else value
