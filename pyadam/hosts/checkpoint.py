"""State in ``tf.train.Checkpoint``: Keras' own layout, and a description of what each number in it means.

A checkpoint is a graph of objects. TensorFlow restores it edge by edge, by the edges' names, before it reads any value. Keras'
optimizers number their variables, so such an edge says nothing but a number. Our checkpoints therefore have one more edge,
which comes first and leads to an empty object: its name describes the state. Keras' own classes ignore it.
"""

from typing import Any

import tensorflow as tf

from pyadam.hosts.state import SavedState

__all__ = ["Described", "Numbered"]

_PREFIX = "pyadam "


class Described(tf.__internal__.tracking.Trackable):  # type: ignore[misc]
    """The object that the describing edge leads to."""

    @staticmethod
    def edge(state: SavedState) -> str:
        """The name of the edge that describes a state."""
        return _PREFIX + state.manifest()

    @staticmethod
    def is_edge(name: str) -> bool:
        """Whether an edge describes a state."""
        return name.startswith(_PREFIX)

    @staticmethod
    def state(name: str) -> SavedState:
        """The state that an edge describes; TensorFlow itself restores its values."""
        return SavedState.of_manifest(name.removeprefix(_PREFIX))


class Numbered(tf.__internal__.tracking.Trackable):  # type: ignore[misc]
    """The numbered variables of an optimizer, in place of Keras' list.

    Args:
        optimizer: whose variables.
    """

    def __init__(self, optimizer: Any) -> None:
        self._optimizer = optimizer
        self._takers: dict[str, Any] | None = None  # the variable for each number of a described state
        self._waiting: SavedState | None = None  # a described state that was restored before the build

    def _trackable_children(self, save_type: str = "checkpoint", **kwargs: Any) -> dict[str, Any]:
        optimizer = self._optimizer
        return {str(i): v for i, v in enumerate([*optimizer.variables, *optimizer._ledger.kept.values()])}

    def _lookup_dependency(self, name: str, cached_dependencies: Any = None) -> Any:
        if self._waiting is not None:
            return None  # TensorFlow keeps the value for later
        return (self._trackable_children() if self._takers is None else self._takers).get(name)

    def expect(self, state: SavedState | None) -> None:
        """Tells what the numbers of the checkpoint that is being restored mean; None if that is unknown.

        Raises:
            ValueError: that state does not fit; nothing is changed then.
        """
        self._takers = self._waiting = None
        if state is None:
            return
        self._optimizer._check_kinds(state)
        if self._optimizer.built:
            self._takers = self._numbers(state)
        else:
            self._waiting = state

    def _numbers(self, state: SavedState) -> dict[str, Any]:
        takers = self._optimizer._fit(state)
        return {str(i): takers[id(entry)] for i, entry in enumerate(state.entries) if id(entry) in takers}

    def take_deferred(self) -> None:
        """Gives the variables of a build the values that were restored before it."""
        state, self._waiting = self._waiting, None
        for name, variable in (self._trackable_children() if state is None else self._numbers(state)).items():
            self._handle_deferred_dependencies(name, variable)
