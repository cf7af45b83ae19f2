"""The callback `Resume`."""

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from pyadam.engine import Replicas, check_agreement, components_of, mirrors, native
from pyadam.optimizers.kinds import Choice, Count, Kind, Name, first_line, is_variable
from pyadam.resume import optimizers, others, randomness
from pyadam.resume.fitting import RunningFit, running_fit
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
    """Makes ``fit`` continue exactly where an earlier one was interrupted, by a kill or a crash, at any step.

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
        if Path(self.folder).exists() and not Path(self.folder).is_dir():
            raise ValueError(f"Resume: folder must be the path of a folder, got the file {self.folder!r}")
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

    def __init__(self, settings: Resume, model: Any, fit: RunningFit, snapshots: Snapshots) -> None:
        self._settings, self.model, self.fit, self._snapshots = settings, model, fit, snapshots
        self.found: Snapshot | None = None
        self._callbacks: list[Any] = fit.callbacks
        self._start: dict[str, dict[str, Any]] | None = None
        self._replicas = max(1, len(mirrors(model.distribute_strategy)))
        self._arguments = optimizers.arguments(model.optimizer)
        self._commit: Callable[[], None] | None = None  # makes what was written last a snapshot to resume from
        self.epoch, self._last_batch, self._checked, self._stopped_within = 0, 0, False, False

    def _say(self, words: str) -> None:
        if self._settings.params.get("verbose", 1):
            print(f"pyadam.Resume: {words}", flush=True)

    # --- resuming --------------------------------------------------------------------------------------------------------

    def find(self) -> None:
        """Looks for a snapshot, and makes ``fit`` begin at its position."""
        self.found = self._snapshots.last(lambda words: warnings.warn(f"Resume: {words}", stacklevel=2))
        check_agreement(Replicas("Resume"), ["no snapshot" if self.found is None else self.found.folder.name])
        if self.found is None:
            return
        facts, epochs = self.found.facts, self._settings.params.get("epochs", 1)
        self._check_model(facts["variables"])
        self._check_arguments(facts)
        if facts["replicas"] != self._replicas:
            raise ValueError(
                f"Resume: the number of replicas in a process was {facts['replicas']} in the saved training and is "
                f"{self._replicas} now; take the same devices, or another folder"
            )
        epoch, batch = facts["epoch"], facts["batch"]
        at = f"epoch {epoch + 1}" + (f", after batch {batch}" if batch else "")
        if facts["stopped"] or epoch >= epochs:
            self._say(f"nothing is left to train after {epoch} of {epochs} epochs in {self.found.folder}")
            epoch, batch = epochs, 0
        else:
            self._say(f"training resumes at {at} of {epochs} epochs, from {self.found.folder}")
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

    def _check_arguments(self, facts: dict[str, Any]) -> None:
        """Checks the arguments of the optimizer: the saved state would replace the learning rate, but not the others."""
        began = facts.get("arguments", {})
        if facts["optimizer"][0] != optimizers.description(self.model.optimizer)[0]:
            return  # of another class, which `_check_optimizer` refuses
        if optimizers.running.get(self.model.optimizer) == self._settings.folder:
            self._arguments = began  # interrupted in this process: callbacks may have changed some since the snapshot
            return
        if words := optimizers.changed(began, facts.get("changed arguments", {}), self._arguments):
            raise ValueError(
                f"Resume: the optimizer's {words}; take the same arguments, or another folder to start over"
            )
        self._arguments = began or self._arguments  # callbacks may have changed them since

    def _check_optimizer(self, saved: list[str]) -> None:
        for theirs, ours in zip(saved, optimizers.description(self.model.optimizer), strict=True):
            if theirs != ours:
                raise ValueError(
                    f"Resume: the optimizer must be {theirs}, as in the saved training, got {ours}; take the same, with the "
                    "same arguments, or another folder"
                )

    def begin(self) -> None:
        """Called once, after all callbacks have begun and before the first epoch does."""
        self._start = others.states(self._callbacks)
        optimizers.running[self.model.optimizer] = self._settings.folder
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
        self._build()
        self._check_optimizer(facts["optimizer"])
        try:
            self._checkpoint().read(self.found.file(MODEL)).assert_existing_objects_matched()
        except AssertionError as error:
            raise ValueError(
                f"Resume: the saved training lacks some of this one's metrics or other variables ({first_line(error)}); "
                "compile the model as before, or take another folder"
            ) from error
        if self._replicas > 1:
            self._of_each_replica().read(self.found.file(REPLICAS)).assert_consumed()
        if facts["batch"] == 0:  # they are those of the epoch before
            self.model.reset_metrics()
        others.restore(self._callbacks, facts["callbacks"])
        randomness.restore_generators(facts["generators"])
        self._last_batch, self.found = facts["batch"], None

    def _build(self) -> None:
        """Makes the variables of optimizers and metrics, as Keras itself does when it traces the step for the first batch."""
        model, spec = self.model, self.fit.element_spec()
        if model.run_eagerly:
            if not optimizers.is_built(model.optimizer):
                model.optimizer.build(model.trainable_variables)
            batch = tf.nest.map_structure(lambda each: tf.zeros([size or 1 for size in each.shape], each.dtype), spec)
            model.distribute_strategy.run(model.test_step, args=(batch,))
            model.reset_metrics()
            return
        traced = tf.function(lambda batch: model.distribute_strategy.run(model.train_step, args=(batch,)))
        traced.get_concrete_function(spec)

    def _checkpoint(self) -> Any:
        """What is saved of model and optimizer."""
        held, metrics = self._held()
        return tf.train.Checkpoint(model=self.model, optimizer=self.model.optimizer, variables=held, metrics=metrics)

    def _held(self) -> tuple[list[Any], list[Any]]:
        """The variables of the model and of what draws random numbers, and those of metrics."""
        model = self.model
        counter = [model._train_counter] if hasattr(model, "_train_counter") else []
        metrics = {id(v): v for each in model.metrics for v in map(native, each.variables)}
        layers = getattr(
            model, "_flatten_layers", lambda: ()
        )()  # tf_keras does not track what stateful ones carry over
        carried = [
            v
            for each in layers
            if getattr(each, "stateful", False)
            for v in tf.nest.flatten(getattr(each, "states", None) or [])
        ]
        held = [*self._variables(), *counter, *randomness.variables(model), *(v for v in carried if is_variable(v))]
        return held, list(metrics.values())

    def _of_each_replica(self) -> Any:
        """What each replica of this process has by itself: a checkpoint holds the mean or the sum of averages and metrics."""
        every = [part for variables in self._held() for v in variables for part in components_of(v)]
        return tf.train.Checkpoint(variables=list({id(part): part for part in every}.values()))

    def _variables(self) -> list[Any]:
        """The variables of the model, without those of its metrics."""
        metrics = {id(native(v)) for each in self.model.metrics for v in each.variables}
        every = {id(v): v for v in map(native, self.model.variables)}
        return [v for key, v in every.items() if key not in metrics]

    def _described(self) -> list[list[Any]]:
        return [[v.name, [*v.shape], v.dtype.name] for v in self._variables()]

    # --- saving ----------------------------------------------------------------------------------------------------------

    def after_batch(self, batch: int) -> None:
        """Saves, if so many batches have gone by since the last time.

        After the last batch of an epoch, Keras would end an epoch of no batches, whose loss nobody knows; training must resume
        from an earlier snapshot then. So one is committed when it is certain that another batch follows.
        """
        if not self._checked:
            self._check()
        if self._commit is not None:
            self._commit()
            self._commit = None
        every, steps = self._settings.every, self._settings.params.get("steps")
        self._stopped_within = bool(self.model.stop_training) and self.fit.goes_on(batch + 1, steps)
        if self._stopped_within:
            self._commit = self._save(self.epoch, batch + 1)
        elif every != "epoch" and batch + 1 - self._last_batch >= every:
            self._last_batch = batch + 1
            commit = self._save(self.epoch, batch + 1)
            if self.fit.goes_on(batch + 1, steps):
                commit()
            else:
                self._commit = commit

    def after_epoch(self, epoch: int) -> None:
        """Saves. An epoch that a callback stopped before its last batch is not over: training continues within it."""
        commit = self._commit if self._stopped_within and self._commit else self._save(epoch + 1, 0)
        commit()
        self._last_batch, self._commit = 0, None

    def _save(self, epoch: int, batch: int) -> Callable[[], None]:
        """Writes a snapshot; what it returns makes it one to resume from."""

        def fill(folder: Path) -> dict[str, Any]:
            self._checkpoint().write(str(folder / MODEL))
            if self._replicas > 1:
                self._of_each_replica().write(str(folder / REPLICAS))
            return {
                "epoch": epoch,
                "batch": batch,
                "position": self.fit.save(folder),
                "variables": self._described(),
                "optimizer": optimizers.description(self.model.optimizer),
                "arguments": self._arguments,
                "changed arguments": optimizers.arguments(self.model.optimizer),
                "replicas": self._replicas,
                "generators": randomness.state_of_generators(),
                "callbacks": others.changed(self._callbacks, self._start or {}),
                "stopped": bool(self.model.stop_training) and batch == 0,
            }

        return self._snapshots.write(epoch, batch, fill, stays=Replicas("Resume").first == 0)

    def _check(self) -> None:
        """After the first batch: can this training be saved at all?"""
        self._checked = True
        function = getattr(self.model, "train_tf_function", None) or self.model.train_function
        operations = randomness.stateful_operations(function)
        if operations:
            raise ValueError(
                f"Resume: the training draws random numbers whose state can't be saved, in {', '.join(operations[:3])}; use "
                "keras.random with a keras.random.SeedGenerator, or tf.random.Generator, in place of tf.random.uniform() "
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

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        optimizers.running.pop(self._training.model.optimizer, None)
