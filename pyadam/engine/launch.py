"""How a step is launched: a traced function that accumulates or updates, counts the call, and applies constraints."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import tensorflow as tf

from pyadam.engine.compiler import Program
from pyadam.engine.gradients import as_real, gradient_dtype
from pyadam.engine.lanes import Lane
from pyadam.engine.rows import Rows, no_rows, padded
from pyadam.engine.target import Target
from pyadam.optimizers.sparse import Way

__all__ = ["Given", "Launcher"]

_FUNCTIONS = 8  # functions of one launcher that keep the dtypes and the numbers of rows as they come


class Given(NamedTuple):
    """What a step is given for a target.

    Attributes:
        gradient: a tensor, `Rows`, or None.
        way: how it goes into the step, or None.
        takes_part: whether the target moves at an update. Without a gradient it does so only if others have accumulated.
        accumulated: a boolean scalar that says whether they have; None if the accumulator has to say it.
    """

    gradient: Any = None
    way: Way | None = None
    takes_part: bool = False
    accumulated: Any = None


class Launcher:
    """A step over some targets, traced once for each combination of gradients' dtypes and numbers of rows.

    Without masks the same targets must have gradients at every call. With masks any gradient may be missing: zeros stand in for
    a dense one and an empty set of rows for a sparse one, and the mask keeps the values that must not move. Where a target has
    no gradient but others may have accumulated, there is a mask anyway, because only the run shows it.

    Args:
        targets: the variables of the step.
        ways: how each one's gradient goes into the step, as `make_lanes` takes it.
        lanes: the lanes that it made of them.
        iterations: int64 variable, the number of calls so far.
        every: calls per update.
        update: ``(gradients, masks, passed, t, hyper) -> passed``, one of each per lane.
        accumulate: ``(gradients, call)``; None where every call is an update.
        masked: whether there are masks.
        copied: the variables, of this step or not, with slots that are the weight's value at the first update.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        ways: Sequence[Any],
        lanes: Sequence[Lane],
        iterations: Any,
        every: int,
        update: Program,
        accumulate: Program | None,
        masked: bool,
        copied: Sequence[Target],
    ) -> None:
        self.targets, self.ways = list(targets), list(ways)
        self._lanes, self._iterations, self._every = lanes, iterations, every
        self._update, self._accumulate = update, accumulate
        self._masked, self._copied = masked, copied
        self._dense = [i for i, each in enumerate(ways) if Way.DENSE in each]
        self._rows = [i for i, each in enumerate(ways) if {Way.ROWS, Way.ALL_ROWS} & set(each)]
        self._most: dict[int, int | None] = {}  # the largest size of rows so far; None once one was not known
        self._functions: dict[Any, Any] = {}

    @property
    def programs(self) -> list[Program]:
        """What it runs, the update first."""
        return [self._update] if self._accumulate is None else [self._update, self._accumulate]

    def __call__(self, given: Sequence[Given], hyper: dict[str, Any]) -> None:
        """One step; what is given for each target, and the hyperparameters as in `Engine.step`."""
        gradients = [x.gradient for x in given]
        many = len(self._functions) >= _FUNCTIONS
        rows, sizes = self._rows_of(gradients, many)
        inputs = {"dense": self._dense_of(gradients, many), "rows": rows, "hyper": hyper}
        if self._masked:
            # a sparse gradient of a masked variable moves its rows only: the variable takes part, but not as a whole
            inputs["taking_part"] = tf.constant([x.way is not None for x in given])
            inputs["in_whole"] = tf.constant([x.way not in (None, Way.ROWS) for x in given])
        if any(x.accumulated is not None for x in given):
            inputs["accumulated"] = tf.stack([x.accumulated is not None and x.accumulated for x in given])
        key = sizes, tuple(value.dtype for value in tf.nest.flatten(inputs))
        if key not in self._functions:
            self._functions[key] = self._traced(inputs, sizes)
        self._functions[key](inputs)

    def _dense_of(self, gradients: Sequence[Any], many: bool) -> list[Any]:
        """The dense gradients. With masks, zeros stand in for missing ones, and a variable's gradients have one dtype."""
        found: list[Any] = []
        zeros: dict[Any, Any] = {}
        for i in self._dense:
            g, weight = gradients[i], self.targets[i].weight
            dtype = gradient_dtype(weight.dtype)
            if not tf.is_tensor(g):  # missing, or of rows
                known = weight.shape.is_fully_defined()
                kind = (*weight.shape, dtype) if known else i
                if kind not in zeros:
                    zeros[kind] = tf.zeros(weight.shape if known else tf.shape(weight), dtype)
                g = zeros[kind]
            found.append(tf.cast(g, dtype) if many or self._masked else g)
        return found

    def _rows_of(self, gradients: Sequence[Any], many: bool) -> tuple[list[Rows], tuple[int | None, ...]]:
        """The sparse gradients, and the size of each, or None where it differs from run to run; missing ones have no rows.

        Each keeps its own size at first. After many different sizes it is padded to the largest one so far, because the sizes
        of several variables combine without bound.
        """
        found, sizes = [], []
        for i in self._rows:
            rows, most, weight = gradients[i], self._most.get(i, 1), self.targets[i].weight
            if not isinstance(rows, Rows):
                rows = no_rows(most or 1, weight.shape, gradient_dtype(weight.dtype))
            size = rows.index.shape[0]
            if size is None or most is None:
                self._most[i] = None
            else:
                self._most[i] = most = max(size, most)
                rows = padded(rows, most, weight.shape) if many else rows
            found.append(rows)
            sizes.append(None if self._most.get(i, 0) is None else rows.index.shape[0])
        return found, tuple(sizes)

    def _traced(self, inputs: dict[str, Any], sizes: Sequence[int | None]) -> Any:
        """A function for inputs of this signature. It is traced once.

        TensorFlow's retracing warning counts traces by code object, across optimizers; a partial has none, so nothing is
        counted.
        """
        signature = tf.nest.map_structure(lambda x: tf.TensorSpec(x.shape, x.dtype), inputs)
        signature["dense"] = [
            tf.TensorSpec(self.targets[i].weight.shape, g.dtype)
            for i, g in zip(self._dense, inputs["dense"], strict=True)
        ]
        signature["rows"] = [
            Rows(
                tf.TensorSpec([size, *rows.values.shape[1:]], rows.values.dtype),
                tf.TensorSpec([size], rows.index.dtype),
                tf.TensorSpec([], rows.count.dtype),
                tf.TensorSpec([0 if size else None, *rows.values.shape[1:]], rows.values.dtype),
            )
            for size, rows in zip(sizes, inputs["rows"], strict=True)
        ]
        return tf.function(partial(self._step), input_signature=[signature], autograph=False)

    def _step(self, inputs: dict[str, Any]) -> None:
        dense, rows = [None] * len(self.targets), [None] * len(self.targets)
        for places, given, place in ((dense, inputs["dense"], self._dense), (rows, inputs["rows"], self._rows)):
            for i, g in zip(place, given, strict=True):
                places[i] = g
        picked = [lane.rows(rows) for lane in self._lanes]
        gradients = [lane.gradient(dense, each) for lane, each in zip(self._lanes, picked, strict=True)]
        gradients, call = _together((gradients, self._iterations + 1))
        if self._accumulate is None:
            call = self._whole_update(gradients, picked, call, inputs)
        else:

            def update() -> None:
                self._whole_update(gradients, picked, call // self._every, inputs)

            tf.cond(tf.equal(call % self._every, 0), update, lambda: self._accumulate(gradients, call))
        self._iterations.assign(call)

    def _whole_update(self, gradients: list[Any], picked: list[Rows | None], t: Any, inputs: dict[str, Any]) -> Any:
        """An update; returns its number, once it can't fail any more."""
        self._start_copies(t)
        taking_part, in_whole = self._moving(inputs)
        masks = [lane.mask(in_whole) for lane in self._lanes]
        passed = [lane.read(lane.passed, rows) for lane, rows in zip(self._lanes, picked, strict=True)]
        gradients, passed, t = _together((gradients, passed, t))
        new = self._update(gradients, masks, passed, t, inputs["hyper"])
        for lane, rows, state in zip(self._lanes, picked, new, strict=True):
            lane.write(state, rows)
            # inside the program, XLA would copy what it both reads and overwrites
            if self._accumulate is not None and lane.takes_part:
                lane.clear_accumulator()
        self._constrain(taking_part)
        return t

    def _moving(self, inputs: dict[str, Any]) -> tuple[Any, Any]:
        """Which targets an update moves, and which of these as a whole, two boolean vectors; None if it moves all."""
        if not any(lane.masked for lane in self._lanes):
            return None, None
        given = tf.constant([bool(way) for way in self.ways])
        taking_part, in_whole = inputs.get("taking_part", given), inputs.get("in_whole", given)
        if self._accumulate is not None:
            waiting = inputs["accumulated"] if "accumulated" in inputs else self._accumulated()
            taking_part, in_whole = taking_part | waiting, in_whole | waiting
        return taking_part, in_whole

    def _accumulated(self) -> Any:
        """For which targets with a mask gradients have accumulated, a boolean vector."""
        found = [tf.constant(False)] * len(self.targets)
        for lane in self._lanes:
            if lane.masked and lane.takes_part:
                for i, summed in zip(lane.indices, lane.split(lane.read_accumulator()), strict=True):
                    found[i] = tf.reduce_any(summed != 0)
        return tf.stack(found)

    def _start_copies(self, t: Any) -> None:
        """Gives slots that hold a weight its value at the first update: in the program each step would write them anew."""
        pairs = [(x.slots[name], x.weight, x.dtype) for x in self._copied for name in x.copies]

        def start() -> None:
            for slot, weight, dtype in pairs:
                slot.assign(tf.cast(as_real(tf.convert_to_tensor(weight), dtype), slot.dtype))

        if pairs:
            tf.cond(tf.equal(t, 1), start, lambda: None)

    def _constrain(self, taking_part: Any) -> None:
        for i in sorted({i for lane in self._lanes if lane.takes_part for i in lane.indices}):
            weight, constraint = self.targets[i].weight, self.targets[i].constraint
            if constraint is not None and not self.targets[i].replaced:
                new = constraint(weight)
                if taking_part is not None:
                    new = tf.where(taking_part[i], new, weight)
                weight.assign(new)


def _together(values: Any) -> Any:
    """A nest of tensors and None, none of which is used before all of them are there.

    In a graph, indices that are no rows are found when it runs; whatever a step changes must wait for all of its gradients.
    """
    flat = tf.nest.flatten(values)
    with tf.control_dependencies([each for each in flat if each is not None]):
        return tf.nest.pack_sequence_as(values, [None if each is None else tf.identity(each) for each in flat])
