"""Calls every class and function of pyadam with values that nobody should pass, and counts how the calls ended.

python arguments.py --cases 100000 --seed 0

Allowed are an optimizer, schedule or callback that works (weights need not be finite where a number above a million was given,
a power above 10, or an epsilon that is next to 0), and a TypeError or ValueError that names the argument; anything else is
printed with its case, and the exit status is 1.
"""

import contextlib
import functools
import inspect
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
import tf_keras
from hostile import values
from hypothesis import strategies as st
from loop import Endings, fuzz

import pyadam.tf_keras
from pyadam import specs
from pyadam.schedules import SCHEDULES

HOSTS = {"keras": (keras, pyadam), "tf_keras": (tf_keras, pyadam.tf_keras)}
REQUIRED = {
    "initial_learning_rate": 0.1,
    "decay_steps": 10,
    "first_decay_steps": 10,
    "decay_rate": 0.9,
    "boundaries": [2],
    "values": [0.1, 0.2],
    "folder": tempfile.gettempdir(),
}
# other words in errors that name an argument
ALIASES = {"inner_optimizer": ["optimizer"], "boundaries": ["values"], "values": ["boundaries"]}


class Target(NamedTuple):
    """What takes arguments."""

    host: str
    name: str
    call: Callable[..., Any]
    names: tuple[str, ...]


def names_of(function: Callable[..., Any]) -> tuple[str, ...]:
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return tuple(each.name for each in inspect.signature(function).parameters.values() if each.kind in kinds)


def targets() -> list[Target]:
    found = []
    for host, (_, ours) in HOSTS.items():
        for name in [*specs.SPECS, "LossScaleOptimizer"]:
            made = getattr(ours, name)
            found.append(Target(host, name, made, names_of(made)))
            found.append(Target(host, f"{name}.from_config", lambda m=made, **v: m.from_config(v), names_of(made)))
        found += [Target(host, f"{name} attributes", setting(ours, name), settable(ours, name)) for name in specs.SPECS]
    for name in [getattr(specs, each).r_name for each in [*specs.SPECS, "LossScaleOptimizer"]]:
        made = getattr(pyadam, name)
        found.append(Target("keras", name, made, names_of(made)))
    for spec in SCHEDULES.values() if isinstance(SCHEDULES, dict) else SCHEDULES:
        made = getattr(pyadam, getattr(spec, "r_name", spec))
        found.append(Target("keras", made.__name__, made, names_of(made)))
    found.append(Target("keras", "Resume", pyadam.Resume, names_of(pyadam.Resume)))
    return found


def settable(ours: Any, name: str) -> tuple[str, ...]:
    made = getattr(ours, name)()
    return tuple(each for each in made.get_config() if isinstance(getattr(type(made), each, None), property))


def setting(ours: Any, name: str) -> Callable[..., Any]:
    def call(**given: Any) -> Any:
        made = getattr(ours, name)()
        for key, value in given.items():
            setattr(made, key, value)
        return made

    return call


def worked(made: Any, host: str, step: bool) -> str:
    """How using what was made ended."""
    if not hasattr(made, "apply_gradients"):
        if callable(made) and step:
            made(3)
        return "works"
    with contextlib.suppress(NotImplementedError):
        made.get_config()
    if step:
        variable = tf.Variable([0.5, 0.25]) if host == "tf_keras" else keras.Variable([0.5, 0.25])
        made.apply_gradients([(tf.constant([0.5, -0.5]), variable)])
        if not np.isfinite(np.array(tf.convert_to_tensor(variable))).all():
            return "not finite"
    return "works"


def ending(target: Target, given: dict[str, Any], step: bool) -> str:
    """How a call ended; a word, or what is wrong."""
    needed = {name: REQUIRED[name] for name in target.names if name in REQUIRED and name not in given}
    if "inner_optimizer" in target.names and "inner_optimizer" not in given:
        needed["inner_optimizer"] = HOSTS[target.host][1].SGD(jit_compile=False)
    elif "jit_compile" in target.names and "attributes" not in target.name and "jit_compile" not in given:
        needed["jit_compile"] = False
    try:
        return worked(target.call(**needed, **given), target.host, step)
    except (TypeError, ValueError) as error:
        words = [*given, *(word for name in given for word in ALIASES.get(name, ()))]
        text = str(error)
        if any(word in text for word in words):
            return "refused" if len(text) < 2000 else f"an error of {len(text)} characters"
        return f"{type(error).__name__} that does not name the argument: {text[:200]}"
    except Exception as error:
        if os.environ.get("TRACEBACK"):
            traceback.print_exc()
        return f"{type(error).__name__}: {str(error)[:200]}"


# cached, because hypothesis looks into each new strategy for longer than a call takes


@functools.cache
def calls(target: Target) -> st.SearchStrategy[tuple[Target, dict[str, tuple[str, Any]]]]:
    """The target and hostile values for one or two of its arguments."""
    names = st.lists(st.sampled_from(target.names), min_size=1, max_size=2, unique=True)
    return st.tuples(st.just(target), names.flatmap(lambda each: hostile_values(tuple(each))))


@functools.cache
def hostile_values(names: tuple[str, ...]) -> st.SearchStrategy[dict[str, tuple[str, Any]]]:
    """A value for each of these arguments."""
    return st.fixed_dictionaries({name: values() for name in names})


def main() -> int:
    endings = Endings("works", "refused", "extreme")
    known = st.sampled_from(targets()).flatmap(calls)

    def case(drawn: tuple[Target, dict[str, tuple[str, Any]]]) -> None:
        target, chosen = drawn
        given_values = {name: value for name, (_, value) in chosen.items()}
        result = ending(target, given_values, step=endings.counts["cases"] % 4 == 0)
        extreme = any(
            issubclass(type(v), (float, int))
            and (abs(v) > {"learning_rate_power": 10}.get(name, 1e6) or ("epsilon" in name and abs(v) < 1e-19))
            for name, v in given_values.items()
        )
        kinds = ", ".join(
            f"{name} = {kind}" + (f" {value!r}" if kind == "number" else "") for name, (kind, value) in chosen.items()
        )
        endings.add(
            "extreme" if result == "not finite" and extreme else result, f"{target.host} {target.name}: {kinds}"
        )

    return fuzz(endings, case, known)


if __name__ == "__main__":
    sys.exit(main())
