"""The process of one peer. It reads commands, one line of JSON each, and answers each with a line until its input ends.

A mapping of ``peer``, ``model`` and ``column`` says what to measure from now on. Then ``"first"`` runs the first step, a number
runs that many steps after one that is not timed, and any other string is a file to save the weights in.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pyadam.bench.columns import COLUMNS
from pyadam.bench.models import find
from pyadam.bench.peers import PEERS, NotOffered, Runner

__all__ = ["answers", "limit", "peak_bytes", "serve"]

_STATUS = Path("/proc/self/status")


def peak_bytes() -> float:
    """The peak memory of this process so far; a float, because R's integers end at 2 GiB."""
    if _STATUS.exists():  # ru_maxrss would start from the parent's peak
        line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM"))
        return float(line.split()[1]) * 1024
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * (1 if sys.platform == "darwin" else 1024)


def limit(threads: int) -> None:
    """Limits this process to that many cores, if the system can, for libraries that have no such option."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def answers(commands: Iterable[Any]) -> Iterator[dict[str, Any]]:
    """The answer to each command."""
    before, runner = 0, None
    for command in commands:
        if isinstance(command, dict):
            peer, model, column = PEERS[command["peer"]], find(command["model"]), COLUMNS[command["column"]]
            peer.load()
            before = peak_bytes()
            try:
                runner = peer.start(column, model.weights(), model.gradients())
            except NotOffered as reason:
                yield {"missing": str(reason)}
            else:
                yield {}
        elif command == "first":
            [seconds] = _timed(runner, 1)
            yield {"seconds": seconds, "bytes": peak_bytes() - before}
        elif isinstance(command, str):
            np.savez(command, *runner.values())
            yield {}
        else:
            _timed(runner, 1)  # warms up the caches, and memory that another peer's turn may have displaced
            yield {"seconds": _timed(runner, command), "bytes": peak_bytes() - before}


def _timed(runner: Runner | None, steps: int) -> list[float]:
    """Seconds of each step."""
    assert runner is not None
    found = []
    for _ in range(steps):
        start = time.perf_counter()
        runner.step()
        found.append(time.perf_counter() - start)
    return found


def serve(answers: Callable[[Iterable[Any]], Iterator[Any]]) -> None:
    """Answers on the original standard output; libraries print to standard error. ``argv[1]`` is the number of threads."""
    limit(int(sys.argv[1]))
    pipe = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for answer in answers(map(json.loads, sys.stdin)):
        print(json.dumps(answer), file=pipe, flush=True)


if __name__ == "__main__":
    serve(answers)
