"""Where programs are made: compiled by XLA if the device supports it, else the same code uncompiled."""

import functools
import os
import re
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import tensorflow as tf

from pyadam import xla_flags
from pyadam.engine.debugging import unwatched
from pyadam.engine.sharing import shared
from pyadam.optimizers.kinds import first_line

__all__ = ["Program", "can_compile", "compiles", "inside_xla", "is_single_pass", "makes_one_loop", "single_pass"]

_TOO_LATE = (
    "pyadam: it is too late for a single pass over memory: XLA reads its options before it compiles for the first time in a "
    "process. Call pyadam.xla.single_pass() before any step and any compiled function, or start the process with "
    "PYADAM_SINGLE_PASS=1 and import pyadam first"
)
_TOO_OLD = "pyadam: a single pass over memory needs TensorFlow 2.21, whose XLA first had it; here is TensorFlow {}"


def inside_xla() -> bool:
    """Whether the code being traced is part of a function that XLA compiles as a whole."""
    from tensorflow.python.framework import ops
    from tensorflow.python.ops import control_flow_util

    return not tf.executing_eagerly() and control_flow_util.GraphOrParentsInXlaContext(ops.get_default_graph())


@functools.cache
def can_compile(device: str) -> bool:
    """Whether XLA can compile for a device: tried once on a tiny program; where it fails a warning says so, once."""
    try:
        with tf.init_scope(), tf.device(device or None), unwatched():
            tf.function(lambda x: x + 1.0, jit_compile=True, autograph=False)(tf.constant(0.0))
    except (tf.errors.OpError, NotImplementedError) as error:
        warnings.warn(
            f"pyadam: XLA can't compile for {device or 'the default device'}, steps run uncompiled there ({first_line(error)})",
            RuntimeWarning,
            stacklevel=2,
        )
        return False
    return True


def single_pass() -> None:
    """Makes the programs of this process pass over memory once on CPUs: one loop per variable, not one per state variable.

    An update is bound by memory, so it becomes faster by up to the ratio of bytes, 28 to 40 for Adam in float32. The results
    are the same to the bit. The option of XLA behind it is marked experimental and applies to the whole process, including the
    user's own compiled functions; so it is off by default, and turned on by this function or by ``PYADAM_SINGLE_PASS=1`` in the
    environment.

    Raises:
        RuntimeError: XLA does not know the option (TensorFlow before 2.21), or has compiled something in this process already.
    """
    _require_option()
    before = os.environ.get("XLA_FLAGS")
    xla_flags.add()
    if not is_single_pass():
        if before is None:
            del os.environ["XLA_FLAGS"]
        else:
            os.environ["XLA_FLAGS"] = before
        raise RuntimeError(_TOO_LATE)


def is_single_pass() -> bool:
    """Whether programs go over memory once: asked for with `single_pass` or the environment, and found to be so.

    Raises:
        RuntimeError: the environment asks for it, and it came too late, or TensorFlow is older than 2.21.
    """
    if xla_flags.WANTED:
        _require_option()
    on = xla_flags.given() and _fuses()
    if xla_flags.WANTED and not on:
        raise RuntimeError(_TOO_LATE)
    return on


def _require_option() -> None:
    if tuple(map(int, tf.__version__.split(".")[:2])) < (2, 21):
        raise RuntimeError(_TOO_OLD.format(tf.__version__))


@functools.cache
def _fuses() -> bool:
    """Whether XLA makes one loop of two values that share no part: tried on a small program."""
    with tf.init_scope(), tf.device("CPU"), unwatched():
        x, y = tf.zeros([4]), tf.zeros([4])
        probe = tf.function(lambda a, b, c: ((a + b) * c, tf.sqrt(a) * c), jit_compile=True, autograph=False)
        hlo = probe.experimental_get_compiler_ir(x, y, y)(stage="optimized_hlo")
        return len(re.findall(r" fusion\(", str(hlo))) == 1


def makes_one_loop(devices: Iterable[str], jit_compile: bool) -> bool:
    """Whether a `Program` with these arguments has one loop for values that share no part."""
    places = set(devices)
    return compiles(places, jit_compile) and "CPU" in "".join(places) and not inside_xla() and is_single_pass()


def compiles(places: set[str], jit_compile: bool) -> bool:
    """Whether a `Program` that touches these devices is compiled."""
    return jit_compile and len(places) <= 1 and all(can_compile(place) for place in places)


class Program:
    """A function of tensors, compiled by XLA if asked for and if all it touches lives on one device that can.

    Args:
        function: may read and assign variables that it captures; its arguments are nests of tensors and None.
        devices: where those variables live.
        jit_compile: whether to compile.
    """

    def __init__(self, function: Callable[..., Any], devices: Iterable[str], jit_compile: bool) -> None:
        compiled = compiles(set(devices), jit_compile) or None
        # partial, because TensorFlow's retracing warning would count all programs made from one code object together
        self._function = tf.function(functools.partial(function), jit_compile=compiled, autograph=False)
        self._shares = bool(compiled)
        self._arguments: Any = None

    def __call__(self, *arguments: Any) -> Any:
        self._arguments = tf.nest.map_structure(_spec, arguments)
        with unwatched():
            # a call in eager mode is quicker without
            if not self._shares or tf.executing_eagerly() or inside_xla():
                return self._function(*arguments)
            tensors = [tf.convert_to_tensor(each) for each in tf.nest.flatten(arguments) if each is not None]
            return shared(self._function.get_concrete_function(*arguments))(tensors)

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
