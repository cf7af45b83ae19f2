"""The optimizer classes for Keras 3: how their variables are made and named."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from pyadam import specs
from pyadam.engine.gradients import compute_dtype
from pyadam.saving import path
from pyadam.shell import Shell, make_classes

__all__ = ["Optimizer", *specs.SPECS]


class Optimizer(Shell, keras.optimizers.Optimizer):  # type: ignore[misc]
    """What the classes for Keras 3 share. A subclass names its spec; everything else follows from it."""

    _saving = keras.saving

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        spec: Any = specs.bind(self.spec_type, specs.class_signature(self.spec_type), args, kwargs)
        keras.optimizers.Optimizer.__init__(self, learning_rate=spec.learning_rate, name=spec.name)
        self._set_up(spec, self._iterations.value)

    # --- learning rate ---------------------------------------------------------------------------------------------------

    @property
    def learning_rate(self) -> Any:
        """The current learning rate: the variable, or what the schedule or function gives now."""
        return self._get_current_learning_rate()

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        self._set_learning_rate(value, keras.optimizers.Optimizer.learning_rate.fset)

    def _is_variable(self, value: Any) -> bool:
        return isinstance(value, keras.Variable)

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
        dtype: str | None = None,
    ) -> Any:
        weight = self._native(variable)
        label = f"{path(variable).replace('/', '_').replace(':', '_')}_{name}"
        with self._distribution_strategy.extended.colocate_vars_with(weight):
            state = self.add_variable(
                tuple(weight.shape if shape is None else shape),
                lambda shape, dtype: tf.fill(shape, tf.constant(start, dtype)),  # Constant goes through float32
                dtype=dtype or compute_dtype(weight.dtype).name,
                name=label,
            )
        self._order[id(state)] = order
        return state

    def _add_scalar(self, name: str, start: float, dtype: Any) -> Any:
        scalar = self.add_variable((), keras.initializers.Constant(start), dtype=dtype.name, name=name)
        self._order[id(scalar)] = (9,)
        setattr(self, f"_{name}", scalar)  # under the name that Keras' checkpoints know
        return scalar


globals().update(make_classes(Optimizer, keras.saving.register_keras_serializable(package="pyadam"), __name__))
