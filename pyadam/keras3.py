"""The optimizer classes for Keras 3: how their variables are made, named, saved and put into a config."""

import dataclasses
import warnings
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pyadam import specs
from pyadam.arguments import plain
from pyadam.engine.gradients import compute_dtype
from pyadam.reference import documentation
from pyadam.shell import Shell, path
from pyadam.state import LoadedState, check_state, mark_layout

__all__ = ["Optimizer", *specs.SPECS]


class Optimizer(Shell, keras.optimizers.Optimizer):  # type: ignore[misc]
    """What the classes for Keras 3 share. A subclass names its spec; everything else follows from it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        spec: Any = specs.bind(self.spec_type, specs.class_signature(self.spec_type), args, kwargs)
        keras.optimizers.Optimizer.__init__(self, learning_rate=spec.learning_rate, name=spec.name)
        self._set_up(spec, self._iterations.value)
        self._untracked(
            _deferred=None,  # a state that was loaded before the build
            _order={},  # id of a state variable -> its place among ``variables``
        )

    # --- learning rate ---------------------------------------------------------------------------------------------------

    @property
    def learning_rate(self) -> Any:
        """The current learning rate: the variable, or what the schedule or function gives now."""
        return self._get_current_learning_rate()

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        symbolic = tf.is_tensor(value) and not hasattr(value, "numpy")
        if not symbolic:
            kind = specs.arguments(self.spec_type)["learning_rate"].metadata["kind"]
            value = kind.check(type(self).__name__, "learning_rate", value)
        keras.optimizers.Optimizer.learning_rate.fset(self, value)
        if not symbolic:
            self._untracked(_spec=dataclasses.replace(self._spec, learning_rate=value))
            self._untracked(_dynamic=self._make_dynamic())

    def _is_schedule(self, value: Any) -> bool:
        return isinstance(value, keras.optimizers.schedules.LearningRateSchedule)

    # --- variables -------------------------------------------------------------------------------------------------------

    def _native(self, variable: Any) -> Any:
        return variable.value if isinstance(variable, keras.Variable) else variable

    def _add_state(
        self,
        variable: Any,
        name: str,
        order: tuple[int, ...],
        start: float = 0.0,
        shape: Sequence[int] | None = None,
    ) -> Any:
        weight = self._native(variable)
        label = f"{path(variable).replace('/', '_').replace(':', '_')}_{name}"
        with self._distribution_strategy.extended.colocate_vars_with(weight):
            state = self.add_variable(
                tuple(weight.shape if shape is None else shape),
                keras.initializers.Constant(start),
                dtype=compute_dtype(weight.dtype).name,
                name=label,
            )
        self._order[id(state)] = order
        return state

    def _add_scalar(self, name: str, start: float, dtype: Any) -> Any:
        scalar = self.add_variable((), keras.initializers.Constant(start), dtype=dtype.name, name=name)
        self._order[id(scalar)] = (9,)
        setattr(self, f"_{name}", scalar)  # under the name that Keras' checkpoints know
        return scalar

    def _finish_build(self) -> None:
        super()._finish_build()
        deferred = self._deferred
        if deferred is not None:
            self._untracked(_deferred=None)
            self.load_own_variables(deferred)

    @property
    def variables(self) -> list[Any]:
        """All state in the order of Keras' files: iteration, learning_rate, averages, accumulators, slots, shared scalars."""
        return sorted(
            self._variables, key=lambda v: self._order.get(id(v), (1,) if v is not self._iterations else (0,))
        )

    # --- saving ----------------------------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """The arguments as the user gave them, as JSON values.

        Raises:
            ValueError: an argument is a function that is not registered with ``keras.saving``: it could not be found again.
        """
        config: dict[str, Any] = {}
        for name in specs.arguments(self.spec_type):
            value = self._rate_for_config() if name == "learning_rate" else getattr(self._spec, name)
            config[name] = self._serialized(name, value) if callable(value) else value
        if config["jit_compile"]:
            del config["jit_compile"]  # as Keras' own classes write it, so that they can read it
        return config

    def _rate_for_config(self) -> Any:
        """The user's own number while the float32 variable still holds it, else the shortest one that names its value."""
        if not isinstance(self._learning_rate, keras.Variable):
            return self._learning_rate
        held = np.float32(self._learning_rate.numpy())
        given = self._spec.learning_rate
        return given if isinstance(given, float) and np.float32(given) == held else plain(held)

    def _serialized(self, name: str, value: Any) -> Any:
        registered = keras.saving.get_registered_name(type(value) if hasattr(value, "get_config") else value)
        if not hasattr(value, "get_config") and keras.saving.get_registered_object(registered) is None:
            raise ValueError(
                f"{type(self).__name__}: {name} is the function {getattr(value, '__name__', value)}, which a config can't "
                "hold; register it with keras.saving.register_keras_serializable(), or use a learning-rate schedule"
            )
        return keras.saving.serialize_keras_object(value)

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> "Optimizer":
        """The optimizer of a config, pyadam's or Keras' own; state is not part of it."""
        values = {
            name: keras.saving.deserialize_keras_object(value, custom_objects) if isinstance(value, dict) else value
            for name, value in config.items()
        }
        return cls(**values)

    def save_own_variables(self, store: Any) -> None:
        """Writes the state, numbered in the order of ``variables``, as Keras does."""
        for i, variable in enumerate(self.variables):
            store[str(i)] = variable.numpy()
        mark_layout(store, self._rule.layout)

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
            self._untracked(_deferred=LoadedState(store))
            return
        variables = self.variables
        if len(store.keys()) == len(variables) - sum(id(v) in self._order for v in variables):
            variables = variables[: len(store.keys())]  # saved before its build: no slots yet
        names = [v.path for v in variables]
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


def _hyperparameter(name: str, doc: str) -> property:
    return property(lambda self: getattr(self._spec, name), lambda self, value: self._configure(name, value), doc=doc)


def _make_class(spec: type[specs.Spec]) -> type[Optimizer]:
    """The class of a spec: its signature, its documentation and a property for each hyperparameter."""
    fields = specs.arguments(spec)
    namespace: dict[str, Any] = {
        name: _hyperparameter(name, field.metadata["doc"])
        for name, field in fields.items()
        if name not in ("learning_rate", "name")
    }
    namespace |= {
        "spec_type": spec,
        "__module__": __name__,
        "__doc__": documentation(spec),
        "__signature__": specs.class_signature(spec),
    }
    return keras.saving.register_keras_serializable(package="pyadam")(type(spec.__name__, (Optimizer,), namespace))


globals().update({name: _make_class(spec) for name, spec in specs.SPECS.items()})
