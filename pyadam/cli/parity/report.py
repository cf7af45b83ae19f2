"""The verdict on a case, and the table of verdicts."""

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from pyadam.cli.parity.cases import Case
from pyadam.cli.parity.compare import (
    COMPILED_ULP,
    KERAS_SHARE,
    ORACLE_SHARE,
    ORACLE_SHARE_DEFAULT,
    History,
    apart,
    excess,
)
from pyadam.cli.parity.inputs import Inputs
from pyadam.cli.parity.run_python import Run, compiled_apart, run_keras, run_oracle, run_pyadam

__all__ = ["HEADER", "Difference", "Verdict", "against_keras", "against_oracle", "judge", "summary"]

Values = tuple[list[np.ndarray], list[np.ndarray]]


@dataclass(frozen=True)
class Difference:
    """The largest difference of two runs' weights, and of all that is compared as a part of what is allowed.

    Attributes:
        ulp: in ULP of the largest value that the weight had, so that weights which cross zero don't stand out.
        part: fine up to 1.
    """

    ulp: float
    part: float

    @classmethod
    def of(cls, pairs: Iterable[tuple[History, History, float]], weights: int) -> "Difference":
        """From pairs of a reference and what is measured, with the share that is allowed; the first ones are weights."""
        ulps, parts = [0.0], [0.0]
        for index, (expected, found, share) in enumerate(pairs):
            parts.append(excess(expected, found.values, share))
            if index < weights:
                largest = np.max(np.abs(expected.values), axis=0)
                moments = zip(expected.values[1:], found.values[1:], strict=True)
                ulps += [apart(a, b, found.dtype, scale=largest) for a, b in moments]
        return cls(max(ulps), max(parts))

    def __str__(self) -> str:
        return f"{self.ulp:.2g} ({self.part:.2g})"


@dataclass(frozen=True)
class Verdict:
    """What a case came to. None where something was not compared; `without_keras` says why Keras was not."""

    case: Case
    r_ulp: float | None = None
    compiled_ulp: float | None = None
    keras: Difference | None = None
    oracle: Difference | None = None
    without_keras: str = ""
    errors: tuple[str, ...] = ()

    @property
    def faults(self) -> list[str]:
        """What is wrong, in words; nothing where all is well."""
        found = list(self.errors)
        if self.r_ulp:
            found.append("R and Python differ")
        if self.compiled_ulp is not None and not self.compiled_ulp <= COMPILED_ULP:
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


def against_keras(case: Case, inputs: Inputs, run: Run) -> Difference:
    """The weights of a run against those of Keras' own class."""
    ours = [w for w in run.weights if w.values[0].size]
    pairs = [(k, w, KERAS_SHARE) for k, w in zip(run_keras(case, inputs).weights, ours, strict=True)]
    return Difference.of(pairs, len(ours))


def against_oracle(case: Case, inputs: Inputs, run: Run) -> Difference:
    """The weights and the state of a run against the oracle."""
    oracle = run_oracle(case, inputs, [s.dtype for s in run.state])
    pairs = zip(oracle.weights + oracle.state, run.weights + run.state, strict=True)
    shares = ((o, r, ORACLE_SHARE.get(r.dtype, ORACLE_SHARE_DEFAULT)) for o, r in pairs)
    return Difference.of(shares, len(run.weights))


def against_r(run: Run, values: Values) -> float:
    """The largest difference between the last values of a run and those that R came to, in ULP; 0 for the same bits."""
    worst = 0.0
    for histories, arrays in zip((run.weights, run.state), values, strict=True):
        if len(histories) != len(arrays):
            return np.inf
        for history, array in zip(histories, arrays, strict=True):
            worst = max(worst, apart(history.values[-1], array.reshape(history.values[-1].shape), history.dtype))
    return worst


def judge(case: Case, inputs: Inputs, r_values: Callable[[], Values] | None) -> Verdict:
    """Runs a case in Python and compares; `r_values` gives what R came to, and raises RuntimeError where it failed."""
    found: dict[str, object] = {"without_keras": case.without_keras()}
    errors: list[str] = []

    @contextlib.contextmanager
    def noting(who: str):
        """A case that breaks is a fault of that case; the others go on."""
        try:
            yield
        except Exception as error:
            errors.append(f"{who}: {type(error).__name__}: {' '.join(str(error).split())}")

    with noting("Python"):
        run = run_pyadam(case, inputs)
        found["oracle"] = against_oracle(case, inputs, run)
        found["compiled_ulp"] = compiled_apart(case, inputs, run)
        if not case.without_keras():
            with noting("Keras"):
                found["keras"] = against_keras(case, inputs, run)
        if r_values is not None:
            with noting("R"):
                found["r_ulp"] = against_r(run, r_values())
    return Verdict(case, errors=tuple(errors), **found)


def summary(verdicts: list[Verdict]) -> str:
    """One line an optimizer: the worst of each column, and how many cases are not as they should be."""
    lines = []
    for optimizer in dict.fromkeys(verdict.case.optimizer for verdict in verdicts):
        mine = [v for v in verdicts if v.case.optimizer == optimizer]

        def worst(values: Iterable[float | None]) -> float | None:
            known = [value for value in values if value is not None]
            return max(known) if known else None

        columns = [worst(v.r_ulp for v in mine), worst(v.compiled_ulp for v in mine)]
        for side in ([v.keras for v in mine if v.keras], [v.oracle for v in mine if v.oracle]):
            columns.append(Difference(max(d.ulp for d in side), max(d.part for d in side)) if side else None)
        failed = sum(bool(v.faults) for v in mine)
        words = f"{failed} of {len(mine)} cases FAILED" if failed else f"all {len(mine)} cases ok"
        lines.append(_row(optimizer, *columns, words))
    return "\n".join(lines)
