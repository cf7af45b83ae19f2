"""The optimizer classes for tf_keras, the second generation of Keras: ``pyadam.tf_keras.Adam`` and so on.

They take the arguments of the Keras 3 classes and give the same numbers; their state has tf_keras' layout, in which the
learning rate is not among the variables.
"""

from collections.abc import Iterable
from typing import Any

import tensorflow as tf
import tf_keras

from pyadam import specs
from pyadam.engine.arena import Part
from pyadam.engine.gradients import compute_dtype
from pyadam.rules.rule import Slot
from pyadam.saving import path, untracked
from pyadam.shell import Shell, make_classes

__all__ = ["Optimizer", *specs.SPECS]


class Optimizer(Shell, tf_keras.optimizers.Optimizer):  # type: ignore[misc]
    """What the classes for tf_keras share. A subclass names its spec; everything else follows from it."""

    _saving = tf_keras.saving
    _has_arenas = False  # its files and models hold a tf.Variable for each state

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        spec: Any = specs.bind(self.spec_type, specs.class_signature(self.spec_type), args, kwargs)
        self.built = False
        untracked(self, _spec=spec)  # tf_keras' constructor reads arguments back
        tf_keras.optimizers.Optimizer.__init__(self, name=spec.name)
        self._learning_rate = self._build_learning_rate(spec.learning_rate)
        self._set_up(spec, self._iterations)

    def apply_gradients(
        self,
        grads_and_vars: Iterable[tuple[Any, Any]],
        name: str | None = None,
        skip_gradients_aggregation: bool = False,
        **kwargs: Any,
    ) -> Any:
        """One step from pairs of gradient and variable; returns the number of calls so far.

        ``name`` and the arguments on aggregation are tf_keras' and change nothing where there is one replica.
        """
        return super().apply_gradients(grads_and_vars)

    @property
    def iterations(self) -> Any:
        """The number of updates so far."""
        every = self._spec.gradient_accumulation_steps
        return self._iterations if every is None else self._iterations // every

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
        if callable(learning_rate):
            return learning_rate
        with tf.init_scope():
            return tf.Variable(learning_rate, name="learning_rate", dtype=tf_keras.backend.floatx(), trainable=False)

    @property
    def learning_rate(self) -> Any:
        """The current learning rate: the variable, or what the schedule or function gives now."""
        if self._is_schedule(self._learning_rate):
            return self._learning_rate(self._iterations)
        return self._learning_rate if self._is_variable(self._learning_rate) else self._learning_rate()

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        self._set_learning_rate(value, Optimizer._assign_learning_rate)

    lr = learning_rate  # tf_keras' own callbacks use the short name

    def _assign_learning_rate(self, value: Any) -> None:
        if callable(value):
            self._learning_rate = value
        elif self._is_schedule(self._learning_rate):
            raise TypeError(
                f"{type(self).__name__}: the learning rate is a LearningRateSchedule and can't be set to a number; "
                "set it to another schedule, or make the optimizer with a number"
            )
        elif self._is_variable(self._learning_rate):
            self._learning_rate.assign(value)
        else:
            self._learning_rate = self._build_learning_rate(value)

    def _is_variable(self, value: Any) -> bool:
        return isinstance(value, tf.Variable)

    def _is_schedule(self, value: Any) -> bool:
        return isinstance(value, tf_keras.optimizers.schedules.LearningRateSchedule)

    # --- variables -------------------------------------------------------------------------------------------------------

    def _native(self, variable: Any) -> Any:
        return getattr(variable, "_variable", variable)  # behind a mixed-precision variable

    def _overwrite_variable_with_gradient(self, variable: Any) -> bool:
        return bool(getattr(variable, "overwrite_with_gradient", False))

    def _add_state(self, variable: Any, slot: Slot, part: Part | None) -> Any:
        weight = self._native(variable)
        shape = weight.shape if slot.shape is None else slot.shape
        dtype = slot.dtype or compute_dtype(weight.dtype)
        with tf.device(weight.device):
            return self._add(f"{slot.name}/{path(weight).split(':')[0]}", slot.start, shape, dtype)

    def _add_scalar(self, name: str, start: float, dtype: Any) -> Any:
        scalar = self._add(name, start, (), dtype)
        self._order[id(scalar)] = (9,)
        return scalar

    def _add(self, name: str, start: float, shape: Any, dtype: Any) -> Any:
        variable = tf.Variable(tf.fill(shape, tf.constant(start, dtype)), name=name, trainable=False)
        self._variables.append(variable)
        return variable

    @property
    def variables(self) -> Any:
        """All state in the order of tf_keras' files: iteration, averages, accumulators, slots, shared scalars."""
        return _Variables(super().variables)


class _Variables(list):  # type: ignore[type-arg]
    """A list that is callable as well: tf_keras' users write ``optimizer.variables()``, too."""

    def __call__(self) -> "_Variables":
        return self


globals().update(make_classes(Optimizer, tf_keras.saving.register_keras_serializable("pyadam"), __name__))
