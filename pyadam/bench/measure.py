"""Measures peers side by side: starts their processes, gives them turns, and collects the results."""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from pyadam.bench.columns import Column
from pyadam.bench.models import Model
from pyadam.bench.peers import PEERS, REFERENCE
from pyadam.bench.process import Worker, python

__all__ = ["Cell", "Entrant", "Plan", "Result", "batches", "free_bytes", "measure", "take_turns"]

_LIBRARY = 1 << 30  # bytes: a library and the programs it compiles

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """How to measure.

    Attributes:
        threads: threads of each peer.
        rounds: how many turns each peer gets.
        turn: approximate seconds per turn.
    """

    threads: int
    rounds: int = 9
    turn: float = 0.4


@dataclass
class Result:
    """The measurements of one peer.

    Attributes:
        first: seconds of the first step, including state creation, tracing and compilation.
        bytes: peak memory beyond the library itself.
        turns: seconds per step, the median of each turn.
        ratios: the same as a multiple of the reference's time in that round.
    """

    first: float
    bytes: int
    turns: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """The median time of a step."""
        return statistics.median(self.turns)


@dataclass
class Cell:
    """The results on one model and column, and why the other peers have none."""

    model: str
    column: str
    threads: int
    results: dict[str, Result] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Entrant:
    """A peer that takes turns: its title, how its process starts, and the command that says what to measure."""

    title: str
    start: Callable[[], Worker]
    task: Mapping[str, Any]


def free_bytes() -> int:
    """Memory available to new processes; 8 GB if the system doesn't say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return 8 << 30


def batches(peers: Sequence[str], each: int, free: int) -> Iterator[list[str]]:
    """The peers in groups whose processes fit into memory together, each with the reference."""
    others = [name for name in peers if name != REFERENCE]
    reference = [REFERENCE] if REFERENCE in peers else []
    room = max(1, free // each - len(reference))
    for start in range(0, max(len(others), 1), room):
        yield reference + others[start : start + room]


def measure(model: Model, column: Column, peers: Sequence[str], plan: Plan, progress: Progress) -> Cell:
    """Measures these peers on one model and column.

    Args:
        model: what a step is computed on.
        column: what is computed.
        peers: names, in the order of their turns.
        plan: how to measure.
        progress: called with what comes next, once for each peer and each round.
    """
    cell = Cell(model.name, column.name, plan.threads)
    entrants = {}
    for name in peers:
        peer = PEERS[name]
        if peer.rows_only and model.rows is None:
            continue
        if reason := peer.missing():
            cell.missing[name] = reason
        else:
            task = {"peer": name, "model": model.name, "column": column.name}
            entrants[name] = Entrant(
                peer.title, partial(Worker, python("worker"), plan.threads, peer.environment), task
            )
    each = _LIBRARY + 3 * model.parameters * column.bytes_per_parameter // 4
    for group in batches(list(entrants), each, free_bytes()):
        take_turns(cell, {name: entrants[name] for name in group}, plan, progress)
    return cell


def take_turns(cell: Cell, entrants: Mapping[str, Entrant], plan: Plan, progress: Progress) -> None:
    """Measures entrants whose processes run at the same time; the results go into the cell."""
    steps: dict[str, int] = {}
    with ExitStack() as stack:
        workers = {}
        for name, entrant in entrants.items():
            progress(f"first step: {entrant.title}")
            worker = stack.enter_context(entrant.start())
            try:
                if reason := worker.ask(entrant.task).get("missing"):
                    cell.missing[name] = reason
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
            for name, worker in list(workers.items()):
                try:
                    answer = worker.ask(steps[name])
                except RuntimeError as error:
                    cell.missing[name] = f"failed, {error}"
                    del workers[name], cell.results[name]
                    continue
                took[name] = statistics.median(answer["seconds"])
                cell.results[name].bytes = max(cell.results[name].bytes, answer["bytes"])
            for name, seconds in took.items():
                cell.results[name].turns.append(seconds)
                if REFERENCE in took:
                    cell.results[name].ratios.append(seconds / took[REFERENCE])
