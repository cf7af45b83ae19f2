"""The loss-scale optimizer for tf_keras."""

import copy
import functools
from collections.abc import Iterable, Sequence
from typing import Any

import tensorflow as tf
import tf_keras
from tf_keras.src.mixed_precision.loss_scale_optimizer import LossScaleOptimizerV3

from pyadam.engine import Replicas, assign, undistributed
from pyadam.hosts.configs import check_config, object_of
from pyadam.hosts.contract import untracked
from pyadam.hosts.files import mark, marked
from pyadam.hosts.given import matched, parted
from pyadam.hosts.loss_scale import LossScale, aggregated, divided
from pyadam.optimizers.kinds import shown

__all__ = ["LossScaleOptimizer"]

_NAME = "loss_scale_optimizer"


@tf_keras.saving.register_keras_serializable("pyadam")
class LossScaleOptimizer(LossScale, LossScaleOptimizerV3):  # type: ignore[misc]  # noqa: D101 it has the spec's
    __module__ = "pyadam.tf_keras"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        spec = self._bind(args, kwargs)
        with undistributed():
            super().__init__(
                spec.inner_optimizer, initial_scale=spec.initial_scale, dynamic_growth_steps=spec.dynamic_growth_steps
            )
        untracked(self, name=spec.name or _NAME, _replicas=Replicas(type(self).__name__))
        self._check_inner(self._replicas)

    @staticmethod
    def _fits(optimizer: Any) -> bool:
        return isinstance(optimizer, tf_keras.optimizers.Optimizer) and not isinstance(optimizer, LossScaleOptimizerV3)

    @property
    def dynamic_scale(self) -> Any:
        """The factor of the loss, a float32 variable."""
        return self._loss_scale.current_loss_scale

    def scale_loss(self, loss: Any) -> Any:
        """The loss times the factor, for training loops that differentiate it."""
        return self.get_scaled_loss(loss)

    def get_unscaled_gradients(self, grads: Sequence[Any]) -> list[Any]:
        """The gradients over the factor, as ``apply_gradients`` takes them."""
        self._gradients_have_been_unscaled = True
        scale = tf.identity(self.dynamic_scale)
        return [None if g is None else divided(g, scale) for g in grads]

    @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
    def apply_gradients(
        self,
        grads_and_vars: Iterable[tuple[Any, Any]],
        name: str | None = None,
        skip_gradients_aggregation: bool = False,
        **kwargs: Any,
    ) -> Any:
        """One step of the inner optimizer, or none if the gradients are not all finite; returns its number of calls so far.

        As in tf_keras the gradients are those that ``get_unscaled_gradients`` gave. ``name`` and the arguments on aggregation
        change nothing where there is one replica.
        """
        grads, variables = matched(self, *parted(self, grads_and_vars))
        with tf.init_scope(), self._replicas.scope():
            self.build(variables)
            if self._scaling is None:
                self._make_scaling(self.dynamic_scale, self._loss_scale.counter, variables)
        add = aggregated(self._replicas, skip_gradients_aggregation, kwargs)
        self._scaled_step(grads, variables, lambda gradient, variable, scale: gradient, add)
        return self.iterations

    # --- files -----------------------------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """The arguments, with the config of the inner optimizer."""
        own_name = {} if self.name == _NAME else {"name": self.name}  # tf_keras' own class takes none
        return super().get_config() | own_name

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> "LossScaleOptimizer":
        """The optimizer of a config, pyadam's or tf_keras' own, with the inner one; state is not part of it."""
        check_config(cls.__name__, config, "inner_optimizer")
        try:
            inner = copy.deepcopy(config["inner_optimizer"])  # tf_keras writes into it
        except Exception as error:
            raise ValueError(
                f"{cls.__name__}: inner_optimizer can't be copied: {shown(config['inner_optimizer'])}"
            ) from error
        read = functools.partial(tf_keras.optimizers.deserialize, use_legacy_optimizer=False)
        inner = object_of(cls.__name__, "inner_optimizer", inner, tf_keras.saving, custom_objects, read)
        return cls(**{**config, "inner_optimizer": inner})

    def save_own_variables(self, store: Any) -> None:
        """Writes the state of the inner optimizer, and the scale where tf_keras' own class does not look."""
        self.inner_optimizer.save_own_variables(store)
        mark(store, "loss_scale", [float(self.dynamic_scale.numpy()), float(self._loss_scale.counter.numpy())])

    def load_own_variables(self, store: Any) -> None:
        """Reads the state of the inner optimizer, and the scale; in files of tf_keras' own class there is none."""
        self.inner_optimizer.load_own_variables(store)
        saved = marked(store, "loss_scale")
        if saved is not None:
            for variable, value in zip((self.dynamic_scale, self._loss_scale.counter), saved, strict=True):
                assign(variable, tf.cast(value, variable.dtype))

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Sets the state of the inner optimizer."""
        self.inner_optimizer.set_weights(weights)
