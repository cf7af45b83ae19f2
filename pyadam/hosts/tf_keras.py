"""The optimizer classes for tf_keras: how their variables are made and named, and its layout of state."""

import dataclasses
from collections.abc import Iterable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import tensorflow as tf

try:
    import tf_keras
except ImportError as error:
    raise ImportError("pyadam.tf_keras needs tf_keras, the second generation of Keras: pip install tf_keras") from error

from pyadam.engine import Part, beside, compute_dtype, native, undistributed
from pyadam.hosts.base import BaseOptimizer
from pyadam.hosts.classes import make_classes
from pyadam.hosts.contract import bare_path, untracked
from pyadam.hosts.given import matched, parted
from pyadam.hosts.loss_scale import aggregated
from pyadam.hosts.loss_scale_tf_keras import LossScaleOptimizer
from pyadam.hosts.state import Entry, SavedState
from pyadam.optimizers import Rule, bind, class_signature
from pyadam.optimizers.kinds import is_variable, shown
from pyadam.optimizers.rule import Slot

__all__ = ["CLASSES", "Optimizer", "restored"]


def _leave_out_skipped_steps(iterations: Any) -> None:
    """Keeps tf_keras' own loss scale from counting steps that it skips: the first update starts the averages.

    It is the only one to add without reading the result.
    """
    add = iterations.assign_add

    def assign_add(delta: Any, use_locking: Any = None, name: str | None = None, read_value: bool = True) -> Any:
        return add(delta, use_locking, name, read_value) if read_value else None

    iterations.assign_add = assign_add


def _in_tf_keras(rule: Rule) -> Rule:
    """A rule whose slots are those of tf_keras' files: no placeholders, and SGD's momentum even where it is 0."""

    def slots(h: Any, shape: Sequence[int], path: str) -> tuple[tuple[Slot, ...], ...]:
        groups = tuple(tuple(s for s in group if not s.is_placeholder) for group in rule.slots(h, shape, path))
        return groups or (((Slot("momentum", dtype="float32", is_placeholder=True),),) if rule.layout == "sgd" else ())

    return dataclasses.replace(rule, slots=slots)


class Optimizer(BaseOptimizer, tf_keras.optimizers.Optimizer):  # type: ignore[misc]
    """The base of the classes for tf_keras. A subclass names its spec; everything else follows from it."""

    _saving = tf_keras.saving
    _has_arenas = False  # its files and models hold a tf.Variable for each state

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        spec: Any = bind(self.spec_type, class_signature(self.spec_type), args, kwargs)
        self.built = False
        untracked(self, _spec=spec)  # tf_keras' constructor reads arguments back
        with undistributed():
            tf_keras.optimizers.Optimizer.__init__(self, name=spec.name)
        _leave_out_skipped_steps(self._iterations)
        self._learning_rate = self._build_learning_rate(spec.learning_rate)
        self._set_up(spec, self._iterations)

    def _in_files_of_this_keras(self, rule: Rule) -> Rule:
        return _in_tf_keras(rule)

    def apply_gradients(
        self,
        grads_and_vars: Iterable[tuple[Any, Any]],
        name: str | None = None,
        skip_gradients_aggregation: bool = False,
        **kwargs: Any,
    ) -> Any:
        """One step from pairs of gradient and variable; returns the number of calls so far.

        The arguments are tf_keras'. With ``skip_gradients_aggregation`` the gradients have been added over replicas already.
        """
        if self._replicas.size == 1 or aggregated(self._replicas, skip_gradients_aggregation, kwargs):
            return super().apply_gradients(grads_and_vars)
        local = self._replicas.current()
        grads, variables = self._ready(*matched(self, *parted(self, grads_and_vars)))
        self._step(local, grads, variables, self._call(local, grads, variables))
        return self._iterations

    @property
    def _built(self) -> bool:
        """What tf_keras' callbacks and subclasses of its optimizers read."""
        return self.built

    @_built.setter
    def _built(self, value: bool) -> None:
        """Subclasses set it at the end of their own ``build``; ``built`` already says so."""

    @property
    def iterations(self) -> Any:
        """The number of updates so far: the variable that counts them or, with accumulation, a tensor.

        Before the optimizer is built it can be replaced by another variable, which then continues the count.
        """
        every = self._spec.calls_per_update
        if every == 1:
            return self._iterations
        updates = self._iterations // every
        updates.assign_add = self._iterations.assign_add
        return updates

    @iterations.setter
    def iterations(self, variable: Any) -> None:
        owner = type(self).__name__
        if self.built or self._engine.targets:
            raise RuntimeError(f"{owner}: iterations can be set to another variable only before the optimizer is built")
        if not isinstance(variable, tf.Variable) or variable.dtype != tf.int64 or variable.shape.rank != 0:
            raise TypeError(f"{owner}: iterations must be a scalar tf.Variable of int64, got {shown(variable)}")
        self._variables = [variable if v is self._iterations else v for v in self._variables]
        self._iterations = variable
        self._engine.iterations = self._native(variable)
        self._engine.configure(self._spec)

    def scale_loss(self, loss: Any) -> Any:
        """The loss times ``loss_scale_factor``, for training loops that differentiate it."""
        factor = self._spec.loss_scale_factor
        return loss if factor is None else loss * tf.cast(factor, loss.dtype)

    def compute_gradients(self, loss: Any, var_list: Any, tape: Any = None) -> list[tuple[Any, Any]]:
        """Pairs of gradient and variable; the loss is scaled by ``loss_scale_factor`` where it is computed here."""
        if callable(loss) and self._spec.loss_scale_factor is not None:
            unscaled = loss
            return super().compute_gradients(lambda: self.scale_loss(unscaled()), var_list, tape)
        return super().compute_gradients(loss, var_list, tape)

    # --- learning rate ---------------------------------------------------------------------------------------------------

    def _build_learning_rate(self, learning_rate: Any) -> Any:
        if callable(learning_rate) or is_variable(learning_rate):
            return native(learning_rate)
        with tf.init_scope(), undistributed():
            return tf.Variable(learning_rate, name="learning_rate", dtype=tf_keras.backend.floatx(), trainable=False)

    @property
    def learning_rate(self) -> Any:
        """The current learning rate: the variable, or what the schedule or function gives now."""
        if self._is_schedule(self._learning_rate):
            return self._learning_rate(self._iterations)
        return self._learning_rate if self._is_variable(self._learning_rate) else self._learning_rate()

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        self._set_learning_rate(value)

    lr = learning_rate  # tf_keras' own callbacks use the short name

    def _hold_learning_rate(self, value: Any) -> None:
        self._learning_rate = self._build_learning_rate(value)

    def _is_variable(self, value: Any) -> bool:
        return isinstance(value, tf.Variable)

    def _is_schedule(self, value: Any) -> bool:
        return isinstance(value, tf_keras.optimizers.schedules.LearningRateSchedule)

    # --- variables -------------------------------------------------------------------------------------------------------

    def _overwrite_variable_with_gradient(self, variable: Any) -> bool:
        return bool(getattr(variable, "overwrite_with_gradient", False))

    def _add_state(self, variable: Any, slot: Slot, part: Part | None) -> Any:
        weight = self._native(variable)
        if part is not None:
            self._variables.append(part.named(f"{slot.name}/{bare_path(weight)}"))
            return part
        value = weight if weight.shape.is_fully_defined() else weight.read_value()
        shape = value.shape if slot.shape is None else slot.shape
        dtype = slot.dtype or compute_dtype(weight.dtype)
        with beside(native(variable)):
            return self._add(f"{slot.name}/{bare_path(weight)}", slot.filling, shape, dtype)

    def _add_scalar(self, name: str, start: float, dtype: Any) -> Any:
        return self._add(name, start, (), dtype)

    def _add(self, name: str, start: float, shape: Any, dtype: Any) -> Any:
        variable = tf.Variable(tf.fill(shape, tf.constant(start, dtype)), name=name, trainable=False)
        self._variables.append(variable)
        return variable

    @property
    def variables(self) -> Any:
        """All state in the order of tf_keras' files: iteration, averages, accumulators, slots, shared scalars."""
        return _Variables(super().variables)

    # --- files -----------------------------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """The arguments as the user gave them, as JSON values; what tf_keras' own classes do not know only where it is set."""
        config = super().get_config()
        for name in ("loss_scale_factor", "gradient_accumulation_steps"):
            if config[name] is None:
                del config[name]
        return config | {"is_legacy_optimizer": False}

    def _for_file(self, variable: Any) -> Any:
        return (tf.cast(variable, tf.float32) if variable.dtype == tf.bfloat16 else variable).numpy()  # HDF5 has none

    def _completed(self, state: SavedState) -> SavedState:
        """A state with the shared scalars that tf_keras does not save, such as Nadam's product.

        They are made anew for the number of updates so far.
        """
        missing = 0 if self._rule.sums else len(self._rule.shared)
        if not missing or state.labelled or len(state.entries) != len(self.variables) - missing:
            return state
        values = self._scalars_after(int(state.entries[0].read()) // self._spec.calls_per_update)
        entries = [Entry(None, (), str(value.dtype), lambda value=value: value) for value in values]
        return SavedState([*state.entries, *entries], state.layout)

    def _scalars_after(self, updates: int) -> list[Any]:
        """The values of the shared scalars after so many updates with the hyperparameters as they are now."""
        h = self._hyper_in(tf.float64)
        values = {name: np.float64(start) for name, start in self._rule.shared.items()}
        for t in range(1, updates + 1):
            held = {name: tf.constant(value, tf.float64) for name, value in values.items()}
            _, new = self._rule.scalars(h, tf.constant(t, tf.float64), h.learning_rate, SimpleNamespace(**held))
            before, values = values, {n: np.array(new[n], self._engine.shared[n].dtype.as_numpy_dtype) for n in values}
            if before == values:
                break  # from here on nothing changes
        return list(values.values())

    def __reduce__(self) -> Any:
        with self._lock:
            state = self._state()
            values = [entry.read() for entry in state.entries]
        return restored, (type(self), self.get_config(), state.manifest(), values)


def restored(optimizer: type[Optimizer], config: dict[str, Any], manifest: str, values: list[Any]) -> Any:
    """A pickled optimizer; its state waits for ``build``."""
    made = optimizer.from_config(config)
    made._load(SavedState.of_manifest(manifest, values.__getitem__))
    return made


restored.__module__, restored.__name__, restored.__qualname__ = (
    "pyadam.tf_keras",
    "_restored",
    "_restored",
)  # in pickles


class _Variables(list):  # type: ignore[type-arg]
    """A list that is callable as well: tf_keras' users write ``optimizer.variables()``, too."""

    def __call__(self) -> "_Variables":
        return self


CLASSES = {
    **make_classes(Optimizer, tf_keras.saving.register_keras_serializable("pyadam"), "pyadam.tf_keras"),
    "LossScaleOptimizer": LossScaleOptimizer,
}
