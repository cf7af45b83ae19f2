"""Compatibility with subclasses and wrappers that were written for Keras' optimizers.

A step of pyadam is one program over all variables. Overriding a method of Keras' classes that such a step never calls would
have no effect, so it is refused. Methods and attributes that wrappers use work under Keras' names.
"""

import dataclasses
import inspect
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from pyadam.engine import Engine, undistributed
from pyadam.hosts.contract import Contract, untracked
from pyadam.optimizers.kinds import is_variable

__all__ = ["Extension", "check_overrides"]

_STEP = (
    "change gradients in apply(grads, trainable_variables) and call super().apply(); give variables that need another "
    "learning rate an optimizer of their own; for another rule derive from Keras' own class"
)
_GRADIENTS = "change the gradients in apply(grads, trainable_variables) and call super().apply()"
_DECAY = "call exclude_from_weight_decay(), or set weight_decay"
_RATE = "override the property learning_rate, or give a schedule or a function as learning_rate"
_AVERAGES = "the averages are part of the step; read them in the context averaged_weights()"
_STATE = "the state of a variable follows from the optimizer's rule; add variables of your own in build()"

_INSTEAD: Mapping[str, str] = {
    name: remedy
    for remedy, names in {
        _STEP: (
            "update_step _update_step _update_step_xla _backend_update_step _backend_apply_gradients assign assign_add "
            "assign_sub _internal_apply_gradients _distributed_tf_update_step _distributed_apply_gradients_fn "
            "_overwrite_variables_directly_with_gradients _resource_apply_dense _resource_apply_sparse "
            "_resource_apply_sparse_duplicate_indices _prepare_local get_updates _common_apply _tf_apply _apply_gradients "
            "_stateful_handle_finite_grads _stateful_handle_non_finite_grads"
        ),
        _GRADIENTS: (
            "_clip_gradients _clip_by_norm _filter_empty_gradients _deduplicate_sparse_grad aggregate_gradients "
            "_aggregate_gradients _transform_gradients _all_reduce_sum_gradients _backend_increment_gradient_accumulators "
            "_backend_reset_gradient_accumulators"
        ),
        _DECAY: "_apply_weight_decay _use_weight_decay",
        _RATE: "_compute_current_learning_rate",
        _AVERAGES: "_update_model_variables_moving_average _overwrite_model_variables_with_average_value",
        _STATE: (
            "add_variable_from_reference add_optimizer_variables _create_or_restore_slot_variable _create_slots "
            "_check_variables_are_known _build_index_dict"
        ),
    }.items()
    for name in names.split()
}


def check_overrides(cls: type) -> None:
    """Checks a new class for overridden methods that no step calls, its own and those of classes mixed in.

    Raises:
        TypeError: there is one.
    """
    if cls.__module__.startswith("pyadam."):
        return
    ours = next(base for base in cls.__mro__ if base.__module__.startswith("pyadam."))
    for name in _INSTEAD:
        if inspect.getattr_static(cls, name, None) is not inspect.getattr_static(ours, name, None):
            raise TypeError(_never_called(cls.__name__, name))


def _never_called(owner: str, name: str) -> str:
    return (
        f"{owner}: {name} can't be overridden, because no step of pyadam calls it: a step is one program over all "
        f"variables. Instead {_INSTEAD[name]}"
    )


class Extension(Contract):
    """What subclasses and wrappers written for Keras meet."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        check_overrides(cls)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _INSTEAD:
            raise TypeError(_never_called(type(self).__name__, name))
        if isinstance(getattr(type(self), name, None), property):
            object.__setattr__(self, name, value)  # checked before Keras looks for variables in it
        else:
            super().__setattr__(name, value)

    def __getattr__(self, name: str) -> Any:
        """The lists of state and the index under the names that they have in Keras' own classes."""
        if name.startswith("__") or "_engine" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        if name == "_index_dict":
            return {key: i for i, key in enumerate(self._engine.targets)}
        if name == "_model_variables_moving_average" and self._spec.use_ema:
            return self._listed(lambda target: target.average)
        if name == "_accumulated_gradients" and self._spec.calls_per_update > 1:
            return self._listed(lambda target: target.accumulator)
        slot = self.spec_rule.lists.get(name)
        if slot is None or not self._engine.targets:
            raise AttributeError(
                f"{type(self).__name__!r} object has no attribute {name!r}"
                + ("" if slot is None else " before its build")
            )
        if not any(slot in target.slots for target in self._engine.targets.values()):
            return []
        return self._listed(lambda target: target.slots.get(slot))

    def _listed(self, state: Any) -> list[Any]:
        """The state variables, as this Keras' variables, one per model variable; None for one without such state."""
        dressed = {id(self._native(v)): v for v in self._variables}
        return [dressed.get(id(state(target))) for target in self._engine.targets.values()]

    def _get_variable_index(self, variable: Any) -> int:
        """The place of a model variable in the lists of state."""
        if self._var_key(variable) not in self._engine.targets:
            raise self._unknown([variable])
        return list(self._engine.targets).index(self._var_key(variable))

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any = None) -> None:
        """Applies the rule to one variable, as wrappers do: an update of the next iteration, which isn't counted.

        Clipping, weight decay, averages, accumulation and constraints belong to the whole step and are left out.

        Args:
            gradient: a tensor or IndexedSlices.
            variable: a variable that the optimizer was built for.
            learning_rate: the rate of this update; by default the optimizer's.

        Raises:
            ValueError: the variable is unknown.
            NotImplementedError: the rule has a state of its own that advances with every step, as Nadam's has.
        """
        owner = type(self).__name__
        if self._replicas.size > 1:
            raise NotImplementedError(
                f"{owner}: update_step() can't add up the gradients of several replicas; call apply()"
            )
        if self._rule.shared:
            raise NotImplementedError(
                f"{owner}: update_step() can't update a single variable, because {' and '.join(self._rule.shared)} advances "
                "once per step; call apply() with all variables"
            )
        target = self._engine.targets.get(self._var_key(variable))
        if target is None:
            raise self._unknown([variable])
        hyper = self._current_hyper()
        if learning_rate is not None:
            hyper["learning_rate"] = tf.cast(self._native(learning_rate), hyper["learning_rate"].dtype)
        local = self._replicas.current()
        engine = self._single().of_replica(local)
        engine.iterations.assign(tf.convert_to_tensor(self._native(self._iterations)) // self._spec.calls_per_update)
        if self._var_key(variable) not in engine.targets:
            stateless = dataclasses.replace(target, average=None, accumulator=None, decayed=False, constraint=None)
            engine.targets[self._var_key(variable)] = stateless.of_replica(local)
        engine.step({self._var_key(variable): gradient}, hyper)

    def _single(self) -> Engine:
        """The engine of `update_step`: the rule on the same state, without anything that belongs to the whole step."""
        spec = dataclasses.replace(
            self._spec,
            clipnorm=None,
            clipvalue=None,
            global_clipnorm=None,
            use_ema=False,
            loss_scale_factor=None,
            gradient_accumulation_steps=None,
            # each call passes a number
            learning_rate=self._spec.learning_rate if callable(self._spec.learning_rate) else 0.0,
        )
        engine: Engine | None = self.__dict__.get("_single_engine")
        if engine is None:
            with tf.init_scope(), undistributed():
                engine = Engine(spec, self._rule, tf.Variable(0, dtype=tf.int64, trainable=False))
            engine.one_by_one = True
            untracked(self, _single_engine=engine)
        elif not all(map(_same, vars(engine.spec).values(), vars(spec).values())):
            engine.configure(spec)
        return engine


def _same(a: Any, b: Any) -> bool:
    """Whether two hyperparameters are the same. Variables are compared by identity, since a graph can't compare values."""
    return bool(a is b if is_variable(a) or is_variable(b) else a == b)
