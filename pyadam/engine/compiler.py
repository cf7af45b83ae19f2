"""The one place where programs are made: XLA where the device can, the same code uncompiled where it can't."""

import functools
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import tensorflow as tf

__all__ = ["Program", "can_compile", "inside_xla"]


def inside_xla() -> bool:
    """Whether the code being traced is part of a function that XLA compiles as a whole."""
    from tensorflow.python.framework import ops
    from tensorflow.python.ops import control_flow_util

    return not tf.executing_eagerly() and control_flow_util.GraphOrParentsInXlaContext(ops.get_default_graph())


@functools.cache
def can_compile(device: str) -> bool:
    """Whether XLA can compile for a device: tried once on a tiny program; where it fails a warning says so, once."""
    try:
        with tf.init_scope(), tf.device(device or None):
            tf.function(lambda x: x + 1.0, jit_compile=True, autograph=False)(tf.constant(0.0))
    except (tf.errors.OpError, NotImplementedError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        warnings.warn(
            f"pyadam: XLA can't compile for {device or 'the default device'}, steps run uncompiled there ({reason})",
            RuntimeWarning,
            stacklevel=2,
        )
        return False
    return True


class Program:
    """A function of tensors, compiled by XLA if asked for and if all it touches lives on one device that can.

    Args:
        function: it may read and assign variables that it captures; its arguments are nests of tensors and None.
        devices: where those variables live.
        jit_compile: whether to compile.
    """

    def __init__(self, function: Callable[..., Any], devices: Iterable[str], jit_compile: bool) -> None:
        places = set(devices)
        jit = jit_compile and len(places) <= 1 and all(can_compile(device) for device in places)
        self._function = tf.function(function, jit_compile=jit or None, autograph=False)
        self._arguments: Any = None

    def __call__(self, *arguments: Any) -> Any:
        self._arguments = tf.nest.map_structure(_spec, arguments)
        return self._function(*arguments)

    @property
    def traces(self) -> int:
        """How often it was traced."""
        return int(self._function.experimental_get_tracing_count())

    def hlo(self) -> str:
        """The text of the compiled program, for the arguments of the last call."""
        arguments = tf.nest.map_structure(lambda x: x and tf.zeros(x.shape, x.dtype), self._arguments)
        return str(self._function.experimental_get_compiler_ir(*arguments)(stage="optimized_hlo"))


def _spec(value: Any) -> Any:
    return None if value is None else tf.TensorSpec(value.shape, value.dtype)
