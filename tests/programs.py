"""What the programs share that tests run in processes of their own: named cases, each of which prints what it found."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

__all__ = ["message", "print_cases"]


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
