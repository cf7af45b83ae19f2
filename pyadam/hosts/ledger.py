"""The ledger of an optimizer: what each state variable is, its place in Keras' files, and saved state without a variable."""

import math
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from typing import Any

from pyadam.hosts.paths import alike, flat, numbered
from pyadam.hosts.state import Entry, Label

__all__ = ["ITERATION", "LEARNING_RATE", "Ledger", "in_our_paths"]

ITERATION, LEARNING_RATE = Label("iteration"), Label("learning_rate")


class Ledger:
    """The labels of state variables, and saved state of model variables that the optimizer has not seen.

    Attributes:
        kept: that saved state, in variables of its own.
        saved_paths: the paths of the state that was loaded last.
    """

    def __init__(self) -> None:
        self._labels: dict[int, Label] = {}  # id of a state variable -> what it is
        self._places: dict[Label, tuple[float, float]] = {ITERATION: (0, 0), LEARNING_RATE: (1, 0)}
        self._starts: dict[Label, Callable[[], Any]] = {}
        self._paths: dict[Hashable, str] = {}  # key of a model variable -> its path
        self._ranks: dict[str, int] = {}  # such a path -> its place in files
        self.kept: dict[Label, Any] = {}
        self.saved_paths: frozenset[str] = frozenset()

    # --- model variables -------------------------------------------------------------------------------------------------

    @property
    def paths(self) -> list[str]:
        """The paths of the model variables that have state, in the order in which they came."""
        return list(self._ranks)

    def meet(self, key: Hashable, path: str) -> None:
        """Enters a model variable. If its path is taken, a number is appended."""
        name = numbered(path, self._ranks)
        self._paths[key] = name
        self._ranks[name] = len(self._ranks)

    def path(self, key: Hashable) -> str:
        """The path under which a model variable was entered."""
        return self._paths[key]

    def follow_order(self, keys: Iterable[Hashable]) -> None:
        """Makes files follow the order of these model variables, if these are all of them: it is the model's own order."""
        names = [self._paths[key] for key in keys if key in self._paths]
        if len(names) == len(self._ranks):
            self._ranks.update({name: i for i, name in enumerate(names)})

    def in_order(self, keys: Iterable[Hashable]) -> list[Hashable]:
        """The keys of model variables in the order of files."""
        return sorted(keys, key=lambda key: self._ranks[self._paths[key]])

    # --- state variables -------------------------------------------------------------------------------------------------

    def enter(
        self, variable: Any, label: Label, place: tuple[float, float], start: Callable[[], Any] = lambda: 0.0
    ) -> None:
        """Enters a state variable.

        Args:
            variable: the variable.
            label: what it is.
            place: that of its kind in Keras' files, and its own among those of one model variable.
            start: gives its first value.
        """
        self._labels[id(variable)], self._places[label], self._starts[label] = label, place, start

    def label(self, variable: Any) -> Label | None:
        """The label of a state variable, or None if it was never entered."""
        return self._labels.get(id(variable))

    def place(self, label: Label) -> tuple[float, float, float]:
        """The key that sorts state variables into the order of Keras' files. Those that were never entered come last."""
        group, within = self._places.get(label, (math.inf, 1))
        return group, self._ranks.get(label.path, 0), within

    def start(self, label: Label) -> Any:
        """The first value of a state variable."""
        return self._starts[label]()

    # --- saved state without a variable ----------------------------------------------------------------------------------

    def keep(self, kept: Mapping[Label, Any], saved_paths: Iterable[str]) -> None:
        """Keeps saved state of model variables that the optimizer has not seen, and the paths of everything that was saved."""
        self.kept, self.saved_paths = dict(kept), frozenset(saved_paths)

    def waits_for(self, path: str) -> bool:
        """Whether there is saved state for a model variable of this path."""
        return any(self._is_path_of(label.path, path) for label in self.kept)

    def take(self, label: Label) -> Any:
        """Removes and returns the saved state of this kind and path; None if there is none or more than one candidate."""
        found = [k for k in self.kept if k.kind == label.kind and self._is_path_of(k.path, label.path)]
        return self.kept.pop(found[0]) if len(found) == 1 and label.path else None

    def _is_path_of(self, kept: str, here: str) -> bool:
        """Whether a state was saved under this path. ``.h5`` files have flat paths.

        An extra first component can only be the model's name, which then precedes all paths on that side.
        """
        if kept == here or alike(kept, flat(here), "_"):
            return True
        others: Sequence[tuple[str, str, Collection[str]]] = (
            (kept, here, self.saved_paths),
            (here, kept, self._ranks),
        )
        for longer, shorter, all_paths in others:
            model, _, rest = longer.partition("/")
            if rest == shorter:
                return all(each.startswith(f"{model}/") for each in all_paths)
        return False


def in_our_paths(taken: Mapping[Label, Entry]) -> Callable[[str], str]:
    """The function from a saved path to one of ours, inferred from pairs: only one of the two may begin with a model's name."""
    for label, entry in taken.items():
        saved, here = entry.label.path if entry.label else "", label.path
        if saved.endswith(f"/{here}"):
            return lambda path: path.removeprefix(saved[: -len(here)])
        if here.endswith(f"/{saved}"):
            return lambda path: here[: -len(saved)] + path
    return lambda path: path
