"""Config and saved state of an optimizer, in the formats of its Keras: the numbers its user gave, and nothing dropped."""

import warnings
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from pyadam import specs
from pyadam.arguments import plain
from pyadam.rules import Rule
from pyadam.state import LoadedState, check_state, mark

__all__ = ["Saving", "path", "untracked"]


def path(variable: Any) -> str:
    """The name of a variable in messages and among paths."""
    return str(getattr(variable, "path", variable.name))


def untracked(owner: Any, **values: Any) -> None:
    """Sets attributes that TensorFlow's checkpoints must not look into: what they hold is in ``_variables`` already."""
    for name, value in values.items():
        object.__setattr__(owner, name, value)


class Saving:
    """How an optimizer is written and read; the part of the shell that deals with files and configs."""

    spec_type: ClassVar[type[specs.Spec]]
    _saving: ClassVar[Any]  # the module of this Keras that serializes objects

    built: bool
    _spec: Any
    _rule: Rule
    _learning_rate: Any
    _iterations: Any
    _variables: list[Any]
    _order: dict[int, tuple[float, ...]]  # id of a state variable -> its place among ``variables``
    _deferred: LoadedState | None  # a state that was loaded before the build

    def _is_variable(self, value: Any) -> bool:
        """Whether a learning rate is held in a variable."""
        raise NotImplementedError

    @property
    def variables(self) -> list[Any]:
        """All state in the order of Keras' files: iteration, learning_rate, averages, accumulators, slots, shared scalars."""
        return sorted(
            self._variables, key=lambda v: self._order.get(id(v), (1,) if v is not self._iterations else (0,))
        )

    def _load_deferred(self) -> None:
        """Takes the state that was loaded before the build."""
        deferred = self._deferred
        if deferred is not None:
            untracked(self, _deferred=None)
            self.load_own_variables(deferred)

    def get_config(self) -> dict[str, Any]:
        """The arguments as the user gave them, as JSON values.

        Raises:
            ValueError: an argument is a function that is not registered with ``keras.saving``: it could not be found again.
        """
        config: dict[str, Any] = {}
        for name in specs.arguments(self.spec_type):
            value = self._rate_for_config() if name == "learning_rate" else plain(getattr(self._spec, name))
            config[name] = self._serialized(name, value) if callable(value) else value
        for name in specs.NEW_TO_KERAS:  # only where they are set, so that Keras' own classes can read a config
            if config[name] == specs.arguments(self.spec_type)[name].default:
                del config[name]
        return config

    def _rate_for_config(self) -> Any:
        """The user's own number while the variable still holds it, else the shortest one that names its value."""
        if not self._is_variable(self._learning_rate):
            return self._learning_rate
        held = self._learning_rate.numpy()
        given = self._spec.learning_rate
        return given if isinstance(given, float) and held.dtype.type(given) == held else plain(held)

    def _serialized(self, name: str, value: Any) -> Any:
        registered = self._saving.get_registered_name(type(value) if hasattr(value, "get_config") else value)
        if not hasattr(value, "get_config") and self._saving.get_registered_object(registered) is None:
            raise ValueError(
                f"{type(self).__name__}: {name} is the function {getattr(value, '__name__', value)}, which a config can't "
                "hold; register it with "
                f"{self._saving.__name__.split('.')[0]}.saving.register_keras_serializable(), or use a learning-rate schedule"
            )
        return self._saving.serialize_keras_object(value)

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        """The optimizer of a config, pyadam's or Keras' own; state is not part of it."""
        values = {
            name: cls._saving.deserialize_keras_object(value, custom_objects) if isinstance(value, dict) else value
            for name, value in config.items()
            if name != "is_legacy_optimizer"  # a mark of tf_keras' configs
        }
        return cls(**values)

    def save_own_variables(self, store: Any) -> None:
        """Writes the state, numbered in the order of ``variables``, as Keras does."""
        for i, variable in enumerate(self.variables):
            store[str(i)] = self._for_file(variable)
        mark(store, "layout", self._rule.layout)

    def _for_file(self, variable: Any) -> Any:
        """The value of a state variable as the files of this Keras can hold it."""
        return variable.numpy()

    def load_own_variables(self, store: Any) -> None:
        """Reads a state that ``save_own_variables`` or Keras' own class wrote; before ``build`` it waits for it.

        Raises:
            ValueError: the state is another optimizer's, or its variables differ in number or shape; nothing is changed then.
        """
        owner = type(self).__name__
        if not store.keys():
            warnings.warn(f"{owner}: the file holds no optimizer state; the optimizer keeps its own", stacklevel=2)
            return
        if not self.built:
            untracked(self, _deferred=LoadedState(store))
            return
        variables = self.variables
        if len(store.keys()) == len(variables) - sum(id(v) in self._order for v in variables):
            variables = variables[: len(store.keys())]  # saved before its build: no slots yet
        names = [path(v) for v in variables]
        check_state(owner, self._rule.layout, store, names, [tuple(v.shape) for v in variables])
        for i, variable in enumerate(variables):
            variable.assign(store[str(i)])

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Sets all state, in the order of ``variables``.

        Raises:
            ValueError: the optimizer is not built, or the arrays differ from its state in number or shape.
        """
        if not self.built:
            raise ValueError(
                f"{type(self).__name__}: You are calling set_weights() before the optimizer is built: "
                "call build(variables) first"
            )
        self.load_own_variables({str(i): np.asarray(w) for i, w in enumerate(weights)})
