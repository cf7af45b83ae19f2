"""Any difference between replicas, or from one process, after any step, is found and told."""

import numpy as np
import pytest

from pyadam.parity import report_replicas
from pyadam.parity.cases import Case
from pyadam.parity.compare import History
from pyadam.parity.inputs import Inputs, draw, summed
from pyadam.parity.report_replicas import Verdict, against_one, among_replicas, judge, summary
from pyadam.parity.run_python import Run, run_pyadam

NEXT = 1.0 + 2.0**-23
CASE = Case("Adam a case", "Adam")


def run(*weights, state=((0.0, 0.0), (0.0, 0.0))):
    """A run of one weight and one state variable; for each moment what each replica has of it, or what one process has."""
    return Run([History("float32", list(map(np.array, weights)))], [History("float64", list(map(np.array, state)))])


def test_the_same_on_all_replicas():
    assert among_replicas(run((1.0, 1.0), (2.0, 2.0))) == 0
    assert against_one(run((1.0, 1.0), (2.0, 2.0)), run(1.0, 2.0, state=(0.0, 0.0))) == 0


def test_a_difference_that_later_vanishes():
    assert among_replicas(run((1.0, NEXT), (2.0, 2.0))) == 1
    assert against_one(run((1.0, 1.0), (2.0, 2.0)), run(NEXT, 2.0, state=(0.0, 0.0))) == 1


def test_a_difference_in_the_state():
    assert among_replicas(run((1.0, 1.0), (2.0, 2.0), state=((0.0, 0.0), (1.0, 1.0 + 2.0**-51)))) == 2
    assert against_one(run((1.0, 1.0), (2.0, 2.0)), run(1.0, 2.0, state=(0.0, 1.0))) > 1


@pytest.mark.parametrize(
    ("difference", "words"),
    [
        ({"replicas_ulp": 1.0}, "the replicas differ"),
        ({"r_ulp": np.inf}, "R and Python differ"),
        ({"one_ulp": 2.0}, "one process differs"),
        ({"errors": ("R: RuntimeError: no",)}, "R: RuntimeError: no"),
    ],
)
def test_every_fault_is_told(difference, words):
    good = {"replicas_ulp": 0.0, "r_ulp": 0.0, "one_ulp": 0.0}
    verdicts = [Verdict(CASE, **good), Verdict(CASE, **good | difference)]
    assert str(verdicts[0]).split()[-4:] == ["0", "0", "0", "ok"]
    assert str(verdicts[1]).endswith(words)
    assert summary(verdicts).endswith("1 of 2 cases FAILED")


def test_what_was_not_compared_stays_empty():
    assert str(Verdict(CASE, 0.0, None, 0.0)).split()[-3:] == ["0", "0", "ok"]


# --- the verdict on a run, without replicas ------------------------------------------------------------------------------


SHORT = Case("SGD short", "SGD", shapes=((50,),), steps=2)
INPUTS = [Inputs(draw(SHORT).weights, draw(SHORT, replica).gradients) for replica in range(3)]


def stacked(run):
    """A run of one process as if three replicas had taken it."""
    both = run.weights, run.state
    return Run(*([History(h.dtype, [np.stack([v] * 3) for v in h.values]) for h in each] for each in both))


def in_order_of(*replicas):
    def run_on_replicas(case, inputs):
        return stacked(run_pyadam(case, summed(case, [inputs[k] for k in replicas]), sums=True))

    return run_on_replicas


def test_sums_in_another_order_are_a_failure(monkeypatch):
    monkeypatch.setattr(report_replicas, "run_on_replicas", in_order_of(0, 1, 2))
    assert judge(SHORT, INPUTS, None).faults == []
    monkeypatch.setattr(report_replicas, "run_on_replicas", in_order_of(2, 1, 0))
    assert judge(SHORT, INPUTS, None).faults == ["one process differs"]


def test_errors_are_told(monkeypatch):
    def fail(*arguments):
        raise RuntimeError("no")

    monkeypatch.setattr(report_replicas, "run_on_replicas", in_order_of(0, 1, 2))
    assert judge(SHORT, INPUTS, fail).faults == ["R: RuntimeError: no"]
    monkeypatch.setattr(report_replicas, "run_on_replicas", fail)
    assert judge(SHORT, INPUTS, None).faults == ["Python: RuntimeError: no"]
