"""What loss scaling does at a step, for both generations of Keras, whose classes are in ``loss_scale_*.py``."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from pyadam.engine import (
    Program,
    Replicas,
    as_real,
    component,
    compute_dtype,
    gradient_dtype,
    has_plain_values,
    native,
    of_replica,
    typed,
)
from pyadam.hosts.contract import path, untracked
from pyadam.hosts.extension import check_overrides
from pyadam.hosts.generation import home, in_refusal, introduced
from pyadam.optimizers.loss_scale import LossScaleOptimizer as LossScaleSpec

__all__ = ["LossScale", "Scaling", "aggregated", "divided"]


def divided(gradient: Any, scale: Any) -> Any:
    """The gradient over the scale, in the dtype of the arithmetic; sparse stays sparse."""
    if isinstance(gradient, tf.IndexedSlices):
        return tf.IndexedSlices(divided(gradient.values, scale), gradient.indices, gradient.dense_shape)
    gradient = tf.convert_to_tensor(gradient)
    dtype = gradient_dtype(gradient.dtype)
    return tf.cast(gradient, dtype) / tf.cast(scale, dtype)


def aggregated(replicas: Replicas, skip: bool, others: Mapping[str, Any]) -> bool:
    """Whether a call of tf_keras' ``apply_gradients`` with these arguments adds the gradients of several replicas."""
    return replicas.size > 1 and not skip and bool(others.get("experimental_aggregate_gradients", True))


_PATTERNS = 4  # of missing gradients for which the check is compiled; the others may be any number


def _all_finite(gradients: Sequence[Any]) -> Any:
    inexact = [g for g in gradients if not g.dtype.is_integer]
    parts = [as_real(g, compute_dtype(g.dtype)) if g.dtype.is_complex else g for g in inexact]
    return tf.reduce_all([True, *(tf.reduce_all(tf.math.is_finite(g)) for g in parts)])


class Scaling:
    """The dynamic scale of one optimizer and its steps.

    Args:
        scale: float32 variable, the factor of the loss.
        counter: integer variable, the number of finite steps since the scale last changed.
        growth_steps: finite steps in a row after which the scale doubles.
        weights: the model's variables.
        jit_compile: whether to compile.
    """

    def __init__(self, scale: Any, counter: Any, growth_steps: int, weights: Sequence[Any], jit_compile: bool) -> None:
        self.scale, self.counter, self.growth_steps = scale, counter, growth_steps
        self._weights, self._jit_compile = weights, jit_compile
        self._check = Program(_all_finite, [weight.device for weight in weights], jit_compile)
        self._patterns: set[Any] = set()
        self._replicas: dict[int, Scaling] = {}

    def of_replica(self, local: int) -> "Scaling":
        """The scaling of a local replica, with its components in place of the variables. Alone, it is this one."""
        if local not in self._replicas:
            scale, counter, *weights = (of_replica(v, local) for v in (self.scale, self.counter, *self._weights))
            alone = scale is self.scale
            made = self if alone else Scaling(scale, counter, self.growth_steps, weights, self._jit_compile)
            self._replicas[local] = made
        return self._replicas[local]

    def step(self, gradients: Sequence[Any], apply: Callable[[], None]) -> None:
        """Calls ``apply`` if all gradients, those that it will apply, are finite; then the scale follows."""
        given = [g for g in gradients if g is not None]
        # rows may be of any number: their check is not compiled for each
        rows = [tf.convert_to_tensor(g.values) for g in given if isinstance(g, tf.IndexedSlices)]
        dense = [tf.convert_to_tensor(g) for g in given if not isinstance(g, tf.IndexedSlices)]
        pattern = tuple(g is None or isinstance(g, tf.IndexedSlices) for g in gradients)
        if len(self._patterns) < _PATTERNS:
            self._patterns.add(pattern)
        check = self._check if pattern in self._patterns else _all_finite
        finite = tf.reduce_all([_all_finite(rows), check(dense) if dense else True])

        def applied() -> Any:
            apply()
            return tf.constant(True)

        with tf.control_dependencies([tf.cond(finite, applied, lambda: tf.constant(False))]):
            self._follow(finite)

    def _follow(self, finite: Any) -> None:
        scale, good = tf.identity(self.scale), tf.identity(self.counter) + 1
        grown = tf.where(tf.math.is_finite(2.0 * scale), 2.0 * scale, scale)
        full = good >= self.growth_steps
        self.scale.assign(tf.where(finite, tf.where(full, grown, scale), tf.maximum(scale / 2.0, 1.0)))
        self.counter.assign(tf.where(finite & ~full, good, tf.zeros_like(good)))


class LossScale:
    """What the classes of both generations share. Each also derives from its Keras' own class."""

    spec_type = LossScaleSpec
    __signature__ = LossScaleSpec.signature()

    dynamic_growth_steps: int
    inner_optimizer: Any
    _replicas: Replicas
    _scaling: Any = None  # a Scaling, from the build on

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.__doc__ = cls.__doc__ or LossScaleSpec.documentation()
        check_overrides(cls)

    @staticmethod
    def _fits(optimizer: Any) -> bool:
        """Whether an object is an optimizer of this Keras, without a loss scale."""
        raise NotImplementedError

    def exclude_from_weight_decay(
        self, var_list: Sequence[Any] | None = None, var_names: Sequence[str] | None = None
    ) -> None:
        """Excludes variables from the weight decay of the inner optimizer."""
        self.inner_optimizer.exclude_from_weight_decay(var_list, var_names)

    def averaged_weights(self) -> Any:
        """The context of the inner optimizer in which the model's weights are their averages."""
        return self.inner_optimizer.averaged_weights()

    def __repr__(self) -> str:
        return f"{home(self)}.{type(self).__name__}({self.inner_optimizer!r})"

    def __format__(self, spec: str) -> str:
        return introduced(self) if in_refusal() else format(repr(self), spec)

    def _bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> LossScaleSpec:
        """The spec of a call. The inner optimizer loses its own factor: the gradients would be divided twice."""
        spec = LossScaleSpec.bind(args, kwargs, self._fits)
        inner = spec.inner_optimizer
        factor = getattr(inner, "loss_scale_factor", None)
        if factor is not None:
            warnings.warn(
                f"{type(self).__name__}: loss_scale_factor={factor} of the inner optimizer is set to None, "
                "because this optimizer already scales the loss",
                stacklevel=4,
            )
            inner.loss_scale_factor = None
        return spec

    def _make_scaling(self, scale: Any, counter: Any, variables: Sequence[Any]) -> None:
        """Makes what takes the steps, once its Keras has made the variables."""
        jit_compile = getattr(self.inner_optimizer, "jit_compile", True)
        weights = [component(native(v)) for v in variables]
        scale, counter = component(native(scale)), component(native(counter))
        untracked(self, _scaling=Scaling(scale, counter, self.dynamic_growth_steps, weights, jit_compile))

    def _scaled_step(
        self,
        grads: Sequence[Any],
        variables: Sequence[Any],
        unscaled: Callable[[Any, Any, Any], Any],
        add: bool = True,
    ) -> None:
        """A step of the inner optimizer, or none if the gradients, added over all replicas, are not all finite.

        Args:
            grads: the gradients of this replica.
            variables: their variables.
            unscaled: ``(gradient, variable, scale) -> gradient`` for the inner optimizer.
            add: whether gradients have to be added over replicas.
        """
        local, inner = self._replicas.current(), self.inner_optimizer
        call = None
        if self._replicas.size > 1:
            grads, variables = inner._ready(grads, variables)
            call = inner._call(local, grads, variables)
            grads = inner._reduced(call, grads, variables) if add else grads
        scaling = self._scaling.of_replica(local)
        scale = tf.identity(scaling.scale)
        given = [
            None if g is None else unscaled(self._typed(g, v), v, scale) for g, v in zip(grads, variables, strict=True)
        ]

        def apply() -> None:
            if call is None:
                inner.apply_gradients(list(zip(given, variables, strict=True)))
            else:
                inner._step(local, given, variables, call)

        used = getattr(inner, "_without_frozen", lambda grads, variables: grads)
        scaling.step(used(given, variables), apply)

    def _typed(self, gradient: Any, variable: Any) -> Any:
        """The gradient, checked, before anything is computed with it."""
        weight = component(native(variable))
        has_state = weight.dtype.is_complex or has_plain_values(weight)
        return typed(type(self).__name__, path(variable), weight, gradient) if has_state else gradient

    def _check_inner(self, replicas: Replicas) -> None:
        """Refuses an inner optimizer that would reduce the gradients of several replicas a second time."""
        apply = getattr(type(self.inner_optimizer), "apply", None)
        ours = getattr(apply, "__module__", "").startswith("pyadam.")
        if replicas.size > 1 and not (ours and hasattr(self.inner_optimizer, "_reduced")):
            raise NotImplementedError(
                f"{type(self).__name__}: with {replicas.size} replicas the inner optimizer must be pyadam's and keep its "
                f"apply(), got {type(self.inner_optimizer).__name__} of {type(self.inner_optimizer).__module__.split('.')[0]}"
            )
