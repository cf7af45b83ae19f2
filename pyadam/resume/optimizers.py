"""What is known of an optimizer, by which to tell whether a training goes on with the one that it began with."""

import json
from collections import Counter
from textwrap import shorten
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from pyadam.hosts.exclusions import CONFIG_KEY
from pyadam.optimizers.kinds import listed
from pyadam.resume.values import Unsaveable, from_json, to_json

__all__ = ["arguments", "changed", "description", "is_built", "running"]

running: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
"""The folders of trainings that have begun in this process and not ended, by optimizer."""

_OF_NO_ACCOUNT = {"name", "jit_compile", "members"}  # arguments that change no number, or follow from others


def is_built(optimizer: Any) -> bool:
    """Whether an optimizer of any generation has its variables."""
    return bool(getattr(optimizer, "built", getattr(optimizer, "_built", getattr(optimizer, "_weights", False))))


def description(optimizer: Any) -> list[str]:
    """The classes of the optimizer and of the one within it, and what they keep."""
    inner = getattr(optimizer, "inner_optimizer", None)
    classes = [type(each).__name__ for each in (optimizer, inner) if each is not None]
    if not is_built(optimizer):
        return [" of ".join(classes), "not built"]
    variables = optimizer.variables() if callable(optimizer.variables) else optimizer.variables  # of legacy ones
    kept = Counter(f"{getattr(v.dtype, 'name', v.dtype)} {tuple(v.shape)}" for v in variables)
    return [" of ".join(classes), f"one with {listed(f'{count} x {each}' for each, count in sorted(kept.items()))}"]


def arguments(optimizer: Any) -> dict[str, Any]:
    """The arguments that a config can hold, as JSON; none, where it can't hold one of them."""
    try:
        config = optimizer.get_config()
        inner = getattr(optimizer, "inner_optimizer", None)
        own = {
            name: to_json(value) for name, value in config.items() if name not in (*_OF_NO_ACCOUNT, "inner_optimizer")
        }
    except (NotImplementedError, TypeError, Unsaveable, ValueError):  # functions, variables
        return {}
    if CONFIG_KEY in config:  # which variables these are depends on whether it is built, and on names of layers
        own[CONFIG_KEY] = to_json(config[CONFIG_KEY]["var_names"] or None)
    return own | (arguments(inner) if inner is not None else {})


def changed(saved: dict[str, Any], later: dict[str, Any], here: dict[str, Any]) -> str:
    """What is another argument here than in a saved training; empty, if nothing is.

    Args:
        saved: the arguments with which it began.
        later: those it had when it was saved, since callbacks change some.
        here: the arguments now.
    """
    if not saved or not here:  # of a snapshot of an older version, or what a config can't hold
        return ""
    for name in saved | here:
        before, after, now = (each.get(name) for each in (saved, later, here))  # configs leave out some defaults
        if json.dumps(now) not in map(json.dumps, (before, after)):
            was, now = (shorten(_text(from_json(each)), 200) for each in (before, now))
            return f"{name} was {was} in the saved training and is {now} now"
    return ""


def _text(value: Any) -> str:
    """An argument; a schedule by its class and arguments."""
    if not isinstance(value, dict) or "class_name" not in value:
        return repr(value.item() if isinstance(value, np.generic) else value)
    given = ", ".join(f"{name}={_text(each)}" for name, each in value.get("config", {}).items() if name != "name")
    return f"{value['class_name']}({given})"
