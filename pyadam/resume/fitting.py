"""The ``fit`` that a callback takes part in: its other callbacks, and the position in its data.

Neither Keras tells a callback about them, so they are looked up in the frames of the calls that led here.
"""

import inspect
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

from pyadam.resume.datasets import loses_shuffles, read, read_state, stages, write_state
from pyadam.resume.randomness import global_seed

__all__ = ["RunningFit", "running_fit"]

DATA, FRESH = "data", "fresh"  # the names of checkpoints of iterators
# both Kerases' adapters for data that Python code makes
_IN_PYTHON = ("GeneratorDataAdapter", "KerasSequenceAdapter", "PyDatasetAdapter")


class RunningFit:
    """A running ``fit``.

    Args:
        container: Keras' list of callbacks.
        data: what gives it the batches.
        model: the model.

    Attributes:
        replays: whether a position is reached by reading everything before it again, not by restoring an iterator.
    """

    replays: bool

    def __init__(self, container: Any, data: Any, model: Any) -> None:
        self.container, self._data, self._model = container, data, model
        self._iterator: Any = None  # the one in use
        self._target: dict[str, Any] | None = None  # a position that is to be reached
        self._folder = Path()
        self._newest: Any = None  # the iterator whose first state is in the temporary folder
        self._temporary = tempfile.TemporaryDirectory()

    # --- other callbacks -------------------------------------------------------------------------------------------------

    @property
    def callbacks(self) -> list[Any]:
        return list(self.container.callbacks)

    def surround(self, first: Any, last: Any) -> None:
        """Adds a callback that is called before all others, and one that is called after them."""
        self.container.callbacks = [first, *self.callbacks, last]  # a new list: Keras goes through the old one
        self.container._async_train = False  # Keras 3 may call them in another thread, beside the next step

    # --- position --------------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Checks that positions in this data can be saved.

        Raises:
            ValueError: they can't.
        """
        if not self.replays:
            if loses_shuffles(self._dataset()):
                raise ValueError(
                    "Resume: the position in this dataset can't be saved: it is shuffled, prefetched and then repeated, and "
                    "TensorFlow loses count of the shuffles; call repeat() before prefetch()"
                )
            return
        kind = type(self._adapter()).__name__
        if kind in _IN_PYTHON:
            raise ValueError(
                f"Resume: the position in this data can't be saved ({kind}): it comes from Python. Use arrays, or a "
                "tf.data.Dataset without Python functions"
            )
        if self._shuffles() and global_seed() is None:
            raise ValueError(
                "Resume: the order of this data can't be saved, only repeated; call keras.utils.set_random_seed() before "
                "fit(), or set shuffle=False"
            )

    def check_saveable(self) -> None:
        """Tries to save the position in a temporary folder.

        Raises:
            ValueError: the dataset can't be saved.
        """
        with tempfile.TemporaryDirectory() as folder:
            self.save(Path(folder))

    def save(self, folder: Path) -> dict[str, Any]:
        """Saves the position: files in this folder, and the rest in what it returns.

        Raises:
            ValueError: the dataset can't be saved.
        """
        files = []
        if not self.replays and self._newest is not None:
            self._meet(self._newest_of_keras() or self._newest)
            for file in Path(self._temporary.name).iterdir():
                shutil.copy(file, folder)
            files.append(FRESH)
        if not self.replays and self._iterator is not None:
            write_state(self._iterator, folder / DATA)
            files.append(DATA)
        return {
            "replays": self.replays,
            "files": files,
            "seed": global_seed(),
            "shuffles": self._shuffles(),
            **self._counts(),
        }

    def _meet(self, iterator: Any) -> None:
        """Notes the state of an iterator that has not been read yet, if it is a new one.

        A dataset counts how often it was shuffled. Of an iterator that has come to its end, TensorFlow does not save that.
        """
        if iterator is not self._newest and not self.replays:
            write_state(iterator, Path(self._temporary.name) / FRESH)
            self._newest = iterator

    def _newest_of_keras(self) -> Any:
        """An iterator that Keras has made ahead of the next epoch, or None."""
        return None

    def start_at(self, epoch: int, batch: int, position: dict[str, Any], folder: Path) -> None:
        """Makes this ``fit`` begin at a position that was saved.

        Raises:
            ValueError: the order of the data was that of another seed.
        """
        if self._order_is_drawn() and position["seed"] != global_seed():
            raise ValueError(
                f"Resume: the saved training has shuffled its data with the seed {position['seed']}, this one has "
                f"{global_seed()}; call keras.utils.set_random_seed() as before"
            )
        if position["shuffles"] != self._shuffles():
            raise ValueError(
                f"Resume: shuffle must be {position['shuffles']}, as in the saved training, got {self._shuffles()}; or take "
                "another folder"
            )
        here, saved = self._counts()["batches"], position["batches"]
        if None not in (here, saved) and here != saved:
            raise ValueError(
                f"Resume: an epoch of the saved training has {saved} batches, one of this has {here}; take the same data, or "
                "another folder"
            )
        self._target, self._folder = {**position, "epoch": epoch, "batch": batch}, folder

    def _restore(self, iterator: Any, target: dict[str, Any]) -> None:
        """Puts an iterator at the saved position.

        One that is restored may shuffle once more, so the number of shuffles comes last; but where a dataset repeats, the
        iterator alone knows it.
        """
        repeats = "_RepeatDataset" in stages(self._dataset())
        if repeats:
            self._restore_shuffles(target)
        if DATA in target["files"]:
            read_state(iterator, self._folder / DATA)
        if not repeats:
            self._restore_shuffles(target)

    def _restore_shuffles(self, target: dict[str, Any]) -> None:
        """Makes the dataset know how often it was shuffled."""
        if FRESH in target["files"]:
            read_state(iter(self._dataset()), self._folder / FRESH)

    def begun(self) -> None:
        """Called at the first epoch."""

    def goes_on(self, batch: int, batches: int | None) -> bool:
        """Whether it is certain that another batch follows.

        Args:
            batch: how many batches of the epoch have gone by.
            batches: how many Keras expects, if it knows.
        """
        if batches is None or batch >= batches:
            return False
        data = self._dataset()
        endless = isinstance(data, tf.data.Dataset) and data.cardinality() == tf.data.INFINITE_CARDINALITY
        return endless or self._size() == batches

    def _dataset(self) -> Any:
        raise NotImplementedError

    def element_spec(self) -> Any:
        """The structure, shapes and dtypes of a replica's batch."""
        specs = self._dataset().element_spec
        return tf.nest.map_structure(lambda spec: (getattr(spec, "_value_specs", None) or [spec])[0], specs)

    def _shuffles(self) -> bool:
        return bool(getattr(self._adapter(), "_shuffle", True))

    def _order_is_drawn(self) -> bool:
        """Whether the order of the data comes from a random generator, whose seed also depends on the global one."""
        if self.replays or hasattr(self._adapter(), "_shuffle"):
            return self._shuffles()
        return "_ShuffleDataset" in stages(self._dataset())

    def _adapter(self) -> Any:
        raise NotImplementedError

    def _size(self) -> int | None:
        """How many batches the data has, if it knows."""
        raise NotImplementedError

    def _counts(self) -> dict[str, Any]:
        """How many "batches" an epoch has, if that is known, and what else belongs to the position."""
        raise NotImplementedError


class Keras3Fit(RunningFit):
    """A ``fit`` of Keras 3: an iterator for each epoch or, with ``steps_per_epoch``, one that continues until its end."""

    def __init__(self, container: Any, data: Any, model: Any) -> None:
        super().__init__(container, data, model)
        self.replays = not isinstance(data._distributed_dataset, tf.data.Dataset)
        self._all_batches = data._enumerate_iterator
        data._enumerate_iterator = self._batches

    def start_at(self, epoch: int, batch: int, position: dict[str, Any], folder: Path) -> None:
        super().start_at(epoch, batch, position, folder)
        self._model._initial_epoch = epoch
        self._data._num_batches = position["batches"]

    def begun(self) -> None:
        """Called at the first epoch: Keras itself would begin any later ``fit`` there, too."""
        self._model._initial_epoch = None

    def _adapter(self) -> Any:
        return self._data.data_adapter

    def _dataset(self) -> Any:
        return self._data._distributed_dataset

    def _size(self) -> int | None:
        size: int | None = self._adapter().num_batches
        return size

    def _newest_of_keras(self) -> Any:
        return self._data._current_iterator

    def _counts(self) -> dict[str, Any]:
        return {"seen": int(self._data._steps_seen), "batches": self._data._num_batches}

    def _batches(self) -> Iterator[tuple[int, int, Any]]:
        """The batches of an epoch, as Keras enumerates them; of the first one, those after the saved position."""
        target, self._target = self._target, None
        data = self._data
        lasts = data.steps_per_epoch is not None
        if target is not None and target["replays"]:
            self._read_epochs(target["epoch"])
        elif target is not None and target["batch"] == 0 and not lasts:
            self._restore_shuffles(target)
            target = None
        for begin, end, iterator in self._all_batches():
            if target is not None and begin == 0 and not target["replays"]:
                self._restore(iterator, target)
                data._steps_seen += target["seen"] - target["batch"]
            self._meet(iterator)
            self._iterator = iterator
            if target is not None and begin < target["batch"]:
                if target["replays"]:
                    read(iterator, end - begin + 1)
                continue
            yield begin, end, iterator
        self._iterator = data._current_iterator if lasts else None

    def _read_epochs(self, count: int) -> None:
        """Reads so many epochs, and drops what it reads."""
        for _ in range(count):
            with self._data.catch_stop_iteration():
                for begin, end, iterator in self._all_batches():
                    read(iterator, end - begin + 1)


class TfKerasFit(RunningFit):
    """A ``fit`` of tf_keras: an iterator for each epoch or, for arrays, one for all."""

    def __init__(self, container: Any, data: Any, model: Any) -> None:
        super().__init__(container, data, model)
        lasts = not data._adapter.should_recreate_iterator()
        # an iterator over arrays does not know the state of the shuffle that it was given for all epochs, and is at its end
        # after the last one, even if more follow later
        repeatable = global_seed() is not None or not getattr(data._adapter, "_shuffle", True)
        self.replays = not isinstance(data._dataset, tf.data.Dataset) or (lasts and repeatable)
        self._all_epochs = data.enumerate_epochs
        data.enumerate_epochs = self._epochs

    def start_at(self, epoch: int, batch: int, position: dict[str, Any], folder: Path) -> None:
        super().start_at(epoch, batch, position, folder)
        lasts = not self._data._adapter.should_recreate_iterator()
        if lasts and not position["replays"] and position.get("epochs", epoch + 1) <= epoch < self._data._epochs:
            raise ValueError(
                f"Resume: the saved training had {position['epochs']} epochs of shuffled arrays without a seed, and can't go "
                f"on to {self._data._epochs}; call keras.utils.set_random_seed() before fit(), or take another folder"
            )

        def counters(*args: Any) -> tuple[int, int]:
            del self._model._maybe_load_initial_counters_from_ckpt
            return epoch, batch

        self._model._maybe_load_initial_counters_from_ckpt = counters
        self._data._inferred_steps = position["batches"]  # an unknown length costs an extra call of the step

    def _size(self) -> int | None:
        size: int | None = self._adapter().get_size()
        return size

    def _counts(self) -> dict[str, Any]:
        return {"batches": self._data.inferred_steps, "epochs": self._data._epochs}

    def _adapter(self) -> Any:
        return self._data._adapter

    def _epochs(self) -> Iterator[tuple[int, Any]]:
        target, self._target = self._target, None
        for epoch, iterator in self._all_epochs():
            if target is not None:
                iterator, target = self._at(target, iterator), None
            self._meet(iterator)
            self._iterator = iterator
            yield epoch, iterator

    def _dataset(self) -> Any:
        return self._data._dataset

    def _at(self, target: dict[str, Any], iterator: Any) -> Any:
        """An iterator at the saved position; ``iterator`` is at the beginning."""
        renewed, dataset = self._data._adapter.should_recreate_iterator(), self._data._dataset
        steps = self._data.inferred_steps
        if not target["replays"] and renewed and target["batch"] == 0:
            self._restore_shuffles(target)
            return iter(dataset)
        if not target["replays"]:
            self._restore(iterator, target)
            return iterator
        for _ in range(target["epoch"]):
            read(iterator, steps)
            iterator = iter(dataset) if renewed else iterator
        read(iterator, target["batch"])
        return iterator


def running_fit(model: Any) -> RunningFit:
    """The ``fit`` of a model that has just called a callback.

    Raises:
        RuntimeError: none has.
    """
    container, frame = None, inspect.currentframe()
    kinds: dict[str, Callable[..., Any]] = {"epoch_iterator": Keras3Fit, "data_handler": TfKerasFit}
    while frame is not None:
        own = frame.f_locals.get("self")
        container = own if container is None and type(own).__name__ == "CallbackList" else container
        for name, kind in kinds.items():
            if own is not None and own is model and name in frame.f_locals:
                found: RunningFit = kind(container, frame.f_locals[name], model)
                return found
        frame = frame.f_back
    raise RuntimeError("Resume: this callback works in the fit() of a model of Keras 3 or tf_keras, and nowhere else")
