"""Saved state in HDF5 files: Keras' own numbered datasets, and a manifest that says what they are."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from pyadam.hosts.hdf5 import array, check, check_heaps, checksum, damaged, dtype_of
from pyadam.hosts.paths import alike
from pyadam.hosts.state import WAY_OUT, Entry, Label, SavedState
from pyadam.optimizers import RULES, SPECS

__all__ = ["is_dataset", "mark", "marked", "read", "read_names", "write"]

_GROUP = "pyadam"  # next to Keras' "vars"
_MANIFEST, _LAYERS, _CHECKSUMS = "manifest", "layers", "checksums"

# default names of optimizers, which Keras writes next to the state
_LAYOUT_OF_NAME = {spec.__name__.lower(): RULES[spec].layout for spec in SPECS.values()}


def _group(store: Any) -> Any:
    """The HDF5 group of a store of either Keras; None if the store is not a file."""
    group = getattr(store, "_h5_entry_group", store)
    return group if hasattr(group, "attrs") and hasattr(group, "parent") else None


def mark(store: Any, name: str, value: Any) -> None:
    """Writes a small value next to the state, where Keras does not count variables."""
    group = _group(store)
    if group is not None:
        group.attrs[f"{_GROUP}_{name}"] = value


def marked(store: Any, name: str) -> Any:
    """The value that `mark` wrote next to a saved state, or None."""
    group = _group(store)
    return None if group is None else group.attrs.get(f"{_GROUP}_{name}")


def write(store: Any, state: SavedState, counted: int) -> None:
    """Writes a state, a manifest, and a checksum of each value and of the manifest.

    Args:
        store: what Keras hands to ``save_own_variables``.
        state: the state.
        counted: how many variables Keras counts; the others go where Keras does not look.
    """
    for i, entry in enumerate(state.entries):
        if i < counted:
            store[str(i)] = entry.read()
        if i == 0 and _group(store) is not None:  # if Keras writes several files, in the first only
            _describe(_group(store), state, counted)


def _describe(group: Any, state: SavedState, counted: int) -> None:
    beside = group.parent.create_group(_GROUP)
    beside[_MANIFEST] = _bytes(state.manifest())
    beside[_LAYERS] = _bytes(json.dumps(sorted(_layer_names(group.file))))
    values = [beside[_MANIFEST], beside[_LAYERS], *(entry.read() for entry in state.entries)]
    beside[_CHECKSUMS] = np.array([checksum(value) for value in values], np.uint32)
    for i, entry in enumerate(state.entries[counted:], start=counted):
        beside[str(i)] = entry.read()


def read(store: Any, owner: str) -> SavedState:
    """The state in what Keras hands to ``load_own_variables``: an HDF5 group, or any mapping of numbers to values.

    Args:
        store: the group or mapping.
        owner: the optimizer's class, for messages.

    Raises:
        ValueError: the file is damaged.
    """
    group = _group(store)
    with damaged(owner, WAY_OUT):
        if group is not None:
            check_heaps(group.file)
        beside = None if group is None else _child(group.parent, _GROUP)
        if beside is not None and _child(beside, _MANIFEST) is not None:
            return _described(store, group, beside)
        keys = sorted(store.keys(), key=int)
        return SavedState([_entry(store, group, key) for key in keys], _layout_before_manifests(group))


def _described(store: Any, group: Any, beside: Any) -> SavedState:
    """The state that a manifest describes; files of earlier versions have no checksums."""
    checksums = array(beside[_CHECKSUMS]) if _CHECKSUMS in beside else None

    def checked(name: str, value: Any, number: int) -> Any:
        if checksums is not None and (number >= len(checksums) or checksum(value) != checksums[number]):
            raise OSError(f"{name} differs from its checksum")
        return value

    manifest = _text(checked("the description of the state", array(beside[_MANIFEST]), 0))
    if checksums is None:
        names = _layer_names(group.file)
    else:
        names = set(json.loads(_text(checked("the list of layers", array(beside[_LAYERS]), 1))))

    def value(i: int) -> Any:
        value = store[str(i)] if str(i) in store else array(beside[str(i)])
        return checked(f"variable {i} of the optimizer", np.array(value), i + 2)

    return SavedState.of_manifest(manifest, value, names).copied()


def _bytes(text: str) -> Any:
    return np.frombuffer(text.encode(), np.uint8)


def _text(value: Any) -> str:
    return str(value.tobytes().decode())


def _layout_before_manifests(group: Any) -> str | None:
    """The layout in a file of Keras, or of pyadam before it wrote manifests."""
    attributes = {} if group is None else group.attrs
    return attributes.get(f"{_GROUP}_layout") or _LAYOUT_OF_NAME.get(str(attributes.get("name")))


def _entry(store: Any, group: Any, key: str) -> Entry:
    if group is not None and key in group:
        check(group[key])
    value = np.array(store[key])
    return Entry(None, value.shape, str(value.dtype), lambda: value)


def _child(group: Any, name: str) -> Any:
    """The member of a group with this name, or None. Links are not followed."""
    if name not in group or type(group.get(name, getlink=True)).__name__ != "HardLink":
        return None
    return group[name]


def _layer_names(file: Any) -> set[str]:
    """The names of the layers in a file of Keras 3."""
    names: set[str] = set()

    def visit(_: str, each: Any) -> None:
        if each.name.endswith("/vars") and "name" in each.attrs:
            names.add(str(each.attrs["name"]))

    file.visititems(visit)
    return names


# --- Keras' older files, ``.h5``: datasets whose names hold kinds and paths ------------------------------------------------


def is_dataset(value: Any) -> bool:
    """Whether a value is a dataset of an HDF5 file."""
    return hasattr(value, "file") and hasattr(value, "shape")


def read_names(
    owner: str, datasets: Sequence[Any], label_of: Callable[[str], Label | None], here: Mapping[Label, str]
) -> SavedState:
    """The state in the datasets of an ``.h5`` file.

    Args:
        owner: the optimizer's class, for messages.
        datasets: as Keras hands them to ``set_weights``.
        label_of: the label that follows from a variable's name, or None.
        here: the optimizer's own variables with their names.
    """
    own = {_bare(name): label for label, name in here.items()}
    own = own if len(own) == len(here) else {name: label for label, name in here.items()}

    def label(name: str) -> Label | None:
        for shown in (name, _bare(name)):
            if shown in own:
                return own[shown]
        close = [each for shown, each in own.items() if each.path and alike(shown, _bare(name), "_")]
        return close[0] if len(close) == 1 else label_of(name)

    with damaged(owner, WAY_OUT):
        entries = []
        for dataset in datasets:
            found = label(dataset.name.partition("/optimizer_weights/")[2])
            entries.append(Entry(found, tuple(dataset.shape), dtype_of(dataset), partial(array, dataset)))
        model = _child(datasets[0].file, "model_weights") if datasets else None
        layers: set[str] = set()
        if model is not None:
            model.visit(lambda path: layers.update(path.split("/")))
        return SavedState(entries, None, layers).copied()


def _bare(name: str) -> str:
    """A variable's name without its optimizer's, which may have been another."""
    return name.partition("/")[2]
