"""The running averages of the weights: put into the model permanently, or within a context."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import tensorflow as tf

from pyadam.engine import Replicas, Sharded, Target, native, of_replica, plain_variable
from pyadam.hosts.contract import Contract

__all__ = ["Averages", "Everywhere"]


class Everywhere:
    """A strategy as Keras' SwapEMAWeights uses that of an optimizer: to change weights and averages on all local replicas."""

    def __init__(self, replicas: Replicas) -> None:
        self._replicas = replicas

    @property
    def extended(self) -> "Everywhere":
        """The same."""
        return self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._replicas.strategy.extended, name)

    def update(self, variable: Any, function: Callable[..., Any], args: Sequence[Any] = ()) -> None:
        """Calls a function with what variables are on each local replica."""
        given = [native(each) for each in (variable, *args)]
        # divided state has no component on each replica: all get the whole, and what the last one leaves is taken back
        whole = {i: each.read_value() for i, each in enumerate(given) if isinstance(each, Sharded)}
        for local, device in enumerate(self._replicas.devices):
            with tf.device(device):
                own = [plain_variable(whole[i]) if i in whole else of_replica(x, local) for i, x in enumerate(given)]
                function(*own)
        for i in whole:
            given[i].assign(own[i].read_value())


class Averages(Contract):
    """Puts averages, which the engine computes, into the model."""

    @property
    def keeps_averages(self) -> bool:
        """Whether there are averages of the weights: of ``use_ema``, or of the optimizer itself."""
        return bool(self._spec.use_ema) or self._rule.evaluated is not None

    def finalize_variable_values(self, var_list: Sequence[Any]) -> None:
        """Overwrites these model variables with their averages, if the optimizer keeps any. ``fit`` calls it at its end."""
        if self._spec.use_ema:
            self._check_known(list(var_list))
            keys = map(self._var_key, var_list)  # those that no step can move have no target
            self._overwrite_with_averages([self._engine.targets[key] for key in keys if key in self._engine.targets])

    def _overwrite_with_averages(self, targets: Iterable[Target]) -> None:
        updates = tf.convert_to_tensor(self._native(self._iterations)) // self._spec.calls_per_update
        for target in targets:
            # before the first update there are no averages yet, and a frozen variable is its own
            if target.average is not None and not self._engine.is_frozen(target):
                average = tf.cast(target.average, target.weight.dtype)
                target.weight.assign(tf.where(updates > 0, average, target.weight))

    def _overwrite_with_evaluated(self, targets: Iterable[Target], evaluated: Callable[..., Any]) -> None:
        """Overwrites weights with those that the rule would have the model evaluated with, once it has updated them."""
        if int(tf.convert_to_tensor(self._native(self._iterations))) < self._spec.calls_per_update:
            return
        for target in targets:
            if not target.replaced:
                h = self._hyper_in(target.dtype, target.group)
                slots = {name: tf.cast(slot, target.dtype) for name, slot in target.slots.items()}
                value = evaluated(h, tf.cast(target.weight, target.dtype), SimpleNamespace(**slots))
                target.weight.assign(tf.cast(value, target.weight.dtype))

    @contextlib.contextmanager
    def averaged_weights(self) -> Iterator[None]:
        """Within this context the model's weights are their averages; on exit the original weights are restored.

        These are the moving averages of ``use_ema``, or else the average that the optimizer itself keeps.

        Raises:
            ValueError: the optimizer keeps no averages.
        """
        evaluated = self._rule.evaluated
        if not self.keeps_averages:
            raise ValueError(f"{type(self).__name__}: averaged_weights() needs use_ema=True")
        targets = [
            target for target in self._engine.targets.values() if (target.average is not None) == self._spec.use_ema
        ]
        raw = [tf.identity(target.weight) for target in targets]
        if self._spec.use_ema:
            self._overwrite_with_averages(targets)
        elif evaluated is not None:
            self._overwrite_with_evaluated(targets, evaluated)
        try:
            yield
        finally:
            for target, value in zip(targets, raw, strict=True):
                target.weight.assign(value)
