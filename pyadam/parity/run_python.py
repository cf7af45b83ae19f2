"""Runs a case in Python: with pyadam compiled and uncompiled, with Keras' own class, and with the oracle."""

import dataclasses
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import pyadam
from pyadam.optimizers import RULES, SPECS, arguments
from pyadam.parity.cases import Case, with_compilation
from pyadam.parity.compare import History, Values, apart, size
from pyadam.parity.inputs import Gradient, Inputs, Slices, sum_dtype, typed
from pyadam.parity.oracle import Oracle
from pyadam.parity.values import Clock, python_value

__all__ = ["Run", "Session", "compiled_apart", "magnified", "run_keras", "run_oracle", "run_pyadam"]


@dataclass
class Run:
    """The values of each weight and each state variable, from before the first step to after the last."""

    weights: list[History]
    state: list[History]

    @classmethod
    def of(cls, moments: list[Values], weight_dtypes: list[str], state_dtypes: list[str]) -> "Run":
        """A run from pairs of all weights and all state variables, one pair for each moment."""

        def histories(values: list[list[np.ndarray]], dtypes: list[str]) -> list[History]:
            return [History(dtype, list(each)) for dtype, each in zip(dtypes, zip(*values, strict=True), strict=True)]

        weights, state = zip(*moments, strict=True)
        return cls(histories(weights, weight_dtypes), histories(state, state_dtypes))

    def at(self, step: int) -> Values:
        """The values after this many steps; -1 for the last."""
        return [w.values[step] for w in self.weights], [s.values[step] for s in self.state]


class Session:
    """An optimizer with the variables of a case, run one call at a time.

    Args:
        make: makes the optimizer.
        case: what to run.
        inputs: its weights and gradients.
        sums: whether the gradients are sums, in the dtype of sums.
    """

    def __init__(self, make: Callable[..., Any], case: Case, inputs: Inputs, sums: bool = False) -> None:
        self.case, self.inputs, self.clock = case, inputs, Clock()
        self.gradient_dtypes = [sum_dtype(w) if sums else w for w in map(case.dtype, range(len(case.shapes)))]
        self.weights = [
            keras.Variable(w, dtype=case.dtype(j), name=f"variable_{j}") for j, w in enumerate(inputs.weights)
        ]
        self.optimizer = make(**{name: python_value(value, self.clock) for name, value in case.arguments.items()})
        self.optimizer.build(self.weights)

    def step(self, number: int, dense: bool = False) -> None:
        """Takes the step of that number, from 1; `dense` passes sparse gradients as dense ones."""
        self.clock.step = number
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*Gradients do not exist for variables")
            self.apply(number, dense)

    def apply(self, number: int, dense: bool) -> None:
        """Applies the gradients of a step."""
        gradients = self.gradients(self.inputs, number, dense)
        self.optimizer.apply_gradients(list(zip(gradients, self.weights, strict=True)))

    def gradients(self, inputs: Inputs, number: int, dense: bool = False) -> list[Any]:
        """The gradients of a step, as TensorFlow has them."""
        pairs = zip(inputs.gradients[number - 1], self.gradient_dtypes, strict=True)
        return [_tensor(gradient, dtype, dense) for gradient, dtype in pairs]

    def values(self) -> Values:
        """Weights and state as they are now, in float64."""
        return [_array(w) for w in self.weights], [_array(s) for s in self.optimizer.variables]

    def go_to(self, values: Values) -> None:
        """Sets weights and state to these values."""
        for variables, arrays in zip((self.weights, self.optimizer.variables), values, strict=True):
            for variable, array in zip(variables, arrays, strict=True):
                variable.assign(typed(array, keras.backend.standardize_dtype(variable.dtype)))

    def run(self, dense: bool = False) -> Run:
        """All steps of the case."""
        moments = [self.values()]
        for number in range(1, self.case.steps + 1):
            self.step(number, dense)
            moments.append(self.values())
        dtypes = [keras.backend.standardize_dtype(s.dtype) for s in self.optimizer.variables]
        rule = RULES[SPECS[self.case.optimizer]]
        if rule.sums:
            dtypes[-len(rule.shared) :] = ["float32"] * len(rule.shared)  # sums, and what is made of them
        return Run.of(moments, [self.case.dtype(j) for j in range(len(self.weights))], dtypes)


def _array(variable: Any) -> np.ndarray:
    return np.asarray(variable.numpy()).astype(np.float64)


def _tensor(gradient: Gradient, dtype: str, dense: bool) -> Any:
    if gradient is None:
        return None
    if isinstance(gradient, Slices) and not dense:
        values = tf.constant(typed(gradient.values, dtype))
        return tf.IndexedSlices(values, tf.constant(gradient.indices, tf.int32), tf.constant(gradient.shape, tf.int32))
    array = gradient.dense() if isinstance(gradient, Slices) else gradient
    return tf.constant(typed(array, dtype))


def run_pyadam(case: Case, inputs: Inputs, sums: bool = False) -> Run:
    """All steps with pyadam's class."""
    return Session(getattr(pyadam, case.optimizer), case, inputs, sums).run()


def run_keras(case: Case, inputs: Inputs) -> Run:
    """All steps with Keras' own class, within its limits: sparse gradients in dense form, and no variables of size 0.

    (Row 1 of docs/differences.md; and Keras' sum of two empty matrices raises an error about biases.)
    """

    def make(jit_compile: bool = True, shard_state: bool = False, **given: Any) -> Any:
        return getattr(keras.optimizers, case.optimizer)(**given)

    smaller = dataclasses.replace(case, shapes=tuple(case.shapes[j] for j in case.filled()))
    return Session(make, smaller, inputs.only(case.filled())).run(dense=True)


def run_oracle(case: Case, inputs: Inputs, run: Run) -> tuple[Run, list[list[np.ndarray]]]:
    """All steps in the oracle, and the total change of each weight up to each moment.

    `run` is what the oracle is compared with. If it rounds its slots stochastically, or amplifies rounding, the oracle starts
    each step from its values.
    """
    values = {name: case.value(name) for name in arguments(SPECS[case.optimizer])}
    weight_dtypes = [case.dtype(j) for j in range(len(case.shapes))]
    oracle = Oracle(case.optimizer, values, inputs.weights, weight_dtypes)
    moments, changes = [(list(oracle.weights), oracle.state())], [list(oracle.total_changes)]
    for number, gradients in enumerate(inputs.gradients):
        if case.value("slot_dtype") or oracle.paper.amplifies:
            oracle.go_on_from(*run.at(number))
        oracle(gradients)
        moments.append((list(oracle.weights), oracle.state()))
        changes.append(list(oracle.total_changes))
    return Run.of(moments, weight_dtypes, [s.dtype for s in run.state]), [
        list(each) for each in zip(*changes, strict=True)
    ]


def magnified(case: Case) -> float:
    """How many times larger than a step its intermediate values can be, whose rounding it inherits; a property of the rule."""
    spec = SPECS[case.optimizer]
    return RULES[spec].magnified(SimpleNamespace(**{name: case.value(name) for name in arguments(spec)}))


def compiled_apart(case: Case, inputs: Inputs, run: Run) -> float:
    """The largest difference that compilation makes in one step, in ULP of the weight.

    Every step of the run is repeated from the same values, uncompiled (or compiled, if the run was not). The ULP is that of
    the weight before or after the step, whichever is larger; if averages overwrite the weight, that of its largest value so
    far; if the rule computes with larger numbers, theirs.
    """
    first = 0 if case.value("ema_overwrite_frequency") else -2
    factor = magnified(case)
    twin = Session(getattr(pyadam, case.optimizer), with_compilation(case, not case.value("jit_compile")), inputs)
    worst = 0.0
    for number in range(1, case.steps + 1):
        twin.go_to(run.at(number - 1))
        twin.step(number)
        for found, history in zip(twin.values()[0], run.weights, strict=True):
            values = history.values[: number + 1]
            scale = np.maximum(np.max(np.abs(values[first:]), axis=0), size(values[-2], values[-1], factor))
            worst = max(worst, apart(values[-1], found, history.dtype, scale))
    return worst
