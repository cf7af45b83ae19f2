"""Hyperparameters: how they are checked and changed, and what of them a step is given."""

import dataclasses
import warnings
from typing import Any

import tensorflow as tf

from pyadam import specs
from pyadam.arguments import needs_arguments
from pyadam.engine import Engine
from pyadam.engine.dynamic import Dynamic
from pyadam.rules import RULES
from pyadam.saving import Saving, untracked

__all__ = ["Hyperparameters"]


class Hyperparameters(Saving):
    """The part of the shell that deals with hyperparameters, the learning rate among them."""

    _engine: Engine
    _dynamic: dict[str, Dynamic]
    learning_rate: Any

    def _native(self, variable: Any) -> Any:
        """The tf.Variable behind a variable of this Keras; anything else as it is."""
        raise NotImplementedError

    def _is_schedule(self, value: Any) -> bool:
        """Whether a learning rate is this Keras' own schedule, which is called with the step."""
        raise NotImplementedError

    def _hold_learning_rate(self, value: Any) -> None:
        """Puts a function or a schedule in the place of the learning rate, or a new variable with this number."""
        raise NotImplementedError

    def _configure(self, name: str, value: Any) -> None:
        """Changes one hyperparameter; steps traced from now on use it."""
        if "_engine" not in self.__dict__:
            return  # Keras' own constructor writes its defaults
        new = dataclasses.replace(self._spec, **{name: value})
        if self.built and _state_of(new) != _state_of(self._spec):
            raise ValueError(
                f"{type(self).__name__}: {name} can't change once the optimizer is built, its state depends on it"
            )
        untracked(self, _spec=new)
        untracked(self, _dynamic=self._make_dynamic())
        self._engine.configure(new)

    def _make_dynamic(self) -> dict[str, Dynamic]:
        """The hyperparameters given as functions, other than schedules."""
        found = {}
        for name, field in specs.arguments(self.spec_type).items():
            value = self._learning_rate if name == "learning_rate" else getattr(self._spec, name)
            if callable(value) and not self._is_schedule(value):
                self._check_needs_nothing(name, value)
                dtype = tf.float32 if name == "learning_rate" else tf.float64
                found[name] = Dynamic(type(self).__name__, name, value, field.metadata["kind"], dtype)
        return found

    def _check_needs_nothing(self, name: str, function: Any) -> None:
        """Refuses what can't be called without arguments: a schedule, but not of this Keras."""
        if needs_arguments(function):
            host, other = self._saving.__name__.split(".")[0], type(function).__module__.split(".")[0]
            raise TypeError(
                f"{type(self).__name__}: {name} must be a LearningRateSchedule of {host}, "
                f"got a {type(function).__name__} of {other}"
            )

    def _set_learning_rate(self, value: Any) -> None:
        """Takes a new learning rate; a tensor of a graph is taken as it is.

        A number is assigned to the variable that holds the rate, so that programs made before see it; in the place of a
        function it gets a variable. In the place of a schedule it is refused, as Keras does: callbacks that set the rate would
        end the schedule in silence.
        """
        owner, held = type(self).__name__, self._learning_rate
        in_graph = tf.is_tensor(value) and not hasattr(value, "numpy")
        if not in_graph:
            kind = specs.arguments(self.spec_type)["learning_rate"].metadata["kind"]
            value = kind.check(owner, "learning_rate", value)
        if callable(value):
            if not self._is_schedule(value):
                self._check_needs_nothing("learning_rate", value)
            self._hold_learning_rate(value)
        elif self._is_variable(held):
            held.assign(value)
        elif self._is_schedule(held):
            raise TypeError(
                f"{owner}: the learning rate is a LearningRateSchedule and can't be set to a number, which would end it; "
                "set it to another schedule, or make the optimizer with a number"
            )
        else:
            self._hold_learning_rate(value)
        if in_graph:
            return
        changed = callable(value) != callable(self._spec.learning_rate)
        untracked(self, _spec=dataclasses.replace(self._spec, learning_rate=value))
        if changed:  # a rule may ask whether the rate is a number
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

    def _current_hyper(self) -> dict[str, Any]:
        """The hyperparameters that may differ from step to step, as scalar tensors."""
        hyper = {name: dynamic() for name, dynamic in self._dynamic.items()}
        if "learning_rate" not in hyper:
            rate = tf.cast(self._native(self.learning_rate), tf.float32)
            hyper["learning_rate"] = tf.ensure_shape(rate, ())
        return hyper


def _state_of(spec: specs.Spec) -> Any:
    """What a spec says of the variables that the optimizer keeps."""
    return RULES[type(spec)].slots(spec, (2, 2), ""), spec.slot_dtype, spec.use_ema, spec.calls_per_update > 1


def _warn_lr() -> None:
    warnings.warn("pyadam: attribute lr is deprecated, use learning_rate", DeprecationWarning, stacklevel=3)
