"""The wire: what the replicas of one optimizer tell each other, in the order of the replicas.

A sum in that order has the bits of one process that adds the same numbers, however many replicas there are. The ring of
TensorFlow's own reduction begins at another replica for each part of a vector. So a vector is reduced in two collectives: each
replica receives its share of the vector from all others and adds them in order, then all gather the sums. That takes as many
bytes as a ring: 2 (N - 1) / N times the vector's.

TensorFlow tells collectives apart by keys. `tf.distribute` passes a new key into the outermost function at each call, which
fails inside of branches and loops, such as the loop of ``steps_per_execution``. Here the keys come from a variable that counts
the calls.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import tensorflow as tf

from pyadam.engine.components import of_replica
from pyadam.engine.replicas import Replicas

__all__ = ["Call", "Wire"]

_FIRST_GROUP = 1 << 30  # TensorFlow's own group keys count from 1
_PLACES = 32  # the most collectives of one call
_TURNS = 1024  # after so many calls their keys are used again
_OPTIMIZERS = (1 << 31) // (_PLACES * _TURNS)

_groups: "WeakKeyDictionary[Any, int]" = WeakKeyDictionary()
_numbers: "WeakKeyDictionary[Any, itertools.count[int]]" = WeakKeyDictionary()  # of the optimizers of each strategy
_next_group = itertools.count(_FIRST_GROUP)


def group_key(strategy: Any) -> int:
    """The key of the replicas of a strategy. Workers agree on it, if they make their strategies in the same order."""
    if strategy not in _groups:
        _groups[strategy] = next(_next_group)
    return _groups[strategy]


class Wire:
    """The collectives of one optimizer.

    Args:
        replicas: who takes part.
    """

    def __init__(self, replicas: Replicas) -> None:
        self._replicas, self._number = (
            replicas,
            next(_numbers.setdefault(replicas.strategy, itertools.count())) % _OPTIMIZERS,
        )
        self._calls = tf.Variable(0, dtype=tf.int64, trainable=False)

    def call(self, local: int) -> "Call":
        """What a local replica sends and receives at one step; all replicas do the same in the same order."""
        calls = of_replica(self._calls, local)
        number = calls.read_value() + 1
        calls.assign(number)
        if tf.executing_eagerly() and self._replicas.local > 1:  # replicas run one after the other
            return InTurn(self._replicas, number)
        first = (self._number * _TURNS + tf.cast(number % _TURNS, tf.int32)) * _PLACES
        return AtOnce(self._replicas, number, first, calls)


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
        raise NotImplementedError

    def exchange(self, x: Any) -> Any:
        """Row k of ``x`` goes to replica k. Returns the rows that this replica receives, in the order of the replicas."""
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


def _in_order(values: Any) -> Any:
    """The sum of some tensors, from the first to the last."""
    total, *others = values
    for each in others:
        total = total + each
    return total


class AtOnce(Call):
    """Collectives between replicas that run at the same time: in a graph, or one in each worker.

    Args:
        replicas: who takes part.
        number: that of the call.
        first: the key of its first collective.
        calls: a variable of this replica, which keeps its collectives in order and apart from those of other replicas.
    """

    def __init__(self, replicas: Replicas, number: Any, first: Any, calls: Any) -> None:
        super().__init__(replicas, number)
        self._group, self._token = group_key(replicas.strategy), calls.handle
        self._keys = (first + place for place in range(_PLACES))

    def _collective(self, operation: Callable[..., Any], x: Any) -> Any:
        return operation(
            input=x,
            group_size=self.size,
            group_key=self._group,
            instance_key=next(self._keys),
            ordering_token=[self._token],
        )

    def gather(self, x: Any) -> Any:
        """The values of all replicas, along a new first axis."""
        return self._collective(tf.raw_ops.CollectiveGatherV2, x[None])

    def exchange(self, x: Any) -> Any:
        """The rows that the replicas send to this one."""
        return self._collective(tf.raw_ops.CollectiveAllToAllV2, x)


class InTurn(Call):
    """Collectives between local replicas that run one after the other, as in eager mode."""

    def gather(self, x: Any) -> Any:
        """The values of all replicas, along a new first axis."""
        context = tf.distribute.get_replica_context()
        if self.workers > 1:
            return context.all_gather(x[None], axis=0)
        return tf.stack(context.merge_call(_all_of, args=(x,)))

    def exchange(self, x: Any) -> Any:
        """The rows that the replicas send to this one."""
        place = int(tf.distribute.get_replica_context().replica_id_in_sync_group)
        return self.gather(x)[:, place]


def _all_of(strategy: Any, x: Any) -> list[Any]:
    return list(strategy.experimental_local_results(x))
