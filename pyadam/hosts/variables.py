"""Creates the optimizer's state variables: first a plan of what each model variable needs, then the variables."""

import math
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import Any, ClassVar, NamedTuple

import tensorflow as tf

from pyadam.engine import (
    Part,
    Shards,
    Target,
    Wire,
    assign,
    check_agreement,
    compute_dtype,
    has_plain_values,
    make_arenas,
    native,
    undistributed,
)
from pyadam.hosts.contract import Contract, bare_path, common_path, path, untracked
from pyadam.hosts.groups import Membership
from pyadam.hosts.state import Label
from pyadam.optimizers import Spec, arguments
from pyadam.optimizers.kinds import plain
from pyadam.optimizers.rule import Slot

__all__ = ["Variables"]


class Planned(NamedTuple):
    """A state variable to be made.

    Attributes:
        group: the place of its kind in Keras' files.
        number: that of its model variable among those it is made with.
        within: its place among the state of one kind and one model variable.
        slot: its name, start, shape and dtype.
    """

    group: float
    number: int
    within: float
    slot: Slot


class Variables(Contract):
    """Makes the state of model variables."""

    _has_arenas: ClassVar[bool] = True  # whether the state of small variables may be parts of arenas
    _membership: Membership
    _wire: Wire | None  # between replicas, if there are several
    _number: int  # among the optimizers on the wire
    _shards: Shards | None  # who keeps which state, if it is divided
    _trainable_variables: list[Any]

    def _add_state(self, variable: Any, slot: Slot, part: Part | None) -> Any:
        """A state variable for a weight, by default in the dtype of the arithmetic and of the weight's shape.

        If a part of an arena is given, that is its memory.
        """
        raise NotImplementedError

    def _add_scalar(self, name: str, start: float, dtype: Any) -> Any:
        """A scalar variable of the optimizer as a whole."""
        raise NotImplementedError

    def _add_targets(self, variables: Sequence[Any]) -> None:
        """Makes the state of those of these model variables that have none yet."""
        self._check_distinct(variables)
        known = {self._var_key(v) for v in self._trainable_variables}
        announced = [v for v in variables if self._var_key(v) not in known]
        self._membership.find(announced)
        self._exclusions.find([(self._var_key(v), bare_path(v)) for v in announced])
        new = [v for v in announced if not self._why_not(v)]
        # before anything is made
        self._replicas.check_variables((path(v), native(v)) for v in announced)
        for v in new:
            self._check_dtype(v)
        targets = [self._target(v) for v in new]
        if new and self._replicas.size > 1:
            self._connect(new, targets)
        if self._shards is not None:
            self._shards.divide({self._var_key(v): x for v, x in zip(new, targets, strict=True)})
        elif self._has_arenas and self._rule.elementwise:
            make_arenas(targets)
        for v in new:
            self._ledger.meet(self._var_key(v), bare_path(v))
        with undistributed() if new else nullcontext():
            for planned in self._planned(targets):
                self._make(planned, new[planned.number], targets[planned.number])
            self._engine.add({self._var_key(v): target for v, target in zip(new, targets, strict=True)})
            self._trainable_variables.extend(announced)
            self._make_shared()
        if new:
            self._ledger.follow_order(map(self._var_key, variables))
            self._engine.number(self._ledger.in_order(self._engine.targets))
        if self.built:
            self._take_kept()

    def _connect(self, variables: Sequence[Any], targets: Sequence[Target]) -> None:
        """Compares the optimizer with those of other workers, and makes what connects it with the other replicas."""
        check_agreement(self._replicas, self._facts(variables, targets))
        if self._wire is None:
            wire = Wire.of(self._replicas)
            untracked(self, _wire=wire, _number=wire.next_member())
            if self._spec.shard_state:
                if 1 < self._replicas.local < self._replicas.size:
                    raise NotImplementedError(
                        f"{type(self).__name__}: shard_state on several workers takes one device a worker, got "
                        f"{self._replicas.local}"
                    )
                untracked(self, _shards=Shards(self._replicas, self._cuts(self._spec)))

    def _facts(self, variables: Sequence[Any], targets: Sequence[Target]) -> list[str]:
        """What has to be the same on all workers, a line for each fact."""
        values = {name: plain(getattr(self._spec, name)) for name in arguments(self.spec_type)}
        configs = {name: value.get_config() for name, value in values.items() if hasattr(value, "get_config")}
        known = {name: value for name, value in values.items() if not callable(value)} | configs
        owner = [type(self).__name__, *(f"{name}={value!r}" for name, value in known.items())]
        pairs = zip(variables, targets, strict=True)
        return owner + [f"{common_path(v)}: {', '.join(_about(x))}" for v, x in pairs]

    def _planned(self, targets: Sequence[Target]) -> list[Planned]:
        """The state of each weight, in the order of Keras' files: averages, accumulators, then the groups of slots."""
        planned = []
        for i, target in enumerate(targets):
            if self._spec.use_ema and not target.replaced:
                planned.append(Planned(2, i, 0, Slot("average")))
            if self._spec.calls_per_update > 1:
                planned.append(Planned(3, i, 0, Slot("gradient_accumulator")))
            spec = self._spec.of_group(target.group)
            groups = () if target.replaced else self._rule.slots(spec, target.weight.shape, target.path)
            planned += [Planned(4 + k, i, j, slot) for k, group in enumerate(groups) for j, slot in enumerate(group)]
        return sorted(planned, key=lambda each: each[:3])

    def _make(self, planned: Planned, weight: Any, target: Target) -> None:
        """Makes a state variable and hands it to the engine and the ledger."""
        slot = planned.slot
        is_slot = slot.name not in ("average", "gradient_accumulator")
        stored = slot._replace(dtype=slot.dtype or self._spec.slot_dtype) if is_slot else slot
        part: Any = target.arenas.part(target, stored) if target.arenas and slot.shape is None else None
        if self._shards is not None:
            dtype = stored.dtype or target.dtype
            part = self._shards.state(self._var_key(weight), target, stored, dtype)
        state = self._add_state(weight, stored, part)
        variable = self._native(state)
        label = Label(slot.name, self._ledger.path(self._var_key(weight)))
        of_weight = slot.name == "average" or slot.start is None
        start = (lambda: target.weight) if of_weight else (lambda: slot.start)
        self._ledger.enter(state, label, (planned.group, planned.within), start)
        # before the first update an average has no value, and a weight that a traced fit has just made has none yet
        if (slot.start is None and _has_value(target.weight)) or (slot.name == "average" and self.built):
            assign(variable, tf.cast(target.weight, variable.dtype))
        if slot.name == "average":
            target.average = variable
        elif slot.name == "gradient_accumulator":
            target.accumulator = variable
        elif not slot.is_placeholder:
            target.slots[slot.name] = variable
            if slot.start is None:
                target.copies.append(slot.name)

    def _make_shared(self) -> None:
        """Makes the scalars of the rule, once."""
        if self._engine.shared:
            return
        wide = self._engine.has_float64 or self._rule.sums
        for name, start in self._rule.shared.items():
            scalar = self._add_scalar(name, start, tf.float64 if wide else tf.float32)
            self._ledger.enter(scalar, Label(name), (math.inf, 0))  # the last of its variables
            setattr(self, f"_{name}", scalar)  # under the name that checkpoints of either Keras know
            self._engine.shared[name] = self._native(scalar)

    def _check_dtype(self, variable: Any) -> None:
        if self._spec.slot_dtype is not None and compute_dtype(self._native(variable).dtype) == tf.float64:
            raise ValueError(
                f"{type(self).__name__}: slot_dtype must be None (NULL in R) for float64 variables, "
                f"got {self._spec.slot_dtype!r} for {path(variable)}"
            )

    def _why_not(self, variable: Any) -> str:
        """Why steps can't move a variable, as an error message, or nothing. Without a gradient such a variable is left out."""
        native, owner = self._native(variable), type(self).__name__
        if has_plain_values(native):
            return ""
        dtype, where = native.dtype, f"{owner}: {path(variable)}"
        if not (dtype.is_floating or dtype.is_complex):
            return (
                f"{where} has a gradient but holds {dtype.name} values; steps move float16, bfloat16, float32, float64. Give "
                "it no gradient (None, NULL in R), or leave it out of the variables"
            )
        spec = self._spec.of_group(self._group_of(variable))
        slots = (slot for group in self._rule.slots(spec, (2, 2), "") for slot in group if not slot.is_placeholder)
        if not (any(slots) or self._spec.use_ema or self._spec.calls_per_update > 1):
            return ""
        stateless = "SGD without momentum, use_ema or gradient_accumulation_steps"
        if dtype.is_complex:
            return (
                f"{where} has a gradient but holds {dtype.name} values, which only {stateless} can move; use that, or keep the "
                "real and the imaginary part in variables of their own"
            )
        return (
            f"{where} has a gradient but its shape is {native.shape}, and what {owner} keeps for a variable has the variable's "
            f"shape; create it with tf.Variable(value), without shape=, or use {stateless}"
        )

    def _target(self, variable: Any) -> Target:
        replaced = self._overwrite_variable_with_gradient(variable)
        return Target(
            weight=self._native(variable),
            path=path(variable),
            decayed=not self._exclusions.found[self._var_key(variable)],
            replaced=replaced,
            constraint=getattr(variable, "constraint", None),
            group=self._group_of(variable),
            summed=bool(self._rule.sums) and not replaced,
        )

    def _members(self, spec: Spec) -> Membership:
        """What finds the groups of variables."""
        return Membership(type(self).__name__, spec.groups or (), self._var_key, self._automatic_names().__contains__)

    def _group_of(self, variable: Any) -> int | None:
        """The number of a variable's group."""
        return self._membership.found.get(self._var_key(variable))

    def _check_distinct(self, variables: Sequence[Any]) -> None:
        seen: set[Any] = set()
        for v in variables:
            if self._var_key(v) in seen:
                raise ValueError(f"{type(self).__name__}: variable {path(v)} is given twice")
            seen.add(self._var_key(v))


def _has_value(weight: Any) -> bool:
    """Whether a variable is initialized; rules whose state starts as the weight see to the others at the first update."""
    return bool(weight.is_initialized()) if hasattr(weight, "is_initialized") else True


def _about(target: Target) -> Iterator[str]:
    """What has to be the same on all workers about a variable."""
    yield f"{target.weight.dtype.name} {target.weight.shape}"
    if not target.decayed:
        yield "excluded from weight decay"
    if target.constraint is not None:
        config = target.constraint.get_config() if hasattr(target.constraint, "get_config") else {}
        yield f"constraint {type(target.constraint).__name__} {config or ''}".rstrip()
