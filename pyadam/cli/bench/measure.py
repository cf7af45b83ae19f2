"""The peers side by side on one model and one optimizer: who takes part, in which turn, and what they say."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyadam
from pyadam.cli.bench.columns import Column
from pyadam.cli.bench.models import Model
from pyadam.cli.bench.peers import PEERS, REFERENCE, Peer

__all__ = ["Cell", "Plan", "Result", "Worker", "batches", "cores", "free_bytes", "measure"]

_LIBRARY = 1 << 30  # bytes: a library with the programs that it compiles


@dataclass(frozen=True)
class Plan:
    """How to measure.

    Attributes:
        threads: of each peer.
        rounds: how often each has its turn.
        turn: about so many seconds a turn.
    """

    threads: int
    rounds: int = 9
    turn: float = 0.4


@dataclass
class Result:
    """What was measured of one peer.

    Attributes:
        first: seconds of the first step, with all that is made, traced and compiled in it.
        bytes: of memory, the most that was in use beyond the library itself.
        turns: seconds a step, the median of each turn.
        ratios: the same as a multiple of what the reference took in its turn of that round.
    """

    first: float
    bytes: int
    turns: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Of a step, the median."""
        return statistics.median(self.turns)


@dataclass
class Cell:
    """The results on one model and column, and why there are none of the other peers."""

    model: str
    column: str
    threads: int
    results: dict[str, Result] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_bytes() -> int:
    """Memory that new processes can have; where the system doesn't say, 8 GB."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return 8 << 30


class Worker:
    """The process of one peer; a context manager that ends it.

    Raises:
        RuntimeError: it ended before it answered; the message has what it printed last.
    """

    def __init__(self, peer: Peer, model: Model, column: Column, threads: int) -> None:
        root = str(Path(pyadam.__file__).parents[1])
        count = str(threads)
        environment = {
            **{name: value for name, value in os.environ.items() if name != "PYADAM_SINGLE_PASS"},
            "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")])),
            "CUDA_VISIBLE_DEVICES": "-1",
            "JAX_PLATFORMS": "cpu",
            "KERAS_BACKEND": "tensorflow",
            "OMP_NUM_THREADS": count,
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "TF_NUM_INTEROP_THREADS": count,
            "TF_NUM_INTRAOP_THREADS": count,
            **peer.environment,
        }
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115, closed in __exit__
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pyadam.cli.bench.worker", count],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )
        try:
            asked = {"peer": peer.name, "model": model.name, "column": column.name}
            self.missing: str = self.ask(asked).get("missing", "")
        except BaseException:
            self.__exit__()
            raise

    def ask(self, command: Any) -> dict[str, Any]:
        """The answer to one command."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            print(json.dumps(command), file=self.process.stdin, flush=True)
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            status = self.process.wait()
            self.log.seek(0)
            printed = self.log.read().strip().splitlines()[-1:] or ["nothing printed"]
            raise RuntimeError(f"ended with status {status}: {printed[0]}")
        return json.loads(line)

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.communicate()
        self.log.close()


def batches(peers: Sequence[str], each: int, free: int) -> Iterator[list[str]]:
    """The peers in groups whose processes fit into memory together, the reference in each of them."""
    others = [name for name in peers if name != REFERENCE]
    reference = [REFERENCE] if REFERENCE in peers else []
    room = max(1, free // each - len(reference))
    for start in range(0, max(len(others), 1), room):
        yield reference + others[start : start + room]


def measure(
    model: Model, column: Column, peers: Iterable[str], plan: Plan, progress: Callable[[str], None] = lambda done: None
) -> Cell:
    """All of these peers on one model and column.

    Args:
        model: what a step is computed on.
        column: what is computed.
        peers: names, in the order of their turns.
        plan: how.
        progress: called with the name of what comes next: once for each peer and each round.
    """
    cell = Cell(model.name, column.name, plan.threads)
    installed = []
    for name in peers:
        if reason := PEERS[name].missing():
            cell.missing[name] = reason
        else:
            installed.append(name)
    each = _LIBRARY + 3 * model.parameters * column.bytes_per_parameter // 4
    for group in batches(installed, each, free_bytes()):
        with ExitStack() as stack:
            _measure_together(cell, group, model, column, plan, stack, progress)
    return cell


def _measure_together(
    cell: Cell,
    group: list[str],
    model: Model,
    column: Column,
    plan: Plan,
    stack: ExitStack,
    progress: Callable[[str], None],
) -> None:
    """The turns of peers whose processes live at the same time."""
    workers: dict[str, Worker] = {}
    steps: dict[str, int] = {}
    for name in group:
        progress(f"{PEERS[name].title}: first step")
        try:
            worker = stack.enter_context(Worker(PEERS[name], model, column, plan.threads))
            if worker.missing:
                cell.missing[name] = worker.missing
                continue
            first = worker.ask("first")
            warm = statistics.median(worker.ask(3)["seconds"])
        except RuntimeError as error:
            cell.missing[name] = f"failed, {error}"
            continue
        cell.results.setdefault(name, Result(first["seconds"], first["bytes"]))
        workers[name] = worker
        steps[name] = max(3, min(200, round(plan.turn / warm)))
    for number in range(plan.rounds):
        progress(f"round {number + 1} of {plan.rounds}")
        took = {}
        for name, worker in workers.items():
            answer = worker.ask(steps[name])
            took[name] = statistics.median(answer["seconds"])
            cell.results[name].bytes = max(cell.results[name].bytes, answer["bytes"])
        for name, seconds in took.items():
            cell.results[name].turns.append(seconds)
            if REFERENCE in took:
                cell.results[name].ratios.append(seconds / took[REFERENCE])
