"""What the optimizer classes of both generations of Keras share: arguments, state, checks, steps and averages.

A class of this kind owns variables and hands every step to the engine. What differs between Keras 3 and tf_keras, how a
variable is made, saved and named, is left to the subclasses.
"""

import math
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from typing import Any, ClassVar

import tensorflow as tf

from pyadam.engine import (
    Engine,
    Part,
    Target,
    check_one_replica,
    clip,
    compute_dtype,
    has_plain_values,
    make_arenas,
    undistributed,
)
from pyadam.hosts.averages import Averages
from pyadam.hosts.exclusions import Exclusions
from pyadam.hosts.extension import Extension
from pyadam.hosts.generation import home, in_refusal, introduced
from pyadam.hosts.hyperparameters import Hyperparameters
from pyadam.hosts.saving import path, untracked
from pyadam.hosts.state import Label, numbered
from pyadam.optimizers import RULES, Spec, arguments, class_signature
from pyadam.optimizers.kinds import plain
from pyadam.optimizers.rule import Slot

__all__ = ["Shell", "matched"]


_ONE_A_MODEL = (
    "Make a new optimizer for each model, and for each fold of a cross-validation; if one is to train several models, "
    "call build() with the variables of all of them before its first step"
)


class Shell(Extension, Averages, Hyperparameters):
    """An optimizer of one spec, without a Keras around it."""

    _exclusions: Exclusions
    _built_explicitly: bool
    _trainable_variables: list[Any]
    _lock: Any  # of the thread that takes a step
    _known_missing: set[Any]
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

    def _set_up(self, spec: Spec, iterations: Any) -> None:
        """What every constructor does once its Keras has made ``_iterations`` and ``_learning_rate``."""
        self._built_explicitly = False
        untracked(
            self,
            _spec=spec,
            _rule=RULES[self.spec_type],
            _engine=Engine(spec, RULES[self.spec_type], iterations),
            _exclusions=Exclusions(),
            _trainable_variables=[],
            _lock=threading.RLock(),
            _known_missing=set(),  # keys of the variables whose missing gradients a warning has named
            _exact_rate=None,
        )
        self._set_up_saving()
        untracked(self, _dynamic=self._make_dynamic())

    def __repr__(self) -> str:
        default = {p.name: p.default for p in class_signature(self.spec_type).parameters.values()}
        values = {name: plain(getattr(self._spec, name)) for name in arguments(self.spec_type)}
        values["learning_rate"] = self._rate_for_config()
        shown = ", ".join(f"{name}={value!r}" for name, value in values.items() if value != default[name])
        return f"{home(self)}.{type(self).__name__}({shown})"

    def __format__(self, spec: str) -> str:
        return introduced(self) if in_refusal() else format(repr(self), spec)

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
        """Creates the state for these model variables; from then on others are accepted only beside them.

        Raises:
            ValueError: a variable given twice, or none that an earlier build has named.
        """
        with tf.init_scope():  # the state is made, and loaded, now, whatever is being traced
            if self._built_explicitly:
                self._check_known(list(variables))
            self._add_targets(list(variables))
            if not self._built_explicitly:
                self._built_explicitly = True
                self._finish_build()

    def _finish_build(self) -> None:
        self._exclusions.warn_unmatched(type(self).__name__)
        self.built = True
        self._load_deferred()

    def _check_known(self, variables: Sequence[Any]) -> None:
        """Refuses other variables than those of the build, but for such as come beside them: layers are unfrozen in stages."""
        targets = self._engine.targets
        if targets and not any(self._var_key(v) in targets for v in variables):
            unknown = [v for v in variables if not self._is_kept(v) and not self._why_not(v)]
            if unknown:
                raise self._unknown(unknown)

    def _unknown(self, variables: Sequence[Any]) -> ValueError:
        return ValueError(
            f"{type(self).__name__}: unknown variable {', '.join(map(path, variables))}: the optimizer was built for "
            f"{len(self._engine.targets)} others. {_ONE_A_MODEL}"
        )

    def _check_not_all_new(self, variables: Sequence[Any]) -> None:
        """Refuses a second model: its steps would go on from the count, and so from the corrections, of the first one's.

        Variables that are not those of such a copy are taken, with a warning.
        """
        targets = self._engine.targets
        if not targets or not tf.executing_eagerly() or any(self._var_key(v) in targets for v in variables):
            return
        steps = int(tf.convert_to_tensor(self._native(self._iterations)))
        if steps == 0 or all(self._is_kept(v) for v in variables):
            return
        words = (
            f"{type(self).__name__}: unknown variable {', '.join(map(path, variables))}: the optimizer has taken "
            f"{steps} steps, and none with these variables. {_ONE_A_MODEL}"
        )
        known, names = list(self._ranks), [path(v).split(":")[0] for v in variables]
        in_layers = any("/" in name for name in names)  # variables of no layer are all called alike
        if in_layers and not _of_one_model(known, names) and self._same_variables(known, names):
            raise ValueError(words)
        self._say(words)

    def _add_targets(self, variables: Sequence[Any]) -> None:
        """Creates the state of those variables that have none yet."""
        self._check_distinct(variables)
        known = {self._var_key(v) for v in self._trainable_variables}
        announced = [v for v in variables if self._var_key(v) not in known]
        new = [v for v in announced if not self._why_not(v)]
        if announced:  # before anything is created
            check_one_replica(type(self).__name__, map(self._native, announced))
        for v in new:
            self._check_dtype(v)
        targets = [self._target(v) for v in new]
        if self._has_arenas and self._rule.elementwise:
            make_arenas(targets)
        for v in new:
            name = numbered(path(v).split(":")[0], self._ranks)
            self._paths[self._var_key(v)] = name
            self._ranks[name] = len(self._ranks)
        states = [
            (kind, i, within, slot, v, target)
            for i, (v, target) in enumerate(zip(new, targets, strict=True))
            for kind, within, slot in self._states(target)
        ]
        with undistributed() if new else nullcontext():
            for kind, _, within, slot, v, target in sorted(states, key=lambda state: state[:3]):
                self._add_slot(v, target, slot, (kind, within))
            self._engine.add({self._var_key(v): target for v, target in zip(new, targets, strict=True)})
            self._trainable_variables.extend(announced)
            self._add_shared()
        if new:
            self._follow_order(variables)
        if self.built:
            self._take_kept()

    def _states(self, target: Target) -> Iterator[tuple[float, float, Slot]]:
        """What is kept beside a weight, each with the place of its kind in Keras' files and its own among that kind."""
        if self._spec.use_ema and not target.replaced:
            yield 2, 0, Slot("average")
        if self._spec.calls_per_update > 1:
            yield 3, 0, Slot("gradient_accumulator")
        groups = () if target.replaced else self._rule.slots(self._spec, target.weight.shape, target.path)
        for k, group in enumerate(groups):
            for j, slot in enumerate(group):
                yield 4 + k, j, slot

    def _add_slot(self, v: Any, target: Target, slot: Slot, place: tuple[float, float]) -> None:
        """Creates a variable beside a weight."""
        is_slot = slot.name not in ("average", "gradient_accumulator")
        kept = slot._replace(dtype=slot.dtype or self._spec.slot_dtype) if is_slot else slot
        part = target.arenas.part(target, kept) if target.arenas and slot.shape is None else None
        state = self._add_state(v, kept, part)
        native = self._native(state)
        self._labels[id(state)] = label = Label(slot.name, self._paths[self._var_key(v)])
        self._places[label] = place
        self._starts[label] = lambda: target.weight if slot.name == "average" else slot.start
        if slot.name == "average":
            target.average = native
            if self.built:  # a later variable: its average starts here, not at the first update
                native.assign(tf.cast(target.weight, target.dtype))
        elif slot.name == "gradient_accumulator":
            target.accumulator = native
        elif slot.dtype is None:
            target.slots[slot.name] = native

    def _add_shared(self) -> None:
        """Creates the scalars of the rule, once."""
        if self._engine.shared:
            return
        wide = any(target.dtype == tf.float64 for target in self._engine.targets.values())
        for name, start in self._rule.shared.items():
            scalar = self._add_scalar(name, start, tf.float64 if wide else tf.float32)
            self._labels[id(scalar)] = label = Label(name)
            self._places[label] = (math.inf, 0)  # the last of its variables
            setattr(self, f"_{name}", scalar)  # under the name that checkpoints of either Keras know
            self._engine.shared[name] = self._native(scalar)

    def _follow_order(self, variables: Sequence[Any]) -> None:
        """Has files follow the order of these variables, if they are all that there are: it is the model's own."""
        names = [self._paths[key] for key in map(self._var_key, variables) if key in self._paths]
        if len(names) == len(self._ranks):
            self._ranks.update({name: i for i, name in enumerate(names)})

    def _check_dtype(self, variable: Any) -> None:
        if self._spec.slot_dtype is not None and compute_dtype(self._native(variable).dtype) == tf.float64:
            raise ValueError(
                f"{type(self).__name__}: slot_dtype must be None (NULL in R) for float64 variables, "
                f"got {self._spec.slot_dtype!r} for {path(variable)}"
            )

    def _why_not(self, variable: Any) -> str:
        """What keeps steps from moving a variable, in an error's words, or nothing. Without gradient it is left out."""
        native, owner = self._native(variable), type(self).__name__
        if has_plain_values(native):
            return ""
        dtype, where = native.dtype, f"{owner}: {path(variable)}"
        if not (dtype.is_floating or dtype.is_complex):
            return (
                f"{where} has a gradient but holds {dtype.name} values; steps move float16, bfloat16, float32, float64. Give "
                "it no gradient (None, NULL in R), or leave it out of the variables"
            )
        slots = (slot for group in self._rule.slots(self._spec, (2, 2), "") for slot in group if slot.dtype is None)
        if not (any(slots) or self._spec.use_ema or self._spec.calls_per_update > 1):
            return ""
        stateless = "SGD without momentum, use_ema and gradient_accumulation_steps"
        if dtype.is_complex:
            return (
                f"{where} has a gradient but holds {dtype.name} values, which only {stateless} can move; use that, or keep the "
                "real and the imaginary part in variables of their own"
            )
        return (
            f"{where} has a gradient but its shape is {native.shape}, and what {owner} keeps for a variable has the variable's "
            f"shape; make it by tf.Variable(value), without shape=, or use {stateless}"
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
            TypeError: a gradient for a variable of integers or the like, or of complex numbers or an unknown shape where state
                is kept for each variable. Without gradient they are left out.
            ValueError: no gradient at all, another number of gradients than variables, a gradient of the wrong shape, a
                variable given twice or unknown, or no variables before ``build``.
        """
        grads, variables = matched(self, grads, trainable_variables)
        if not grads:
            return
        grads, variables = self._check_gradients(grads, variables)
        check_one_replica(type(self).__name__)
        self._check_misfit()
        with self._lock:
            self._step(grads, variables)

    def _step(self, grads: Sequence[Any], variables: Sequence[Any]) -> None:
        with tf.init_scope():
            if self._built_explicitly:
                self._check_known(variables)
            else:
                self._check_not_all_new(variables)
            if not self.built and type(self).build is not Shell.build:  # a subclass makes variables of its own there
                self.build(variables)
            self._add_targets(variables)
            if not self.built:
                self._finish_build()
        given = {self._var_key(v): g for g, v in zip(grads, variables, strict=True)}
        targets = self._engine.targets
        keys = [key for key, x in targets.items() if key in given or x.average is not None or x.has_accumulated()]
        self._engine.step([targets[key] for key in keys], [given.get(key) for key in keys], self._current_hyper())

    def _check_gradients(self, grads: Sequence[Any], variables: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """The gradients and variables without those that no step can move, which have no gradient.

        Where gradients are missing a warning says so, once of each variable.
        """
        missing = {self._var_key(v): path(v) for g, v in zip(grads, variables, strict=True) if g is None}
        if all(g is None for g in grads):
            names = ", ".join(missing.values())
            raise ValueError(f"{type(self).__name__}: No gradients provided for any variable: {names}")
        taken: list[tuple[Any, Any]] = []
        for g, v in zip(grads, variables, strict=True):
            why_not = "" if self._var_key(v) in self._engine.targets else self._why_not(v)
            if why_not and g is not None:
                raise TypeError(why_not)
            if not why_not:
                taken.append((g, v))
        if new := missing.keys() - self._known_missing:
            self._known_missing.update(new)
            names = ", ".join(name for key, name in missing.items() if key in new)
            warnings.warn(
                f"{type(self).__name__}: Gradients do not exist for variables {names}; they keep their values",
                stacklevel=4,
            )
        return [g for g, _ in taken], [v for _, v in taken]

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


def _of_one_model(known: Sequence[str], new: Sequence[str]) -> bool:
    """Whether different paths begin with the name of the same model."""
    models = {name.split("/")[0] for name in (*known, *new) if name.count("/") > 1}
    return len(models) == 1 and all(name.count("/") > 1 for name in (*known, *new)) and set(known).isdisjoint(new)
