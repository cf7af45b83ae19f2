"""What the optimizer classes of both generations of Keras share: arguments, state, checks, steps and averages.

A class of this kind owns variables and hands every step to the engine. What differs between Keras 3 and tf_keras, how a
variable is made, saved and named, is left to the subclasses.
"""

import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

import tensorflow as tf

from pyadam import specs
from pyadam.arguments import plain
from pyadam.averages import Averages
from pyadam.engine import Engine, Target
from pyadam.engine.arena import Part
from pyadam.engine.gradients import clip, compute_dtype
from pyadam.engine.lanes import make_arenas
from pyadam.exclusions import Exclusions
from pyadam.hyperparameters import Hyperparameters
from pyadam.reference import documentation
from pyadam.rules import RULES
from pyadam.rules.rule import Slot
from pyadam.saving import path, untracked

__all__ = ["Shell", "check_strategy", "make_classes", "matched"]


class Shell(Averages, Hyperparameters):
    """An optimizer of one spec, without a Keras around it."""

    _exclusions: Exclusions
    _built_explicitly: bool
    _trainable_variables: list[Any]
    _model_variables_moving_average: list[Any]
    _accumulated_gradients: list[Any]
    _has_arenas: ClassVar[bool] = True  # whether the state of small variables may be parts of arenas

    # What the Keras generation provides.
    name: str
    _var_key: Callable[[Any], Any]
    _overwrite_variable_with_gradient: Callable[[Any], bool]

    def _add_state(self, variable: Any, slot: Slot, part: Part | None) -> Any:
        """A variable beside a weight, by default in the dtype of the arithmetic and of the weight's shape.

        Its memory is the part of an arena, if one is given.
        """
        raise NotImplementedError

    def _add_scalar(self, name: str, start: float, dtype: Any) -> Any:
        """A scalar variable of the optimizer as a whole."""
        raise NotImplementedError

    def _set_up(self, spec: specs.Spec, iterations: Any) -> None:
        """What every constructor does once its Keras has made ``_iterations`` and ``_learning_rate``."""
        self._built_explicitly = False
        untracked(
            self,
            _spec=spec,
            _rule=RULES[self.spec_type],
            _engine=Engine(spec, RULES[self.spec_type], iterations),
            _exclusions=Exclusions(),
            _trainable_variables=[],
            _model_variables_moving_average=[],
            _accumulated_gradients=[],
            _order={},
            _deferred=None,
            _exact_rate=None,
        )
        untracked(self, _dynamic=self._make_dynamic())

    def __repr__(self) -> str:
        default = {p.name: p.default for p in specs.class_signature(self.spec_type).parameters.values()}
        values = {name: plain(getattr(self._spec, name)) for name in specs.arguments(self.spec_type)}
        values["learning_rate"] = self._rate_for_config()
        shown = ", ".join(f"{name}={value!r}" for name, value in values.items() if value != default[name])
        return f"pyadam.{type(self).__name__}({shown})"

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if name != "lr"]  # Keras reads all that is listed when it saves

    def exclude_from_weight_decay(
        self, var_list: Sequence[Any] | None = None, var_names: Sequence[str] | None = None
    ) -> None:
        """Excludes variables from weight decay. Repeated calls add up.

        Args:
            var_list: variables, taken by identity.
            var_names: names, as regular expressions that must match one whole component of a variable's path
                (``"bias"`` matches ``dense/bias`` and ``dense/bias_1``, not ``dense/unbiased_kernel``).

        Raises:
            ValueError: the optimizer is built already.
        """
        if self.built:
            raise ValueError(
                f"{type(self).__name__}: exclude_from_weight_decay() must be called before the optimizer is built, "
                "that is before the first step"
            )
        self._exclusions.add([self._var_key(v) for v in var_list or ()], var_names or ())

    # --- variables -------------------------------------------------------------------------------------------------------

    def build(self, variables: Sequence[Any]) -> None:
        """Creates the state for these model variables; from then on no others are accepted.

        Raises:
            ValueError: a variable given twice, or one that an earlier build did not name.
        """
        if self._built_explicitly:
            self._check_known(list(variables))
            return
        self._add_targets(list(variables))
        self._built_explicitly = True
        self._finish_build()

    def _finish_build(self) -> None:
        self._exclusions.warn_unmatched(type(self).__name__)
        self.built = True
        self._load_deferred()

    def _check_known(self, variables: Sequence[Any]) -> None:
        unknown = [path(v) for v in variables if self._var_key(v) not in self._engine.targets]
        if unknown:
            raise ValueError(
                f"{type(self).__name__}: unknown variable {', '.join(unknown)}: the optimizer was built for "
                f"{len(self._engine.targets)} others. Build it with all variables, or make a new optimizer"
            )

    def _add_targets(self, variables: Sequence[Any]) -> None:
        """Creates the state of those variables that have none yet."""
        self._check_distinct(variables)
        new = [v for v in variables if self._var_key(v) not in self._engine.targets]
        for v in new:  # before anything is created
            self._check_dtype(v)
        targets = [self._target(v) for v in new]
        if self._has_arenas and self._rule.elementwise:
            make_arenas(targets)
        numbered = list(enumerate(zip(new, targets, strict=True), len(self._engine.targets)))

        def add(place: tuple[float, ...], v: Any, target: Target, slot: Slot) -> tuple[Any, Any]:
            part = target.arenas.part(target, slot) if target.arenas and slot.shape is None else None
            state = self._add_state(v, slot, part)
            self._order[id(state)] = place
            return state, self._native(state)

        if self._spec.use_ema:
            for i, (v, target) in numbered:
                if not target.replaced:
                    average, target.average = add((2, i), v, target, Slot("average"))
                    self._model_variables_moving_average.append(average)
                    if self.built:  # a later variable: its average starts here, not at the first update
                        target.average.assign(tf.cast(target.weight, target.dtype))
        if self._spec.calls_per_update > 1:
            for i, (v, target) in numbered:
                accumulator, target.accumulator = add((3, i), v, target, Slot("gradient_accumulator"))
                self._accumulated_gradients.append(accumulator)
        groups = {i: self._rule.slots(self._spec, v.shape, path(v)) for i, (v, _) in numbered}
        for k in range(max(map(len, groups.values()), default=0)):
            for i, (v, target) in numbered:
                for j, slot in enumerate(() if target.replaced else groups[i][k]):
                    kept = slot._replace(dtype=slot.dtype or self._spec.slot_dtype)
                    _, native = add((4 + k, i, j), v, target, kept)
                    if slot.dtype is None:
                        target.slots[slot.name] = native
        self._engine.add({self._var_key(v): target for v, target in zip(new, targets, strict=True)})
        self._trainable_variables.extend(new)
        if not self._engine.shared:
            wide = any(target.dtype == tf.float64 for target in self._engine.targets.values())
            for name, start in self._rule.shared.items():
                scalar = self._add_scalar(name, start, tf.float64 if wide else tf.float32)
                self._order[id(scalar)] = (math.inf,)  # the last of its variables
                setattr(self, f"_{name}", scalar)  # under the name that checkpoints of either Keras know
                self._engine.shared[name] = self._native(scalar)

    def _check_dtype(self, variable: Any) -> None:
        dtype = compute_dtype(variable.dtype)  # refuses what is not floating point
        if self._spec.slot_dtype is not None and dtype == tf.float64:
            raise ValueError(
                f"{type(self).__name__}: slot_dtype must be None (NULL in R) for float64 variables, "
                f"got {self._spec.slot_dtype!r} for {path(variable)}"
            )

    def _target(self, variable: Any) -> Target:
        return Target(
            weight=self._native(variable),
            path=path(variable),
            decayed=not self._exclusions.match(self._var_key(variable), path(variable)),
            replaced=self._overwrite_variable_with_gradient(variable),
            constraint=getattr(variable, "constraint", None),
        )

    # --- steps -----------------------------------------------------------------------------------------------------------

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Any]]) -> Any:
        """One step from pairs of gradient and variable; returns the number of calls so far."""
        pairs = list(grads_and_vars)
        self.apply([g for g, _ in pairs], [v for _, v in pairs])
        return self._iterations

    @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Any] | None = None) -> None:
        """One step.

        Args:
            grads: tensors, IndexedSlices, or None for a variable that this step leaves out; of the variables' shapes.
            trainable_variables: the variables; by default those of ``build``.

        Raises:
            ValueError: no gradient at all, another number of gradients than variables, a gradient of the wrong shape, a
                variable given twice or unknown, or no variables before ``build``.
        """
        grads, variables = matched(self, grads, trainable_variables)
        if not grads:
            return
        self._check_gradients(grads, variables)
        check_strategy(type(self).__name__)
        with tf.init_scope():
            if self._built_explicitly:
                self._check_known(variables)
                self._check_distinct(variables)
            else:
                self._add_targets(variables)
                if not self.built:
                    self._finish_build()
        given = {self._var_key(v): g for g, v in zip(grads, variables, strict=True)}
        targets = self._engine.targets
        keys = [key for key, x in targets.items() if key in given or x.average is not None or x.pending]
        self._engine.step([targets[key] for key in keys], [given.get(key) for key in keys], self._current_hyper())

    def _check_gradients(self, grads: Sequence[Any], variables: Sequence[Any]) -> None:
        missing = [path(v) for g, v in zip(grads, variables, strict=True) if g is None]
        if len(missing) == len(grads):
            raise ValueError(f"{type(self).__name__}: No gradients provided for any variable: {', '.join(missing)}")
        if missing:
            warnings.warn(
                f"{type(self).__name__}: Gradients do not exist for variables {', '.join(missing)}; they keep their values",
                stacklevel=4,
            )

    def _check_distinct(self, variables: Sequence[Any]) -> None:
        seen: set[Any] = set()
        for v in variables:
            if self._var_key(v) in seen:
                raise ValueError(f"{type(self).__name__}: variable {path(v)} is given twice")
            seen.add(self._var_key(v))

    def _clip_gradients(self, grads: Sequence[Any]) -> list[Any]:
        s = self._spec
        return clip([tf.convert_to_tensor(g) for g in grads], s.clipnorm, s.clipvalue, s.global_clipnorm)


def matched(optimizer: Any, grads: Iterable[Any], variables: Iterable[Any] | None) -> tuple[list[Any], list[Any]]:
    """The gradients and variables of a call of ``apply``, as many of each; by default the variables of ``build``.

    Raises:
        ValueError: another number of gradients than variables, or no variables before ``build``.
    """
    owner, grads = type(optimizer).__name__, list(grads)
    if variables is None and not optimizer.built:
        raise ValueError(
            f"{owner}: apply(grads) without variables needs an optimizer that is built: call build(variables) first"
        )
    variables = list(optimizer._trainable_variables if variables is None else variables)
    if len(grads) != len(variables):
        raise ValueError(f"{owner}: expected one gradient a variable, got {len(grads)} gradients for {len(variables)}")
    return grads, variables


def check_strategy(owner: str) -> None:
    """Refuses steps on more than one replica."""
    if tf.distribute.get_strategy().num_replicas_in_sync > 1:
        raise NotImplementedError(f"{owner}: tf.distribute with more than one replica is not supported yet")


def _hyperparameter(name: str, doc: str) -> property:
    return property(lambda self: getattr(self._spec, name), lambda self, value: self._configure(name, value), doc=doc)


def _make_class(spec: type[specs.Spec], base: type, module: str) -> type:
    """The class of a spec: its signature, its documentation and a property for each hyperparameter."""
    fields = specs.arguments(spec)
    namespace: dict[str, Any] = {
        name: _hyperparameter(name, field.metadata["doc"])
        for name, field in fields.items()
        if name not in ("learning_rate", "name")
    }
    namespace |= {
        "spec_type": spec,
        "__module__": module,
        "__doc__": documentation(spec),
        "__signature__": specs.class_signature(spec),
    }
    return type(spec.__name__, (base,), namespace)


def make_classes(base: type, register: Callable[[type], type], module: str) -> dict[str, type]:
    """The classes of all specs on a base, under their names."""
    return {name: register(_make_class(spec, base, module)) for name, spec in specs.SPECS.items()}
