"""The wire: what the replicas of a strategy tell each other, in the order of the replicas.

A sum in that order has the bits of one process that adds the same numbers, however many replicas there are. The ring of
TensorFlow's own reduction begins at another replica for each part of a vector. So a vector is reduced in two collectives: each
replica receives its share of the vector from all others and adds them in order, then all gather the sums. That takes as many
bytes as a ring: 2 (N - 1) / N times the vector's.

TensorFlow tells collectives apart by keys. `tf.distribute` passes a new key into the outermost function at each call, which
fails inside of branches and loops, such as the loop of ``steps_per_execution``; and TensorFlow never forgets a key, nor the
shape that it was used with. Here a key stands for what is sent (see `AtOnce`), and is used again for the same.
"""

import itertools
import zlib
from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import tensorflow as tf

from pyadam.engine.components import plain_variable
from pyadam.engine.replicas import Replicas, graph_of_run

__all__ = ["Call", "Wire"]

PATIENCE = 300.0  # seconds that a worker waits for the others where nothing but pyadam makes them wait

_FIRST_GROUP = 1 << 30  # TensorFlow's own group keys count from 1
_WORKERS = 1 << 20  # added to the key of a strategy's replicas: the key of its workers
_TURNS = 4  # a replica is never more than one call ahead of another
_KINDS = (1 << 31) // _TURNS

_next_group = itertools.count(_FIRST_GROUP)
_wires: "WeakKeyDictionary[Any, Wire]" = WeakKeyDictionary()


class Wire:
    """What connects the replicas of a strategy: the steps of all its optimizers take place one after the other.

    Workers agree on the keys of a wire if they use their strategies in the same order.
    """

    def __init__(self, replicas: Replicas) -> None:
        self.group = next(_next_group)
        self.calls = []  # how many calls each local replica has made
        for device in replicas.devices:
            with tf.init_scope(), tf.device(device):
                self.calls.append(plain_variable(tf.constant(0, tf.int64)))
        self._facts: WeakKeyDictionary[Any, dict[int, list[Sequence[str]]]] = WeakKeyDictionary()
        self._eager_facts: Sequence[str] = ()
        self._comparisons, self._members = itertools.count(), itertools.count(1)

    @classmethod
    def of(cls, replicas: Replicas) -> "Wire":
        """The wire of these replicas' strategy."""
        if replicas.strategy not in _wires:
            _wires[replicas.strategy] = cls(replicas)
        return _wires[replicas.strategy]

    def call(self, replicas: Replicas, local: int, facts: Sequence[str], patience: float = 0.0) -> "Call":
        """What a local replica sends and receives at one step. All replicas have to make the same calls in the same order.

        Args:
            replicas: those of the optimizer.
            local: the replica.
            facts: what has to be the same on all replicas: what the call is for, then a line for each gradient.
            patience: how many seconds a worker waits for the others, if not for ever.

        Raises:
            ValueError: they differ; in a graph of several workers, an assertion fails.
        """
        self._compare(replicas, local, facts)
        in_turn = tf.executing_eagerly() and replicas.local > 1  # replicas run one after the other
        number = (self.calls[0] if in_turn else self.calls[local]).read_value() + 1
        if in_turn:
            return InTurn(replicas, number, self.calls[local])
        self.calls[local].assign(number)
        if replicas.size > replicas.local and local == 0:
            with tf.control_dependencies(self._compare_workers(replicas, number, facts, patience)):
                number = tf.identity(number)
        return AtOnce(replicas, number, self.group, self.calls[local])

    def among_workers(self, replicas: Replicas, x: Any, key: Any, patience: float = 0.0) -> Any:
        """The values of all workers, which have one shape, along a new first axis; without ``patience`` it waits for ever."""
        with tf.device("CPU:0"):
            return tf.raw_ops.CollectiveGatherV2(
                input=x[None],
                group_size=replicas.size // replicas.local,
                group_key=self.group + _WORKERS,
                instance_key=key,
                ordering_token=[],
                timeout_seconds=patience,
            )

    def next_member(self) -> int:
        """The number of an optimizer that has come to this wire."""
        return next(self._members)

    def next_comparison(self) -> int:
        """The number of a comparison of the workers."""
        return next(self._comparisons)

    def _compare(self, replicas: Replicas, local: int, facts: Sequence[str]) -> None:
        """Compares a call with the first replica's call, made just before, or in place of this one in a graph."""
        first: Sequence[str] | None
        if tf.executing_eagerly():
            self._eager_facts = facts if local == 0 else self._eager_facts
            first = self._eager_facts
        else:
            graph = tf.compat.v1.get_default_graph()
            made = self._facts.setdefault(graph, {})
            place = len(made.setdefault(local, []))
            made[local].append(facts)
            first = made[0][place] if place < len(made.get(0, ())) else None
            if first is None and graph is graph_of_run():
                first = ["nothing"]  # in a branch the first replica's calls would be in a graph of their own
        if first is not None and first != facts:
            their, our = difference(first, facts)
            raise ValueError(
                f"{replicas.owner}: all replicas have to take the same steps, with gradients for the same variables; replica "
                f"{replicas.first} has {their} where replica {replicas.rank(local)} has {our}"
            )

    def _compare_workers(self, replicas: Replicas, number: Any, facts: Sequence[str], patience: float) -> list[Any]:
        """Compares a call with those of the other workers, which would wait for each other if they sent different things."""
        own = tf.constant(zlib.crc32("\n".join(facts).encode()), tf.int64)
        every = self.among_workers(replicas, own, _key(0, number), patience)
        words = (
            f"{replicas.owner}: all workers have to take the same steps, with gradients for the same variables; this one has "
            f"{_shown(facts)}, another one has something else"
        )
        same = tf.reduce_all(tf.equal(every, own))
        if not tf.executing_eagerly():
            return [tf.debugging.Assert(same, [words])]
        if not same:
            raise ValueError(words)
        return []


def _shown(facts: Sequence[str]) -> str:
    """The purpose of a call, and what is special about its gradients."""
    special = [fact for fact in facts[1:] if not fact.startswith("a gradient")]
    return ", ".join([facts[0], *special[:3], *["..."] * (len(special) > 3)])


def difference(theirs: Sequence[str], ours: Sequence[str]) -> tuple[str, str]:
    """The first two facts that differ."""
    return next((a, b) for a, b in itertools.zip_longest(theirs, ours, fillvalue="nothing") if a != b)


def _key(kind: Any, number: Any) -> Any:
    """The key of a collective of this kind in this call."""
    return tf.cast(kind * _TURNS + number % _TURNS, tf.int32)


class Call:
    """The collectives of one step.

    Args:
        replicas: who takes part.
        number: that of the call, counted from 1, an int64 tensor.
    """

    def __init__(self, replicas: Replicas, number: Any) -> None:
        self.number, self.size = number, replicas.size
        self.workers = replicas.size // replicas.local

    def gather(self, x: Any) -> Any:
        """The values of all replicas, which have one shape, along a new first axis."""
        return tf.zeros([self.size, *x.shape], x.dtype) if _empty(x) else self._gather(x)

    def exchange(self, x: Any) -> Any:
        """Row k of ``x`` goes to replica k. Returns the rows that this replica receives, in the order of the replicas."""
        return x if _empty(x) else self._exchange(x)

    def _gather(self, x: Any) -> Any:
        raise NotImplementedError

    def _exchange(self, x: Any) -> Any:
        raise NotImplementedError

    def of_first_worker(self, values: Sequence[Any]) -> list[Any]:
        """The first worker's values of some scalars, which the replicas of one process have in common."""
        return list(values) if self.workers == 1 else tf.unstack(self.gather(tf.stack(values))[0])

    def reduce_scatter(self, x: Any) -> Any:
        """This replica's row of the sum over all replicas of a tensor with a row for each."""
        rows = tf.unstack(self.exchange(x), self.size)
        return _in_order(rows)

    def reduce(self, x: Any) -> Any:
        """The sum of a vector over all replicas."""
        length = tf.size(x)
        rows = tf.reshape(tf.pad(x, [[0, -length % self.size]]), [self.size, -1])
        return tf.ensure_shape(tf.reshape(self.gather(self.reduce_scatter(rows)), [-1])[:length], x.shape)


def _empty(x: Any) -> bool:
    """Whether a tensor is known to have no elements: TensorFlow's collectives end the process then."""
    return bool(x.shape.num_elements() == 0)


def _in_order(values: Any) -> Any:
    """The sum of some tensors, from the first to the last."""
    total, *others = values
    for each in others:
        total = total + each
    return total


class AtOnce(Call):
    """Collectives between replicas that run at the same time: in a graph, or one in each worker.

    Their keys come from what TensorFlow remembers with a key: the operation, the dtype and the shape; from their place in the
    call; and from the number of the call, so that the collectives of a call are not taken for those of the next one, in which
    another replica may be already. Two kinds have the same key with a probability of 1e-9: TensorFlow would refuse it.

    Args:
        replicas: who takes part.
        number: that of the call.
        group: the key of the replicas.
        calls: a variable of this replica, which keeps its collectives in order.
    """

    def __init__(self, replicas: Replicas, number: Any, group: int, calls: Any) -> None:
        super().__init__(replicas, number)
        self._group, self._token, self._places = group, calls.handle, itertools.count()

    def _collective(self, operation: Callable[..., Any], x: Any) -> Any:
        kind = zlib.crc32(f"{next(self._places)} {operation.__name__} {x.dtype.name} {x.shape.rank}".encode())
        for axis, known in enumerate(x.shape):
            kind += (tf.shape(x, tf.int64)[axis] if known is None else known) * (1_000_003 + 2 * axis)
        return operation(
            input=x,
            group_size=self.size,
            group_key=self._group,
            instance_key=_key(kind % _KINDS, self.number),
            ordering_token=[self._token],
        )

    def _gather(self, x: Any) -> Any:
        return self._collective(tf.raw_ops.CollectiveGatherV2, x[None])

    def _exchange(self, x: Any) -> Any:
        return self._collective(tf.raw_ops.CollectiveAllToAllV2, x)


class InTurn(Call):
    """Collectives between local replicas that run one after the other, as in eager mode.

    Args:
        replicas: who takes part.
        number: that of the call.
        calls: how many calls this replica has made. It is set when all replicas are there: one may fail before.
    """

    def __init__(self, replicas: Replicas, number: Any, calls: Any) -> None:
        super().__init__(replicas, number)
        self._calls = calls

    def _gather(self, x: Any) -> Any:
        context = tf.distribute.get_replica_context()
        several = self.workers > 1
        found = context.all_gather(x[None], axis=0) if several else tf.stack(context.merge_call(_all_of, args=(x,)))
        self._calls.assign(self.number)
        return found

    def _exchange(self, x: Any) -> Any:
        place = int(tf.distribute.get_replica_context().replica_id_in_sync_group)
        return self.gather(x)[:, place]


def _all_of(strategy: Any, x: Any) -> list[Any]:
    return list(strategy.experimental_local_results(x))
