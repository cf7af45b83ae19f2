"""What the programs share that tests run in processes of their own: named cases, each of which prints what it found."""

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

__all__ = ["addresses", "found_by", "message", "on_workers", "print_cases", "results"]


def addresses(count: int) -> list[str]:
    """So many addresses on this machine that nobody listens at; the probes are open at the same time, so all differ."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{probe.getsockname()[1]}" for probe in probes]


def results(lines: Iterable[str]) -> dict[str, Any]:
    """What `print_cases` printed, by name, from among other lines."""
    return {name: json.loads(result) for name, result in (line.split("\t") for line in lines if "\t" in line)}


def found_by(program: Any, *arguments: Any) -> dict[str, Any]:
    """What the cases of a program found, in a process of its own, without XLA options from the user's environment."""
    environment = {name: value for name, value in os.environ.items() if name not in ("XLA_FLAGS", "PYADAM_SINGLE_PASS")}
    command = [sys.executable, *map(str, (program, *arguments))]
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=1500)
    found = results(run.stdout.splitlines())
    assert found, run.stderr
    return found


def on_workers(
    workers: int, *command: Any, seconds: float = 240, survivors: int | None = None, **environment: str
) -> list[list[str]]:
    """The lines that a program of Python prints on each of some workers, or on those that come to an end.

    Args:
        workers: how many.
        command: the program and its arguments.
        seconds: how long to wait for each.
        survivors: how many of them end by themselves, the first ones; all, if not given.
        environment: variables for all.
    """
    cluster = {"worker": addresses(workers)}
    processes = []
    for index in range(workers):
        task = {"cluster": cluster, "task": {"type": "worker", "index": index}}
        processes.append(
            subprocess.Popen(
                [sys.executable, *map(str, command)],
                env=os.environ | {"TF_CONFIG": json.dumps(task)} | environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        )
    try:
        return [process.communicate(timeout=seconds)[0].splitlines() for process in processes[:survivors]]
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def message(action: Callable[[], Any]) -> str:
    """The error that an action ends with."""
    try:
        action()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "nothing"


def print_cases(cases: Mapping[str, Callable[[], Any]], names: Iterable[str]) -> None:
    """Prints a line for each of these cases: its name, a tab, what it found as JSON."""
    for name in names:
        try:
            found = cases[name]()
        except Exception as error:
            found = {"error": f"{type(error).__name__}: {error}"}
        print(name, json.dumps(found), sep="\t", flush=True)
