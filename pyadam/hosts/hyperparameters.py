"""Hyperparameters: how they are checked and changed, and what of them a step is given."""

import copy
import dataclasses
import warnings
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import tensorflow as tf

from pyadam.engine import Call, Dynamic, assign, hyper_of_group, native, of_group, undistributed
from pyadam.hosts.contract import Contract, untracked
from pyadam.optimizers import Spec, arguments
from pyadam.optimizers.groups import VARIABLES
from pyadam.optimizers.kinds import is_variable, needs_arguments
from pyadam.optimizers.numerics import scalar

__all__ = ["Hyperparameters"]


class Hyperparameters(Contract):
    """How hyperparameters are read and set, the learning rate among them, and what of them a step is given."""

    _dynamic: dict[str, Callable[[Any], Any]]
    _exact_rate: Any  # float64 variable with the user's own number, from the first step in float64 on

    def _is_schedule(self, value: Any) -> bool:
        """Whether a learning rate is this Keras' own schedule, which is called with the step."""
        raise NotImplementedError

    def _hold_learning_rate(self, value: Any) -> None:
        """Makes a function, a schedule, a user's variable, or a new variable with this number the learning rate."""
        raise NotImplementedError

    def _configure(self, name: str, value: Any) -> None:
        """Changes one hyperparameter for the steps that are traced from now on."""
        if "_engine" not in self.__dict__:
            return  # Keras' own constructor writes its defaults
        new = dataclasses.replace(self._spec, **{name: value})
        if self.built and self._state_of(new) != self._state_of(self._spec):
            raise ValueError(
                f"{type(self).__name__}: {name} can't be changed once the optimizer is built, because its state depends on it"
            )
        untracked(self, _spec=new)
        if name == "groups" and not self.built:
            untracked(self, _membership=self._members(new))
        untracked(self, _dynamic=self._make_dynamic())
        self._engine.configure(new)
        self._drop_frozen_sums()

    def _drop_frozen_sums(self) -> None:
        """Sets what frozen variables have accumulated to zero: they would move by it once they are thawed."""
        for target in self._engine.targets.values():
            if target.accumulator is not None and self._engine.is_frozen(target):
                assign(target.accumulator, tf.zeros(target.accumulator.shape, target.accumulator.dtype))

    def _state_of(self, spec: Spec) -> Any:
        """What a spec says of the variables that the optimizer keeps."""
        members = [[v if isinstance(v, str) else id(v) for v in group[VARIABLES]] for group in spec.groups or ()]
        slots = [self._rule.slots(each, (2, 2), "") for each in spec.each]
        return (
            members,
            slots,
            spec.slot_dtype,
            spec.use_ema,
            spec.calls_per_update > 1,
            spec.shard_state,
            self._cuts(spec),
        )

    def _cuts(self, spec: Spec) -> bool:
        """Whether the state is divided, and variables may be cut into rows for it."""
        return bool(spec.shard_state and spec.clipnorm is None and self._rule.elementwise)

    def _make_dynamic(self) -> dict[str, Callable[[Any], Any]]:
        """The hyperparameters given as functions, other than schedules, or variables: what gives them in a dtype."""
        found: dict[str, Callable[[Any], Any]] = {}
        known = arguments(self.spec_type)
        values = {
            name: (name, self._learning_rate if name == "learning_rate" else getattr(self._spec, name))
            for name in known
        }
        for i, group in enumerate(self._spec.groups or ()):
            values |= {of_group(i, name): (name, value) for name, value in group.arguments.items()}
        for key, (name, value) in values.items():
            if callable(value) and not self._is_schedule(value):
                self._check_needs_nothing(name, value)
                found[key] = Dynamic(type(self).__name__, name, value, known[name].metadata["kind"])
            elif is_variable(value) and key != "learning_rate":
                found[key] = partial(tf.cast, native(value))
        return found

    def _check_needs_nothing(self, name: str, function: Any) -> None:
        """Refuses a function that needs arguments, such as a schedule of the other Keras."""
        if needs_arguments(function):
            raise TypeError(
                f"{type(self).__name__}: {name} must be a LearningRateSchedule of {self._host()}, "
                f"got a {type(function).__name__} of {_host_of(type(function))}"
            )

    def _set_learning_rate(self, value: Any) -> None:
        """Sets the learning rate. A symbolic tensor is taken unchecked.

        A number is assigned to the variable that holds the rate, the optimizer's own or the user's, so that existing programs
        see it; if a function was there, a new variable replaces it. A variable of the user replaces whatever was there. If a
        schedule was there, a number is refused, as in Keras: callbacks that set the rate would silently end the schedule.
        """
        if issubclass(type(value), tf.Tensor) and not hasattr(value, "numpy"):
            self._assign_learning_rate(value)
            return
        kind = arguments(self.spec_type)["learning_rate"].metadata["kind"]
        value = kind.check(type(self).__name__, "learning_rate", value)
        if callable(value):
            if not self._is_schedule(value):
                self._check_needs_nothing("learning_rate", value)
            self._hold_learning_rate(value)
        elif not is_variable(value):
            self._assign_learning_rate(value)
            if self._follows_variable():
                return
        elif native(value) is native(self._learning_rate):
            return
        else:
            if self._is_variable(self._learning_rate) and not self._follows_variable():
                self._learning_rate.assign(value)  # for programs that were made before
            self._hold_learning_rate(native(value))
        self._record_learning_rate(value)

    def _follows_variable(self) -> bool:
        """Whether the learning rate is a variable of the user."""
        return bool(is_variable(self._spec.learning_rate))

    def _assign_learning_rate(self, value: Any) -> None:
        """Assigns a number to the variable that holds the rate, or makes one in place of a function."""
        if self._is_variable(self._learning_rate):
            self._learning_rate.assign(value)
        elif self._is_schedule(self._learning_rate):
            raise TypeError(
                f"{type(self).__name__}: the learning rate is a LearningRateSchedule and can't be set to a number, which "
                "would end it; set it to another schedule, or make the optimizer with a number"
            )
        else:
            self._hold_learning_rate(value)

    def _record_learning_rate(self, value: Any) -> None:
        """Makes a new learning rate part of the spec."""
        changed = callable(value) != callable(self._spec.learning_rate)
        untracked(self, _spec=dataclasses.replace(self._spec, learning_rate=value))
        if self._exact_rate is not None and isinstance(value, float):
            self._exact_rate.assign(value)
        if changed:  # some rules depend on whether the rate is a number
            self._engine.configure(self._spec)
        untracked(self, _dynamic=self._make_dynamic())

    @property
    def lr(self) -> Any:
        """Deprecated alias of ``learning_rate``."""
        _warn_lr()
        return self.learning_rate

    @lr.setter
    def lr(self, value: Any) -> None:
        _warn_lr()
        self.learning_rate = value

    def _current_hyper(self, call: Call | None = None) -> dict[str, Any]:
        """The hyperparameters that may differ from step to step, as scalar tensors; ``call`` is that of several replicas."""
        rate_dtype = tf.float64 if self._engine.has_float64 else tf.float32
        functions = {name: each for name, each in self._dynamic.items() if isinstance(each, Dynamic)}
        hyper = {name: read(tf.float64) for name, read in self._dynamic.items() if name not in functions}
        if functions:
            values = [each(tf.float64, None if call is None else call.number) for each in functions.values()]
            hyper |= zip(functions, values if call is None else call.of_first_worker(values), strict=True)
        rates = {"learning_rate": self._learning_rate}
        for i, group in enumerate(self._spec.groups or ()):
            if "learning_rate" in group:
                rates[of_group(i, "learning_rate")] = group["learning_rate"]
        for key, held in rates.items():
            if key in hyper:
                hyper[key] = tf.cast(hyper[key], rate_dtype)
            elif key == "learning_rate":
                hyper[key] = self._own_rate(rate_dtype)
            else:
                hyper[key] = scalar(native(self._scheduled(held, rate_dtype)), rate_dtype)
            hyper[key] = tf.ensure_shape(hyper[key], ())
        return hyper

    def _scheduled(self, rate: Any, dtype: Any) -> Any:
        """What a learning rate that may be a schedule gives for this step; other rates are returned as they are."""
        if not self._is_schedule(rate):
            return rate
        return (_in_float64(rate) if self._knows_float64(rate, dtype) else rate)(self._iterations)

    def _knows_float64(self, rate: Any, dtype: Any) -> bool:
        """Whether a learning rate is a schedule that can compute in float64, and has to."""
        return bool(dtype == tf.float64 and self._is_schedule(rate) and _host_of(type(rate)) == self._host())

    def _own_rate(self, dtype: Any) -> Any:
        """The learning rate of this step, outside of groups: a subclass may override the property that gives it."""
        held = self._learning_rate
        rate = self._scheduled(held, dtype) if self._knows_float64(held, dtype) else native(self.learning_rate)
        in_dtype = scalar(rate, dtype)
        narrow = getattr(rate, "dtype", tf.float64) != tf.float64  # a subclass may give a plain number
        if dtype == tf.float64 and isinstance(self._spec.learning_rate, float) and narrow:
            exact = self._exact()
            in_dtype = tf.where(tf.equal(tf.cast(exact, rate.dtype), rate), exact, in_dtype)
        return in_dtype

    def _hyper_in(self, dtype: Any, group: int | None = None) -> SimpleNamespace:
        """All hyperparameters of a group as they are now, those that may differ from step to step in this dtype."""
        spec, hyper = self._spec.of_group(group), hyper_of_group(self._spec, group, self._current_hyper())
        current = {name: tf.cast(value, dtype) for name, value in hyper.items()}
        return SimpleNamespace(**{f.name: getattr(spec, f.name) for f in dataclasses.fields(spec)} | current)

    def _exact(self) -> Any:
        """The user's number in float64. It is used as long as the narrower variable that Keras makes still holds it."""
        if self._exact_rate is None:
            with tf.init_scope(), undistributed():
                rate = tf.Variable(tf.constant(self._spec.learning_rate, tf.float64), trainable=False)
            untracked(self, _exact_rate=rate)
        return self._exact_rate


def _host_of(class_: type) -> str:
    return class_.__module__.split(".")[0]


def _in_float64(schedule: Any) -> Any:
    """A schedule of Keras that computes in float64. Its dtype is that of its numbers; Python floats would become float32."""
    copied = copy.copy(schedule)
    for name, value in vars(schedule).items():
        if isinstance(value, float):
            setattr(copied, name, np.array(value))
        elif isinstance(value, list | tuple):
            setattr(copied, name, [np.array(each) if isinstance(each, float) else each for each in value])
    return copied


def _warn_lr() -> None:
    warnings.warn("pyadam: attribute lr is deprecated, use learning_rate", DeprecationWarning, stacklevel=3)
