"""The optimizer classes for Keras 3: how their variables are made and named."""

from typing import Any

import keras
import tensorflow as tf

from pyadam.engine import Part, beside, component, compute_dtype, native, undistributed
from pyadam.hosts.averages import Everywhere
from pyadam.hosts.base import BaseOptimizer
from pyadam.hosts.classes import make_classes
from pyadam.hosts.contract import path, untracked
from pyadam.hosts.generation import check_backend
from pyadam.hosts.loss_scale_keras3 import LossScaleOptimizer
from pyadam.hosts.paths import flat
from pyadam.optimizers import bind, class_signature
from pyadam.optimizers.kinds import is_variable
from pyadam.optimizers.rule import Slot

check_backend()

__all__ = ["CLASSES", "Optimizer"]


def _unique(spec: Any) -> str:
    """The optimizer's name; a default one is numbered, so that two optimizers of a model have different paths."""
    if spec.name.lower() != type(spec).__name__.lower():
        return str(spec.name)
    number = keras.backend.get_uid(spec.name)
    return spec.name if number == 1 else f"{spec.name}_{number - 1}"


class Optimizer(BaseOptimizer, keras.optimizers.Optimizer):  # type: ignore[misc]
    """The base of the classes for Keras 3. A subclass names its spec; everything else follows from it."""

    _saving = keras.saving

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        spec: Any = bind(self.spec_type, class_signature(self.spec_type), args, kwargs)
        followed = is_variable(spec.learning_rate)  # which Keras refuses: it gets a function to begin with
        rate = float if followed else spec.learning_rate
        with undistributed():
            keras.optimizers.Optimizer.__init__(self, learning_rate=rate, name=_unique(spec))
        if followed:
            self._hold_learning_rate(native(spec.learning_rate))
        self._set_up(spec, self._native(self._iterations))
        if self._replicas.size > 1:
            untracked(self, _distribution_strategy=Everywhere(self._replicas))

    # --- learning rate ---------------------------------------------------------------------------------------------------

    @property
    def learning_rate(self) -> Any:
        """The current learning rate: the variable, or what the schedule or function gives now."""
        return self._get_current_learning_rate()

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        self._set_learning_rate(value)

    def _hold_learning_rate(self, value: Any) -> None:
        if callable(value):
            keras.optimizers.Optimizer.learning_rate.fset(self, value)
            return
        if self._is_variable(self._learning_rate):
            self._untrack_variable(self._learning_rate)
        with tf.init_scope(), undistributed(), keras.name_scope(self.name, caller=self):
            rate = (
                _Around(component(value), "learning_rate")
                if is_variable(value)
                else keras.Variable(
                    value,
                    name="learning_rate",
                    dtype=keras.config.floatx(),
                    trainable=False,
                    aggregation="only_first_replica",
                )
            )
        self._track_variable(rate)
        self._learning_rate = rate

    def _is_variable(self, value: Any) -> bool:
        return isinstance(value, keras.Variable)

    def _is_schedule(self, value: Any) -> bool:
        return isinstance(value, keras.optimizers.schedules.LearningRateSchedule)

    # --- variables -------------------------------------------------------------------------------------------------------

    def _add_state(self, variable: Any, slot: Slot, part: Part | None) -> Any:
        weight = self._native(variable)
        label = f"{flat(path(variable))}_{slot.name}"
        if part is not None:
            with keras.name_scope(self.name, caller=self):
                state = _Around(part, label)
            part.named(state.path)
            self._track_variable(state)
            return state
        with beside(native(variable)):
            return self.add_variable(
                tuple(weight.shape if slot.shape is None else slot.shape),
                lambda shape, dtype: tf.fill(shape, tf.constant(slot.filling, dtype)),  # Constant goes through float32
                dtype=slot.dtype or compute_dtype(weight.dtype).name,
                name=label,
            )

    def _add_scalar(self, name: str, start: float, dtype: Any) -> Any:
        return self.add_variable((), keras.initializers.Constant(start), dtype=dtype.name, name=name)


class _Around(keras.Variable):  # type: ignore[misc]
    """A variable of Keras around a tf.Variable that is there already: a part of an arena, or a user's learning rate."""

    def __init__(self, inside: tf.Variable, name: str) -> None:
        self._inside = inside
        super().__init__(
            keras.initializers.Zeros(), inside.shape, inside.dtype.name, trainable=False, autocast=False, name=name
        )

    def _initialize_with_initializer(self, initializer: Any) -> None:
        self._value = self._inside

    def __repr__(self) -> str:
        divided = isinstance(self._inside, Part) and not self._inside.is_here
        return f"<Variable path={self.path}, {self._inside!r}>" if divided else str(super().__repr__())


CLASSES = {
    **make_classes(Optimizer, keras.saving.register_keras_serializable("pyadam"), "pyadam.keras3"),
    "LossScaleOptimizer": LossScaleOptimizer,
}
if hasattr(keras.optimizers, "MultiOptimizer"):  # from 3.15 on
    from pyadam.hosts.multi import MultiOptimizer, OptimizerMap

    CLASSES |= {"MultiOptimizer": MultiOptimizer, "OptimizerMap": OptimizerMap}
