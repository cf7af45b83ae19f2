"""Hyperparameters given as functions: called once a step, in eager mode and from inside a graph."""

import ctypes
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from pyadam.arguments import DynamicNumber
from pyadam.engine.compiler import inside_xla

__all__ = ["Dynamic"]

_PENDING_CALL = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)


def _belongs_to_r(function: Any) -> bool:
    """Whether reticulate made the function from an R closure: R may only run on its own thread."""
    return getattr(function, "__module__", None) == "rpytools.call"


class Dynamic:
    """A hyperparameter whose value comes from a function without arguments.

    In eager mode the function is simply called. In a graph it is called by the step itself, each time the step runs. An R
    closure can't be: the graph runs on other threads while R's waits. So the value for the next step is fetched on R's thread
    as soon as it is back in Python, after the step that used the last one.

    The first value is always fetched while tracing, on the caller's thread, so that a function that returns something else
    than a number fails there, with a plain error; the first step uses that value.
    """

    def __init__(self, owner: str, name: str, function: Callable[[], Any], kind: DynamicNumber, dtype: Any) -> None:
        self.owner, self.name, self.function, self.kind, self.dtype = owner, name, function, kind.value(), dtype
        self._fetched: list[float] = []
        self._fetch_failed: Exception | None = None
        self._on_main_thread = _PENDING_CALL(self._refill)

    def __call__(self) -> Any:
        """The value for this step, as a scalar tensor."""
        if tf.executing_eagerly():
            return tf.constant(self._call(), self.dtype)
        if inside_xla():
            raise ValueError(
                f"{self.owner}: {self.name} is a function, and a train step that is compiled as a whole (jit_compile=True in "
                "compile() or tf.function) can't call it at every step; use a number, a learning-rate schedule, or "
                "jit_compile=False there"
            )
        if not self._fetched:
            with tf.init_scope():
                self._fetched.append(self._call())
        fetch = self._take_fetched if _belongs_to_r(self.function) else self._take_or_call
        value = tf.py_function(fetch, [], self.dtype)
        value.set_shape(())
        return value

    def _call(self) -> float:
        return self.kind.check(self.owner, f"the value that {self.name}() returned", self.function())

    def _take_or_call(self) -> Any:
        return tf.constant(self._fetched.pop() if self._fetched else self._call(), self.dtype)

    def _take_fetched(self) -> Any:
        if self._fetch_failed is not None:
            failed, self._fetch_failed = self._fetch_failed, None
            raise failed
        if not self._fetched:
            raise ValueError(
                f"{self.owner}: {self.name} is an R function, which can only be called between two runs of the train function; "
                "set steps_per_execution = 1"
            )
        value = self._fetched.pop()
        ctypes.pythonapi.Py_AddPendingCall(self._on_main_thread, None)
        return tf.constant(value, self.dtype)

    def _refill(self, _: Any) -> int:
        try:
            self._fetched.append(self._call())
        except Exception as error:
            self._fetch_failed = error
        return 0
