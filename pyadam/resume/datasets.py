"""Datasets of TensorFlow and their iterators: reading on, saving a position, and how they are shuffled."""

from pathlib import Path
from typing import Any

import tensorflow as tf

__all__ = ["loses_shuffles", "read", "read_state", "stages", "write_state"]


def write_state(iterator: Any, prefix: Path) -> None:
    """Writes the state of an iterator.

    Raises:
        ValueError: it can't be saved.
    """
    try:
        tf.train.Checkpoint(iterator=iterator).write(str(prefix))
    except (tf.errors.FailedPreconditionError, tf.errors.UnimplementedError) as error:
        reason = error.message.partition(" [Op")[0].rpartition("}} ")[2]
        raise ValueError(
            f"Resume: the position in this dataset can't be saved: {reason} Use arrays, or a tf.data.Dataset without "
            "generators, Python functions and random operations; tf.data's own shuffle() is fine"
        ) from None


def stages(dataset: Any) -> list[str]:
    """The classes of the stages of a dataset, the last one first."""
    dataset = getattr(dataset, "_original_dataset", dataset)  # of one that is distributed
    inputs = dataset._inputs() if hasattr(dataset, "_inputs") else []
    return [type(dataset).__name__, *(name for each in inputs for name in stages(each))]


def loses_shuffles(dataset: Any) -> bool:
    """Whether a dataset is shuffled, prefetched and then repeated: TensorFlow restores another number of shuffles."""
    order = [name for name in stages(dataset) if name in ("_RepeatDataset", "_PrefetchDataset", "_ShuffleDataset")]
    return "repeat prefetch shuffle" in " ".join(name[1:-7].lower() for name in order)


def read_state(iterator: Any, prefix: Path) -> None:
    """Puts an iterator, or the dataset behind it, in a state that `write_state` has written."""
    tf.train.Checkpoint(iterator=iterator).read(str(prefix)).assert_consumed()


def read(iterator: Any, count: int | None) -> None:
    """Reads so many batches, or all there are."""
    while count is None or count > 0:
        try:
            next(iterator)
        except (StopIteration, tf.errors.OutOfRangeError):
            return
        count = None if count is None else count - 1
