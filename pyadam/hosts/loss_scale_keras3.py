"""The loss-scale optimizer for Keras 3."""

from collections.abc import Iterable, Sequence
from typing import Any

import keras
import tensorflow as tf

from pyadam.engine import Replicas, assign, undistributed
from pyadam.hosts import files
from pyadam.hosts.configs import check_config, object_of
from pyadam.hosts.contract import untracked
from pyadam.hosts.given import matched, parted
from pyadam.hosts.loss_scale import LossScale, divided
from pyadam.hosts.saving import Deferring, Saving
from pyadam.hosts.state import Entry, Label, SavedState, check_kinds

__all__ = ["LossScaleOptimizer"]


@keras.saving.register_keras_serializable("pyadam")
class LossScaleOptimizer(LossScale, Deferring, keras.optimizers.LossScaleOptimizer):  # type: ignore[misc]  # noqa: D101 it has the spec's
    __module__ = "pyadam.keras3"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        spec = self._bind(args, kwargs)
        with undistributed():
            super().__init__(spec.inner_optimizer, spec.initial_scale, spec.dynamic_growth_steps, name=spec.name)
        untracked(self, _deferred=None, _replicas=Replicas(type(self).__name__))
        self._check_inner(self._replicas)

    @staticmethod
    def _fits(optimizer: Any) -> bool:
        return isinstance(optimizer, keras.optimizers.Optimizer) and not isinstance(
            optimizer, keras.optimizers.LossScaleOptimizer
        )

    def build(self, variables: Sequence[Any]) -> None:
        """Creates the scale, its counter and the state of the inner optimizer for these model variables."""
        if self.built:
            self.inner_optimizer.build(variables)
            return
        with tf.init_scope(), self._replicas.scope():
            with undistributed():
                super().build(variables)
            self._make_scaling(self.dynamic_scale, self.step_counter, variables)
            self._load_deferred()

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Any]]) -> Any:
        """One step from pairs of gradient and variable; returns the number of updates of the inner optimizer so far."""
        self.apply(*parted(self, grads_and_vars))
        return self.iterations

    @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Any] | None = None) -> None:
        """One step of the inner optimizer on the gradients over the scale, or none if they are not all finite.

        Args:
            grads: gradients of the scaled loss: tensors, IndexedSlices, or None for a variable that this step leaves out.
            trainable_variables: the variables; by default those of ``build``.

        Raises:
            ValueError: another number of gradients than variables, or no variables before ``build``.
        """
        grads, variables = matched(self, grads, trainable_variables)
        if not self.built:
            self.build(variables)

        def unscaled(gradient: Any, variable: Any, scale: Any) -> Any:
            return gradient if self._overwrite_variable_with_gradient(variable) else divided(gradient, scale)

        self._scaled_step(grads, variables, unscaled)

    # --- files -----------------------------------------------------------------------------------------------------------

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> "LossScaleOptimizer":
        """The optimizer of a config, pyadam's or Keras' own, with the inner one; state is not part of it."""
        check_config(cls.__name__, config, "inner_optimizer")
        read = keras.saving.deserialize_keras_object
        inner = object_of(
            cls.__name__, "inner_optimizer", config["inner_optimizer"], keras.saving, custom_objects, read
        )
        return cls(**{**config, "inner_optimizer": inner})

    def _layout(self) -> str:
        rule = getattr(self.inner_optimizer, "_rule", None)
        return f"loss scale of {rule.layout if rule else type(self.inner_optimizer).__name__.lower()}"

    def _own(self) -> list[Any]:
        """The variables that are not the inner optimizer's, as Keras numbers them."""
        return list(self._variables)

    def _state(self) -> SavedState:
        inner = self.inner_optimizer
        own = [Entry(Label(f"loss scale, {v.name}"), tuple(v.shape), str(v.dtype), v.numpy) for v in self._own()]
        if isinstance(inner, Saving):
            return SavedState([*own, *inner._state().entries], self._layout())
        theirs = [Entry(None, tuple(v.shape), str(v.dtype), v.numpy) for v in inner.variables]
        return SavedState([*own, *theirs], self._layout())

    def save_own_variables(self, store: Any) -> None:
        """Writes the state, numbered as Keras does: the scale and its counter, then the state of the inner optimizer."""
        files.write(store, self._state(), len(self.variables))

    def load_own_variables(self, store: Any) -> None:
        """Reads a state that ``save_own_variables`` or Keras' own class wrote, at once or when the optimizer is built.

        Raises:
            ValueError: the state is another optimizer's, or its variables differ in number or shape; nothing is changed then.
        """
        self._load(files.read(store, type(self).__name__))

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Sets all state, in the order of ``variables``: that of Keras' own, then that of the inner optimizer."""
        count = len(self._own())
        if self.built:
            self.inner_optimizer.set_weights(weights[count:])
        super().set_weights(weights[:count])

    def _take(self, state: SavedState) -> None:
        inner, count = self.inner_optimizer, len(self._own())
        if len(state.entries) == 2 + _variables_before_build(inner):
            return  # saved before its build: nothing but the start
        rest = SavedState(state.entries[count:], inner._rule.layout if isinstance(inner, Saving) else None, state.names)
        if isinstance(inner, Saving):
            inner._load(rest)
        else:
            inner.load_own_variables({str(i): entry.read() for i, entry in enumerate(rest.entries)})
        for variable, entry in zip(self._own(), state.entries, strict=False):
            assign(variable, entry.read())

    def _check_kinds(self, state: SavedState) -> None:
        kinds = self.inner_optimizer._kinds() if isinstance(self.inner_optimizer, Saving) else (set(), set())
        check_kinds(type(self).__name__, state, self._layout(), *kinds)


def _variables_before_build(optimizer: Any) -> int:
    """Iteration and, where it is a number, the learning rate."""
    return 1 + isinstance(optimizer._learning_rate, keras.Variable)
