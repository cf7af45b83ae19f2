"""Hyperparameters given as functions: called once a step, in eager mode and from inside a graph."""

import threading
from collections.abc import Callable
from itertools import count
from typing import Any

import tensorflow as tf
from tensorflow.python.framework import ops
from tensorflow.python.framework.func_graph import FuncGraph
from tensorflow.python.ops.control_flow_v2_func_graphs import ControlFlowFuncGraph

from pyadam.engine.compiler import inside_xla
from pyadam.engine.components import undistributed
from pyadam.optimizers.kinds import DynamicNumber, first_line

__all__ = ["Dynamic", "belongs_to_r"]


def belongs_to_r(function: Any) -> bool:
    """Whether reticulate made the function from an R closure: R may only run on its own thread."""
    return getattr(function, "__module__", None) == "rpytools.call"


class Dynamic:
    """A hyperparameter whose value comes from a function without arguments.

    In eager mode the function is simply called. In a graph the step calls it each time it runs. That is impossible for an R
    closure, because the graph runs on other threads while R's waits. An R closure is called on R's thread just before the graph
    runs: its value is a call-time capture, which TensorFlow evaluates at each call of the outermost function. So such a call
    may make one step only; a second one, which would see the same value, is refused.

    Other functions are called once while tracing, so that one that doesn't return a number fails there, with a plain error. The
    first step uses that value.
    """

    def __init__(self, owner: str, name: str, function: Callable[[], Any], kind: DynamicNumber) -> None:
        self.owner, self.name, self.function, self.kind = owner, name, function, kind.value()
        self._fetched: list[float] = []
        self._values: dict[int, float] = {}  # of the last steps of several replicas, by their number
        self._lock = threading.Lock()
        self._calls = count(1)
        self._used: Any = None  # the number of the call of R whose value a step used last

    def __call__(self, dtype: Any, step: Any = None) -> Any:
        """The value for this step, as a scalar tensor of this dtype.

        Where there are several replicas, ``step`` is the number of their common step: the first one to ask calls the function.
        """
        steps = [] if step is None else [step]
        if tf.executing_eagerly():
            return tf.constant(self._take_or_call(*steps), dtype)
        if inside_xla():
            raise ValueError(
                f"{self.owner}: {self.name} is a function, and a train step that is compiled as a whole (jit_compile=True in "
                "compile() or tf.function) can't call it at every step; use a number, a variable, a learning-rate schedule, or "
                "jit_compile=False there"
            )
        if belongs_to_r(self.function):
            return tf.cast(self._captured(), dtype)
        if not self._fetched:
            with tf.init_scope():
                self._fetched.append(self._call())
        value = tf.py_function(self._take_or_call, steps, tf.float64)
        value.set_shape(())
        return tf.cast(value, dtype)

    def _call(self) -> float:
        try:
            returned = self.function()
        except Exception as error:
            said = f"{type(error).__name__}: {first_line(error)}"
            raise ValueError(f"{self.owner}: the function given as {self.name} raised {said}") from error
        value: float = self.kind.check(self.owner, f"the value that {self.name}() returned", returned)
        return value

    def _take_or_call(self, step: Any = None) -> float:
        if step is None:
            return self._fetched.pop() if self._fetched else self._call()
        number = int(step)
        with self._lock:
            if number not in self._values:
                self._values = dict([*self._values.items()][-1:])  # replicas are at most one step apart
                self._values[number] = self._fetched.pop() if self._fetched else self._call()
            return self._values[number]

    def _captured(self) -> Any:
        """The value that R gives when the function that is being traced is called."""
        if self._used is None:
            with tf.init_scope(), undistributed(), tf.device("CPU"):
                self._used = tf.Variable(0.0, dtype=tf.float64, trainable=False)
        refusal = (
            f"{self.owner}: {self.name} is an R function, which can only be called between two runs of the train function; "
            "set steps_per_execution = 1, or make one step in a tf.function"
        )
        graph = _around_control_flow(ops.get_default_graph())
        if _in_control_flow(graph):  # whose parts take no such values
            raise ValueError(refusal)
        numbered = graph.capture_call_time_value(
            lambda: tf.constant([self._call(), next(self._calls)], tf.float64), tf.TensorSpec([2], tf.float64), self
        )
        value, call = tf.unstack(numbered)
        once = tf.debugging.Assert(tf.not_equal(call, self._used), [refusal])
        with tf.control_dependencies([once]), tf.control_dependencies([self._used.assign(call)]):
            return tf.identity(value)


def _around_control_flow(graph: Any) -> Any:
    """The graph of the innermost tf.function, around branches and loops."""
    while isinstance(graph, ControlFlowFuncGraph):
        graph = graph.outer_graph
    return graph


def _in_control_flow(graph: Any) -> bool:
    """Whether the function of a graph is called from a branch or a loop of another one."""
    while isinstance(graph, FuncGraph):
        graph = graph.outer_graph
        if isinstance(graph, ControlFlowFuncGraph):
            return True
    return False
