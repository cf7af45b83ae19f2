"""Several workers: alike, equal to one process, told apart when they differ, and resumed after one was killed."""

import functools
import itertools
import random
import tempfile
from pathlib import Path

import pytest
from programs import on_workers, results

PROGRAM = Path(__file__).with_name("in_workers.py")
HOSTS = ["keras", "tf_keras"]
EQUAL = ["loop", "eager", "accumulation, averages", "fit", "function", "overflow", "sharded", "another model before"]
QUICK = ["train", "keras fit", "keras sharded", "tf_keras loop"]
DIFFERENT = {
    "mismatch argument": ("learning_rate=0.01", "learning_rate=0.02"),
    "mismatch class": ("Adam", "Nadam"),
    "mismatch exclusions": ("(8,)", "(8,), excluded from weight decay"),
    "mismatch constraint": ("constraint MaxNorm {'max_value': 2.0, 'axis': 0}", "constraint NonNeg"),
    "mismatch variables": ("ariable: float32", "nothing"),
}


def run(workers, cases, seconds=240, survivors=None, **environment):
    """What each worker found in each case, or the survivors; a worker that was killed found nothing."""
    printed = on_workers(workers, PROGRAM, *cases, seconds=seconds, survivors=survivors, **environment)
    return list(map(results, printed))


EVERY = [f"{host} {name}" for host, name in itertools.product(HOSTS, EQUAL)]
REFUSED = [f"{host} {name}" for host, name in itertools.product(HOSTS, DIFFERENT)]


@functools.cache
def found(workers, quick):
    """What the workers found in the quick cases, or in the others."""
    chosen = [name for name in ["train", *EVERY, *REFUSED] if (name in QUICK or name in REFUSED[:3]) is quick]
    with tempfile.TemporaryDirectory() as folder:
        return run(workers, chosen, seconds=900, CHECKPOINTS=folder)


def cases(names):
    return [
        name if name in QUICK or name in REFUSED[:3] else pytest.param(name, marks=pytest.mark.long) for name in names
    ]


@pytest.mark.parametrize("workers", [2, pytest.param(3, marks=pytest.mark.long)])
@pytest.mark.parametrize("name", cases(EVERY))
def test_workers_have_the_bits_of_one_process(name, workers):
    each = [worker[name] for worker in found(workers, name in QUICK)]
    assert all(worker.get("equal") for worker in each), each
    assert all(worker["facts"] == each[0]["facts"] for worker in each), each


@pytest.mark.parametrize("host", ["keras", pytest.param("tf_keras", marks=pytest.mark.long)])
def test_two_workers_keep_half_of_the_state_each(host):
    name = f"{host} sharded"
    assert all(worker[name]["share"] <= 0.55 for worker in found(2, name in QUICK))


@pytest.mark.parametrize("case", cases(REFUSED))
def test_workers_that_differ_say_how(case):
    name = case.partition(" ")[2]
    first, second = (worker[case]["error"] for worker in found(2, case in REFUSED[:3]))
    for error, theirs, ours in ((first, *reversed(DIFFERENT[name])), (second, *DIFFERENT[name])):
        assert "the workers do not train the same: worker" in error
        assert theirs in error.partition(" has ")[2].partition(" where ")[0]
        assert ours in error.partition(" has ")[2].partition(" where ")[2]


ALONE = {
    "different gradients, graph": [
        f"a step of SGD (optimizer 1), no gradient for {name}, another one has something else" for name in "ba"
    ],
    "different gradients, eager": [
        f"a step of SGD (optimizer 1), no gradient for {name}, another one has something else" for name in "ba"
    ],
    "read by one": [
        "this one has a reading of divided state, another one",
        "this one has a step of Adam (optimizer 1), another one",
    ],
    "steps_per_execution": ["on_workers: fit() takes steps_per_execution=1 on several workers, got 2; "] * 2,
    "read by one while nothing happens": ["so all of them have to read or save it at the same time", "nothing"],
}


@pytest.mark.long
@pytest.mark.parametrize("case", ALONE)
def test_workers_that_do_different_things_end_with_an_error(case):
    for worker, words in zip(run(2, [case]), ALONE[case], strict=True):
        assert words in worker[case]["error"]


@pytest.mark.long
@pytest.mark.parametrize("case", ["shown by one", "train_on_batch"])
def test_one_worker_may_show_divided_state_and_all_may_train_on_a_batch(case):
    each = [worker[case] for worker in run(2, [case])]
    assert all(worker.get("equal") and worker["facts"] == each[0]["facts"] for worker in each), each


@pytest.mark.long
@pytest.mark.parametrize("workers", [2, 3])
def test_patterns_and_numbers_of_rows_may_change_at_any_step(workers):
    each = run(workers, ["many patterns"])
    assert all(worker["many patterns"]["equal"] for worker in each), each


@pytest.mark.long
@pytest.mark.parametrize("step", [21, *random.Random(0).sample(range(1, 40), 19)])
def test_a_killed_worker_ends_the_others_and_a_restart_has_the_bits_of_an_unbroken_run(step, tmp_path):
    survivor, killed = run(2, [f"die {step}"], CHECKPOINTS=str(tmp_path))
    assert killed == {}
    assert survivor[f"die {step}"]["error"] == "UnavailableError", survivor
    assert survivor[f"die {step}"]["seconds"] < 30
    resumed = run(2, ["train"], CHECKPOINTS=str(tmp_path))
    assert [worker["train"] for worker in resumed] == [
        {"start": step // 8 * 8, "facts": found(2, True)[0]["train"]["facts"]}
    ] * 2


@pytest.mark.long
def test_a_frozen_worker_ends_the_others(tmp_path):
    (survivor,) = run(2, ["freeze 21"], survivors=1, CHECKPOINTS=str(tmp_path))
    assert survivor["freeze 21"]["error"] == "UnavailableError", survivor
    assert "/task:1" in survivor["freeze 21"]["words"], "TensorFlow names the worker"
    assert survivor["freeze 21"]["seconds"] < 30
