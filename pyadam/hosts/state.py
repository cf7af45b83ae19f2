"""Saved state: what its variables are, whether it fits an optimizer, and which variable takes which value.

State belongs to model variables, identified by their paths. Keras' own files hold no paths; for them the order decides.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from pyadam.hosts.paths import same_variables
from pyadam.optimizers.kinds import listed

__all__ = [
    "WAY_OUT",
    "Entry",
    "Fit",
    "Label",
    "SavedState",
    "check_kinds",
    "check_values",
    "fit",
]


class Label(NamedTuple):
    """What a variable of an optimizer is.

    Attributes:
        kind: "iteration", "average", "gradient_accumulator", the name of a slot, and so on.
        path: the path of the model variable that it belongs to; empty for one of the optimizer as a whole.
    """

    kind: str
    path: str = ""

    def __str__(self) -> str:
        return f"{self.kind} of {self.path}" if self.path else self.kind


@dataclass(frozen=True)
class Entry:
    """A variable of a saved state.

    Attributes:
        label: what it is; None in the files of Keras.
        shape: its shape.
        dtype: the name of its dtype.
        read: returns its value; None in a checkpoint, where TensorFlow restores values.
    """

    label: Label | None
    shape: tuple[int, ...]
    dtype: str
    read: Any


@dataclass(frozen=True)
class SavedState:
    """A state as a file or a checkpoint holds it.

    Attributes:
        entries: its variables in the order of Keras' files, then those that it keeps for variables of the model which did not
            train when it was saved.
        layout: the optimizers that can read it, or None where the file does not say.
        names: the names of the model's layers, trained or not, where the file tells them.
    """

    entries: Sequence[Entry]
    layout: str | None = None
    names: Collection[str] = field(default=())

    @property
    def labelled(self) -> bool:
        """Whether it says what its variables are."""
        return all(entry.label is not None for entry in self.entries)

    @property
    def kinds(self) -> set[str]:
        """The kinds of state that it holds for model variables."""
        return {entry.label.kind for entry in self.entries if entry.label is not None and entry.label.path}

    def copied(self) -> "SavedState":
        """The same, with values that outlive the file."""

        def kept(entry: Entry) -> Entry:
            value = np.array(entry.read())
            dtype = str(value.dtype) if np.iscomplexobj(value) else entry.dtype  # whatever the manifest says
            return Entry(entry.label, entry.shape, dtype, lambda: value)

        return SavedState([kept(entry) for entry in self.entries], self.layout, self.names)

    def manifest(self) -> str:
        """Everything but the values, as JSON."""
        variables = [[*(entry.label or Label("")), entry.shape, entry.dtype] for entry in self.entries]
        return json.dumps({"layout": self.layout, "variables": variables})

    @classmethod
    def of_manifest(
        cls, manifest: str, read: Callable[[int], Any] | None = None, names: Collection[str] = ()
    ) -> "SavedState":
        """The state that a manifest describes; ``read`` gives the values by their numbers."""
        described = json.loads(manifest)
        entries = [
            Entry(Label(kind, path), tuple(shape), dtype, None if read is None else partial(read, i))
            for i, (kind, path, shape, dtype) in enumerate(described["variables"])
        ]
        return cls(entries, described["layout"], names)


# --- does it fit ---------------------------------------------------------------------------------------------------------


class Fit(NamedTuple):
    """How a saved state fits an optimizer.

    Attributes:
        taken: the entry that each variable takes, by label.
        kept: entries of variables that the optimizer doesn't have, to be kept for later.
        fresh: paths of model variables for which nothing was saved.
    """

    taken: dict[Label, Entry]
    kept: list[Entry]
    fresh: list[str]


def fit(owner: str, state: SavedState, here: Mapping[Label, tuple[int, ...]], automatic: Callable[[str], bool]) -> Fit:
    """Finds the entry for each variable of an optimizer, by path where the state has paths, else by number.

    Args:
        owner: the optimizer's class, for messages.
        state: the saved state.
        here: the optimizer's variables with their shapes, in the order of Keras' files.
        automatic: as in `same_variables`.

    Raises:
        ValueError: variables differ in shape or kind, or in number where only the order identifies them.
    """
    if not state.labelled:
        return _by_number(owner, state.entries, here)
    found = {entry.label: entry for entry in state.entries}
    saved = list(dict.fromkeys(label.path for label in found if label and label.path))
    ours = list(dict.fromkeys(label.path for label in here if label.path))
    source = same_variables(saved, ours, state.names, automatic)
    taken: dict[Label, Entry] = {}
    for label, shape in here.items():
        if label.path and label.path not in source:
            continue
        entry = found.get(Label(label.kind, source.get(label.path, "")))
        if entry is not None:
            _check_shape(owner, label, shape, entry)
            taken[label] = entry
        elif label.path:
            raise ValueError(f"{owner}: the saved state does not fit: it has no {label}{WAY_OUT}")
    used = set(map(id, taken.values()))
    left = [entry for entry in state.entries if id(entry) not in used and entry.label and entry.label.path]
    for entry in left:
        if entry.label and entry.label.path in source.values():
            raise ValueError(f"{owner}: the saved state does not fit: it has an unexpected {entry.label}{WAY_OUT}")
    return Fit(taken, left, [path for path in ours if path not in source])


WAY_OUT = (
    "; to keep the optimizer as it is, call load_weights(skip_mismatch=True); "
    "to start over, compile with a new optimizer"
)


def _by_number(owner: str, entries: Sequence[Entry], here: Mapping[Label, tuple[int, ...]]) -> Fit:
    labels = list(here)
    if len(entries) == sum(not label.path for label in labels if label.kind in ("iteration", "learning_rate")):
        labels = labels[: len(entries)]  # saved before its build: no slots yet
    if len(entries) != len(labels):
        raise ValueError(
            f"{owner}: the saved state does not fit: expected {len(labels)} variables "
            f"({listed(labels)}), found {len(entries)}{WAY_OUT}"
        )
    for label, entry in zip(labels, entries, strict=True):
        _check_shape(owner, label, here[label], entry)
    return Fit(dict(zip(labels, entries, strict=True)), [], [])


def _check_shape(owner: str, label: Label, shape: tuple[int, ...], entry: Entry) -> None:
    if entry.shape != shape:
        raise ValueError(
            f"{owner}: the saved state does not fit: expected shape {shape} for {label}, found {entry.shape}{WAY_OUT}"
        )


def check_kinds(owner: str, state: SavedState, layout: str, required: set[str], possible: set[str]) -> None:
    """Checks that a state belongs to an optimizer of this kind, as far as that is known before the variables are.

    Args:
        owner: the optimizer's class, for messages.
        state: the saved state.
        layout: the optimizer's layout.
        required: the kinds that it keeps for every variable.
        possible: these, and those that it keeps for some.

    Raises:
        ValueError: it is the state of another optimizer, or of one with other arguments.
    """
    if state.layout is not None and state.layout != layout:
        raise ValueError(
            f"{owner}: the saved state is that of another optimizer: expected the layout {layout}, "
            f"found {state.layout}{WAY_OUT}"
        )
    kinds = state.kinds
    if kinds and not required <= kinds <= possible:
        raise ValueError(
            f"{owner}: the saved state is that of an optimizer with other arguments: expected "
            f"{_kinds(required)} for each variable, found {_kinds(kinds)}{WAY_OUT}"
        )


def _kinds(kinds: Collection[str]) -> str:
    return ", ".join(sorted(kinds)) or "nothing"


_MOST_STEPS = 2**62  # a count of more would soon overflow


def check_values(owner: str, state: SavedState, rate: bool) -> None:
    """Checks that the numbers of a state which the mathematics needs make sense.

    Args:
        owner: the optimizer's class, for messages.
        state: the saved state, with values.
        rate: whether its second variable is a learning rate, if the state has no labels.

    Raises:
        ValueError: an iteration or a learning rate that is impossible, or complex numbers.
    """
    for number, entry in enumerate(state.entries):
        kind = entry.label.kind if entry.label else {0: "iteration", 1: "learning_rate"}.get(number, "")
        if entry.dtype.startswith(("complex", "object", "string")):
            raise ValueError(
                f"{owner}: the saved {entry.label or f'variable {number}'} holds {entry.dtype} values, which no step can use"
                f"{WAY_OUT}"
            )
        if kind == "iteration" or (kind == "learning_rate" and (entry.label or rate)):
            value = float(np.asarray(entry.read(), dtype=np.float64).reshape(-1)[0]) if entry.read else 0.0
            counts = kind == "iteration"
            fits = value == np.floor(value) and value <= _MOST_STEPS if counts else np.isfinite(value)
            if not (fits and value >= 0):
                allowed = "whole number in [0, 2^62]" if counts else "number >= 0"
                raise ValueError(f"{owner}: the saved {kind} must be a {allowed}, got {value:g}{WAY_OUT}")
