"""`Resume`: an interrupted training ends with the bits of an unbroken one; what can't be resumed is refused."""

import functools
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from programs import found_by, on_workers

PROGRAM = Path(__file__).with_name("in_fit.py")
HOSTS = ["keras", "tf_keras"]
KINDS = [
    "arrays",
    "arrays in order",
    "dataset",
    "steps",
    "steps, prefetched",
    "steps of all",
    "unknown length",
    "several steps",
    "eager",
]
KINDS += ["without seed", "more epochs", "stopped early"]
KINDS += [
    "arrays, replicas",
    "dataset, replicas",
    "steps, replicas",
    "several steps, replicas",
    "another number of replicas",
]
QUICK = ["keras steps, prefetched"]


@functools.cache
def found(*names):
    """What these cases found, in a process of their own."""
    return found_by(PROGRAM, *names)


@pytest.mark.parametrize(
    "name",
    [
        case if case in QUICK else pytest.param(case, marks=pytest.mark.long)
        for case in (f"{host} {kind}" for host in HOSTS for kind in KINDS)
    ],
)
def test_an_interrupted_training_ends_as_an_unbroken_one(name):
    result = found(*QUICK)[name] if name in QUICK else found(name)[name]
    assert all(value is True for value in result.values()), result


REFUSED = {
    "Python function": "ValueError: Resume: the position in this dataset can't be saved: PyFunc is stateful. Use arrays",
    "prefetched before it repeats": "ValueError: Resume: the position in this dataset can't be saved: it is shuffled, pre",
    "random operation": "ValueError: Resume: the training draws random numbers whose state can't be saved, in ",
    "not built": "ValueError: Resume: the model must be built before fit(); give it an Input layer, or call model.build(",
    "another seed": "ValueError: Resume: the saved training has shuffled its data with the seed 1, this one has 2; call keras",
    "another model": "ValueError: Resume: variable 1 of the saved model is ",
    "not in fit": "RuntimeError: Resume: this callback works in the fit() of a model of Keras 3 or tf_keras, and nowhere else",
}


@pytest.mark.parametrize("host", ["keras", pytest.param("tf_keras", marks=pytest.mark.long)])
@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_resumed_is_refused(what, host):
    assert found(f"{host} refused")[f"{host} refused"][what].startswith(REFUSED[what])


def training(host, folder, kill=None):
    """What came out of a training in a process of its own, or None: it was killed.

    Args:
        host: which Keras.
        folder: where its snapshots are.
        kill: after how many snapshots it is killed, and how many seconds later.
    """
    process = subprocess.Popen(
        [sys.executable, str(PROGRAM), "train", host, str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    try:
        assert process.stdout.readline() == "begin\n"
        if kill is not None:
            snapshots, seconds = kill
            seen = start = set(folder.glob("epoch-*"))
            while process.poll() is None and len(seen - start) < snapshots:
                time.sleep(0.001)
                seen = seen | set(folder.glob("epoch-*"))
            time.sleep(seconds)
            process.kill()
        output = process.communicate(timeout=300)[0]
        return json.loads(output) if output else None
    finally:
        process.kill()


@functools.cache
def unbroken(host, folder):
    return training(host, folder)


@pytest.mark.long
@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize(("seed", "kills"), [(0, 2), *((seed, 5) for seed in range(1, 6))])
def test_a_training_that_is_killed_again_and_again_ends_as_an_unbroken_one(host, seed, kills, tmp_path_factory, count):
    """At random moments, some of which are in the middle of writing: there is a snapshot after each of 40 batches."""
    draw, folder = random.Random(seed), tmp_path_factory.mktemp("killed")
    for _ in range(kills):
        assert training(host, folder, kill=(draw.randint(1, 5), draw.uniform(0, 0.05))) is None, (
            "the kill came too late"
        )
        moment = "in the middle of writing" if list(folder.glob("unfinished-*")) else "between two snapshots"
        count("killed, and resumed to the same bits", f"{host}: {moment}")
    assert training(host, folder) == unbroken(host, tmp_path_factory.getbasetemp() / f"whole-{host}")
    assert not list(folder.glob("unfinished-*"))


def resumed_on_workers(host, folder, *stop):
    """What each of two workers said, or nothing if it was killed."""
    printed = on_workers(2, PROGRAM.with_name("on_workers.py"), host, folder, *stop)
    return [json.loads(lines[-1]) if lines else None for lines in printed]


@pytest.mark.long
@pytest.mark.parametrize("host", HOSTS)
def test_workers_resume_alike(host, tmp_path):
    """One is killed; all continue from the same snapshot. The last bit of metrics may differ."""
    whole, other = resumed_on_workers(host, tmp_path / "whole")
    assert whole == other
    survivor, killed = resumed_on_workers(host, tmp_path / "run", 1, 2)
    assert killed is None
    assert survivor.startswith("UnavailableError")
    resumed = resumed_on_workers(host, tmp_path / "run")
    assert resumed[0] == resumed[1]
    assert (resumed[0][0], resumed[0][2]) == (whole[0], whole[2])
    for name, logs in whole[1].items():
        assert resumed[0][1][name] == pytest.approx(logs, rel=1e-6)
