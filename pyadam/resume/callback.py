"""The callback `Resume`."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from pyadam._version import __version__
from pyadam.engine import Replicas, components, mirrors, native
from pyadam.optimizers.kinds import Choice, Count, Kind, Name
from pyadam.resume import others, randomness
from pyadam.resume.fitting import Fit, running_fit
from pyadam.resume.snapshots import Snapshot, Snapshots

__all__ = ["Resume"]

MODEL = "model"  # the name of the checkpoint of model and optimizer
REPLICAS = "replicas"  # and of that of each replica's own variables


class Callback(keras.callbacks.Callback):  # type: ignore[misc]
    """A callback of both Kerases."""

    _chief_worker_only = False  # what tf_keras asks its own
    _supports_tf_logs = True

    def _implements_train_batch_hooks(self) -> bool:
        return True

    def _implements_test_batch_hooks(self) -> bool:
        return False

    _implements_predict_batch_hooks = _implements_test_batch_hooks


class Resume(Callback):
    """Makes ``fit`` go on exactly where an earlier one was interrupted, by a kill or a crash, at any step.

    With this callback ``fit`` saves, and begins with what was saved: weights and state of the optimizer, epoch and batch, the
    position in the data and its shuffle, metrics, the states of random generators (dropout, ``keras.random``, Python, NumPy),
    the history, and what other callbacks have learned (EarlyStopping, ReduceLROnPlateau, ...). The result has the bits of a
    training that nobody interrupted. Run the same script again to resume.

    Arrays and ``tf.data`` datasets are resumed without reading what came before. A dataset of a Python generator or with Python
    functions or random operations in it (but for ``shuffle``) can't be, and is refused at the first batch. On several
    workers data can't be positioned; it is read again from the start, which takes a seed (``keras.utils.set_random_seed``) if
    it is shuffled. So are arrays in tf_keras, if a seed is set. On several workers the metrics of the epoch that was
    interrupted may differ in the last bit, because the workers' sums are added in another order; nothing else does.

    Snapshots are written under another name, flushed to the disk and renamed, so a snapshot is whole or not there. A damaged
    one is skipped. On several workers the first one writes, and all read: the folder must be shared.

    Args:
        folder: where the snapshots are.
        every: ``"epoch"``, or after how many batches, too, a snapshot is written. There is one after each epoch in any case.
        keep: how many snapshots stay.

    Raises:
        TypeError: an argument of another type.
        ValueError: an argument out of range; in ``fit``: a model that is not built, another model than the saved one, data that
            can't be resumed, or snapshots none of which can be read.

    Example::

        keras.utils.set_random_seed(1)
        model = make_model()  # built, as with an Input
        model.compile(pyadam.Adam(1e-3), "mse")
        model.fit(x, y, epochs=10, callbacks=[pyadam.Resume("run-1", every=100)])
    """

    def __init__(self, folder: Any, every: Any = "epoch", keep: Any = 2) -> None:
        super().__init__()
        folder = str(folder) if isinstance(folder, Path) else folder
        self.folder = _Folder().check("Resume", "folder", folder)
        self.every = _EVERY.check("Resume", "every", every)
        self.keep = Count(at_least=1).check("Resume", "keep", keep)
        self._snapshots = Snapshots(self.folder, self.keep)

    def on_train_begin(self, logs: Any = None) -> None:
        """Looks for a snapshot, and makes ``fit`` begin there."""
        model = self.model
        fit = running_fit(model)
        if not model.built:
            raise ValueError(
                "Resume: the model must be built before fit(); give it an Input layer, or call model.build(input_shape)"
            )
        if randomness.keep_in_variables(model):
            model.make_train_function(force=True)
        fit.check()
        training = _Training(self, model, fit, self._snapshots)
        fit.surround(_First(training), _Last(training))
        training.find()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Makes Keras 3 call the callbacks of this ``fit`` one after the other."""


class _Folder(Name):
    def allowed(self) -> str:
        return "the path of a folder"

    def convert(self, value: Any) -> Any:
        if not super().convert(value):
            raise ValueError
        return value


class _Every(Kind):
    """A number of batches, or an epoch."""

    def allowed(self) -> str:
        return f'"epoch" or {Count(at_least=1).allowed()}'

    def convert(self, value: Any) -> Any:
        return Choice(choices=("epoch",)).convert(value) if isinstance(value, str) else Count(at_least=1).convert(value)


_EVERY = _Every()


class _Training:
    """A training that is saved and resumed.

    Args:
        settings: the arguments.
        model: the model.
        fit: the running ``fit``.
        snapshots: the folder.
    """

    def __init__(self, settings: Resume, model: Any, fit: Fit, snapshots: Snapshots) -> None:
        self._settings, self._model, self.fit, self._snapshots = settings, model, fit, snapshots
        self.found: Snapshot | None = None
        self._callbacks: list[Any] = fit.callbacks
        self._start: dict[str, dict[str, Any]] | None = None
        self._replicas = max(1, len(mirrors(model.distribute_strategy)))
        self._commit: Callable[[], None] | None = None  # makes what was written last a snapshot to resume from
        self.epoch, self._last_batch, self._checked = 0, 0, False

    def _say(self, words: str) -> None:
        if self._settings.params.get("verbose", 1):
            print(f"pyadam.Resume: {words}", flush=True)

    # --- resuming --------------------------------------------------------------------------------------------------------

    def find(self) -> None:
        """Looks for a snapshot, and makes ``fit`` begin at its position."""
        self.found = self._snapshots.last(self._say)
        if self.found is None:
            return
        facts, epochs = self.found.facts, self._settings.params.get("epochs", 1)
        self._check_model(facts["variables"])
        if facts.get("replicas", 1) != self._replicas:
            raise ValueError(
                f"Resume: the number of replicas in a process was {facts.get('replicas', 1)} in the saved training and is "
                f"{self._replicas} now; take the same devices, or another folder"
            )
        epoch, batch = facts["epoch"], facts["batch"]
        at = f"epoch {epoch + 1}" + (f", after batch {batch}" if batch else "")
        if facts["stopped"] or epoch >= epochs:
            self._say(f"nothing is left to train after {epoch} of {epochs} epochs in {self.found.folder}")
            epoch, batch = epochs, 0
        else:
            self._say(f"training goes on at {at} of {epochs} epochs, from {self.found.folder}")
        self.fit.start_at(epoch, batch, facts["position"], self.found.folder)

    def _check_model(self, saved: list[Any]) -> None:
        here = self._described()
        for place, (theirs, ours) in enumerate(zip(saved, here, strict=False)):
            if theirs[1:] != ours[1:]:
                raise ValueError(
                    f"Resume: variable {place + 1} of the saved model is {_text(theirs)}, of this one {_text(ours)}; take the "
                    "same model, or another folder"
                )
        if len(saved) != len(here):
            raise ValueError(
                f"Resume: the saved model has {len(saved)} variables, this one {len(here)}; take the same model, or another "
                "folder"
            )

    def begin(self) -> None:
        """Called once, after all callbacks have begun and before the first epoch does."""
        self._start = others.states(self._callbacks)
        self.fit.begun()
        if self.found is not None and self.found.facts["batch"] == 0:
            self.restore()

    @property
    def begun(self) -> bool:
        """Whether `begin` was called."""
        return self._start is not None

    def restore(self) -> None:
        """Restores everything but the position in the data."""
        assert self.found is not None
        facts = self.found.facts
        optimizer = self._model.optimizer
        if not optimizer.built:
            optimizer.build(self._model.trainable_variables)
        self._build_metrics()
        self._checkpoint().read(self.found.file(MODEL)).assert_existing_objects_matched()
        if self._replicas > 1:
            self._of_each_replica().read(self.found.file(REPLICAS)).assert_consumed()
        if facts["batch"] == 0:  # they are those of the epoch before
            self._model.reset_metrics()
        others.restore(self._callbacks, facts["callbacks"])
        randomness.restore_generators(facts["generators"])
        self._last_batch, self.found = facts["batch"], None

    def _build_metrics(self) -> None:
        """Makes the variables of metrics, as Keras itself does at the first batch."""
        strategy, batch = self._model.distribute_strategy, self.fit.example()
        strategy.run(self._model.test_step, args=(batch,))
        self._model.reset_metrics()

    def _checkpoint(self) -> Any:
        """What is saved of model and optimizer."""
        held, metrics = self._held()
        return tf.train.Checkpoint(model=self._model, optimizer=self._model.optimizer, variables=held, metrics=metrics)

    def _held(self) -> tuple[list[Any], list[Any]]:
        """The variables of the model and of what draws random numbers, and those of metrics."""
        model = self._model
        counter = [model._train_counter] if hasattr(model, "_train_counter") else []
        metrics = {id(v): v for each in model.metrics for v in map(native, each.variables)}
        return [*self._variables(), *counter, *randomness.variables(model)], list(metrics.values())

    def _of_each_replica(self) -> Any:
        """What each replica of this process has by itself: a checkpoint holds the mean or the sum of averages and metrics."""
        every = [part for variables in self._held() for v in variables for part in components(v)]
        return tf.train.Checkpoint(variables=list({id(part): part for part in every}.values()))

    def _variables(self) -> list[Any]:
        """The variables of the model, without those of its metrics."""
        metrics = {id(native(v)) for each in self._model.metrics for v in each.variables}
        every = {id(v): v for v in map(native, self._model.variables)}
        return [v for key, v in every.items() if key not in metrics]

    def _described(self) -> list[list[Any]]:
        return [[v.name, [*v.shape], v.dtype.name] for v in self._variables()]

    # --- saving ----------------------------------------------------------------------------------------------------------

    def after_batch(self, batch: int) -> None:
        """Saves, if so many batches have gone by since the last time.

        After the last batch of an epoch, Keras would end an epoch of no batches, whose loss nobody knows; training has to go on
        from an earlier snapshot then. So one is committed when it is certain that another batch follows.
        """
        if not self._checked:
            self._check()
        if self._commit is not None:
            self._commit()
            self._commit = None
        every = self._settings.every
        if every != "epoch" and batch + 1 - self._last_batch >= every:
            self._last_batch = batch + 1
            commit = self._save(self.epoch, batch + 1)
            if self.fit.goes_on(batch + 1, self._settings.params.get("steps")):
                commit()
            else:
                self._commit = commit

    def after_epoch(self, epoch: int) -> None:
        """Saves."""
        self._last_batch, self._commit = 0, None
        self._save(epoch + 1, 0)()

    def _save(self, epoch: int, batch: int) -> Callable[[], None]:
        """Writes a snapshot; what it returns makes it one to resume from."""

        def fill(folder: Path) -> dict[str, Any]:
            self._checkpoint().write(str(folder / MODEL))
            if self._replicas > 1:
                self._of_each_replica().write(str(folder / REPLICAS))
            return {
                "pyadam": __version__,
                "epoch": epoch,
                "batch": batch,
                "position": self.fit.save(folder),
                "variables": self._described(),
                "replicas": self._replicas,
                "generators": randomness.state_of_generators(),
                "callbacks": others.changed(self._callbacks, self._start or {}),
                "stopped": bool(self._model.stop_training) and batch == 0,
            }

        return self._snapshots.write(epoch, batch, fill, stays=Replicas("Resume").first == 0)

    def _check(self) -> None:
        """After the first batch: can this training be saved at all?"""
        self._checked = True
        function = getattr(self._model, "train_tf_function", None) or self._model.train_function
        operations = randomness.stateful_operations(function)
        if operations:
            raise ValueError(
                f"Resume: the training draws random numbers whose state can't be saved, in {', '.join(operations[:3])}; use "
                "keras.random with a keras.random.SeedGenerator, or tf.random.Generator, in the place of tf.random.uniform() "
                "and the like"
            )
        self.fit.check_saveable()


def _text(described: list[Any]) -> str:
    name, shape, dtype = described
    return f"{name}, {dtype} {tuple(shape)}"


class _Hook(Callback):
    def __init__(self, training: _Training) -> None:
        super().__init__()
        self._training = training


class _First(_Hook):
    """Called before all other callbacks."""

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._training.epoch = epoch
        if not self._training.begun:
            self._training.begin()

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        if not self._training.begun:  # nothing was left to train
            self._training.begin()
            if self._training.found is not None:
                self._training.restore()


class _Last(_Hook):
    """Called after all other callbacks."""

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        if self._training.found is not None:
            self._training.restore()  # once all callbacks have changed again what they change when an epoch begins

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._training.after_batch(batch)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._training.after_epoch(epoch)
