"""The way of a step: what happens to gradients and weights, in which order. It is written here and nowhere else.

    merge duplicate rows -> unscale -> accumulate -> clip -> decay -> RULE -> average -> constraint

Everything from ``unscale`` to ``average`` runs as one program over all variables.
"""

from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import partial
from types import SimpleNamespace
from typing import Any

import tensorflow as tf

from pyadam.arguments import is_off
from pyadam.engine.compiler import Program, compiles, inside_xla, makes_one_loop
from pyadam.engine.gradients import Way, clipping, prepare
from pyadam.engine.lanes import Lane, State, Target, is_small, make_lanes
from pyadam.numerics import rounded, scalar
from pyadam.rules import Rule

__all__ = ["Engine", "Target"]

_UNKNOWN = 4096  # the number of a sparse gradient's rows, where it is not known before the step runs


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
        programs: every program made since the hyperparameters last changed.
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
        self._steps: dict[Any, Any] = {}
        self.programs: list[Program] = []

    def add(self, targets: dict[Any, Target]) -> None:
        """Takes new targets, with their state, under the shell's keys."""
        for target in targets.values():
            target.first = self._elements
            self.wide |= target.dtype == tf.float64
            self._devices.add(target.weight.device)
            self._elements += target.weight.shape.num_elements()
        self.targets |= targets

    def step(self, targets: Sequence[Target], gradients: Sequence[Any], hyper: dict[str, Any]) -> None:
        """Applies one gradient (or None) a target.

        Args:
            targets: the variables; those without gradient only have their averages advanced.
            gradients: tensors, IndexedSlices or None, one a target.
            hyper: current values of the hyperparameters that may change from step to step: ``learning_rate`` (float32)
                (float64 where ``wide``) and those given as functions or variables (float64).
        """
        ways = tuple(None if g is None else self._way(x, g) for x, g in zip(targets, gradients, strict=True))
        ready = [
            None if way is None else prepare(self.owner, x.path, x.weight, g, way)
            for x, g, way in zip(targets, gradients, ways, strict=True)
        ]
        for target, gradient in zip(targets, ready, strict=True):
            target.received |= gradient is not None
        taking_part = tuple(g is not None or x.pending for x, g in zip(targets, ready, strict=True))
        key = (tuple(map(id, targets)), ways, taking_part, inside_xla())
        if key not in self._steps:
            self._steps[key] = self._make(list(targets), ways, taking_part)
        self._steps[key]([g for g in ready if g is not None], hyper)

    def _way(self, target: Target, gradient: Any) -> Way:
        """How a gradient goes into the step: a sparse one by its rows, wherever that is exact and worth it.

        A norm over rows sums in another order than one over the whole gradient; there the dense way keeps its bits. Where the
        other rows move, each new value needs a loop of its own that has the dense loops' bits; and it is worth it for a quarter
        of the rows at most.
        """
        spec = self.spec
        if target.replaced or not isinstance(gradient, tf.IndexedSlices):
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
        overwritten = spec.use_ema and spec.ema_overwrite_frequency  # weight and average come from one another
        loops = self.rule.single_pass and not overwritten and compiles(self._devices, spec.jit_compile)
        given = tf.convert_to_tensor(gradient.indices).shape.num_elements()
        few = 4 * (_UNKNOWN if given is None else given) <= target.weight.shape[0]
        return Way.ALL_ROWS if loops and few else Way.DENSE

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

    def _make(self, targets: list[Target], ways: Sequence[Way | None], taking_part: Sequence[bool]) -> Any:
        """The function of one step over these targets, for gradients that go into it in these ways, or are missing."""
        every = self.spec.calls_per_update
        devices = [x.weight.device for x in targets]
        present = [way is not None for way in ways]
        lanes = make_lanes(targets, taking_part, ways, self.rule.elementwise)
        one_loop = self.rule.elementwise and self.rule.single_pass and makes_one_loop(devices, self.spec.jit_compile)
        update = Program(lambda *a: self._update(lanes, one_loop, *a), devices, self.spec.jit_compile)
        self.programs.append(update)
        if every > 1:
            accumulate = Program(lambda *a: self._accumulate(lanes, *a), devices, self.spec.jit_compile)
            self.programs.append(accumulate)

        def whole_update(gradients: list[Any], t: Any, hyper: dict[str, Any]) -> None:
            carried = [lane.read(lane.carried) for lane in lanes]
            for lane, state in zip(lanes, update(gradients, carried, t, hyper), strict=True):
                lane.write(state)
                if every > 1 and lane.takes_part:  # not in the program, which would copy what it reads and overwrites
                    lane.clear_accumulator()
            for target, takes_part in zip(targets, taking_part, strict=True):
                if target.constraint is not None and takes_part and not target.replaced:
                    target.weight.assign(target.constraint(target.weight))

        def step(present_gradients: list[Any], hyper: dict[str, Any]) -> None:
            found = iter(present_gradients)
            by_target = [next(found) if p else None for p in present]
            gradients = [lane.gradient(by_target) for lane in lanes]
            call = self.iterations + 1
            if every == 1:
                whole_update(gradients, call, hyper)
            else:
                tf.cond(
                    tf.equal(call % every, 0),
                    lambda: whole_update(gradients, call // every, hyper),
                    lambda: accumulate(gradients),
                )
            self.iterations.assign(call)

        return tf.function(step, autograph=False)

    def _accumulate(self, lanes: list[Lane], gradients: Sequence[Any]) -> None:
        for lane, g in zip(lanes, gradients, strict=True):
            if g is not None:
                lane.write_accumulator(self._accumulated(lane, lane.typed(g)))

    def _accumulated(self, lane: Lane, gradient: Any) -> Any:
        """The accumulator with this call's unscaled gradient in it."""
        if lane.replaced:
            return tf.maximum(lane.read_accumulator(), gradient)
        return lane.read_accumulator() + self._unscaled(gradient)

    def _unscaled(self, g: Any) -> Any:
        return g if self.spec.loss_scale_factor is None else g / scalar(self.spec.loss_scale_factor, g.dtype)

    def _gathered(self, lane: Lane, gradient: Any) -> Any:
        """The gradient of this update: unscaled, the mean over the calls since the last one."""
        every = self.spec.calls_per_update
        if every == 1:
            return gradient if lane.replaced else self._unscaled(gradient)
        total = lane.read_accumulator() if gradient is None else self._accumulated(lane, gradient)
        return tf.identity(total) if lane.replaced else total / tf.cast(every, total.dtype)

    def _clipping(self, lanes: list[Lane], gradients: Sequence[Any]) -> list[Callable[[Any], Any]]:
        """The function that clips a lane's gradient, for each lane; a norm of its own is each variable's, not the lane's."""
        spec = self.spec
        if spec.clipnorm is None:
            return clipping(gradients, None, spec.clipvalue, spec.global_clipnorm)

        def by_variable(lane: Lane, gradient: Any) -> Callable[[Any], Any]:
            limits = clipping(lane.split(gradient), spec.clipnorm, None, None)
            return lambda g: lane.join([limit(part) for limit, part in zip(limits, lane.split(g), strict=True)])

        return [by_variable(lane, g) for lane, g in zip(lanes, gradients, strict=True)]

    def _update(
        self,
        lanes: list[Lane],
        one_loop: bool,
        gradients: Sequence[Any],
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
        moved = {x: self._gathered(x, g) for x, g in zip(lanes, given, strict=True) if x.takes_part and not x.replaced}
        limits = self._clipping(list(moved), list(moved.values())) if moved else []
        limit = dict(zip(moved, limits, strict=True))

        def seen(lane: Lane, g: Any, state: State, view: Callable[[Any], Any] | None) -> tuple[Any, State]:
            """The clipped gradient and the state in a view."""
            if lane in limit:
                gathered = self._gathered(lane, None if g is None else view(g)) if view else moved[lane]
                g = rounded(limit[lane](gathered), t)
            return g, {name: view(value) for name, value in state.items()} if view else state

        coefficients = self._coefficients(h, t)
        written: list[State] = []
        for lane, brought, g in zip(lanes, carried, given, strict=True):
            if lane.replaced:
                new = {"weight": self._gathered(lane, g)}
            else:
                state = lane.read(lane.resident) | brought
                c, decayed = coefficients(lane.dtype), lane.targets[0].decayed
                views = [partial(rounded, t=t + k) for k in range(len(state))] if one_loop or lane.viewed else [None]
                news = [
                    self._advance(h, typed[lane.dtype], c, t, decayed, *seen(lane, g, state, view)) for view in views
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
        g: Any,
        state: State,
    ) -> State:
        """Decay, rule and average, on tensors: what changes of a state. ``typed`` is ``h`` in the dtype of the state."""
        new: State = {}
        w = state["weight"]
        if g is not None:
            slots = SimpleNamespace(**state)
            decay = self.rule.decay(h, slots)
            if decayed and decay is not None:
                w = w - tf.cast(h.learning_rate * decay, w.dtype) * w
            w, new = self.rule.update(typed, c, w, g, slots)
            new["weight"] = w
        if "average" in state:
            new["average"] = state["average"] + c.ema_gain * (w - state["average"])
            if h.ema_overwrite_frequency is not None:
                new["weight"] = tf.where(tf.equal(t % h.ema_overwrite_frequency, 0), new["average"], w)
        return new

    def _coefficients(self, h: SimpleNamespace, t: Any) -> Any:
        """The scalars of this update, computed once in float64; returned as a function from a dtype to them."""
        shared = SimpleNamespace(**{name: tf.cast(value, tf.float64) for name, value in self.shared.items()})
        c, new_shared = self.rule.scalars(h, tf.cast(t, tf.float64), h.learning_rate, shared)
        for name, value in new_shared.items():
            self.shared[name].assign(tf.cast(value, self.shared[name].dtype))
        # the first average is the weight itself
        c["ema_gain"] = tf.where(tf.equal(t, 1), scalar(1.0, tf.float64), scalar(1.0 - h.ema_momentum, tf.float64))
        casts: dict[Any, SimpleNamespace] = {}

        def cast(dtype: Any) -> SimpleNamespace:
            if dtype not in casts:
                casts[dtype] = SimpleNamespace(**{name: scalar(value, dtype) for name, value in c.items()})
            return casts[dtype]

        return cast
