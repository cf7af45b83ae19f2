"""Whether all workers build the same optimizer: compared once, before they exchange gradients."""

import itertools
import json
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import tensorflow as tf

from pyadam.engine.replicas import Replicas
from pyadam.engine.wire import group_key

__all__ = ["check_agreement"]

_PATIENCE = 300.0  # seconds that a worker waits for the others
_WORKERS = 1 << 20  # added to the key of a strategy's replicas: the key of its workers

_comparisons: "WeakKeyDictionary[Any, itertools.count[int]]" = WeakKeyDictionary()


def check_agreement(replicas: Replicas, facts: Sequence[str]) -> None:
    """Compares what the workers are about to train.

    Args:
        replicas: those of the optimizer.
        facts: a line for each thing that has to be the same.

    Raises:
        ValueError: another worker has other facts; the first difference is shown.
        RuntimeError: another worker does not answer.
    """
    workers = replicas.size // replicas.local
    if workers == 1:
        return
    key = 2 * next(_comparisons.setdefault(replicas.strategy, itertools.count()))
    mine = json.dumps(list(facts)).encode()

    def gather(values: Any, key: int) -> Any:
        return tf.raw_ops.CollectiveGatherV2(
            input=values[None],
            group_size=workers,
            group_key=group_key(replicas.strategy) + _WORKERS,
            instance_key=key,
            ordering_token=[],
            timeout_seconds=_PATIENCE,
        )

    try:
        with tf.device(replicas.devices[0]):
            lengths, ranks = tf.unstack(gather(tf.constant([len(mine), replicas.first // replicas.local]), key), axis=1)
            codes = tf.constant(list(mine), tf.int32)
            every = gather(tf.pad(codes, [[0, tf.reduce_max(lengths) - len(mine)]]), key + 1)
    except tf.errors.DeadlineExceededError as error:
        raise RuntimeError(
            f"{replicas.owner}: another worker did not build its optimizer within {_PATIENCE:.0f} seconds; all workers have to "
            "run the same program"
        ) from error
    if ranks.numpy().tolist() != list(range(workers)):
        raise NotImplementedError(
            f"{replicas.owner}: TensorFlow orders the workers {ranks.numpy().tolist()}, not by number"
        )
    texts = [bytes(row[:length].tolist()) for row, length in zip(every.numpy(), lengths.numpy(), strict=True)]
    for worker, text in enumerate(texts):
        if text != mine:
            raise ValueError(_difference(replicas.owner, worker, json.loads(text), list(facts)))


def _difference(owner: str, worker: int, theirs: list[str], ours: list[str]) -> str:
    pairs = itertools.zip_longest(theirs, ours, fillvalue="nothing")
    their, our = next((a, b) for a, b in pairs if a != b)
    return (
        f"{owner}: the workers do not train the same: worker {worker} has {their} where this one has {our}; all workers have "
        "to make the same model and optimizer"
    )
