"""What the programs share that tests run in processes of their own: named cases, each of which prints what it found."""

import contextlib
import json
import socket
from collections.abc import Callable, Iterable, Mapping
from typing import Any

__all__ = ["addresses", "message", "print_cases"]


def addresses(count: int) -> list[str]:
    """So many addresses on this machine that nobody listens at; the probes are open at the same time, so all differ."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{probe.getsockname()[1]}" for probe in probes]


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
