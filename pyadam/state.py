"""Saved state: whether it fits an optimizer, checked before anything is changed."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pyadam import specs
from pyadam.rules import RULES

__all__ = ["LoadedState", "check_state", "layout_of", "mark", "marked"]

# the names that optimizers have when their user gave none, as Keras writes them beside the state
_LAYOUT_OF_NAME = {spec.__name__.lower(): RULES[spec].layout for spec in specs.SPECS.values()}


def _attributes(store: Any) -> Any:
    """The attributes of the HDF5 group that is, or is behind, a store of either Keras, where there is one."""
    return getattr(getattr(store, "_h5_entry_group", store), "attrs", {})


def mark(store: Any, name: str, value: Any) -> None:
    """Writes a value beside the state, without adding to what Keras counts as variables."""
    attributes = _attributes(store)
    if hasattr(attributes, "create"):
        attributes[f"pyadam_{name}"] = value


def marked(store: Any, name: str) -> Any:
    """What `mark` has written beside a saved state, or None."""
    return _attributes(store).get(f"pyadam_{name}")


class LoadedState(dict[str, Any]):
    """A copy of a saved state that outlives its file, with the mark of its layout."""

    def __init__(self, store: Any) -> None:
        super().__init__({key: np.array(store[key]) for key in list(store.keys())})
        self.layout = layout_of(store)


def layout_of(store: Any) -> str | None:
    """The layout that a saved state is marked with, or None."""
    if isinstance(store, LoadedState):
        return store.layout
    return marked(store, "layout") or _LAYOUT_OF_NAME.get(str(_attributes(store).get("name")))


def check_state(
    owner: str, layout: str, store: Mapping[str, Any], names: Sequence[str], shapes: Sequence[tuple[int, ...]]
) -> None:
    """Checks that a saved state is one of this optimizer's.

    Raises:
        ValueError: it was written by an optimizer of another kind, or its variables differ in number or shape.
    """
    found = layout_of(store)
    if found is not None and found != layout:
        raise ValueError(
            f"{owner}: the saved state is that of another optimizer: expected the layout {layout}, found {found}"
        )
    if len(store.keys()) != len(names):
        raise ValueError(
            f"{owner}: the saved state does not fit: expected {len(names)} variables ({', '.join(names)}), "
            f"found {len(store.keys())}"
        )
    for i, (name, shape) in enumerate(zip(names, shapes, strict=True)):
        if tuple(store[str(i)].shape) != shape:
            raise ValueError(
                f"{owner}: the saved state does not fit: expected shape {shape} for {name}, found {tuple(store[str(i)].shape)}"
            )
