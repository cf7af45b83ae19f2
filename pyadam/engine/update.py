"""The order of a step: what happens to gradients and weights.

    merge duplicate rows -> unscale -> accumulate -> clip -> decay -> RULE -> average -> constraint

Everything from ``unscale`` to ``average`` is one program over all variables and defined here; with accumulation, the calls
that only add their gradients have another, shorter one. `gradients` merges rows before
it, and `launch` applies constraints after it.
"""

from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import partial
from itertools import chain
from operator import itemgetter
from types import SimpleNamespace
from typing import Any, NamedTuple

import tensorflow as tf

from pyadam.engine.calls import Calls
from pyadam.engine.clipping import clipped, global_factor, norm_factors, squares
from pyadam.engine.compiler import inside_xla
from pyadam.engine.gradients import mean_gradient, unscaled
from pyadam.engine.lanes import Lane, State
from pyadam.optimizers import Rule, Spec
from pyadam.optimizers.numerics import apart, root, rounded, scalar, sequenced, settled, total

__all__ = ["Update", "can_separate", "hyper_of_group", "of_group"]


def can_separate(rule: Rule, spec: Spec) -> bool:
    """Whether each new value can be computed in a loop of its own, which reads old values alone."""
    overwritten = spec.use_ema and spec.ema_overwrite_frequency  # weight and average come from one another
    return rule.elementwise and rule.single_pass and not overwritten


class _StepScalars(NamedTuple):
    """What the lanes of one group have in common in one update.

    Attributes:
        t: the number of the update.
        hide: makes a scalar one that XLA can't know to be that of other lanes.
        float64: the hyperparameters, those that change from step to step in float64.
        typed: the same, in each dtype that lanes compute in.
        scalars: ``c`` of a rule, in each of these dtypes.
        shared: the new values of the rule's own scalars.
    """

    t: Any
    hide: Callable[[Any], Any]
    float64: SimpleNamespace
    typed: dict[Any, SimpleNamespace]
    scalars: dict[Any, SimpleNamespace]
    shared: dict[str, Any]

    def of_lane(self, lane_number: Any) -> "_StepScalars":
        """The same for one lane, with a number that XLA knows to be no other lane's."""
        hide = partial(apart, t=lane_number)
        t = hide(self.t)

        def hidden(names: SimpleNamespace, **others: Any) -> SimpleNamespace:
            given = {name: x for name, x in vars(names).items() if tf.is_tensor(x) and tf.get_static_value(x) is None}
            return SimpleNamespace(**{**vars(names), **{name: hide(x) for name, x in given.items()}, **others})

        typed = {dtype: hidden(names) for dtype, names in self.typed.items()}
        scalars = {dtype: hidden(names, **_operations(t)) for dtype, names in self.scalars.items()}
        return _StepScalars(t, hide, self.float64, typed, scalars, self.shared)


class _Given(NamedTuple):
    """What the update of a lane is computed from, besides that which lanes have in common; tensors or None.

    Attributes:
        lane_number: ``t``, plus the lane's number.
        gradient: in the dtype of the arithmetic.
        summed: the accumulator.
        factors: what clipping multiplies the gradient by; one, or one for each variable.
        mask: which elements move; None for all.
        state: before the update.
        first: the number of the first element.
    """

    lane_number: Any
    gradient: Any
    summed: Any
    factors: list[Any]
    mask: Any
    state: State
    first: Any


class Update:
    """An update of some lanes, as functions of tensors that become programs.

    Args:
        spec: the hyperparameters.
        rule: the mathematics.
        shared: the rule's scalar variables, by name.
        lanes: what is updated.
        one_loop: whether XLA makes one loop of values that share no operation. Each new value is then computed from its own
            copy of gradient and state: XLA can't know that the copies are equal.
        wide: whether some variable of the optimizer, here or on another replica, is in float64; a global norm then is, too.
        is_part: whether other replicas have other variables, so that the rule's sums are not whole yet.
    """

    def __init__(
        self,
        spec: Any,
        rule: Rule,
        shared: dict[str, Any],
        lanes: Sequence[Lane],
        one_loop: bool,
        wide: bool,
        is_part: bool,
    ) -> None:
        self._spec, self._rule, self._shared = spec, rule, shared
        self._lanes, self._one_loop, self._wide, self._is_part = lanes, one_loop, wide, is_part

    # --- the two programs ------------------------------------------------------------------------------------------------

    def accumulate(self, gradients: Sequence[Any], t: Any) -> None:
        """Adds the gradients of a call, one per lane, to those accumulated for the next update."""
        for lane, g in zip(self._lanes, gradients, strict=True):
            if g is not None:
                lane.write_accumulator(self._accumulated(lane, lane.typed(g), lane.read_accumulator(), t))

    def update(
        self, gradients: Sequence[Any], masks: Sequence[Any], passed: Sequence[State], t: Any, hyper: dict[str, Any]
    ) -> list[State]:
        """Updates all lanes: assigns the state that the program captures, and returns that which it is passed.

        Args:
            gradients: one per lane.
            masks: which elements of each lane move; None for all.
            passed: the state of each lane that the program does not read itself.
            t: the number of the update.
            hyper: as in `Engine.step`.

        Returns:
            what becomes of ``passed``.
        """
        own_groups = {lane.targets[0].group for lane in self._lanes} - {None}
        by_group = {group: self._now(t, hyper, group) for group in (None, *own_groups)}
        self._advance(by_group[None].shared)
        sums, returned = dict.fromkeys(self._rule.sums, scalar(0.0, tf.float64)), []
        moved = Calls(self._moved, self._lanes)
        for lane, given, kept in zip(self._lanes, self._given(gradients, masks, passed, t, hyper), passed, strict=True):
            now = by_group[lane.targets[0].group]
            new = self._replaced(lane, given, t) if lane.replaced else moved(lane, now, given)
            sums |= {name: sums[name] + new.pop(name) for name in self._rule.sums if name in new}
            lane.write({name: value for name, value in new.items() if name not in kept})
            returned.append({name: value for name, value in new.items() if name in kept})
        self._advance(sums if self._is_part else {name: settled(value) for name, value in sums.items()})
        return returned

    def _given(
        self, gradients: Sequence[Any], masks: Sequence[Any], passed: Sequence[State], t: Any, hyper: dict[str, Any]
    ) -> list[_Given]:
        """What each lane is computed from."""
        typed = [lane.typed(g) for lane, g in zip(self._lanes, gradients, strict=True)]
        accumulates = self._spec.calls_per_update > 1
        summed = [lane.read_accumulator() if accumulates and lane.takes_part else None for lane in self._lanes]
        factors = self._norm_factors(typed, summed, t, hyper.get("other_squares", 0.0))
        numbers = [t + number if self._one_loop else t for number in range(len(self._lanes))]
        read = [tf.nest.map_structure(tf.convert_to_tensor, lane.read(lane.captured)) for lane in self._lanes]
        states = [old | given for old, given in zip(read, passed, strict=True)]
        rounds = [bool(lane.targets[0].bfloat16_slots) for lane in self._lanes]
        # hidden, because XLA compiles a function once more for each constant that it is given
        first = [
            rounded(tf.constant(x.targets[0].first, tf.int64), number) if r else None
            for x, r, number in zip(self._lanes, rounds, numbers, strict=True)
        ]
        return list(map(_Given, numbers, typed, summed, factors, masks, states, first))

    # --- unscale, accumulate ---------------------------------------------------------------------------------------------

    def _mean(self, lane: Lane, gradient: Any, summed: Any, t: Any) -> Any:
        """The gradient of an update: unscaled, the mean over the calls since the last one."""
        if not lane.replaced:
            return mean_gradient(self._spec, gradient, summed, t)
        if self._spec.calls_per_update == 1:
            return gradient
        return tf.identity(summed if gradient is None else self._accumulated(lane, gradient, summed, t))

    def _accumulated(self, lane: Lane, gradient: Any, summed: Any, t: Any) -> Any:
        """The accumulator with this call's unscaled gradient in it."""
        return tf.maximum(summed, gradient) if lane.replaced else summed + unscaled(self._spec, gradient, t)

    def _replaced(self, lane: Lane, given: _Given, t: Any) -> State:
        """The new state of a ``replaced`` variable, whose "gradient" is its next value."""
        new = partial(self._mean, lane, given.gradient, given.summed, t)
        return _where(given.mask, lambda: {"weight": new()}, {"weight": given.state["weight"]})

    # --- clip ------------------------------------------------------------------------------------------------------------

    def _norm_factors(
        self, gradients: Sequence[Any], summed: Sequence[Any], t: Any, other_squares: Any
    ) -> list[list[Any]]:
        """What keeps the norms of gradients within their limits: a factor for each lane, or for each of its variables."""
        spec, lanes = self._spec, self._lanes
        places = [i for i, lane in enumerate(lanes) if lane.takes_part and not lane.replaced]
        found: dict[int, list[Any]] = {}
        if spec.clipnorm is not None:  # a limit for each variable, not for the lane
            own_factors = Calls(self._own_factors, lanes)
            found = {i: own_factors(lanes[i], t, (gradients[i], summed[i])) for i in places}
        elif spec.global_clipnorm is not None and places:
            # in float64 the order of a sum shows: that of the variables, whoever shares a lane
            squares_of = Calls(partial(self._squares, by_variable=self._wide), lanes)
            pairs = [
                zip(lanes[i].indices, squares_of(lanes[i], t, (gradients[i], summed[i])), strict=self._wide)
                for i in places
            ]
            in_order = [square for _, square in sorted(chain(*pairs), key=itemgetter(0))]
            common = [global_factor(in_order, self._wide, spec.global_clipnorm, other_squares)]
            found = dict.fromkeys(places, common)
        return [found.get(i, []) for i in range(len(lanes))]

    def _own_factors(self, lane: Lane, t: Any, given: tuple[Any, Any]) -> list[Any]:
        """The factor of each variable's own norm; given are the gradient and the accumulator."""
        return norm_factors(lane.split(self._mean(lane, *given, t)), self._spec.clipnorm, None)

    def _squares(self, lane: Lane, t: Any, given: tuple[Any, Any], by_variable: bool) -> list[Any]:
        """The squares of a lane in the global norm, or those of each of its variables."""
        mean = self._mean(lane, *given, t)
        return [squares(part) for part in (lane.split(mean) if by_variable else [mean])]

    def _clipped(self, lane: Lane, gradient: Any, factors: Sequence[Any], hide: Callable[[Any], Any]) -> Any:
        """A lane's gradient within the limits; ``hide`` as in `_StepScalars`."""
        clip = partial(clipped, clipvalue=self._spec.clipvalue)
        own = [hide(factor) for factor in factors]
        if len(own) < 2:
            return clip(gradient, factor=next(iter(own), None))
        return lane.join([clip(part, factor=factor) for part, factor in zip(lane.split(gradient), own, strict=True)])

    # --- decay, rule, average --------------------------------------------------------------------------------------------

    def _moved(self, lane: Lane, now: _StepScalars, given: _Given) -> State:
        """The new state of a lane, as it is stored. For separate loops value k is computed from copy k of the old state.

        Where XLA makes one loop of what could be many, it joins lanes of one shape that have any scalar in common, up to 20
        arrays a loop, which is slower than a loop for each lane: caches can't hold so many places at once. So there each lane
        has its own scalars.
        """
        now = now.of_lane(given.lane_number) if self._one_loop else now
        copies: list[Any] = [None]
        if self._one_loop or lane.separate:
            copies = [partial(rounded, t=now.t + k if k else now.t) for k in range(len(given.state))]
        computed = [self._computed(lane, given, now, copy) for copy in copies]
        new = {name: computed[k % len(computed)][name] for k, name in enumerate(computed[0])}
        sums = {name: total(new.pop(name), now.t) for name in self._rule.sums}
        ordered = self._ordered(lane) and "weight" in new
        for value in sums.values() if ordered else ():  # which read the old weight and slots
            new["weight"] = rounded(new["weight"], sequenced(now.t, value))
        return lane.stored(new, now.t, given.first, ordered, self._rule.slots_read_slots) | sums

    def _ordered(self, lane: Lane) -> bool:
        """Whether loops read old state that other loops overwrite, and those have to wait. On a GPU there is one loop."""
        rule = self._rule
        read_apart = (
            rule.weight_first(self._spec.of_group(lane.targets[0].group)) or rule.slots_read_slots or lane.separate
        )
        own_loops = bool(lane.targets[0].bfloat16_slots) or (read_apart and not self._one_loop)
        return own_loops and "CPU" in lane.targets[0].weight.device

    def _computed(self, lane: Lane, given: _Given, now: _StepScalars, copy: Callable[[Any], Any] | None) -> State:
        """What changes of a lane's state: by clipped gradient, decay, rule and average, from a copy of gradient and state."""
        c, old, g = now.scalars[lane.dtype], given.state, given.gradient
        if copy is not None:
            old, g = {name: copy(value) for name, value in old.items()}, None if g is None else copy(g)
        new: State = {}
        weight = old["weight"]
        if lane.takes_part:
            g = c.rounded(self._clipped(lane, self._mean(lane, g, given.summed, now.t), given.factors, now.hide))
            state = {name: value for name, value in old.items() if name != "average"}
            whole = not self._rule.elementwise
            new = _where(
                given.mask, lambda: self._ruled(lane, g, state, now), state | self._resting(state), whole=whole
            )
            weight = new["weight"]
        else:
            new = self._resting(old)
        if "average" in old and self._spec.is_frozen(lane.targets[0].group):
            new["average"] = tf.identity(weight)  # which may have been loaded or assigned since the last step
        elif "average" in old:
            new["average"] = old["average"] + c.rounded(c.ema_gain * (weight - old["average"]))
            if self._spec.ema_overwrite_frequency is not None:
                new["weight"] = tf.where(tf.cast(c.overwrites, tf.bool), new["average"], weight)
        return new

    def _ruled(self, lane: Lane, g: Any, old: State, now: _StepScalars) -> State:
        """Decay and rule."""
        c, w, slots = now.scalars[lane.dtype], old["weight"], SimpleNamespace(**old)
        decay = self._rule.decay(now.float64, slots) if lane.targets[0].decayed else None
        shrinks = None if decay is None else now.hide(tf.cast(now.float64.learning_rate * decay, w.dtype))
        if self._rule.applies_decay:
            slots.decay = shrinks
        elif shrinks is not None:
            w = w - c.rounded(shrinks * w)
        w, new = self._rule.update(now.typed[lane.dtype], c, w, g, slots)
        return new | {"weight": w}

    def _resting(self, old: State) -> State:
        """What variables that no update moves add to the sums of the rule."""
        slots = SimpleNamespace(**old)
        return {name: rest(slots) if rest else tf.zeros_like(old["weight"]) for name, rest in self._rule.sums.items()}

    # --- what all lanes share --------------------------------------------------------------------------------------------

    def _advance(self, new: dict[str, Any]) -> None:
        """Assigns new values of the rule's own scalars."""
        for name, value in new.items():
            self._shared[name].assign(tf.cast(value, self._shared[name].dtype))

    def _now(self, t: Any, hyper: dict[str, Any], group: int | None = None) -> _StepScalars:
        """Hyperparameters and scalars of update ``t`` for a group, which are computed once, in float64."""
        spec = self._spec.of_group(group)
        values = {f.name: getattr(spec, f.name) for f in fields(spec)}
        values["learning_rate_is_constant"] = not callable(spec.learning_rate)
        hyper = hyper_of_group(self._spec, group, hyper)

        def in_dtype(dtype: Any) -> SimpleNamespace:
            return SimpleNamespace(**(values | {name: tf.cast(value, dtype) for name, value in hyper.items()}))

        h, dtypes = in_dtype(tf.float64), {lane.dtype for lane in self._lanes}
        shared = SimpleNamespace(**{name: tf.cast(value, tf.float64) for name, value in self._shared.items()})
        c, new_shared = self._rule.scalars(h, tf.cast(t, tf.float64), h.learning_rate, shared)
        # the first average is the weight itself
        c["ema_gain"] = tf.where(tf.equal(t, 1), scalar(1.0, tf.float64), scalar(1.0 - h.ema_momentum, tf.float64))
        c["overwrites"] = tf.cast(tf.equal(t % (self._spec.ema_overwrite_frequency or 1), 0), tf.float64)

        def scalars_in(dtype: Any) -> SimpleNamespace:
            return SimpleNamespace(**{name: scalar(value, dtype) for name, value in c.items()}, **_operations(t))

        typed = {each: in_dtype(each) for each in dtypes}
        return _StepScalars(t, lambda x: x, h, typed, {each: scalars_in(each) for each in dtypes}, new_shared)


def _operations(t: Any) -> dict[str, Callable[[Any], Any]]:
    """What rules use where arithmetic leaves a choice. Where each operation is a program of its own, it rounds as it is."""
    return {"root": partial(root, t=t), "rounded": partial(rounded, t=t) if inside_xla() else lambda x: x}


def of_group(group: int, name: str) -> str:
    """The name among a step's hyperparameters of one that a group has for itself."""
    return f"group_{group}.{name}"


def hyper_of_group(spec: Any, group: int | None, hyper: dict[str, Any]) -> dict[str, Any]:
    """The hyperparameters of a step that hold for a group."""
    common = {name: value for name, value in hyper.items() if "." not in name}
    if group is None:
        return common
    own = spec.groups[group]
    left = {name: value for name, value in common.items() if name not in own}
    if "learning_rate" in left:
        left["learning_rate"] = tf.cast(left["learning_rate"], tf.float64) * own.factor
    named = {name: of_group(group, name) for name in own.arguments}
    return left | {name: hyper[key] for name, key in named.items() if key in hyper}


def _where(mask: Any, new: Callable[[], State], old: State, whole: bool = False) -> State:
    """The new state where the mask says so, else the old one, whatever a rule makes of zeros in place of a gradient.

    A rule that sees a variable as a whole is spared its work, and has the loops of a program without mask.
    """
    if mask is None:
        return new()
    if whole:
        return tf.cond(mask, lambda: old | new(), lambda: {name: tf.identity(value) for name, value in old.items()})
    return {name: tf.where(mask, value, old[name]) for name, value in new().items()}
