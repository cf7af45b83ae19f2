"""Several workers: alike, equal to one process, told apart when they differ, and resumed after one was killed."""

import functools
import itertools
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("in_workers.py")
HOSTS = ["keras", "tf_keras"]
EQUAL = ["loop", "eager", "accumulation, averages", "fit", "function", "overflow"]
DIFFERENT = {
    "mismatch argument": ("learning_rate=0.01", "learning_rate=0.02"),
    "mismatch class": ("Adam", "Nadam"),
    "mismatch variables": ("Variable", "nothing"),
}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run(workers, cases, seconds=240, **environment):
    """What each worker found in each case; a worker that was killed found nothing."""
    cluster = {"worker": [f"127.0.0.1:{free_port()}" for _ in range(workers)]}
    processes = []
    for index in range(workers):
        task = {"cluster": cluster, "task": {"type": "worker", "index": index}}
        processes.append(
            subprocess.Popen(
                [sys.executable, str(PROGRAM), *cases],
                env=os.environ | {"TF_CONFIG": json.dumps(task)} | environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        )
    try:
        outputs = [process.communicate(timeout=seconds)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    lines = [[line.split("\t") for line in output.splitlines() if "\t" in line] for output in outputs]
    return [{name: json.loads(result) for name, result in each} for each in lines]


@functools.cache
def found(workers):
    cases = [f"{host} {name}" for host, name in itertools.product(HOSTS, [*EQUAL, *DIFFERENT])]
    return run(workers, cases, seconds=900)


@pytest.mark.parametrize("workers", [2, pytest.param(3, marks=pytest.mark.long)])
@pytest.mark.parametrize("name", EQUAL)
@pytest.mark.parametrize("host", HOSTS)
def test_workers_have_the_bits_of_one_process(host, name, workers):
    each = [worker[f"{host} {name}"] for worker in found(workers)]
    assert all(worker.get("equal") for worker in each), each
    assert all(worker["facts"] == each[0]["facts"] for worker in each), each


@pytest.mark.parametrize("name", DIFFERENT)
@pytest.mark.parametrize("host", HOSTS)
def test_workers_that_differ_say_how(host, name):
    first, second = (worker[f"{host} {name}"]["error"] for worker in found(2))
    for error, theirs, ours in ((first, *reversed(DIFFERENT[name])), (second, *DIFFERENT[name])):
        assert "the workers do not train the same: worker" in error
        assert theirs in error.partition(" has ")[2].partition(" where ")[0]
        assert ours in error.partition(" has ")[2].partition(" where ")[2]


@functools.cache
def unbroken():
    with tempfile.TemporaryDirectory() as folder:
        return run(2, ["train"], CHECKPOINTS=folder)[0]["train"]["facts"]


@pytest.mark.parametrize(
    "step", [21, *(pytest.param(step, marks=pytest.mark.long) for step in random.Random(0).sample(range(1, 40), 19))]
)
def test_a_killed_worker_ends_the_others_and_a_restart_has_the_bits_of_an_unbroken_run(step, tmp_path):
    survivor, killed = run(2, [f"die {step}"], CHECKPOINTS=str(tmp_path))
    assert killed == {}
    assert survivor[f"die {step}"]["error"] == "UnavailableError", survivor
    assert survivor[f"die {step}"]["seconds"] < 30
    resumed = run(2, ["train"], CHECKPOINTS=str(tmp_path))
    assert [worker["train"] for worker in resumed] == [{"start": step // 8 * 8, "facts": unbroken()}] * 2
