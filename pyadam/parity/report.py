"""The verdict on a case, and the table of verdicts."""

import contextlib
import functools
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pyadam.parity.cases import Case
from pyadam.parity.compare import (
    COMPILED_ULP,
    KERAS_SHARE,
    History,
    Values,
    apart,
    excess,
    limits,
    oracle_share,
    size,
    total_change,
    ulp,
)
from pyadam.parity.inputs import Inputs
from pyadam.parity.run_python import Run, compiled_apart, magnified, run_keras, run_oracle, run_pyadam

__all__ = [
    "HEADER",
    "Difference",
    "Verdict",
    "against_r",
    "by_optimizer",
    "compare",
    "judge",
    "noting",
    "summary",
    "worst",
]


@dataclass(frozen=True)
class Difference:
    """The largest difference between two runs.

    Attributes:
        ulp: of the weights, in ULP of the largest value each has had, so weights that cross zero don't stand out.
        part: of everything compared, as a fraction of what is allowed: fine up to 1.
    """

    ulp: float = 0.0
    part: float = 0.0

    def __or__(self, other: "Difference") -> "Difference":
        """The larger value of each field."""
        return Difference(max(self.ulp, other.ulp), max(self.part, other.part))

    def __str__(self) -> str:
        return f"{self.ulp:.2g} ({self.part:.2g})"


def weight_difference(expected: History, found: History, allowed: list[np.ndarray]) -> Difference:
    """How far a weight is from its expected values."""
    largest = np.max(np.abs(expected.values), axis=0)
    moments = zip(expected.values, found.values, strict=True)
    ulps = [apart(a, b, found.dtype, scale=largest) for a, b in moments]
    return Difference(max(ulps), excess(expected.values, found.values, allowed))


def state_difference(expected: History, found: History, magnified: float) -> Difference:
    """How far a state variable is from its expected values; every element gets the limit of the one that moves most.

    (Accumulated gradients that cancel lose digits.) State in bfloat16 was rounded to either neighbor, and the oracle started
    its next step from it, so each element may differ by one ULP at each step.
    """
    if found.dtype == "bfloat16":
        steps = zip(expected.values, expected.values[1:], strict=False)
        once = [ulp(size(old, new, magnified), found.dtype) for old, new in steps]
        return Difference(0.0, excess(expected.values, found.values, [np.zeros_like(expected.values[0]), *once]))
    allowed = limits(expected, total_change(expected), oracle_share(found.dtype), magnified)
    return Difference(0.0, excess(expected.values, found.values, [np.max(limit, initial=0.0) for limit in allowed]))


@dataclass(frozen=True)
class Verdict:
    """The results of a case. None stands for what was not compared; `without_keras` says why Keras was not."""

    case: Case
    r_ulp: float | None = None
    compiled_ulp: float | None = None
    keras: Difference | None = None
    oracle: Difference | None = None
    without_keras: str = ""
    errors: tuple[str, ...] = ()

    @property
    def faults(self) -> list[str]:
        """What is wrong, in words; empty if all is well."""
        found = list(self.errors)
        if self.r_ulp:
            found.append("R and Python differ")
        if self.compiled_ulp is not None and self.case.has_paper and not self.compiled_ulp <= COMPILED_ULP:
            found.append("compilation changes the step")
        if self.keras is not None and not self.keras.part <= 1:
            found.append("Keras differs")
        if self.oracle is not None and not self.oracle.part <= 1:
            found.append("the oracle differs")
        return found

    def __str__(self) -> str:
        words = "; ".join(self.faults) or "ok"
        return _row(
            self.case.name,
            self.r_ulp,
            self.compiled_ulp,
            self.keras or (self.without_keras and "-"),
            self.oracle,
            words,
        )


def _row(name: str, *cells: object) -> str:
    shown = ["" if cell is None else f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in cells]
    return f"{name:<54}{shown[0]:>9}{shown[1]:>10}{shown[2]:>18}{shown[3]:>18}  {shown[4]}".rstrip()


HEADER = "\n".join(
    (
        _row("", "R-Python", "compiled", "Keras", "oracle", ""),
        _row("case", "ULP", "ULP/step", "ULP (of limit)", "ULP (of limit)", "verdict"),
    )
)


def compare(case: Case, inputs: Inputs, run: Run) -> tuple[Difference, Callable[[], Difference]]:
    """Compares a run's weights and state with the oracle; also returns a function that compares its weights with Keras.

    Both use the oracle's total changes of the weights.
    """
    truth, changes = run_oracle(case, inputs, run)

    def weights(others: list[History], share: Callable[[str], float], indices: list[int]) -> Difference:
        differences = Difference()
        for j, other in zip(indices, others, strict=True):
            allowed = limits(truth.weights[j], changes[j], share(run.weights[j].dtype), magnified(case))
            differences |= weight_difference(other, run.weights[j], allowed)
        return differences

    oracle = weights(truth.weights, oracle_share, list(range(len(run.weights))))
    for expected, found in zip(truth.state, run.state, strict=True):
        oracle |= state_difference(expected, found, magnified(case))

    def with_keras() -> Difference:
        return weights(run_keras(case, inputs).weights, lambda dtype: KERAS_SHARE, case.filled())

    return oracle, with_keras


def against_r(run: Run, values: Values) -> float:
    """The largest difference between the last values of a run and R's, in ULP; 0 for the same bits."""
    worst = 0.0
    for histories, arrays in zip((run.weights, run.state), values, strict=True):
        if len(histories) != len(arrays):
            return np.inf
        for history, array in zip(histories, arrays, strict=True):
            worst = max(worst, apart(history.values[-1], array.reshape(history.values[-1].shape), history.dtype))
    return worst


@contextlib.contextmanager
def noting(errors: list[str], who: str) -> Iterator[None]:
    """Records an exception as a fault of a case, so the other cases still run."""
    try:
        yield
    except Exception as error:
        errors.append(f"{who}: {type(error).__name__}: {' '.join(str(error).split())}")


def judge(case: Case, inputs: Inputs, r_values: Callable[[], Values] | None) -> Verdict:
    """Runs a case in Python and compares; `r_values` returns R's results, or raises RuntimeError if R failed."""
    found: dict[str, object] = {"without_keras": case.without_keras()}
    errors: list[str] = []
    with noting(errors, "Python"):
        run = run_pyadam(case, inputs)
        found["compiled_ulp"] = compiled_apart(case, inputs, run)
        if case.has_paper:
            found["oracle"], with_keras = compare(case, inputs, run)
            if not case.without_keras():
                with noting(errors, "Keras"):
                    found["keras"] = with_keras()
        if r_values is not None:
            with noting(errors, "R"):
                found["r_ulp"] = against_r(run, r_values())
    return Verdict(case, errors=tuple(errors), **found)


def worst(values: Iterable[float | None]) -> float | None:
    """The largest of some values, None among them; None if there is no other."""
    return max((value for value in values if value is not None), default=None)


def by_optimizer(verdicts: Sequence[Any]) -> Iterator[tuple[str, list[Any], str]]:
    """The verdicts on the cases of each optimizer, and how many of them failed, in words."""
    for optimizer in dict.fromkeys(verdict.case.optimizer for verdict in verdicts):
        mine = [v for v in verdicts if v.case.optimizer == optimizer]
        failed = sum(bool(v.faults) for v in mine)
        yield optimizer, mine, f"{failed} of {len(mine)} cases FAILED" if failed else f"all {len(mine)} cases ok"


def summary(verdicts: list[Verdict]) -> str:
    """One line per optimizer: the worst of each column, and how many cases failed. Then why some lack Keras' column."""
    lines = []
    for optimizer, mine, words in by_optimizer(verdicts):
        columns: list[object] = [worst(v.r_ulp for v in mine), worst(v.compiled_ulp for v in mine)]
        for side in ([v.keras for v in mine if v.keras], [v.oracle for v in mine if v.oracle]):
            columns.append(functools.reduce(operator.or_, side) if side else None)
        lines.append(_row(optimizer, *columns, words))
    reasons = sorted({verdict.without_keras for verdict in verdicts if verdict.without_keras})
    if reasons:
        lines += ["", "-: not compared with Keras, because", *(f"   {reason}" for reason in reasons)]
    return "\n".join(lines)
