"""Several optimizers in one, for Keras 3: each has some of the variables."""

import contextlib
import re
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pyadam.engine import has_plain_values, native, typed
from pyadam.hosts.base import BaseOptimizer
from pyadam.hosts.configs import check_config, named, object_of, unregistered
from pyadam.hosts.contract import bare_path, untracked
from pyadam.hosts.exclusions import CONFIG_KEY, Exclusions
from pyadam.hosts.files import is_dataset
from pyadam.hosts.generation import home
from pyadam.hosts.given import matched
from pyadam.hosts.remembered import Remembered
from pyadam.hosts.saving import automatic_names
from pyadam.optimizers import multi
from pyadam.optimizers.kinds import Inner, Pattern, listed, shown
from pyadam.optimizers.spec import laid_on

__all__ = ["MultiOptimizer", "OptimizerMap"]


_WRAPPERS = (keras.optimizers.LossScaleOptimizer, keras.optimizers.MultiOptimizer)


def _fits(optimizer: Any) -> bool:
    """Whether an object is an optimizer of Keras 3 that has variables of its own."""
    return isinstance(optimizer, keras.optimizers.Optimizer) and not isinstance(optimizer, _WRAPPERS)


def _join(optimizer: Any, variables: list[Any]) -> None:
    """Gives an optimizer of several its new variables."""
    if isinstance(optimizer, BaseOptimizer):
        optimizer._join(variables)
    else:
        optimizer.build(variables)


def _exclude(optimizer: Any, variables: list[Any]) -> None:
    """Excludes variables, some of which an optimizer is about to get, from its weight decay."""
    if isinstance(optimizer, BaseOptimizer):
        optimizer._exclusions.add({optimizer._var_key(v): bare_path(v) for v in variables}, ())
    elif variables and not optimizer.built:  # Keras' own takes no others later, and forgets what an earlier call named
        optimizer.exclude_from_weight_decay(variables)


@keras.saving.register_keras_serializable("pyadam")
class OptimizerMap(keras.optimizers.OptimizerMap):  # type: ignore[misc]  # noqa: D101 it has the spec's
    __module__ = "pyadam.keras3"
    __doc__ = multi.OptimizerMap.documentation()
    __signature__ = multi.OptimizerMap.signature()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        spec = multi.OptimizerMap(**laid_on(self.__signature__, type(self).__name__, args, kwargs))
        self._check("default_optimizer", spec.default_optimizer)
        super().__init__(spec.default_optimizer, {})
        for pattern, optimizer in (spec.optimizer_map or {}).items():
            self[pattern] = optimizer

    def __setitem__(self, pattern: str, optimizer: Any) -> None:
        owner = type(self).__name__
        Pattern().check(owner, "a key", pattern)
        if isinstance(optimizer, keras.optimizers.Optimizer):
            super().__setitem__(pattern, optimizer)
        self._check(f"the optimizer of {pattern!r}", optimizer)

    def unmatched(self, paths: Sequence[str]) -> list[str]:
        """The keys that none of these paths matches."""
        return [key for key in self if not any(key == path or re.fullmatch(key, path) for path in paths)]

    def __repr__(self) -> str:
        return f"{home(self)}.{type(self).__name__}({self.default_optimizer!r}, {dict(self)!r})"

    def _check(self, name: str, optimizer: Any) -> None:
        Inner(fits=_fits).check(type(self).__name__, name, optimizer)

    def distinct(self) -> list[Any]:
        """The optimizers, each once, in the order of the keys; the default comes last."""
        return list({id(each): each for each in (*self.values(), self.default_optimizer)}.values())

    def get_config(self) -> dict[str, Any]:
        """The optimizers, each once, and their numbers by pattern."""
        every = self.distinct()
        numbers = {id(each): number for number, each in enumerate(every)}
        return {
            "optimizers": [keras.saving.serialize_keras_object(each) for each in every],
            "default_optimizer": numbers[id(self.default_optimizer)],
            "optimizer_map": {pattern: numbers[id(each)] for pattern, each in self.items()},
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None) -> "OptimizerMap":
        """The map of a config."""
        check_config(cls.__name__, config, "optimizers", "default_optimizer", "optimizer_map")
        read = keras.saving.deserialize_keras_object
        every = [
            object_of(cls.__name__, "optimizers", each, keras.saving, custom_objects, read)
            for each in config["optimizers"]
        ]
        return cls(
            every[config["default_optimizer"]],
            {pattern: every[number] for pattern, number in config["optimizer_map"].items()},
        )


@keras.saving.register_keras_serializable("pyadam")
class MultiOptimizer(keras.optimizers.MultiOptimizer):  # type: ignore[misc]  # noqa: D101 it has the spec's
    __module__ = "pyadam.keras3"
    __doc__ = multi.MultiOptimizer.documentation()
    __signature__ = multi.MultiOptimizer.signature()
    spec_type = multi.MultiOptimizer

    _var_to_optimizer_idx: dict[Any, int]
    _chooses: bool  # False where a config says which variables are whose: they may have had other paths

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        spec = multi.MultiOptimizer(**laid_on(self.__signature__, type(self).__name__, args, kwargs))
        chooser = spec.optimizer_map
        inside = chooser.distinct() if isinstance(chooser, OptimizerMap) else []
        factors = [
            each.loss_scale_factor for each in inside if each.loss_scale_factor not in (None, spec.loss_scale_factor)
        ]
        if factors:
            warnings.warn(
                f"{type(self).__name__}: loss_scale_factor={factors[0]} of an inner optimizer is set to "
                f"{spec.loss_scale_factor}, because all of them get the gradients of one loss",
                stacklevel=2,
            )
        super().__init__(chooser, loss_scale_factor=spec.loss_scale_factor, name=spec.name)
        untracked(self, _var_to_optimizer_idx={}, _trainable_variables_indices={}, _trainable_variables=[])
        automatic = automatic_names("keras").__contains__
        untracked(self, _remembered=Remembered(automatic), _exclusions=Exclusions(type(self).__name__, automatic))
        untracked(self, _known_missing=set(), _chooses=True, _lock=threading.RLock())

    # --- variables -------------------------------------------------------------------------------------------------------

    def build(self, variables: Sequence[Any]) -> None:
        """Chooses an optimizer for each of these model variables, and makes its state."""
        variables = list({self._var_key(v): v for v in variables}.values())
        self._choose(variables)
        self._for_each(variables, lambda optimizer, its: optimizer.build(its))
        self._finish_build()

    def _finish_build(self) -> None:
        self._exclusions.warn_unmatched()
        chooser, paths = self._optimizer_map, [v.path for v in self._trainable_variables]
        for key in chooser.unmatched(paths) if paths and self._chooses and isinstance(chooser, OptimizerMap) else ():
            warnings.warn(
                f"{type(self).__name__}: no variable's path matches {key!r} so far; a key has to match a whole path, and the "
                f"paths are {listed(paths)}",
                stacklevel=4,
            )
        self.built = True

    def _choose(self, variables: Sequence[Any]) -> list[Any]:
        """Notes the optimizer of each variable that is new, and tells it which have no weight decay. Returns the new ones."""
        new = [v for v in variables if self._var_key(v) not in self._var_to_optimizer_idx]
        if not new:
            return []
        named = list(map(self._named, new))
        known = self._remembered.meet(named)
        self._exclusions.find(named)
        for v in new:
            key = self._var_key(v)
            number = known[key] if key in known else self._number_of(self._optimizer_map(v), v)
            self._trainable_variables_indices[self._var_key(v)] = len(self._trainable_variables)
            self._var_to_optimizer_idx[self._var_key(v)] = number
            self._trainable_variables.append(v)
        every = self._trainable_variables
        for number, pairs in self._parts([self._exclusions.found[self._var_key(v)] for v in every], every):
            _exclude(self.optimizers[number], [v for excluded, v in pairs if excluded])
        return new

    def _prepare(self, variables: Sequence[Any]) -> None:
        """Makes the state of the variables of a step. Those that join known ones are no other model's."""
        first = not self.built
        new = self._choose(variables)
        if first or len(new) < len(variables):
            self._for_each(new, lambda optimizer, its: _join(optimizer, its))
        if first:
            self._finish_build()

    def _named(self, variable: Any) -> tuple[Any, str]:
        """The key and the path of a variable."""
        return self._var_key(variable), bare_path(variable)

    def _number_of(self, optimizer: Any, variable: Any) -> int:
        """The number of an optimizer, which is noted if it is new."""
        for wrapper in _WRAPPERS:
            if isinstance(optimizer, wrapper):
                name = wrapper.__name__
                raise ValueError(f"{name} cannot be used inside an MultiOptimizer. Give it the one that {name} wraps")
        if not _fits(optimizer):
            raise ValueError(
                f"{type(self).__name__}: the optimizer of {bare_path(variable)} must be one of Keras 3, got {shown(optimizer)}"
            )
        for number, each in enumerate(self.optimizers):
            if each is optimizer:
                return number
        optimizer.loss_scale_factor = self.loss_scale_factor
        self._inner_optimizers.append(optimizer)
        return len(self.optimizers) - 1

    def _parts(self, values: Sequence[Any], variables: Sequence[Any]) -> Iterator[tuple[int, list[tuple[Any, Any]]]]:
        """The pairs of value and variable of each optimizer that has some, by its number."""
        parts: dict[int, list[tuple[Any, Any]]] = {}
        for value, v in zip(values, variables, strict=True):
            parts.setdefault(self._var_to_optimizer_idx[self._var_key(v)], []).append((value, v))
        yield from sorted(parts.items(), key=lambda part: part[0])

    # --- steps -----------------------------------------------------------------------------------------------------------

    @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Any] | None = None) -> None:
        """One step of each optimizer that has a gradient. For the others it is none: they don't count it.

        Args:
            grads: tensors, IndexedSlices, or None for a variable that this step leaves out.
            trainable_variables: the variables; by default those of ``build``.

        Raises:
            ValueError: no gradient at all, another number of gradients than variables, or no variables before ``build``.
        """
        grads, variables = matched(self, grads, trainable_variables)
        if not grads:
            return
        if all(g is None for g in grads):
            raise ValueError(
                f"{type(self).__name__}: No gradients provided for any variable: {listed(map(bare_path, variables))}"
            )
        with self._lock:
            self._prepare(variables)
            parts = list(self._parts(grads, variables))
            for number, pairs in parts:  # a step is refused before a part of it is taken
                for g, v in pairs:
                    if g is not None and has_plain_values(native(v)):
                        typed(type(self.optimizers[number]).__name__, bare_path(v), native(v), g)
            for number, pairs in parts:
                if any(g is not None for g, _ in pairs):
                    its_grads, its_variables = zip(*pairs, strict=True)
                    self.optimizers[number].apply(list(its_grads), list(its_variables))
                else:
                    self._tell_missing(number, [bare_path(v) for _, v in pairs])
            self._iterations.assign_add(1)

    def _without_frozen(self, grads: Sequence[Any], variables: Sequence[Any]) -> list[Any]:
        """The gradients that the optimizers use, as their own methods of this name say."""
        used: dict[Any, Any] = {self._var_key(v): g for g, v in zip(grads, variables, strict=True)}
        self._choose(variables)
        for number, pairs in self._parts(grads, variables):
            optimizer = self.optimizers[number]
            if isinstance(optimizer, BaseOptimizer):
                its_grads, its_variables = zip(*pairs, strict=True)
                found = optimizer._without_frozen(its_grads, its_variables)
                used |= {self._var_key(v): g for g, v in zip(found, its_variables, strict=True)}
        return [used[self._var_key(v)] for v in variables]

    @property
    def state_bytes(self) -> int:
        """The bytes of state that this process keeps, of all optimizers in it that say so."""
        return sum(getattr(each, "state_bytes", 0) for each in self.optimizers)

    def __repr__(self) -> str:
        return f"{home(self)}.{type(self).__name__}({self._optimizer_map!r})"

    def _tell_missing(self, number: int, paths: Sequence[str]) -> None:
        if number not in self._known_missing:
            self._known_missing.add(number)
            warnings.warn(
                f"{type(self).__name__}: Gradients do not exist for variables {listed(paths)}; they keep their values",
                stacklevel=3,
            )

    def finalize_variable_values(self, var_list: Sequence[Any]) -> None:
        """Overwrites those of these model variables with their averages whose optimizer keeps some."""
        self._for_each(var_list, lambda optimizer, its: optimizer.finalize_variable_values(its))

    def _for_each(self, variables: Sequence[Any], call: Callable[[Any, list[Any]], Any]) -> None:
        for number, pairs in self._parts(variables, variables):
            call(self.optimizers[number], [v for _, v in pairs])

    @contextlib.contextmanager
    def averaged_weights(self) -> Iterator[None]:
        """Within this context the weights of optimizers that keep averages are their averages.

        Raises:
            ValueError: none of them does.
        """
        averaging = [each for each in self.optimizers if getattr(each, "keeps_averages", False)]
        if not averaging:
            raise ValueError(f"{type(self).__name__}: averaged_weights() needs an optimizer in it with use_ema=True")
        with contextlib.ExitStack() as stack:
            for optimizer in averaging:
                stack.enter_context(optimizer.averaged_weights())
            yield

    def exclude_from_weight_decay(
        self, var_list: Sequence[Any] | None = None, var_names: Sequence[str] | None = None
    ) -> None:
        """Excludes variables from the weight decay of whichever optimizer they have; arguments and errors are those of one."""
        self._exclusions.add_given(self.built, var_list or (), var_names or (), self._named)

    # --- files -----------------------------------------------------------------------------------------------------------

    def save_own_variables(self, store: Any) -> None:
        """Writes the number of steps. Keras has each optimizer in it write its own state."""
        store["0"] = self._iterations.numpy()

    def load_own_variables(self, store: Any) -> None:
        """Reads the number of steps; Keras has each optimizer in it read its own state."""
        if "0" in store:
            self._iterations.assign(store["0"])

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Sets all state, in the order of ``variables``: the optimizer's own, then that of each optimizer in it."""
        parts = self._divided(list(weights))
        if len(parts) != 1 + len(self.optimizers):
            raise ValueError(
                f"{type(self).__name__}: the saved state is that of {len(parts) - 1} optimizers, expected "
                f"{len(self.optimizers)}"
            )
        for optimizer, part in zip(self.optimizers, parts[1:], strict=True):
            if not optimizer.built:  # Keras builds it with no variables when it reads an .h5 file
                optimizer.build([])
            optimizer.set_weights(part)
        for variable, value in zip(self._variables, parts[0], strict=True):
            variable.assign(np.asarray(value))

    def _divided(self, weights: list[Any]) -> list[list[Any]]:
        """The state of this optimizer, and of each in it: each begins with the number of its steps."""
        if weights and is_dataset(weights[0]):
            starts = [i for i, each in enumerate(weights) if each.name.endswith("/iteration")]
        else:
            counts = [len(self._variables), *(len(each.variables) for each in self.optimizers)]
            starts = [sum(counts[:i]) for i in range(len(counts))]
        return [weights[start:end] for start, end in zip(starts, [*starts[1:], len(weights)], strict=True)]

    def _trackable_children(self, save_type: str = "checkpoint", **kwargs: Any) -> dict[str, Any]:
        inner = {f"optimizer_{number}": each for number, each in enumerate(self.optimizers)}
        return {**super()._trackable_children(save_type, **kwargs), **inner}

    def get_config(self) -> dict[str, Any]:
        """The optimizers and who has which variable, as JSON values.

        Raises:
            ValueError: a function chooses the optimizers that is not registered with ``keras.saving``.
        """
        chooser = self._optimizer_map
        name = getattr(chooser, "__name__", None)
        if not hasattr(chooser, "get_config") and (
            name is None or keras.saving.get_registered_object(keras.saving.get_registered_name(chooser)) is None
        ):
            raise unregistered(type(self).__name__, "optimizer_map", named(chooser), keras.saving)
        config = {
            "optimizer_map": keras.saving.serialize_keras_object(chooser),
            "loss_scale_factor": self.loss_scale_factor,
            "name": self.name,
        }
        members = self._remembered.in_config(self._var_to_optimizer_idx)
        if isinstance(chooser, OptimizerMap) and members:
            config["members"] = members
        return config | self._exclusions.config()

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None) -> "MultiOptimizer":
        """The optimizer of a config, pyadam's or Keras' own, with those in it; state is not part of it."""
        check_config(cls.__name__, config, "optimizer_map")
        read = keras.saving.deserialize_keras_object
        chooser = object_of(cls.__name__, "optimizer_map", config["optimizer_map"], keras.saving, custom_objects, read)
        values = {name: value for name, value in config.items() if name not in ("members", CONFIG_KEY)}
        made = cls(**{**values, "optimizer_map": chooser})
        made._remembered.expect(config.get("members", {}))
        made._chooses = not config.get("members")
        if CONFIG_KEY in config:
            made._exclusions.remember(config[CONFIG_KEY])
        return made
