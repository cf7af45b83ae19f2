"""Whether all workers build the same optimizer: compared once, before they exchange gradients."""

import json
from collections.abc import Sequence

import tensorflow as tf

from pyadam.engine import wire
from pyadam.engine.replicas import Replicas
from pyadam.engine.wire import Wire, difference

__all__ = ["check_agreement"]


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
    between = Wire.of(replicas)
    key = (1 << 30) + 2 * between.next_comparison()
    mine = json.dumps(list(facts)).encode()
    try:
        about = tf.constant([len(mine), replicas.first // replicas.local])
        lengths, ranks = tf.unstack(between.among_workers(replicas, about, key, wire.PATIENCE), axis=1)
        codes = tf.constant(list(mine), tf.int32)
        padded = tf.pad(codes, [[0, tf.reduce_max(lengths) - len(mine)]])
        every = between.among_workers(replicas, padded, key + 1, wire.PATIENCE)
    except tf.errors.DeadlineExceededError as error:
        raise RuntimeError(
            f"{replicas.owner}: another worker did not build its optimizer within {wire.PATIENCE:.0f} seconds; all workers "
            "have to run the same program"
        ) from error
    if ranks.numpy().tolist() != list(range(workers)):
        raise NotImplementedError(
            f"{replicas.owner}: TensorFlow orders the workers {ranks.numpy().tolist()}, not by number"
        )
    texts = [bytes(row[:length].tolist()) for row, length in zip(every.numpy(), lengths.numpy(), strict=True)]
    for worker, text in enumerate(texts):
        if text != mine:
            their, our = difference(json.loads(text), facts)
            raise ValueError(
                f"{replicas.owner}: the workers do not train the same: worker {worker} has {their} where this one has {our}; "
                "all workers have to make the same model and optimizer"
            )
