"""An optimizer apart from its model: class, arguments and state, read from one generation of Keras and made in another."""

import importlib
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import tensorflow as tf

from pyadam.hosts.exclusions import CONFIG_KEY
from pyadam.hosts.state import Entry, Label, SavedState
from pyadam.interchange.legacy import is_legacy, state_of_legacy
from pyadam.optimizers import SPECS

__all__ = ["MARKS", "Optimizer", "described", "made", "read_into"]

ITERATION = Label("iteration")
MARKS = ("is_legacy_optimizer", "jit_compile", "name", "decay")  # in configs, and no argument of an update


@dataclass(frozen=True)
class Optimizer:
    """An optimizer as `convert` carries it.

    Attributes:
        name: its class, "Adam".
        config: its arguments.
        ours: whether the class is pyadam's, and not Keras' own.
        state: its state, with the paths of the variables of its model; None if it was never built.
        scale: None, or the arguments of the loss scale around it.
        scaled: the scale itself and the number of good steps, if they are known.
    """

    name: str
    config: Mapping[str, Any]
    ours: bool
    state: SavedState | None = None
    scale: Mapping[str, Any] | None = None
    scaled: Sequence[float] = field(default=())

    @property
    def steps(self) -> int:
        """How many steps it took."""
        entries = self.state.entries if self.state else ()
        return next((int(entry.read()) for entry in entries if entry.label == ITERATION), 0)

    def __str__(self) -> str:
        around = "LossScaleOptimizer of " if self.scale is not None else ""
        return f"{around}{self.name} of {'pyadam' if self.ours else 'Keras'}, {self.steps} steps"


def twin_of(name: str, config: Mapping[str, Any], host: str, variables: Sequence[Any]) -> Any:
    """pyadam's optimizer of this class, built for these variables.

    Raises:
        ValueError: there is none.
    """
    if name not in SPECS:
        raise ValueError(f"convert: the optimizer must be one of {', '.join(SPECS)}, got {name}")
    module = importlib.import_module("pyadam.keras3" if host == "keras" else "pyadam.tf_keras")
    twin = getattr(module, name).from_config({each: _named(value) for each, value in config.items()})
    twin.build(variables)
    return twin


def _named(value: Any) -> Any:
    """A value of a config; a schedule of tf_keras may have None as its name, which Keras 3 refuses."""
    if not (isinstance(value, dict) and isinstance(value.get("config"), dict)):
        return value
    return value | {
        "config": {name: each for name, each in value["config"].items() if name != "name" or each is not None}
    }


def described(optimizer: Any, host: str, variables: Sequence[Any]) -> Optimizer:
    """What a live optimizer is.

    Args:
        optimizer: pyadam's or Keras' own, with or without a loss scale around it.
        host: its generation of Keras.
        variables: the model's trainable variables.

    Raises:
        ValueError: it is of a class that is not known, or a legacy one of which nothing can be carried.
    """
    inner = getattr(optimizer, "inner_optimizer", None)
    if inner is not None:
        scale = {name: optimizer.get_config()[name] for name in ("initial_scale", "dynamic_growth_steps")}
        return replace(described(inner, host, variables), scale=scale, scaled=_scale_of(optimizer))
    name = type(optimizer).__name__
    if is_legacy(optimizer):
        config, entries = state_of_legacy(optimizer, variables)
        twin = twin_of(name, config, host, variables)
        twin._load(_in(twin, SavedState(entries, twin._rule.layout), {}))
        return Optimizer(name, config, False, twin._state())
    config = optimizer.get_config()
    if hasattr(optimizer, "_ledger"):
        return Optimizer(name, config, True, optimizer._state() if optimizer.built else None)
    twin = twin_of(name, config, host, variables)
    values = [np.array(v.numpy()) for v in optimizer.variables]
    if getattr(optimizer, "_built", False) or getattr(optimizer, "built", False):
        twin.set_weights(values)
        return Optimizer(name, config, False, twin._state())
    return Optimizer(name, config, False)


def read_into(name: str, config: Mapping[str, Any], ours: bool, host: str, variables: Any, values: Any) -> Optimizer:
    """An optimizer of which only the values are known, in the order of its generation's files."""
    twin = twin_of(name, config, host, variables)
    twin.set_weights(values)
    return Optimizer(name, config, ours, twin._state())


def made(
    optimizer: Optimizer, host: str, ours: bool, variables: Sequence[Any], paths: Mapping[str, str]
) -> tuple[Any, list[str]]:
    """The live optimizer in a generation of Keras, with its state; and what it could not take.

    Args:
        optimizer: what to make.
        host: the generation to make it in.
        ours: whether in pyadam's class or in Keras' own.
        variables: the trainable variables of the model there.
        paths: the path there of each path here.

    Raises:
        ValueError: Keras has no such class.
    """
    config, lost = (_in_paths(optimizer.config, paths), []) if ours else _arguments_of_keras(optimizer, host)
    twin = twin_of(optimizer.name, config, host, variables)
    if optimizer.state is not None:
        state = _in(twin, optimizer.state, paths)
        without = sorted(state.kinds - {label.kind for label in twin._labelled()})
        lost += [f"{kind}, state that {host}'s {optimizer.name} does not have" for kind in without]
        twin._load(replace(state, entries=[e for e in state.entries if e.label and e.label.kind not in without]))
        if "gradient_accumulator" in without:
            twin._iterations.assign(twin._iterations // optimizer.config["gradient_accumulation_steps"])
    live = twin if ours else _keras_own(optimizer.name, twin, host, variables, lost)
    if optimizer.scale is None:
        return live, lost
    module = importlib.import_module("pyadam.keras3" if host == "keras" else "pyadam.tf_keras")
    keras = importlib.import_module(host)
    around = keras.optimizers if host == "keras" else keras.mixed_precision
    wrap = module.LossScaleOptimizer if ours else around.LossScaleOptimizer
    wrapped = wrap(live, **optimizer.scale)
    wrapped.build(variables)
    if not optimizer.scaled:
        lost.append("the loss scale, which the source does not hold: it starts at its initial_scale")
    for variable, value in zip(_scale_variables(wrapped), optimizer.scaled, strict=False):
        variable.assign(np.asarray(value, tf.as_dtype(variable.dtype).as_numpy_dtype))
    return wrapped, lost


def _in_paths(config: Mapping[str, Any], paths: Mapping[str, str]) -> dict[str, Any]:
    """A config of ours with the paths of another model."""

    def renamed(found: Mapping[str, Any]) -> dict[str, Any]:
        return {paths.get(path, path): value for path, value in found.items()}

    changed = dict(config)
    if "members" in config:
        changed["members"] = renamed(config["members"])
    if CONFIG_KEY in config:
        changed[CONFIG_KEY] = config[CONFIG_KEY] | {"found": renamed(config[CONFIG_KEY]["found"])}
    return changed


def _in(twin: Any, state: SavedState, paths: Mapping[str, str]) -> SavedState:
    """A state with the paths of another model, and with the placeholders that this generation's files have."""
    entries = {}
    for entry in state.entries:
        if entry.label is not None:
            label = Label(entry.label.kind, paths.get(entry.label.path, entry.label.path))
            entries[label] = replace(entry, label=label)
    for label, variable in twin._labelled().items():
        if label.path and label not in entries:
            zeros = np.zeros(tuple(variable.shape), "float32")
            entries[label] = Entry(label, zeros.shape, "float32", lambda zeros=zeros: zeros)
    here = twin._labelled()
    kept = [entry for label, entry in entries.items() if label in here or not label.path or np.any(entry.read())]
    return SavedState(kept, state.layout, state.names)


def _class_of_keras(name: str, host: str) -> tuple[Any, set[str]]:
    """The class of this name in a generation of Keras, and the names of its arguments.

    Raises:
        ValueError: there is none.
    """
    cls = getattr(importlib.import_module(host).optimizers, name, None)
    if cls is None:
        raise ValueError(f"convert: optimizer must be 'pyadam', because {host} has no {name}, got 'keras'")
    return cls, {each for base in cls.__mro__[:-1] for each in inspect.signature(base.__init__).parameters}


def _arguments_of_keras(optimizer: Optimizer, host: str) -> tuple[dict[str, Any], list[str]]:
    """The arguments that the class of this Keras has, and the others."""
    _, known = _class_of_keras(optimizer.name, host)
    config, lost = dict(optimizer.config), []
    for name in [name for name in config if name not in known]:
        if config.pop(name) is not None and name not in MARKS:
            lost.append(f"{name}, an argument that {host}'s {optimizer.name} does not have")
    return config, lost


def _keras_own(name: str, twin: Any, host: str, variables: Sequence[Any], lost: list[str]) -> Any:
    """Keras' own optimizer with the arguments and the state of ours; what it keeps elsewhere goes to ``lost``."""
    cls, known = _class_of_keras(name, host)
    own = cls.from_config({each: value for each, value in twin.get_config().items() if each in known})
    own.build(variables)
    theirs, ours = list(own.variables), list(twin.variables)
    if len(theirs) < len(ours):
        outside = ", ".join(v.name for v in ours[len(theirs) :])
        lost.append(f"{outside}, which {host}'s {name} keeps outside of its files")
    for variable, value in zip(theirs, ours, strict=False):
        variable.assign(np.asarray(value.numpy(), tf.as_dtype(variable.dtype).as_numpy_dtype))
    return own


def _scale_variables(optimizer: Any) -> list[Any]:
    inside = getattr(optimizer, "_loss_scale", None)  # tf_keras
    if inside is not None:
        return [inside.current_loss_scale, inside.counter]
    return [optimizer.dynamic_scale, optimizer.step_counter] if optimizer.built else []


def _scale_of(optimizer: Any) -> list[float]:
    return [float(v.numpy()) for v in _scale_variables(optimizer)]
