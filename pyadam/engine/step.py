"""The engine of one optimizer: its variables, and a program for each pattern of gradients that a step may come with."""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import tensorflow as tf

from pyadam import xla_flags
from pyadam.engine.compiler import Program, compiles, inside_xla, makes_one_loop
from pyadam.engine.components import components, of_replica
from pyadam.engine.debugging import checked, numbers_are_checked, unwatched
from pyadam.engine.forks import check_not_forked, note_use
from pyadam.engine.gradients import prepare
from pyadam.engine.lanes import is_small, make_lanes
from pyadam.engine.launch import Given, Launcher
from pyadam.engine.rows import Rows
from pyadam.engine.target import Target
from pyadam.engine.update import Update, can_separate
from pyadam.optimizers import Rule
from pyadam.optimizers.kinds import is_off
from pyadam.optimizers.sparse import FEW, LAZY_CONFLICTS, POLICY, Situation, Way

__all__ = ["Engine"]

_UNKNOWN = 4096  # the number of a sparse gradient's rows, where it is not known before the step runs

# How many patterns of missing gradients get programs of their own: at first, and if a pattern repeats or comes in a graph.
_FIRST, _OWN = 3, 8


class Engine:
    """Runs the steps of one optimizer.

    Args:
        spec: the hyperparameters.
        rule: the mathematics.
        iterations: int64 variable, the number of calls so far.

    Attributes:
        targets: the model variables that have state, under the optimizer's keys, in the order of their first appearance.
        shared: the rule's scalar variables, by name.
        has_float64: whether some arithmetic is in float64.
        is_part: whether other replicas have other variables of the optimizer.
        one_by_one: whether each step is that of one variable.
    """

    def __init__(self, spec: Any, rule: Rule, iterations: Any) -> None:
        note_use()
        self.rule, self.iterations = rule, iterations
        self.targets: dict[Any, Target] = {}
        self.shared: dict[str, Any] = {}
        self._replicas: dict[int, Engine] = {}
        self.has_float64 = self.is_part = self.one_by_one = False
        self._devices: set[str] = set()
        self.configure(spec)

    def configure(self, spec: Any) -> None:
        """Sets new hyperparameters and drops the programs made for the old ones."""
        self.spec = spec
        self.owner = type(spec).__name__
        self._own: dict[Any, Launcher] = {}  # for each pattern of missing gradients that has one
        self._common: dict[Any, Launcher] = {}  # for all others, by devices and whether XLA compiles what is around it
        self._last: Any = None
        self._seen: dict[Target, set[Way]] = {}
        for engine in self._replicas.values():
            engine.configure(spec)

    @property
    def programs(self) -> list[Program]:
        """The programs in use, all made since the hyperparameters last changed."""
        own = [program for each in (self._own, self._common) for one in each.values() for program in one.programs]
        return own + [program for engine in self._replicas.values() for program in engine.programs]

    def follow(self, engine: "Engine") -> None:
        """Makes another engine follow the hyperparameters of this one, and counts its programs here."""
        self._replicas[len(self._replicas)] = engine

    def of_replica(self, local: int) -> "Engine":
        """The engine of a local replica, with its components in place of the variables. Alone, it is this one."""
        if len(components(self.iterations)) == 1:
            return self
        if local not in self._replicas:
            self._replicas[local] = Engine(self.spec, self.rule, of_replica(self.iterations, local))
        engine = self._replicas[local]
        engine.add({key: x.of_replica(local) for key, x in self.targets.items() if key not in engine.targets})
        engine.shared |= {name: of_replica(variable, local) for name, variable in self.shared.items()}
        return engine

    def add(self, targets: dict[Any, Target]) -> None:
        """Adds targets, with their state, under the optimizer's keys."""
        for target in targets.values():
            self._devices.add(target.weight.device)
        self.targets |= targets
        self.knows_float64(any(target.dtype == tf.float64 for target in targets.values()))

    def knows_float64(self, some: bool) -> None:
        """Notes that there are variables in float64, here or elsewhere. Programs made before that are dropped."""
        if some and not self.has_float64:
            self.has_float64 = True
            self.configure(self.spec)

    def number(self, keys: Iterable[Any]) -> None:
        """Numbers the elements of the targets, in this order. Programs made for other numbers are dropped."""
        end, renumbered = 0, False
        for target in map(self.targets.__getitem__, keys):
            renumbered |= target.numbering.first != end and bool(target.bfloat16_slots)
            target.numbering.first = end
            end += target.weight.shape.num_elements() or 0  # None for an unknown shape, which has no state
        if renumbered:
            self.configure(self.spec)

    def step(
        self, gradients: Mapping[Any, Any], hyper: dict[str, Any], accumulated: Mapping[Any, Any] | None = None
    ) -> None:
        """A step of all targets, from the gradients of some.

        Without a gradient a target only has its average advanced, unless gradients wait in its accumulator.

        Args:
            gradients: tensors, IndexedSlices or None, under the keys of targets.
            hyper: current values of the hyperparameters that may change from step to step: ``learning_rate`` (float32, or
                float64 where ``has_float64``) and those given as functions or variables (float64); under `of_group` those of
                groups.
            accumulated: whether gradients wait for the targets under these keys, boolean scalars; for the others their own
                accumulators say it.
        """
        check_not_forked(self.owner)
        given: dict[Target, Given] = {}
        for key, x in self.targets.items():
            g = gradients.get(key)
            way = None if g is None else self._way(x, g)
            ready = None if way is None else prepare(self.owner, x.path, x.weight, g, way)
            takes_part = way is not None or (x.accumulator is not None and not self.is_frozen(x))
            if takes_part or x.always:
                given[x] = Given(ready, way, takes_part, (accumulated or {}).get(key))
        for x, each in given.items():
            if each.way is not None:
                self._seen.setdefault(x, set()).add(each.way)
        checks = numbers_are_checked() and not inside_xla()
        with unwatched():
            if checks:
                given = {x: self._checked(x, each) for x, each in given.items()}
            self._launch(given, hyper)
            for x in given if checks else ():
                for name, variable in x.state().items():
                    checked(variable, f"{self.owner}: the new {name} of {x.path}")

    def is_frozen(self, target: Target) -> bool:
        """Whether a target is in a group whose variables stay as they are."""
        return bool(self.spec.is_frozen(target.group))

    def _checked(self, target: Target, given: Given) -> Given:
        """What is given for a target, once its numbers are found to be finite."""
        g, what = given.gradient, f"{self.owner}: the gradient of {target.path}"
        if g is None:
            return given
        return given._replace(gradient=g.map(partial(checked, what=what)) if isinstance(g, Rows) else checked(g, what))

    def _launch(self, given: dict[Target, Given], hyper: dict[str, Any]) -> None:
        """A step through programs made for this pattern of missing gradients, or for any pattern.

        Most models have one pattern or a few. Models with random heads, tasks or layers have an unbounded number, so only a few
        patterns get programs of their own. The numbers are the same either way.
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
        """The launcher for all targets on these devices, with a mask that says which of them move."""
        devices = frozenset(x.weight.device for x in given)
        members = [x for x in self.targets.values() if x.weight.device in devices]
        moving = [not self.is_frozen(x) for x in members]
        ways = [
            self._seen.get(x, {Way.DENSE}).copy() if each else set() for x, each in zip(members, moving, strict=True)
        ]
        key = devices, inside_xla()
        made = self._common.get(key)
        if made is None or (made.targets, made.ways) != (members, ways):  # a target, or a way of its gradient, is new
            made = self._common[key] = self._make(members, ways, moving, True)
        return made

    def _way(self, target: Target, gradient: Any) -> Way:
        """What becomes of a gradient, by the table in `pyadam.optimizers.sparse`."""
        shape = target.weight.shape
        has_rows = shape.is_fully_defined() and bool(shape.rank)
        if target.replaced or not has_rows or not isinstance(gradient, tf.IndexedSlices):
            return Way.DENSE
        spec, rule = self.spec.of_group(target.group), self.rule
        joins_loops = inside_xla() and xla_flags.given()
        if rule.lazy:
            self._check_lazy(target, joins_loops)
        rows = tf.convert_to_tensor(gradient.indices).shape.num_elements()
        situation = Situation(
            lazy=rule.lazy,
            elementwise=rule.elementwise,
            idle=rule.idle(spec) and not spec.use_ema and (is_off(spec.weight_decay) or not target.decayed),
            norms=spec.clipnorm is not None or spec.global_clipnorm is not None,
            accumulates=spec.calls_per_update > 1,
            rounded_slots=bool(target.bfloat16_slots),
            small=is_small(target),
            inside_xla=inside_xla(),
            joins_loops=joins_loops,
            separate_loops=can_separate(rule, spec) and compiles(self._devices, spec.jit_compile),
            few_rows=(_UNKNOWN if rows is None else rows) <= FEW * shape[0],
        )
        return next(policy.way for policy in POLICY if policy.holds(situation))

    def _check_lazy(self, target: Target, joins_loops: bool) -> None:
        """Refuses a sparse gradient where the rule is lazy, and something moves or needs all rows of the variable."""
        spec = self.spec.of_group(target.group)
        conflicts = [(f"{c.argument}={getattr(spec, c.argument)!r}", c.remedy) for c in LAZY_CONFLICTS if c.holds(spec)]
        if target.constraint is not None:
            conflicts.append(("the variable's constraint", "take the constraint away"))
        if joins_loops:
            what = "a train step that is compiled as a whole where XLA makes a single pass"
            conflicts.append((what, "set jit_compile=False in compile() or tf.function"))
        if conflicts:
            what, remedy = conflicts[0]
            raise ValueError(
                f"{self.owner}: the gradient of {target.path} is sparse, which can't be combined with {what}; {remedy}, or use "
                "Adam"
            )

    def _make(self, targets: list[Target], ways: list[Any], taking_part: list[bool], masked: bool) -> Launcher:
        """The launcher for these targets, whose gradients become dense tensors or rows as ``ways`` says."""
        devices = [x.weight.device for x in targets]
        # a target without a gradient of its own takes part only if others have accumulated
        masks = [masked or (takes_part and not way) for takes_part, way in zip(taking_part, ways, strict=True)]
        lanes = make_lanes(targets, taking_part, ways, self.rule.elementwise, masks)
        for lane in lanes:
            # under a mask a weight is computed from updated slots even where the mask keeps the old ones
            lane.separate |= lane.masked and can_separate(self.rule, self.spec) and not lane.targets[0].bfloat16_slots
        one_loop = self.rule.elementwise and self.rule.single_pass and makes_one_loop(devices, self.spec.jit_compile)
        step = Update(self.spec, self.rule, self.shared, lanes, one_loop, self.has_float64, self.is_part)
        every = self.spec.calls_per_update
        update = Program(step.update, devices, self.spec.jit_compile)
        accumulate = Program(step.accumulate, devices, self.spec.jit_compile) if every > 1 else None
        copied = [x for x in (targets if self.one_by_one else self.targets.values()) if x.copies]
        return Launcher(targets, ways, lanes, self.iterations, every, update, accumulate, masked, copied)
