"""What the other callbacks of a ``fit`` have learned so far: the history, the best loss of EarlyStopping, and so on.

A callback keeps such things in attributes. Those that changed since the training began are saved; the others are the arguments
of the user, who may choose them anew.
"""

import copy
import json
from collections import deque
from collections.abc import Sequence
from typing import Any

from pyadam.resume.values import Unsaveable, from_json, to_json

__all__ = ["changed", "restore", "states"]

_NOT_THEIRS = ("model", "_model", "params", "validation_data", "_is_tracing", "_profiler_started")
_LEFT_ALONE = ("ProgbarLogger",)  # shows what it is told, and learns nothing


def states(callbacks: Sequence[Any]) -> dict[str, dict[str, Any]]:
    """The attributes of each callback that can be saved, as JSON, by its name."""
    return {name: _attributes(callback) for name, callback in _named(callbacks).items()}


def changed(callbacks: Sequence[Any], start: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What differs from `states` as they were at the start."""
    return {
        name: {key: value for key, value in each.items() if not _same(start.get(name, {}).get(key), value)}
        for name, each in states(callbacks).items()
    }


def restore(callbacks: Sequence[Any], saved: dict[str, dict[str, Any]]) -> None:
    """Gives the callbacks the attributes that were saved, if they are there again."""
    for name, callback in _named(callbacks).items():
        choose = getattr(callback, "_set_monitor_op", None)  # Keras 3 calls it late, and forgets then what was best
        if choose is not None and getattr(callback, "monitor_op", None) is None:
            choose()
        for key, value in saved.get(name, {}).items():
            setattr(callback, key, _as(getattr(callback, key, None), from_json(value)))


def _as(now: Any, value: Any) -> Any:
    """A value as the attribute holds it now: in the same kind of dictionary, or a deque of the same length."""
    if isinstance(now, dict) and isinstance(value, dict) and type(now) is not dict:
        new = copy.copy(now)
        new.clear()
        new.update(value)
        return new
    return deque(value, now.maxlen) if isinstance(now, deque) and isinstance(value, deque) else value


def _named(callbacks: Sequence[Any]) -> dict[str, Any]:
    """The callbacks that learn, by class and place among those of the class."""
    found: dict[str, Any] = {}
    for callback in callbacks:
        kind = type(callback).__name__
        if kind not in _LEFT_ALONE:
            found[f"{kind}#{sum(name.partition('#')[0] == kind for name in found)}"] = callback
    return found


def _attributes(callback: Any) -> dict[str, Any]:
    found = {}
    for key, value in vars(callback).items():
        if key not in _NOT_THEIRS:
            try:
                found[key] = to_json(value)
            except Unsaveable:
                continue
    return found


def _same(a: Any, b: Any) -> bool:
    return json.dumps(a) == json.dumps(b)
