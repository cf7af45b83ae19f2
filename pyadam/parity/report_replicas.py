"""The verdict on a case that is trained on several replicas, and the table of such verdicts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pyadam.parity.cases import Case
from pyadam.parity.compare import History, Values, apart
from pyadam.parity.inputs import Inputs, summed
from pyadam.parity.report import against_r, by_optimizer, noting, worst
from pyadam.parity.run_python import Run, run_pyadam
from pyadam.parity.run_replicas import run_on_replicas

__all__ = ["HEADER", "Verdict", "against_one", "among_replicas", "judge", "summary"]


@dataclass(frozen=True)
class Verdict:
    """The results of a case: the largest differences in ULP of weights and state. None stands for what was not compared.

    Attributes:
        case: the case.
        replicas_ulp: between the first replica and any other, after any step.
        r_ulp: between R and Python, on all replicas, after the last step.
        one_ulp: between the first replica and one process that is given the sums of the gradients, after any step.
        errors: what was raised.
    """

    case: Case
    replicas_ulp: float | None = None
    r_ulp: float | None = None
    one_ulp: float | None = None
    errors: tuple[str, ...] = ()

    @property
    def faults(self) -> list[str]:
        """What is wrong, in words; empty if all is well."""
        differences = {
            "the replicas differ": self.replicas_ulp,
            "R and Python differ": self.r_ulp,
            "one process differs": self.one_ulp,
        }
        return [*self.errors, *(words for words, ulp in differences.items() if ulp)]

    def __str__(self) -> str:
        return _row(self.case.name, self.replicas_ulp, self.r_ulp, self.one_ulp, "; ".join(self.faults) or "ok")


def _row(name: str, *cells: object) -> str:
    shown = ["" if cell is None else f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in cells]
    return f"{name:<54}{shown[0]:>9}{shown[1]:>10}{shown[2]:>13}  {shown[3]}".rstrip()


HEADER = "\n".join(
    (
        _row("", "replicas", "R-Python", "one process", ""),
        _row("case", "ULP", "ULP", "ULP", "verdict"),
    )
)


def among_replicas(run: Run) -> float:
    """The largest difference between the first replica and any other, after any step, in ULP."""

    def of(history: History) -> float:
        return max(apart(each[0], other, history.dtype) for each in history.values for other in each)

    return max(map(of, (*run.weights, *run.state)))


def against_one(run: Run, one: Run) -> float:
    """The largest difference between the first replica and one process, after any step, in ULP."""

    def of(history: History, alone: History) -> float:
        return max(apart(a[0], b, history.dtype) for a, b in zip(history.values, alone.values, strict=True))

    return max(map(of, (*run.weights, *run.state), (*one.weights, *one.state)))


def judge(case: Case, inputs: Sequence[Inputs], r_values: Callable[[], Values] | None) -> Verdict:
    """Runs a case on replicas and in one process and compares; `r_values` as for `report.judge`."""
    found: dict[str, float] = {}
    errors: list[str] = []
    with noting(errors, "Python"):
        run = run_on_replicas(case, inputs)
        found["replicas_ulp"] = among_replicas(run)
        with noting(errors, "one process"):
            found["one_ulp"] = against_one(run, run_pyadam(case, summed(case, inputs), sums=True))
        if r_values is not None:
            with noting(errors, "R"):
                found["r_ulp"] = against_r(run, r_values())
    return Verdict(case, errors=tuple(errors), **found)


def summary(verdicts: list[Verdict]) -> str:
    """One line per optimizer: the worst of each column, and how many cases failed."""
    lines = []
    for optimizer, mine, words in by_optimizer(verdicts):
        columns = [worst(v.replicas_ulp for v in mine), worst(v.r_ulp for v in mine), worst(v.one_ulp for v in mine)]
        lines.append(_row(optimizer, *columns, words))
    return "\n".join(lines)
