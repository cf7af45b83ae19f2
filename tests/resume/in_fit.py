"""Run by test_resume.py: trainings with `pyadam.Resume` that are interrupted, continue, and are compared with an unbroken one.

python in_fit.py CASE...            each case prints a line: its name, a tab, what it found as JSON
python in_fit.py train HOST FOLDER  prints "begin", trains, and prints what came out: the parent may kill it at any moment
"""

import hashlib
import itertools
import json
import logging
import os
import random
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

tf.get_logger().setLevel(logging.ERROR)
warnings.simplefilter("ignore")
REPLICAS = 2 if any("replicas" in name for name in sys.argv) else 1
if REPLICAS > 1:
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * REPLICAS)

import keras  # noqa: E402
import tf_keras  # noqa: E402

import pyadam.tf_keras  # noqa: E402

sys.path.insert(0, str(Path(__file__).parents[1]))
from programs import message, print_cases  # noqa: E402

HOSTS = {"keras": (keras, pyadam), "tf_keras": (tf_keras, pyadam.tf_keras)}
CASES: dict[str, Callable[[], Any]] = {}
X = np.random.default_rng(0).normal(size=(40, 4)).astype("float32")
Y = X.sum(1, keepdims=True)
EPOCHS = 4


class Interrupted(Exception):
    pass


def interruption(host: Any, epoch: int, batch: int) -> Any:
    """A callback that interrupts the training after a batch of an epoch."""

    class Interrupt(host.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_begin(self, number: int, logs: Any = None) -> None:
            self.now = number

        def on_train_batch_end(self, number: int, logs: Any = None) -> None:
            self.ended = number + 1
            if (self.now, number) == (epoch, batch):
                raise Interrupted

        def on_test_begin(self, logs: Any = None) -> None:
            if (self.now, self.ended) == (epoch, batch):
                raise Interrupted

    return Interrupt()


def lower(host: Any) -> Any:
    """A callback that changes the learning rate from what it is, so that it must not be called twice for an epoch."""

    class Lower(host.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_begin(self, number: int, logs: Any = None) -> None:
            rate = tf.convert_to_tensor(self.model.optimizer.learning_rate)
            self.model.optimizer.learning_rate = float(rate.numpy()) * 0.9

    return Lower()


def model_of(host: Any, **arguments: Any) -> Any:
    if REPLICAS > 1 and not tf.distribute.has_strategy():
        with tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(REPLICAS)]).scope():
            return model_of(host, **arguments)
    optimizers = dict(HOSTS.values())[host]
    layers = host.layers
    inputs = host.Input((4,))
    hidden = layers.Dropout(0.5)(layers.Dense(8, activation="relu")(inputs))
    model = host.Model(inputs, layers.Dense(1)(layers.BatchNormalization()(hidden)))
    adam = optimizers.Adam(0.01, clipnorm=1.0, gradient_accumulation_steps=2, use_ema=True)
    model.compile(adam, "mse", metrics=["mae"], **arguments)
    return model


def dataset() -> Any:
    return tf.data.Dataset.from_tensor_slices((X, Y)).shuffle(16).batch(4)


DATA: dict[str, Callable[[], dict[str, Any]]] = {
    "arrays": lambda: {"x": X, "y": Y, "batch_size": 4},
    "arrays in order": lambda: {"x": X, "y": Y, "batch_size": 4, "shuffle": False},
    "dataset": lambda: {"x": dataset()},
    "steps": lambda: {"x": dataset().repeat(), "steps_per_epoch": 7},
    "steps, prefetched": lambda: {"x": dataset().repeat().prefetch(2), "steps_per_epoch": 7},
    "steps of all": lambda: {"x": dataset(), "steps_per_epoch": 10},
    "unknown length": lambda: {"x": dataset().filter(lambda x, y: tf.reduce_sum(x) > -1000)},
    "several steps": lambda: {"x": dataset()},
}


def train(
    host: Any, kind: str, folder: str, stop: tuple[int, int] | None = None, seed: int | None = 1, **arguments: Any
) -> Any:
    """What came out of a training: a digest of all state, the history, and what callbacks and generators know."""
    if seed is not None:
        host.utils.set_random_seed(seed)
    given = {"steps_per_execution": 2} if kind == "several steps" else {}
    given |= {name: arguments.pop(name) for name in ("run_eagerly",) if name in arguments}
    model = model_of(host, **given)
    early = host.callbacks.EarlyStopping(monitor="loss", patience=50, restore_best_weights=True)
    plateau = host.callbacks.ReduceLROnPlateau(monitor="loss", patience=1, min_delta=10.0)
    callbacks = [early, lower(host), pyadam.Resume(folder, **{"every": 3, **arguments}), plateau]
    if stop is not None:
        callbacks.append(interruption(host, *stop))
    history = model.fit(**DATA[kind](), epochs=EPOCHS, verbose=0, callbacks=callbacks, validation_data=(X, Y))
    values = [*model.get_weights(), *(np.array(v.numpy()) for v in model.optimizer.variables)]
    digest = hashlib.sha256(b"".join(np.ascontiguousarray(v).tobytes() for v in values)).hexdigest()[:16]
    learned = [early.best, early.wait, plateau.best, plateau.wait, plateau.cooldown_counter]
    logs = {name: [float(value) for value in each] for name, each in history.history.items()}
    return json.loads(
        json.dumps([digest, logs, history.epoch, [float(v) for v in learned], random.random(), np.random.rand()])  # noqa: NPY002
    )


def resumed(host: Any, kind: str, stops: Any, **arguments: Any) -> Any:
    """Whether trainings that are interrupted at these places end as one that is not."""
    whole = train(host, kind, tempfile.mkdtemp(), **arguments)
    found = {}
    for stop in stops:
        folder = tempfile.mkdtemp()
        try:
            train(host, kind, folder, stop, **{"every": 1 if stop in ENDS else 3, **arguments})
            raise AssertionError("not interrupted")
        except Interrupted:
            found[str(stop)] = train(host, kind, folder, **arguments) == whole
    return found


ENDS = [(1, 10), (1, 7)]  # after the last batch of an epoch, before its end: in the validation
STOPS = {
    "arrays in order": [(1, 9), (2, 8)],
    "steps": [(0, 4), (2, 6), (1, 7)],
    "steps, prefetched": [(1, 7)],
    "several steps": [(1, 5), (2, 1), (1, 10)],
}
for (_name, (_host, _)), _kind in itertools.product(HOSTS.items(), DATA):
    CASES[f"{_name} {_kind}"] = lambda h=_host, k=_kind: resumed(h, k, STOPS.get(k, [(0, 4), (2, 0), (1, 10)]))
    CASES[f"{_name} {_kind}, replicas"] = CASES[f"{_name} {_kind}"]
    CASES[f"{_name} eager"] = lambda h=_host: resumed(h, "arrays", [(1, 4)], run_eagerly=True)


def another_number_of_replicas(host: Any) -> Any:
    global REPLICAS
    folder = tempfile.mkdtemp()
    REPLICAS = 1
    train(host, "dataset", folder)
    REPLICAS = 2
    said = message(lambda: train(host, "dataset", folder))
    wanted = "ValueError: Resume: the number of replicas in a process was 1 in the saved training and is 2 now; "
    return {"refused": said.startswith(wanted)}


def without_seed(host: Any) -> Any:
    """Shuffled arrays without a seed: each epoch has each sample once, also the one that was interrupted.

    The last snapshot was written after four batches; the fifth is trained on again, by the same samples.
    """
    seen: list[int] = []

    class Record(host.Model):  # type: ignore[misc]
        def train_step(self, data: Any) -> Any:
            tf.py_function(lambda x: seen.extend(x.numpy()[:, 0].astype(int).tolist()), [data[0]], [])
            return super().train_step(data)

    def once(folder: str, stop: tuple[int, int] | None) -> None:
        inputs = host.Input((1,))
        model = Record(inputs, host.layers.Dense(1)(inputs))
        model.compile(dict(HOSTS.values())[host].SGD(0.0), "mse")
        callbacks = [pyadam.Resume(folder, every=1), *([] if stop is None else [interruption(host, *stop)])]
        numbers = np.arange(40, dtype="float32")[:, None]
        model.fit(numbers, numbers, batch_size=4, epochs=2, verbose=0, callbacks=callbacks)

    folder = tempfile.mkdtemp()
    try:
        once(folder, (0, 4))
    except Interrupted:
        once(folder, None)
    before, again, resumed, second = seen[:16], seen[16:20], seen[20:44], seen[44:]
    once = sorted(before + resumed) == sorted(second) == list(range(40))
    return {"each once": once, "the same again": sorted(again) == sorted(resumed[:4])}


def more_epochs(host: Any) -> Any:
    """A second call with the same folder trains what is left."""
    global EPOCHS
    whole, folder = train(host, "dataset", tempfile.mkdtemp()), tempfile.mkdtemp()
    EPOCHS = 2
    half = train(host, "dataset", folder)
    again = train(host, "dataset", folder)
    EPOCHS = 4
    return {"whole": train(host, "dataset", folder) == whole, "nothing left": half[:4] == again[:4]}


def stopped_early(host: Any) -> Any:
    """A training that EarlyStopping ended is not taken up again, and has its best weights."""

    def once() -> Any:
        host.utils.set_random_seed(1)
        model = model_of(host)
        early = host.callbacks.EarlyStopping(monitor="loss", min_delta=100.0, patience=2, restore_best_weights=True)
        history = model.fit(X, Y, epochs=9, verbose=0, callbacks=[pyadam.Resume(folder), early])
        return [len(history.epoch), *(w.tolist() for w in model.get_weights())]

    folder = tempfile.mkdtemp()
    first = once()
    return {"stopped": first[0] == 3, "again": once() == first}


def refused(host: Any) -> Any:
    def fit(x: Any, y: Any = None, model: Any = None, folder: str | None = None, **arguments: Any) -> Any:
        model = model_of(host) if model is None else model
        callback = pyadam.Resume(tempfile.mkdtemp() if folder is None else folder)
        return lambda: model.fit(x, y, verbose=0, callbacks=[callback], **arguments)

    class Noisy(host.Model):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            return super().call(x) + tf.random.normal([1])

    inputs = host.Input((4,))
    noisy = Noisy(inputs, host.layers.Dense(1)(inputs))
    noisy.compile(dict(HOSTS.values())[host].SGD(), "mse")
    unbuilt = host.Sequential([host.layers.Dense(1)])
    unbuilt.compile("sgd", "mse")
    numpy_function = dataset().map(
        lambda x, y: (tf.ensure_shape(tf.numpy_function(lambda a: a, [x], tf.float32), (None, 4)), y)
    )
    other = host.Sequential([host.Input((4,)), host.layers.Dense(1)])
    other.compile(dict(HOSTS.values())[host].SGD(), "mse")
    folder = tempfile.mkdtemp()
    fit(X, Y, folder=folder)()

    def with_another_seed() -> None:
        seeded = tempfile.mkdtemp()
        for seed in (1, 2):
            host.utils.set_random_seed(seed)
            fit(dataset(), folder=seeded, epochs=seed)()

    return {
        "Python function": message(fit(numpy_function)),
        "prefetched before it repeats": message(fit(dataset().prefetch(2).repeat(), steps_per_epoch=7)),
        "random operation": message(fit(X, Y, model=noisy)),
        "not built": message(fit(X, Y, model=unbuilt)),
        "another model": message(fit(X, Y, model=other, folder=folder, epochs=2)),
        "not in fit": message(lambda: pyadam.Resume(folder).on_train_begin()),
        "another seed": message(with_another_seed),
    }


for _name, (_host, _) in HOSTS.items():
    CASES[f"{_name} another number of replicas"] = lambda h=_host: another_number_of_replicas(h)
    CASES[f"{_name} without seed"] = lambda h=_host: without_seed(h)
    CASES[f"{_name} more epochs"] = lambda h=_host: more_epochs(h)
    CASES[f"{_name} stopped early"] = lambda h=_host: stopped_early(h)
    CASES[f"{_name} refused"] = lambda h=_host: refused(h)

if __name__ == "__main__":
    if sys.argv[1] == "train":
        print("begin", flush=True)
        print(json.dumps(train(HOSTS[sys.argv[2]][0], "dataset", sys.argv[3], every=1)), flush=True)
        os._exit(0)
    print_cases(CASES, sys.argv[1:])
