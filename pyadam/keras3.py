"""The optimizer classes for Keras 3: they own variables, saving and config, and hand every step to the engine."""

import contextlib
import dataclasses
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf

from pyadam import specs
from pyadam.arguments import plain
from pyadam.engine import Engine, Target
from pyadam.engine.dynamic import Dynamic
from pyadam.engine.gradients import clip, compute_dtype
from pyadam.exclusions import Exclusions
from pyadam.rules import RULES
from pyadam.reference import documentation
from pyadam.state import LoadedState, check_state, mark_layout

__all__ = ["Optimizer", *specs.SPECS]

LearningRateSchedule = keras.optimizers.schedules.LearningRateSchedule


class Optimizer(keras.optimizers.Optimizer):
    """What the optimizers of pyadam share. A subclass names its spec; everything else follows from it."""

    spec_type: ClassVar[type[specs.Spec]]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        spec = specs.bind(self.spec_type, specs.class_signature(self.spec_type), args, kwargs)
        super().__init__(learning_rate=spec.learning_rate, name=spec.name)
        self._built_explicitly = False
        self._untracked(
            _spec=spec,
            _engine=Engine(spec, RULES[self.spec_type], self._iterations.value),
            _exclusions=Exclusions(),
            _order={},  # id of a state variable -> its place among ``variables``
            _deferred=None,  # a state that was loaded before the build
            _trainable_variables=[],
            _model_variables_moving_average=[],
            _accumulated_gradients=[],
        )
        self._untracked(_dynamic=self._make_dynamic())

    def _untracked(self, **values: Any) -> None:
        """Sets attributes that TensorFlow's checkpoints must not look into: what they hold is in ``_variables`` already."""
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        default = {p.name: p.default for p in specs.class_signature(self.spec_type).parameters.values()}
        values = {name: getattr(self._spec, name) for name in specs.arguments(self.spec_type)}
        values["learning_rate"] = self._rate_for_config() if self._has_rate_variable() else self._learning_rate
        shown = ", ".join(f"{name}={value!r}" for name, value in values.items() if value != default[name])
        return f"pyadam.{type(self).__name__}({shown})"

    # --- hyperparameters -------------------------------------------------------------------------------------------------

    def _configure(self, name: str, value: Any) -> None:
        """Changes one hyperparameter; steps traced from now on use it."""
        if "_spec" not in self.__dict__:
            return  # Keras' own constructor writes its defaults
        new = dataclasses.replace(self._spec, **{name: value})
        if self.built and _state_of(new) != _state_of(self._spec):
            raise ValueError(
                f"{type(self).__name__}: {name} can't change once the optimizer is built, its state depends on it"
            )
        self._untracked(_spec=new)
        self._untracked(_dynamic=self._make_dynamic())
        self._engine.configure(new)

    def _make_dynamic(self) -> dict[str, Dynamic]:
        """The hyperparameters given as functions, other than schedules."""
        found = {}
        for name, field in specs.arguments(self.spec_type).items():
            value = self._learning_rate if name == "learning_rate" else getattr(self._spec, name)
            if callable(value) and not isinstance(value, (LearningRateSchedule, keras.Variable)):
                dtype = tf.float32 if name == "learning_rate" else tf.float64
                found[name] = Dynamic(type(self).__name__, name, value, field.metadata["kind"], dtype)
        return found

    def _has_rate_variable(self) -> bool:
        return isinstance(self._learning_rate, keras.Variable)

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

    @property
    def lr(self) -> Any:
        """Deprecated alias of ``learning_rate``."""
        _warn_lr()
        return self.learning_rate

    @lr.setter
    def lr(self, value: Any) -> None:
        _warn_lr()
        self.learning_rate = value

    def _current_hyper(self) -> dict[str, Any]:
        """The hyperparameters that may differ from step to step, as scalar tensors."""
        hyper = {name: dynamic() for name, dynamic in self._dynamic.items()}
        if "learning_rate" not in hyper:
            rate = self._get_current_learning_rate()
            rate = tf.cast(rate.value if isinstance(rate, keras.Variable) else rate, tf.float32)
            hyper["learning_rate"] = tf.ensure_shape(rate, ())
        return hyper

    def exclude_from_weight_decay(
        self, var_list: Sequence[Any] | None = None, var_names: Sequence[str] | None = None
    ) -> None:
        """Excludes variables from weight decay. Repeated calls add up.

        Args:
            var_list: variables, taken by identity.
            var_names: names, as regular expressions that must match one whole component of a variable's path
                (``"bias"`` matches ``dense/bias`` and ``dense/bias_1``, not ``dense/unbiased_kernel``).

        Raises:
            ValueError: the optimizer is built already.
        """
        if self.built:
            raise ValueError(
                f"{type(self).__name__}: exclude_from_weight_decay() must be called before the optimizer is built, "
                "that is before the first step"
            )
        self._exclusions.add([self._var_key(v) for v in var_list or ()], var_names or ())

    # --- variables -------------------------------------------------------------------------------------------------------

    def build(self, variables: Sequence[Any]) -> None:
        """Creates the state for these model variables; from then on no others are accepted.

        Raises:
            ValueError: a variable given twice, or one that an earlier build did not name.
        """
        if self._built_explicitly:
            self._check_known(list(variables))
            return
        self._add_targets(list(variables))
        self._built_explicitly = True
        self._finish_build()

    def _finish_build(self) -> None:
        self._exclusions.warn_unmatched(type(self).__name__)
        self.built = True
        if self._deferred is not None:
            deferred = self._deferred
            self._untracked(_deferred=None)
            self.load_own_variables(deferred)

    def _check_known(self, variables: Sequence[Any]) -> None:
        unknown = [_path(v) for v in variables if self._var_key(v) not in self._engine.targets]
        if unknown:
            raise ValueError(
                f"{type(self).__name__}: unknown variable {', '.join(unknown)}: the optimizer was built for "
                f"{len(self._engine.targets)} others. Build it with all variables, or make a new optimizer"
            )

    def _add_targets(self, variables: Sequence[Any]) -> None:
        """Creates the state of those variables that have none yet."""
        self._check_distinct(variables)
        new = [v for v in variables if self._var_key(v) not in self._engine.targets]
        for v in new:
            compute_dtype(v.dtype)  # refuses what is not floating point, before anything is created
        first = len(self._engine.targets)
        targets = [self._target(v) for v in new]
        numbered = list(enumerate(zip(new, targets, strict=True), first))
        if self._spec.use_ema:
            for i, (v, target) in numbered:
                if not target.replaced:
                    average = self._add_state(v, "average", (2, i), start=v)
                    target.average = average.value
                    self._model_variables_moving_average.append(average)
        if _accumulates(self._spec):
            for i, (v, target) in numbered:
                accumulator = self._add_state(v, "gradient_accumulator", (3, i))
                target.accumulator = accumulator.value
                self._accumulated_gradients.append(accumulator)
        for k, group in enumerate(RULES[self.spec_type].slots(self._spec), 4):
            for i, (v, target) in numbered:
                for j, name in enumerate(() if target.replaced else group):
                    target.slots[name] = self._add_state(v, name, (k, i, j)).value
        self._engine.targets |= {self._var_key(v): target for v, target in zip(new, targets, strict=True)}
        self._trainable_variables.extend(new)
        if not self._engine.shared:
            self._add_shared()

    def _add_shared(self) -> None:
        """Creates the rule's scalar variables, in float64 if any weight is."""
        widest = compute_dtype(keras.config.floatx())
        if any(target.dtype == tf.float64 for target in self._engine.targets.values()):
            widest = tf.float64
        for name, start in RULES[self.spec_type].shared.items():
            variable = self.add_variable((), keras.initializers.Constant(start), dtype=widest.name, name=name)
            self._order[id(variable)] = (9,)
            setattr(self, f"_{name}", variable)
            self._engine.shared[name] = variable.value

    def _target(self, variable: Any) -> Target:
        return Target(
            weight=_native(variable),
            path=_path(variable),
            decayed=not self._exclusions.match(self._var_key(variable), _path(variable)),
            replaced=self._overwrite_variable_with_gradient(variable),
            constraint=getattr(variable, "constraint", None),
        )

    def _add_state(self, variable: Any, name: str, order: tuple[int, ...], start: Any = None) -> Any:
        """A variable of the weight's shape beside it, in the dtype of the arithmetic, from zeros or from the weight."""
        weight = _native(variable)
        label = f"{_path(variable).replace('/', '_').replace(':', '_')}_{name}"
        with self._distribution_strategy.extended.colocate_vars_with(weight):
            state = self.add_variable(tuple(weight.shape), dtype=compute_dtype(weight.dtype).name, name=label)
        if start is not None:
            state.assign(tf.cast(weight, state.dtype))
        self._order[id(state)] = order
        return state

    @property
    def variables(self) -> list[Any]:
        """All state in the order of Keras' files: iteration, learning_rate, averages, accumulators, slots, shared scalars."""
        return sorted(
            self._variables, key=lambda v: self._order.get(id(v), (1,) if v is not self._iterations else (0,))
        )

    # --- steps -----------------------------------------------------------------------------------------------------------

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Any]]) -> Any:
        """One step from pairs of gradient and variable; returns the number of calls so far."""
        pairs = list(grads_and_vars)
        self.apply([g for g, _ in pairs], [v for _, v in pairs])
        return self._iterations

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Any] | None = None) -> None:
        """One step.

        Args:
            grads: tensors, IndexedSlices, or None for a variable that this step leaves out; of the variables' shapes.
            trainable_variables: the variables; by default those of ``build``.

        Raises:
            ValueError: no gradient at all, another number of gradients than variables, a gradient of the wrong shape, a
                variable given twice or unknown, or no variables before ``build``.
        """
        grads = list(grads)
        variables = self._trainable_variables if trainable_variables is None else list(trainable_variables)
        owner = type(self).__name__
        if trainable_variables is None and not self.built:
            raise ValueError(
                f"{owner}: apply(grads) without variables needs an optimizer that is built: call build(variables) first"
            )
        if len(grads) != len(variables):
            raise ValueError(
                f"{owner}: expected one gradient a variable, got {len(grads)} gradients for {len(variables)}"
            )
        if not grads:
            return
        self._check_gradients(grads, variables)
        self._check_strategy()
        with tf.init_scope():
            if self._built_explicitly:
                self._check_known(variables)
                self._check_distinct(variables)
            else:
                with keras.name_scope(self.name):
                    self._add_targets(variables)
                if not self.built:
                    self._finish_build()
        given = {self._var_key(v): g for g, v in zip(grads, variables, strict=True)}
        targets = self._engine.targets
        keys = [key for key in targets if key in given or targets[key].average is not None]
        self._engine.step([targets[key] for key in keys], [given.get(key) for key in keys], self._current_hyper())

    def _check_gradients(self, grads: Sequence[Any], variables: Sequence[Any]) -> None:
        missing = [_path(v) for g, v in zip(grads, variables, strict=True) if g is None]
        if len(missing) == len(grads):
            raise ValueError(f"{type(self).__name__}: No gradients provided for any variable: {', '.join(missing)}")
        if missing:
            warnings.warn(
                f"{type(self).__name__}: Gradients do not exist for variables {', '.join(missing)}; they keep their values",
                stacklevel=4,
            )

    def _check_strategy(self) -> None:
        if tf.distribute.get_strategy().num_replicas_in_sync > 1:
            raise NotImplementedError(
                f"{type(self).__name__}: tf.distribute with more than one replica is not supported yet"
            )

    def _check_distinct(self, variables: Sequence[Any]) -> None:
        seen: set[Any] = set()
        for v in variables:
            if self._var_key(v) in seen:
                raise ValueError(f"{type(self).__name__}: variable {_path(v)} is given twice")
            seen.add(self._var_key(v))

    def _clip_gradients(self, grads: Sequence[Any]) -> list[Any]:
        s = self._spec
        return clip([tf.convert_to_tensor(g) for g in grads], s.clipnorm, s.clipvalue, s.global_clipnorm)

    # --- averages --------------------------------------------------------------------------------------------------------

    def finalize_variable_values(self, var_list: Sequence[Any]) -> None:
        """Overwrites these model variables by their averages, if the optimizer keeps any. ``fit`` calls it at its end."""
        if self._spec.use_ema:
            self._check_known(list(var_list))
            self._overwrite_by_averages([self._engine.targets[self._var_key(v)] for v in var_list])

    def _overwrite_by_averages(self, targets: Iterable[Target]) -> None:
        for target in targets:
            if target.average is not None:
                target.weight.assign(tf.cast(target.average, target.weight.dtype))

    @contextlib.contextmanager
    def averaged_weights(self) -> Iterator[None]:
        """Within this context the model's weights are their averages; afterwards they are what they were.

        Raises:
            ValueError: the optimizer keeps no averages (``use_ema=False``).
        """
        if not self._spec.use_ema:
            raise ValueError(f"{type(self).__name__}: averaged_weights() needs use_ema=True")
        targets = [target for target in self._engine.targets.values() if target.average is not None]
        raw = [tf.identity(target.weight) for target in targets]
        self._overwrite_by_averages(targets)
        try:
            yield
        finally:
            for target, value in zip(targets, raw, strict=True):
                target.weight.assign(value)

    # --- saving ----------------------------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """The arguments as the user gave them, as JSON values.

        Raises:
            ValueError: an argument is a function that is not registered with ``keras.saving``: it could not be found again.
        """
        config: dict[str, Any] = {}
        for name in specs.arguments(self.spec_type):
            value = getattr(self._spec, name)
            if name == "learning_rate":
                value = self._rate_for_config() if self._has_rate_variable() else self._learning_rate
            config[name] = self._serialized(name, value) if callable(value) else value
        if config["jit_compile"]:
            del config["jit_compile"]  # as Keras' own classes write it, so that they can read it
        return config

    def _rate_for_config(self) -> float:
        """The user's own number while the float32 variable still holds it, else the shortest one that names its value."""
        held = np.float32(self._learning_rate.numpy())
        given = self._spec.learning_rate
        return given if isinstance(given, float) and np.float32(given) == held else plain(held)

    def _serialized(self, name: str, value: Any) -> Any:
        registered = keras.saving.get_registered_name(type(value) if hasattr(value, "get_config") else value)
        if not hasattr(value, "get_config") and keras.saving.get_registered_object(registered) is None:
            raise ValueError(
                f"{type(self).__name__}: {name} is the function {getattr(value, '__name__', value)}, which a config can't hold; "
                "register it with keras.saving.register_keras_serializable(), or use a learning-rate schedule"
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
        mark_layout(store, RULES[self.spec_type].layout)

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
        check_state(owner, RULES[self.spec_type].layout, store, names, [tuple(v.shape) for v in variables])
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


def _native(variable: Any) -> Any:
    """The tf.Variable of a keras.Variable or tf.Variable."""
    return variable.value if isinstance(variable, keras.Variable) else variable


def _path(variable: Any) -> str:
    return str(getattr(variable, "path", variable.name))


def _accumulates(spec: specs.Spec) -> bool:
    return (spec.gradient_accumulation_steps or 1) > 1


def _state_of(spec: specs.Spec) -> Any:
    """What a spec says of the variables that the optimizer keeps."""
    return RULES[type(spec)].slots(spec), spec.use_ema, _accumulates(spec)


def _warn_lr() -> None:
    warnings.warn("pyadam: attribute lr is deprecated, use learning_rate", DeprecationWarning, stacklevel=3)


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
