"""Sharded state: each replica keeps and updates its share of the variables, and passes on the new weights.

The gradients of a piece are added where it is kept, and nowhere else. So a step sends as many bytes as one that adds all
gradients everywhere: both halves of that reduction are here, with the step in between.

Source: Rajbhandari et al. (2020), ZeRO: Memory Optimizations Toward Training Trillion Parameter Models,
https://arxiv.org/abs/1910.02054, stages 1 and 2.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import tensorflow as tf

from pyadam.engine import wire
from pyadam.engine.clipping import squares
from pyadam.engine.components import components, of_replica, plain_variable
from pyadam.engine.gradients import (
    as_real,
    checked_rows,
    compute_dtype,
    from_real,
    gradient_dtype,
    mean_gradient,
)
from pyadam.engine.lanes import SMALL
from pyadam.engine.reduction import LocalGradient, flat, sparse_sums
from pyadam.engine.replicas import Replicas
from pyadam.engine.sharded import Piece, RowsOf, Sharded
from pyadam.engine.step import Engine
from pyadam.engine.target import Target
from pyadam.engine.wire import Call, Wire
from pyadam.optimizers.numerics import settled

__all__ = ["Shards", "state_bytes"]


class Shards:
    """Who keeps which part of the state, and the steps of the parts.

    Args:
        replicas: those of the optimizer.
        cut: whether large variables may be cut into rows: the rule is elementwise, and nothing needs a whole gradient.
    """

    def __init__(self, replicas: Replicas, cut: bool) -> None:
        self._replicas, self._cut = replicas, cut
        self._loads = [0] * replicas.size
        self.pieces: dict[Any, list[Piece]] = {}
        self._engines: dict[int, Engine] = {}

    @property
    def _mine(self) -> range:
        """The numbers of the local replicas."""
        return range(self._replicas.first, self._replicas.first + self._replicas.local)

    def _by_owner(self, pieces: Sequence[Piece]) -> list[list[Piece]]:
        """The pieces that each replica keeps."""
        return [[piece for piece in pieces if piece.owner == rank] for rank in range(self._replicas.size)]

    # --- who keeps what --------------------------------------------------------------------------------------------------

    def divide(self, targets: Mapping[Any, Target]) -> None:
        """Divides these variables among the replicas: large ones by rows, the others whole, the largest first."""
        size = self._replicas.size
        for x in targets.values():
            if not x.weight.shape.is_fully_defined():
                raise ValueError(
                    f"{self._replicas.owner}: shard_state needs variables of a known shape, got {x.weight.shape} for {x.path}; "
                    "create it with tf.Variable(value), without shape="
                )

        def elements(key: Any) -> int:
            return int(targets[key].weight.shape.num_elements())

        whole = []
        for key, x in targets.items():
            shape = x.weight.shape
            if self._cut and x.constraint is None and not x.replaced and elements(key) > SMALL and shape[0] >= size:
                ends = [shape[0] * (replica + 1) // size for replica in range(size)]
                self.pieces[key] = [Piece(key, r, b, e) for r, (b, e) in enumerate(zip([0, *ends], ends, strict=False))]
                width = elements(key) // shape[0]
                for piece in self.pieces[key]:
                    self._loads[piece.owner] += (piece.end - piece.begin) * width  # type: ignore[operator]
            else:
                whole.append(key)
        for key in sorted(whole, key=elements, reverse=True):
            owner = min(range(size), key=self._loads.__getitem__)
            self._loads[owner] += elements(key)
            self.pieces[key] = [Piece(key, owner)]

    def state(self, key: Any, target: Target, slot: Any, dtype: Any) -> Sharded:
        """A state variable for a variable: its pieces on the replicas that keep them."""
        shape = tf.TensorShape(target.weight.shape if slot.shape is None else slot.shape)
        kept: list[Any] = []
        for piece in self.pieces[key]:
            if piece.owner not in self._mine:
                kept.append(None)
                continue
            with tf.device(self._replicas.devices[piece.owner - self._replicas.first]):
                start = tf.fill(piece.shape_in(shape), tf.constant(slot.filling, dtype))
                kept.append(plain_variable(start))
        alone = self._replicas.local == self._replicas.size
        return Sharded(shape, self.pieces[key], kept, dtype, None if alone else self._gathered)

    def _gathered(self, variable: Sharded, values: Sequence[Any]) -> list[Any]:
        """The pieces of a variable from all workers, in eager mode."""
        shapes = [[p.shape_in(variable.shape) for p in row] for row in self._by_owner(variable.pieces)]
        own = _end_to_end([v for v in values if v is not None], variable.dtype)
        wide = tf.cast(own, compute_dtype(variable.dtype)) if variable.dtype.is_floating else own
        most = max(sum(shape.num_elements() for shape in row) for row in shapes)
        try:
            call = Wire.of(self._replicas).call(self._replicas, 0, ["a reading of divided state"], wire.PATIENCE)
        except tf.errors.DeadlineExceededError as error:
            raise RuntimeError(
                f"{self._replicas.owner}: its state is divided among the workers, so all of them have to read or save it at "
                f"the same time; another worker failed to do so within {wire.PATIENCE:.0f} seconds"
            ) from error
        gathered = call.gather(tf.pad(wide, [[0, most - own.shape[0]]]))
        parts = [part for joined, row in zip(tf.unstack(gathered), shapes, strict=True) for part in _split(joined, row)]
        return [tf.cast(part, variable.dtype) for part in parts]  # pieces are in the order of their owners

    def engine(self, local: int, whole: Engine) -> Engine:
        """The engine of a local replica, over the pieces that it keeps."""
        if local not in self._engines:
            self._engines[local] = Engine(whole.spec, whole.rule, of_replica(whole.iterations, local))
            self._engines[local].is_part = True
            whole.follow(self._engines[local])
        engine, rank = self._engines[local], self._replicas.rank(local)
        for key, pieces in self.pieces.items():
            for i, piece in enumerate(pieces):
                if piece.owner == rank and piece not in engine.targets and key in whole.targets:
                    x = whole.targets[key]
                    weight = of_replica(x.weight, local)
                    new = replace(
                        x,
                        weight=weight if piece.end is None else RowsOf(weight, piece),
                        slots={name: slot.kept[i] for name, slot in x.slots.items()},
                        average=None if x.average is None else x.average.kept[i],
                        accumulator=None if x.accumulator is None else x.accumulator.kept[i],
                        offset=0 if piece.end is None else piece.begin * x.weight.shape[1:].num_elements(),
                    )
                    engine.add({piece: new})
        engine.shared |= {name: of_replica(variable, local) for name, variable in whole.shared.items()}
        engine.knows_float64(whole.has_float64)
        return engine

    # --- a step ----------------------------------------------------------------------------------------------------------

    def share(self, call: Call, local: int, whole: Engine, given: Mapping[Any, Any], summed: bool) -> dict[Piece, Any]:
        """The gradients of the pieces that a local replica keeps, added over all replicas.

        Args:
            call: its collectives.
            local: the replica.
            whole: the engine whose targets are the variables.
            given: this replica's gradients by variable; tensors or IndexedSlices as `typed` returns them.
            summed: whether they have been added already.
        """
        rank = self._replicas.rank(local)
        mine = [piece for key in given for piece in self.pieces[key] if piece.owner == rank]
        if summed:
            return {piece: piece.of(given[piece.key]) for piece in mine}
        replaced = [key for key in given if whole.targets[key].replaced]
        largest = {key: tf.reduce_max(call.gather(tf.convert_to_tensor(given[key])), axis=0) for key in replaced}
        sparse = [key for key, g in given.items() if isinstance(g, tf.IndexedSlices) and key not in replaced]
        sums = sparse_sums(call, [LocalGradient(whole.targets[key].weight, given[key]) for key in sparse])
        found: dict[Piece, Any] = {}
        for key, g in zip(sparse, sums, strict=True):
            x = whole.targets[key]  # once cut, an index out of range would go unnoticed
            g = tf.IndexedSlices(g.values, checked_rows(whole.owner, x.path, x.weight, g.indices), g.dense_shape)
            found |= {p: p.of(g) for p in mine if p.key == key}
        found |= {p: largest[p.key] for p in mine if p.key in largest}
        real = {}
        for key, g in given.items():
            if key not in sparse and key not in replaced:
                g = tf.cast(g, gradient_dtype(whole.targets[key].weight.dtype))
                real[key] = as_real(g, compute_dtype(g.dtype))
        for dtype in dict.fromkeys(g.dtype for g in real.values()):
            keys = [key for key, g in real.items() if g.dtype == dtype]
            rows = self._by_owner([p for key in keys for p in self.pieces[key]])
            sent = [_end_to_end([p.of(real[p.key]) for p in row], dtype) for row in rows]
            most = max(each.shape[0] for each in sent)
            total = call.reduce_scatter(tf.stack([tf.pad(each, [[0, most - each.shape[0]]]) for each in sent]))
            for piece, part in zip(
                rows[rank], _split(total, [p.shape_in(real[p.key].shape) for p in rows[rank]]), strict=True
            ):
                weight = whole.targets[piece.key].weight
                found[piece] = from_real(part, weight.dtype if weight.dtype.is_complex else dtype)
        return found

    def other_squares(self, call: Call, engine: Engine, given: Mapping[Piece, Any]) -> Any:
        """The sum of squares of the gradients of an update, as they are to be clipped, over the other replicas' pieces."""
        spec, every, number = engine.spec, engine.spec.calls_per_update, engine.iterations + 1

        def own() -> Any:
            total = tf.zeros([], tf.float64)
            for piece, x in engine.targets.items():
                if (piece in given or x.accumulator is not None) and not (x.replaced or engine.is_frozen(x)):
                    g = as_real(tf.convert_to_tensor(given[piece]), x.dtype) if piece in given else None
                    total = total + squares(mean_gradient(spec, g, x.accumulator, number))
            return total

        here = own() if every == 1 else tf.cond(tf.equal(number % every, 0), own, lambda: tf.zeros([], tf.float64))
        return tf.reduce_sum(call.gather(here)) - here

    def accumulated(self, call: Call, engine: Engine, whole: Engine, given: Collection[Any]) -> dict[Piece, Any]:
        """For which pieces of a replica gradients of their variables have accumulated, on whichever replica, if it matters."""
        waiting = [key for key, x in whole.targets.items() if x.accumulator is not None]
        if all(key in given for key in waiting):
            return {}
        kept = [[piece for piece in self.pieces[key] if piece in engine.targets] for key in waiting]

        def has_some(piece: Piece) -> Any:
            return tf.reduce_any(tf.not_equal(engine.targets[piece].accumulator, 0))

        here = tf.stack([tf.cast(tf.reduce_any([False, *map(has_some, pieces)]), tf.int32) for pieces in kept])
        found = tf.unstack(tf.reduce_max(call.gather(here), axis=0) > 0)
        return {piece: each for pieces, each in zip(kept, found, strict=True) for piece in pieces}

    def add_sums(self, call: Call, engine: Engine) -> None:
        """Adds the sums of the rule over all replicas, where the step of this one was an update."""
        for name in engine.rule.sums:
            variable = engine.shared[name]
            own = variable.read_value()
            updated = tf.equal(engine.iterations % engine.spec.calls_per_update, 0)
            variable.assign(tf.where(updated, settled(tf.reduce_sum(call.gather(own))), own))

    def spread(self, call: Call, local: int, whole: Engine, keys: Sequence[Any]) -> None:
        """Passes on the new weights: each replica assigns the pieces that the others keep."""
        rank = self._replicas.rank(local)
        weights = {key: of_replica(whole.targets[key].weight, local) for key in keys}
        for dtype in dict.fromkeys(gradient_dtype(w.dtype) for w in weights.values()):
            some = {key: w for key, w in weights.items() if gradient_dtype(w.dtype) == dtype}
            rows = self._by_owner([p for key in some for p in self.pieces[key]])
            real = compute_dtype(dtype)
            sizes = [sum(_elements(p, some[p.key]) for p in row) for row in rows]
            own = _end_to_end([as_real(p.of(some[p.key].read_value()), real) for p in rows[rank]], real)
            gathered = call.gather(tf.pad(own, [[0, max(sizes) - sizes[rank]]]))
            for replica, row in enumerate(rows):
                if replica == rank:
                    continue
                shapes = [tf.TensorShape([*p.shape_in(some[p.key].shape), *[2] * dtype.is_complex]) for p in row]
                for piece, part in zip(row, _split(gathered[replica], shapes), strict=True):
                    weight = some[piece.key]
                    (weight if piece.end is None else RowsOf(weight, piece)).assign(from_real(part, weight.dtype))


def _elements(piece: Piece, weight: Any) -> int:
    return int(piece.shape_in(weight.shape).num_elements()) * (2 if weight.dtype.is_complex else 1)


def _end_to_end(values: Sequence[Any], dtype: Any) -> Any:
    return tf.concat([flat(v) for v in values], 0) if values else tf.zeros([0], dtype)


def _split(joined: Any, shapes: Sequence[Any]) -> list[Any]:
    sizes = [shape.num_elements() for shape in shapes]
    parts = tf.split(joined[: sum(sizes)], sizes) if sizes else []
    return [tf.reshape(part, shape) for part, shape in zip(parts, shapes, strict=True)]


def state_bytes(variables: Sequence[Any]) -> int:
    """The bytes of state variables in this process, on all its replicas."""
    return sum(
        v.bytes if isinstance(v, Sharded) else len(components(v)) * math.prod(v.shape) * v.dtype.size for v in variables
    )
