"""The way of a step: what happens to gradients and weights, in which order. It is written here and nowhere else.

    merge duplicate rows -> unscale -> accumulate -> clip -> decay -> RULE -> average -> constraint

Everything from ``unscale`` to ``average`` runs as one program over all variables.
"""

from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import partial
from itertools import chain
from operator import itemgetter
from types import SimpleNamespace
from typing import Any

import tensorflow as tf

from pyadam.engine.compiler import Program, compiles, inside_xla, makes_one_loop
from pyadam.engine.debugging import checked, numbers_are_checked, unwatched
from pyadam.engine.gradients import Way, clipping, prepare
from pyadam.engine.lanes import Lane, State, Target, is_small, make_lanes
from pyadam.engine.launch import Given, Launcher
from pyadam.optimizers import Rule
from pyadam.optimizers.kinds import is_off
from pyadam.optimizers.numerics import quotient, root, rounded, scalar

__all__ = ["Engine", "Target"]

_UNKNOWN = 4096  # the number of a sparse gradient's rows, where it is not known before the step runs

# Patterns of missing gradients that get programs of their own: the first ones, and those that come twice or in a graph.
_FIRST, _OWN = 3, 8


class Engine:
    """Runs the steps of one optimizer.

    Args:
        spec: the hyperparameters.
        rule: the mathematics.
        iterations: int64 variable, the number of calls so far.

    Attributes:
        targets: the model variables that have state, under the shell's keys, in the order of their first appearance.
        shared: the rule's scalar variables, by name.
        wide: whether some arithmetic is in float64.
    """

    def __init__(self, spec: Any, rule: Rule, iterations: Any) -> None:
        self.rule, self.iterations = rule, iterations
        self.targets: dict[Any, Target] = {}
        self.shared: dict[str, Any] = {}
        self._elements = 0
        self.wide = False
        self._devices: set[str] = set()
        self.configure(spec)

    def configure(self, spec: Any) -> None:
        """Takes new hyperparameters; programs made for the old ones are dropped."""
        self.spec = spec
        self.owner = type(spec).__name__
        self._own: dict[Any, Launcher] = {}  # for each pattern of missing gradients that has one
        self._common: dict[Any, Launcher] = {}  # for all others, by devices and whether XLA compiles what is around it
        self._last: Any = None
        self._seen: dict[Target, set[Way]] = {}

    @property
    def programs(self) -> list[Program]:
        """The programs in use, all made since the hyperparameters last changed."""
        return [program for each in (self._own, self._common) for one in each.values() for program in one.programs]

    def add(self, targets: dict[Any, Target]) -> None:
        """Takes new targets, with their state, under the shell's keys."""
        for target in targets.values():
            target.first = self._elements
            self.wide |= target.dtype == tf.float64
            self._devices.add(target.weight.device)
            self._elements += target.weight.shape.num_elements() or 0  # None where there is no state that has elements
        self.targets |= targets

    def step(self, targets: Sequence[Target], gradients: Sequence[Any], hyper: dict[str, Any]) -> None:
        """Applies one gradient (or None) a target.

        Args:
            targets: the variables; those without gradient only have their averages advanced.
            gradients: tensors, IndexedSlices or None, one a target.
            hyper: current values of the hyperparameters that may change from step to step: ``learning_rate`` (float32)
                (float64 where ``wide``) and those given as functions or variables (float64).
        """
        ways = [None if g is None else self._way(x, g) for x, g in zip(targets, gradients, strict=True)]
        ready = [
            None if way is None else prepare(self.owner, x.path, x.weight, g, way)
            for x, g, way in zip(targets, gradients, ways, strict=True)
        ]
        given: dict[Target, Given] = {}
        for x, g, way in zip(targets, ready, ways, strict=True):
            if way is not None:
                x.received = True
                self._seen.setdefault(x, set()).add(way)
            takes_part = way is not None or x.pending
            if takes_part or x.average is not None:
                given[x] = Given(g, way, takes_part)
        checks = numbers_are_checked() and not inside_xla()
        with unwatched():
            if checks:
                given = {x: self._checked(x, each) for x, each in given.items()}
            self._launch(given, hyper)
            for x in targets if checks else ():
                for name, variable in x.state().items():
                    checked(variable, f"{self.owner}: the new {name} of {x.path}")

    def _checked(self, target: Target, given: Given) -> Given:
        """What is given for a target, once its numbers are found to be finite."""
        if given.gradient is None:
            return given
        return given._replace(gradient=checked(given.gradient, f"{self.owner}: the gradient of {target.path}"))

    def _launch(self, given: dict[Target, Given], hyper: dict[str, Any]) -> None:
        """A step through programs that are made for this pattern of missing gradients, or for any.

        Most models have one pattern or a few. But heads, tasks and layers that are drawn by lot have no end of them, so only so
        many get programs of their own. The numbers are the same.
        """
        pattern = (*((id(x), g.way, g.takes_part) for x, g in given.items()), inside_xla())
        most = _OWN if pattern == self._last or not tf.executing_eagerly() else _FIRST
        self._last = pattern
        if pattern not in self._own and len(self._own) < most:
            ways = [() if g.way is None else (g.way,) for g in given.values()]
            self._own[pattern] = self._make(list(given), ways, [g.takes_part for g in given.values()], False)
        if pattern in self._own:
            self._own[pattern](list(given.values()), hyper)
            return
        common = self._for_any_pattern(given)
        common([given.get(x, Given()) for x in common.targets], hyper)

    def _for_any_pattern(self, given: dict[Target, Given]) -> Launcher:
        """What steps all targets on the devices of these, with a mask that says which of them move.

        A norm over all of them is float64 where a float64 variable moves; the others need a program in which none does.
        """
        devices, wide = frozenset(x.weight.device for x in given), self.spec.global_clipnorm is None
        wide = wide or any(g.takes_part and _is_wide(x) for x, g in given.items())
        members = [x for x in self.targets.values() if x.weight.device in devices]
        ways = [self._seen.get(x, {Way.DENSE}).copy() if wide or not _is_wide(x) else set() for x in members]
        key = devices, wide, inside_xla()
        made = self._common.get(key)
        if made is None or (made.targets, made.ways) != (members, ways):  # a target, or a way of its gradient, is new
            made = self._common[key] = self._make(members, ways, list(map(bool, ways)), True)
        return made

    def _way(self, target: Target, gradient: Any) -> Way:
        """How a gradient goes into the step: a sparse one by its rows, wherever that is exact and worth it.

        A norm over rows sums in another order than one over the whole gradient; there the dense way keeps its bits. Where the
        other rows move, each new value needs a loop of its own that has the dense loops' bits; and it is worth it for a quarter
        of the rows at most.
        """
        spec = self.spec
        if target.replaced or not isinstance(gradient, tf.IndexedSlices) or not target.weight.shape.is_fully_defined():
            return Way.DENSE
        if self.rule.lazy:
            self._check_lazy(target)
            return Way.ROWS
        norms = spec.clipnorm is not None or spec.global_clipnorm is not None
        apart = self.rule.elementwise and not norms and spec.calls_per_update == 1 and not target.rounded
        if not apart or is_small(target) or inside_xla():
            return Way.DENSE
        if self.rule.idle(spec) and not spec.use_ema and (is_off(spec.weight_decay) or not target.decayed):
            return Way.ROWS
        loops = self._apart and compiles(self._devices, spec.jit_compile)
        given = tf.convert_to_tensor(gradient.indices).shape.num_elements()
        few = 4 * (_UNKNOWN if given is None else given) <= target.weight.shape[0]
        return Way.ALL_ROWS if loops and few else Way.DENSE

    @property
    def _apart(self) -> bool:
        """Whether each new value may have a loop of its own, which reads old values alone."""
        from_one_another = self.spec.use_ema and self.spec.ema_overwrite_frequency  # weight and average
        return self.rule.elementwise and self.rule.single_pass and not from_one_another

    def _check_lazy(self, target: Target) -> None:
        """Refuses a sparse gradient where the rule is lazy, and something moves or needs all rows of the variable."""
        every = self.spec.calls_per_update
        for collides, what, remedy in (
            (self.spec.use_ema, "use_ema=True", "set use_ema=False, or use Adam"),
            (every > 1, f"gradient_accumulation_steps={every}", "set gradient_accumulation_steps=1, or use Adam"),
            (target.rounded, f"slot_dtype={self.spec.slot_dtype!r}", "set slot_dtype=None (NULL in R), or use Adam"),
            (target.constraint is not None, "the variable's constraint", "take the constraint away, or use Adam"),
            (
                inside_xla(),
                "a train step that is compiled as a whole",
                "set jit_compile=False in compile() or tf.function",
            ),
        ):
            if collides:
                raise ValueError(
                    f"{self.owner}: the gradient of {target.path} is sparse, which can't be combined with {what}; {remedy}"
                )

    def _make(self, targets: list[Target], ways: list[Any], taking_part: list[bool], masked: bool) -> Launcher:
        """What steps these targets, for gradients that go into the step in these ways."""
        devices = [x.weight.device for x in targets]
        lanes = make_lanes(targets, taking_part, ways, self.rule.elementwise, masked)
        for lane in lanes:  # with masks a new weight comes from what slots would become, which is not what they become
            lane.viewed |= lane.masked and self._apart and not lane.targets[0].rounded
        one_loop = self.rule.elementwise and self.rule.single_pass and makes_one_loop(devices, self.spec.jit_compile)
        update = Program(partial(self._update, lanes, one_loop), devices, self.spec.jit_compile)
        every = self.spec.calls_per_update
        accumulate = Program(partial(self._accumulate, lanes), devices, self.spec.jit_compile) if every > 1 else None
        return Launcher(targets, ways, lanes, self.iterations, every, update, accumulate, masked)

    def _accumulate(self, lanes: list[Lane], gradients: Sequence[Any], t: Any) -> None:
        for lane, g in zip(lanes, gradients, strict=True):
            if g is not None:
                lane.write_accumulator(self._accumulated(lane, lane.typed(g), t))

    def _accumulated(self, lane: Lane, gradient: Any, t: Any) -> Any:
        """The accumulator with this call's unscaled gradient in it."""
        if lane.replaced:
            return tf.maximum(lane.read_accumulator(), gradient)
        return lane.read_accumulator() + self._unscaled(gradient, t)

    def _unscaled(self, g: Any, t: Any) -> Any:
        return g if self.spec.loss_scale_factor is None else quotient(g, self.spec.loss_scale_factor, t)

    def _replaced(self, lane: Lane, gradient: Any, t: Any) -> State:
        return {"weight": self._gathered(lane, gradient, t)}

    def _gathered(self, lane: Lane, gradient: Any, t: Any) -> Any:
        """The gradient of this update: unscaled, the mean over the calls since the last one."""
        every = self.spec.calls_per_update
        if every == 1:
            return gradient if lane.replaced else self._unscaled(gradient, t)
        total = lane.read_accumulator() if gradient is None else self._accumulated(lane, gradient, t)
        return tf.identity(total) if lane.replaced else quotient(total, every, t)

    def _clipping(self, lanes: list[Lane], gradients: Sequence[Any]) -> list[Callable[[Any], Any]]:
        """The function that clips a lane's gradient, for each lane; a norm of its own is each variable's, not the lane's."""
        spec = self.spec
        if spec.clipnorm is None and (spec.global_clipnorm is None or all(x.dtype == tf.float32 for x in lanes)):
            return clipping(gradients, None, spec.clipvalue, spec.global_clipnorm)
        if spec.clipnorm is None:  # in float64 the order of a sum shows: that of the variables, whoever shares a lane
            parts = [zip(lane.indices, lane.split(g), strict=True) for lane, g in zip(lanes, gradients, strict=True)]
            in_order = [part for _, part in sorted(chain(*parts), key=itemgetter(0))]
            return clipping(in_order, None, None, spec.global_clipnorm)[:1] * len(lanes)

        def by_variable(lane: Lane, gradient: Any) -> Callable[[Any], Any]:
            limits = clipping(lane.split(gradient), spec.clipnorm, None, None)
            return lambda g: lane.join([limit(part) for limit, part in zip(limits, lane.split(g), strict=True)])

        return [by_variable(lane, g) for lane, g in zip(lanes, gradients, strict=True)]

    def _update(
        self,
        lanes: list[Lane],
        one_loop: bool,
        gradients: Sequence[Any],
        masks: Sequence[Any],
        carried: Sequence[State],
        t: Any,
        hyper: dict[str, Any],
    ) -> list[State]:
        """Update number ``t`` of all lanes: resident state in place, carried state from old to new.

        Args:
            lanes: what is updated.
            one_loop: whether XLA makes one loop of values that share no part. Each new value then comes from its own view
                of gradient and state: XLA can't know that the views are the same.
            gradients: one a lane.
            masks: which elements of each lane move; None for all.
            carried: the carried state of each lane.
            t: the number of the update.
            hyper: as in `step`.

        Returns:
            the new carried state of each lane.
        """
        values = {f.name: getattr(self.spec, f.name) for f in fields(self.spec)}
        values["learning_rate_is_constant"] = not callable(self.spec.learning_rate)

        def in_dtype(dtype: Any) -> SimpleNamespace:
            return SimpleNamespace(**(values | {name: tf.cast(value, dtype) for name, value in hyper.items()}))

        h, typed = in_dtype(tf.float64), {dtype: in_dtype(dtype) for dtype in {lane.dtype for lane in lanes}}

        given = [lane.typed(g) for lane, g in zip(lanes, gradients, strict=True)]
        moved = {
            x: self._gathered(x, g, t) for x, g in zip(lanes, given, strict=True) if x.takes_part and not x.replaced
        }
        limits = self._clipping(list(moved), list(moved.values())) if moved else []
        limit = dict(zip(moved, limits, strict=True))

        def seen(lane: Lane, c: Any, g: Any, state: State, view: Callable[[Any], Any] | None) -> tuple[Any, State]:
            """The clipped gradient and the state in a view."""
            if lane in limit:
                gathered = self._gathered(lane, None if g is None else view(g), t) if view else moved[lane]
                g = c.rounded(limit[lane](gathered))
            return g, {name: view(value) for name, value in state.items()} if view else state

        coefficients = self._coefficients(h, t)
        written: list[State] = []
        for lane, mask, brought, g in zip(lanes, masks, carried, given, strict=True):
            state = lane.read(lane.resident) | brought
            if lane.replaced:
                new = _moved(mask, partial(self._replaced, lane, g, t), {"weight": state["weight"]})
            else:
                c, decayed = coefficients(lane.dtype), lane.targets[0].decayed
                views = [partial(rounded, t=t + k) for k in range(len(state))] if one_loop or lane.viewed else [None]
                news = [
                    self._advance(h, typed[lane.dtype], c, t, decayed, mask, *seen(lane, c, g, state, view))
                    for view in views
                ]
                new = {name: news[k % len(news)][name] for k, name in enumerate(news[0])}
                new = lane.stored(new, t, self._ordered(lane, one_loop) and "weight" in new)
            lane.write({name: value for name, value in new.items() if name not in brought})
            written.append({name: value for name, value in new.items() if name in brought})
        return written

    def _ordered(self, lane: Lane, one_loop: bool) -> bool:
        """Whether loops read old state that other loops overwrite, so that these have to wait; on a GPU one loop makes all."""
        read_apart = self.rule.weight_first(self.spec) or lane.viewed
        own_loops = bool(lane.targets[0].rounded) or (read_apart and not one_loop)
        return own_loops and "CPU" in lane.targets[0].weight.device

    def _advance(
        self,
        h: SimpleNamespace,
        typed: SimpleNamespace,
        c: SimpleNamespace,
        t: Any,
        decayed: bool,
        mask: Any,
        g: Any,
        state: State,
    ) -> State:
        """Decay, rule and average, on tensors: what changes of a state. ``typed`` is ``h`` in the dtype of the state."""
        new: State = {}
        w = state["weight"]
        if g is not None:
            old = {name: value for name, value in state.items() if name != "average"}
            new = _moved(mask, lambda: self._ruled(h, typed, c, decayed, g, old), old, whole=not self.rule.elementwise)
            w = new["weight"]
        if "average" in state:
            new["average"] = state["average"] + c.rounded(c.ema_gain * (w - state["average"]))
            if h.ema_overwrite_frequency is not None:
                new["weight"] = tf.where(tf.equal(t % h.ema_overwrite_frequency, 0), new["average"], w)
        return new

    def _ruled(
        self, h: SimpleNamespace, typed: SimpleNamespace, c: SimpleNamespace, decayed: bool, g: Any, old: State
    ) -> State:
        """Decay and rule."""
        w, slots = old["weight"], SimpleNamespace(**old)
        decay = self.rule.decay(h, slots)
        if decayed and decay is not None:
            w = w - c.rounded(tf.cast(h.learning_rate * decay, w.dtype) * w)
        w, new = self.rule.update(typed, c, w, g, slots)
        return new | {"weight": w}

    def _coefficients(self, h: SimpleNamespace, t: Any) -> Any:
        """The scalars of this update, computed once in float64; returned as a function from a dtype to them."""
        shared = SimpleNamespace(**{name: tf.cast(value, tf.float64) for name, value in self.shared.items()})
        c, new_shared = self.rule.scalars(h, tf.cast(t, tf.float64), h.learning_rate, shared)
        for name, value in new_shared.items():
            self.shared[name].assign(tf.cast(value, self.shared[name].dtype))
        # the first average is the weight itself
        c["ema_gain"] = tf.where(tf.equal(t, 1), scalar(1.0, tf.float64), scalar(1.0 - h.ema_momentum, tf.float64))
        # where each operation is a program of its own, it rounds as it is
        operations = {"root": partial(root, t=t), "rounded": partial(rounded, t=t) if inside_xla() else lambda x: x}
        casts: dict[Any, SimpleNamespace] = {}

        def cast(dtype: Any) -> SimpleNamespace:
            if dtype not in casts:
                scalars = {name: scalar(value, dtype) for name, value in c.items()}
                casts[dtype] = SimpleNamespace(**scalars, **operations)
            return casts[dtype]

        return cast


def _moved(mask: Any, new: Callable[[], State], old: State, whole: bool = False) -> State:
    """The new state where the mask says so, else the old one, whatever a rule makes of zeros in the place of a gradient.

    A rule that sees a variable as a whole is spared its work, and has the loops of a program without mask.
    """
    if mask is None:
        return new()
    if whole:
        return tf.cond(mask, lambda: old | new(), lambda: {name: tf.identity(value) for name, value in old.items()})
    return {name: tf.where(mask, value, old[name]) for name, value in new().items()}


def _is_wide(target: Target) -> bool:
    """Whether a target's part in a norm over all gradients makes that float64."""
    return target.dtype == tf.float64 and not target.replaced
