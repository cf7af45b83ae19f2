"""The loss-scale optimizer for Keras 3."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from pyadam.loss_scale import LossScale, divided
from pyadam.saving import path, untracked
from pyadam.shell import check_strategy, matched
from pyadam.state import LoadedState, check_state, mark

__all__ = ["LossScaleOptimizer"]


@keras.saving.register_keras_serializable("pyadam")
class LossScaleOptimizer(LossScale, keras.optimizers.LossScaleOptimizer):  # type: ignore[misc]  # noqa: D101 it has the spec's
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        spec = self._bind(args, kwargs)
        super().__init__(spec.inner_optimizer, spec.initial_scale, spec.dynamic_growth_steps, name=spec.name)
        untracked(self, _deferred=None)

    @staticmethod
    def _fits(optimizer: Any) -> bool:
        return isinstance(optimizer, keras.optimizers.Optimizer) and not isinstance(
            optimizer, keras.optimizers.LossScaleOptimizer
        )

    def build(self, variables: Sequence[Any]) -> None:
        """Creates the scale, its counter and the state of the optimizer inside for these model variables."""
        if self.built:
            self.inner_optimizer.build(variables)
            return
        super().build(variables)
        devices = [v.value.device if isinstance(v, keras.Variable) else v.device for v in variables]
        self._make_scaling(self.dynamic_scale.value, self.step_counter.value, devices)
        deferred = self._deferred
        untracked(self, _deferred=None)
        if deferred is not None:
            self.load_own_variables(deferred)

    @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Any] | None = None) -> None:
        """One step of the optimizer inside on the gradients over the scale, or none if they are not all finite.

        Args:
            grads: gradients of the scaled loss: tensors, IndexedSlices, or None for a variable that this step leaves out.
            trainable_variables: the variables; by default those of ``build``.

        Raises:
            ValueError: another number of gradients than variables, or no variables before ``build``.
        """
        check_strategy(type(self).__name__)
        grads, variables = matched(self, grads, trainable_variables)
        if not self.built:
            with tf.init_scope():
                self.build(variables)
        scale = tf.identity(self._scaling.scale)
        unscaled = [
            g if g is None or self._overwrite_variable_with_gradient(v) else divided(g, scale)
            for g, v in zip(grads, variables, strict=True)
        ]
        self._scaling.step(unscaled, lambda: self.inner_optimizer.apply(unscaled, variables))

    # --- files -----------------------------------------------------------------------------------------------------------

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> "LossScaleOptimizer":
        """The optimizer of a config, pyadam's or Keras' own, with the one inside; state is not part of it."""
        inner = config["inner_optimizer"]
        if isinstance(inner, dict):
            inner = keras.saving.deserialize_keras_object(inner, custom_objects=custom_objects)
        return cls(**{**config, "inner_optimizer": inner})

    def _layout(self) -> str:
        rule = getattr(self.inner_optimizer, "_rule", None)
        return f"loss scale of {rule.layout if rule else type(self.inner_optimizer).__name__.lower()}"

    def save_own_variables(self, store: Any) -> None:
        """Writes the state, numbered as Keras does: the scale and its counter, then the state of the optimizer inside."""
        super().save_own_variables(store)
        mark(store, "layout", self._layout())

    def load_own_variables(self, store: Mapping[str, Any]) -> None:
        """Reads a state that ``save_own_variables`` or Keras' own class wrote; before ``build`` it waits for it.

        Raises:
            ValueError: the state is another optimizer's, or its variables differ in number or shape; nothing is changed then.
        """
        if not self.built:
            untracked(self, _deferred=LoadedState(store))
            return
        if len(store.keys()) == 2 + _variables_before_build(self.inner_optimizer):
            return  # saved before its build: nothing but the start
        variables = self.variables
        names, shapes = [path(v) for v in variables], [tuple(v.shape) for v in variables]
        check_state(type(self).__name__, self._layout(), store, names, shapes)
        for i, variable in enumerate(variables):
            variable.assign(store[str(i)])


def _variables_before_build(optimizer: Any) -> int:
    """Iteration and, where it is a number, the learning rate."""
    return 1 + isinstance(optimizer._learning_rate, keras.Variable)
