"""The one place where programs are made: XLA where the device can, the same code uncompiled where it can't."""

import functools
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import tensorflow as tf

__all__ = ["can_compile", "inside_xla", "program"]


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


def program(function: Callable[..., Any], devices: Iterable[str], jit_compile: bool) -> Any:
    """A traced function, compiled by XLA if asked for and if all it touches lives on one device that can."""
    places = set(devices)
    jit = jit_compile and len(places) <= 1 and all(can_compile(device) for device in places)
    return tf.function(function, jit_compile=jit or None, autograph=False)
