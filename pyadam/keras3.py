"""The optimizer classes for Keras 3: how their variables are made and named."""

from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from pyadam import specs
from pyadam.arguments import is_variable
from pyadam.engine.arena import Part
from pyadam.engine.gradients import compute_dtype
from pyadam.generation import check_backend
from pyadam.hyperparameters import native
from pyadam.rules.rule import Slot
from pyadam.saving import path
from pyadam.shell import Shell, make_classes

check_backend()

if TYPE_CHECKING:
    from pyadam._keras3 import *  # noqa: F403  what is made below, as checkers see it
else:
    from pyadam.loss_scale_keras3 import LossScaleOptimizer

__all__ = ["LossScaleOptimizer", "Optimizer", *specs.SPECS]


def _unique(spec: Any) -> str:
    """The optimizer's name; one that its user did not choose is numbered, for a model with two has each path once."""
    if spec.name.lower() != type(spec).__name__.lower():
        return str(spec.name)
    number = keras.backend.get_uid(spec.name)
    return spec.name if number == 1 else f"{spec.name}_{number - 1}"


class Optimizer(Shell, keras.optimizers.Optimizer):  # type: ignore[misc]
    """What the classes for Keras 3 share. A subclass names its spec; everything else follows from it."""

    _saving = keras.saving

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        spec: Any = specs.bind(self.spec_type, specs.class_signature(self.spec_type), args, kwargs)
        followed = is_variable(spec.learning_rate)  # which Keras refuses: it gets a function to begin with
        rate = float if followed else spec.learning_rate
        keras.optimizers.Optimizer.__init__(self, learning_rate=rate, name=_unique(spec))
        if followed:
            self._hold_learning_rate(native(spec.learning_rate))
        self._set_up(spec, self._iterations.value)

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
        with tf.init_scope(), keras.name_scope(self.name, caller=self):
            rate = (
                _UsersVariable(value, "learning_rate")
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

    def _native(self, variable: Any) -> Any:
        if isinstance(variable, _PartVariable):
            return variable._part
        return variable.value if isinstance(variable, keras.Variable) else variable

    def _add_state(self, variable: Any, slot: Slot, part: Part | None) -> Any:
        weight = self._native(variable)
        label = f"{path(variable).replace('/', '_').replace(':', '_')}_{slot.name}"
        if part is not None:
            with keras.name_scope(self.name, caller=self):
                state = _PartVariable(part, label)
            self._track_variable(state)
            return state
        with self._distribution_strategy.extended.colocate_vars_with(weight):
            return self.add_variable(
                tuple(weight.shape if slot.shape is None else slot.shape),
                lambda shape, dtype: tf.fill(shape, tf.constant(slot.start, dtype)),  # Constant goes through float32
                dtype=slot.dtype or compute_dtype(weight.dtype).name,
                name=label,
            )

    def _add_scalar(self, name: str, start: float, dtype: Any) -> Any:
        return self.add_variable((), keras.initializers.Constant(start), dtype=dtype.name, name=name)


class _UsersVariable(keras.Variable):  # type: ignore[misc]
    """A variable of the optimizer whose memory is a tf.Variable that the user made: both always have the same value."""

    def __init__(self, given: Any, name: str) -> None:
        self._given = given
        super().__init__("zeros", (), given.dtype.name, trainable=False, autocast=False, name=name)

    def _initialize_with_initializer(self, initializer: Any) -> None:
        self._value = self._given


class _PartVariable(keras.Variable):  # type: ignore[misc]
    """A variable of Keras whose memory is a part of an arena."""

    def __init__(self, part: Part, name: str) -> None:
        self._part = part
        self._copy: Any = None
        super().__init__("zeros", part.shape, part.dtype.name, trainable=False, autocast=False, name=name)

    def _initialize_with_initializer(self, initializer: Any) -> None:
        self._value = self._part

    @property
    def value(self) -> Any:
        """The current value, a tensor."""
        return self._part.read_value()

    @property
    def _shared_name(self) -> str:
        return str(self.path)

    # What a checkpoint holds of it is what it holds of a tf.Variable.

    def _serialize_to_tensors(self) -> dict[str, Any]:
        return {"VARIABLE_VALUE": self.value}

    def _restore_from_tensors(self, restored_tensors: dict[str, Any]) -> Any:
        self.assign(restored_tensors["VARIABLE_VALUE"])

    # A SavedModel, which takes the optimizer along with its model, holds a variable of its own: a copy, while it is written.

    def _trackable_children(self, save_type: str = "checkpoint", **kwargs: Any) -> Any:
        if save_type == "savedmodel":
            self._copy = tf.Variable(self.value, trainable=False, name=self.name)
        return super()._trackable_children(save_type, **kwargs)

    def _export_to_saved_model_graph(self, object_map: Any, tensor_map: Any, options: Any, **kwargs: Any) -> Any:
        resources = self._copy._export_to_saved_model_graph(object_map, tensor_map, options, **kwargs)
        object_map[self] = object_map[self._copy]
        return resources

    def _write_object_proto(self, proto: Any, options: Any) -> None:
        self._copy._write_object_proto(proto, options)
        self._copy = None


globals().update(make_classes(Optimizer, keras.saving.register_keras_serializable(package="pyadam"), __name__))
