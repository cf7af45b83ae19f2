"""Run by test_surroundings.py: what stands around a training that is interrupted and compared with an unbroken one.

python surroundings.py CASE...  each case prints a line: its name, a tab, what it found as JSON
"""

import collections
import contextlib
import itertools
import logging
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

import keras  # noqa: E402
import tf_keras  # noqa: E402

import pyadam.tf_keras  # noqa: E402

sys.path.insert(0, str(Path(__file__).parents[1]))
from programs import message, print_cases  # noqa: E402

HOSTS = {"keras": (keras, pyadam), "tf_keras": (tf_keras, pyadam.tf_keras)}
CASES: dict[str, Callable[[], Any]] = {}
DRAW = np.random.default_rng(0)
X, Y = DRAW.normal(size=(40, 4)).astype("float32"), DRAW.normal(size=(40, 1)).astype("float32")


class Killed(Exception):
    pass


def killer(host: Any, epoch: int, batch: int) -> Any:
    class Killer(host.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_begin(self, number: int, logs: Any = None) -> None:
            self.now = number

        def on_train_batch_end(self, number: int, logs: Any = None) -> None:
            if (self.now, number) == (epoch, batch):
                raise Killed

    return Killer()


def dense(host: Any, optimizer: Any = None) -> Any:
    model = host.Sequential([host.Input((4,)), host.layers.Dense(3), host.layers.Dense(1)])
    model.compile(optimizer or dict(HOSTS.values())[host].Adam(0.01), "mse")
    return model


def fit(
    host: Any,
    folder: str,
    kill: tuple[int, int] | None,
    make: Callable[[Any], Any] = dense,
    data: Callable[[], Any] = lambda: {"x": X, "y": Y, "batch_size": 8},
    callbacks: Callable[[Any], list[Any]] = lambda host: [],
    every: Any = 1,
) -> Any:
    """What came out: all weights, the state of the optimizers, the history, and what the first callback holds."""
    host.backend.clear_session()
    host.utils.set_random_seed(1)
    model, mine = make(host), callbacks(host)
    resume = pyadam.Resume(folder, every=every)
    given = [*mine, resume, *([killer(host, *kill)] if kill else [])]
    history = model.fit(**data(), epochs=3, verbose=0, callbacks=given)
    optimizers = [model.optimizer, *([model.second] if hasattr(model, "second") else [])]
    state = [np.array(v.numpy()).tolist() for each in optimizers for v in list(each.variables)]
    return (
        [w.tolist() for w in model.get_weights()],
        state,
        history.history,
        [getattr(each, "seen", None) for each in mine],
    )


def goes_on(host: Any, kills: Any = ((0, 2), (1, 3), (2, 0)), **arguments: Any) -> Any:
    """Whether trainings killed at these places end as one that nobody killed."""
    whole, found = fit(host, tempfile.mkdtemp(), None, **arguments), {}
    for kill in kills:
        folder = tempfile.mkdtemp()
        try:
            fit(host, folder, kill, **arguments)
        except Killed:
            found[str(kill)] = fit(host, folder, None, **arguments) == whole
    return found


def other(host: Any, **after: Any) -> str:
    """What is said of a training that continues with something else."""
    folder = tempfile.mkdtemp()
    try:
        fit(host, folder, (1, 2))
    except Killed:
        return message(lambda: fit(host, folder, None, **after))
    raise AssertionError


# --- data ----------------------------------------------------------------------------------------------------------------


def shuffled(then: Callable[[Any], Any]) -> Callable[[], Any]:
    return lambda: {"x": then(tf.data.Dataset.from_tensor_slices((X, Y)).shuffle(40).batch(8))}


DATA = {
    "prefetch": shuffled(lambda d: d.prefetch(4)),
    "parallel map": shuffled(lambda d: d.map(lambda x, y: (x * 2, y), num_parallel_calls=4).prefetch(2)),
    "cache": shuffled(lambda d: d.cache().prefetch(1)),
}

# --- models --------------------------------------------------------------------------------------------------------------


def stateful(host: Any) -> Any:
    layers = host.layers
    inputs = host.Input(batch_shape=(8, 4))
    model = host.Model(inputs, layers.Dense(1)(layers.LSTM(3, stateful=True)(layers.Reshape((2, 2))(inputs))))
    model.compile(dict(HOSTS.values())[host].Adam(0.01), "mse")
    return model


def of_two_optimizers(host: Any) -> Any:
    """A model with a loss of its own, no loss in compile(), and a second optimizer for some of its variables."""

    class Two(host.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = host.layers.Dense(3), host.layers.Dense(1)
            self.second = dict(HOSTS.values())[host].SGD(0.01, momentum=0.9)
            self.mean = host.metrics.Mean(name="loss")
            self.a.build((None, 4))
            self.b.build((None, 3))
            self.built = True

        @property
        def metrics(self) -> Any:
            return [self.mean]

        def train_step(self, data: Any) -> Any:
            x, y = data
            with tf.GradientTape(persistent=True) as tape:
                loss = tf.reduce_mean((self.b(self.a(x)) - y) ** 2)
            for optimizer, layer in ((self.optimizer, self.a), (self.second, self.b)):
                variables = layer.trainable_variables
                optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
            self.mean.update_state(loss)
            return {"loss": self.mean.result()}

    model = Two()
    model.compile(optimizer=dict(HOSTS.values())[host].Adam(0.01))
    return model


def compiled_with(name: str, **arguments: Any) -> Callable[[Any], Any]:
    return lambda host: dense(host, getattr(host.optimizers, name)(**arguments))


# --- callbacks -----------------------------------------------------------------------------------------------------------


def remembering(host: Any) -> list[Any]:
    class Remember(host.callbacks.Callback):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.last, self.every = collections.deque(maxlen=3), set()
            self.of_batch = collections.defaultdict(list)

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.last.append(batch)
            self.every.add(len(self.every))
            self.of_batch[batch].append(1)
            self.seen = [list(self.last), len(self.every), {str(k): len(v) for k, v in self.of_batch.items()}]

    return [Remember()]


def stopping(host: Any) -> list[Any]:
    class Stop(host.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_begin(self, number: int, logs: Any = None) -> None:
            self.now = number

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if (self.now, batch) == (1, 2):
                self.model.stop_training = True

    return [Stop()]


def stopped_within_an_epoch(host: Any) -> Any:
    """What a callback stops in an epoch continues there in the next call, without it; killed before, it stops again."""
    whole, folder = fit(host, tempfile.mkdtemp(), None), tempfile.mkdtemp()
    stopped = fit(host, folder, None, callbacks=stopping)
    on = fit(host, folder, None)
    again = goes_on(host, ((0, 2), (1, 1)), callbacks=stopping)
    return {"continues": (on[:2], on[2]) == (whole[:2], whole[2]), "stopped": len(stopped[2]["loss"]) == 2, **again}


def in_this_process(host: Any) -> Any:
    """Interrupted at the prompt, and `fit` called again: a callback has changed the rate since the last snapshot."""

    def train(model: Any, folder: str, interrupt: int | None = None) -> None:
        seen: list[int] = []

        def count(batch: int, logs: Any = None) -> None:
            seen.append(batch)
            if len(seen) == interrupt:
                raise KeyboardInterrupt

        rate = host.callbacks.LearningRateScheduler(lambda epoch, rate: 0.01 * 0.7**epoch)
        callbacks = [rate, pyadam.Resume(folder), host.callbacks.LambdaCallback(on_train_batch_end=count)]
        model.fit(X, Y, batch_size=8, epochs=3, verbose=0, callbacks=callbacks)

    ends = []
    for interrupt in (None, 7):
        host.utils.set_random_seed(1)
        model, folder = dense(host), tempfile.mkdtemp()
        if interrupt:
            with contextlib.suppress(KeyboardInterrupt):
                train(model, folder, interrupt)
        train(model, folder)
        ends.append([w.tolist() for w in model.get_weights()])
    return {"equal": ends[0] == ends[1]}


def more_epochs_in_order(host: Any) -> Any:
    """Without a seed and without a shuffle: tf_keras' iterator over arrays was at its end after the first call's epochs."""
    model, folder = dense(host), tempfile.mkdtemp()
    given = {"x": X, "y": Y, "batch_size": 8, "shuffle": False, "verbose": 0}
    losses = [model.fit(**given, epochs=n, callbacks=[pyadam.Resume(folder)]).history["loss"] for n in (2, 2, 3)]
    return {"equal": losses[0] == losses[1] == losses[2][:2], "longer": len(losses[2]) == 3}


def alone(host: Any) -> Any:
    """`callbacks` may be a callback; Keras 3 would call it in another thread."""
    folder, found = tempfile.mkdtemp(), []
    for epochs in (1, 3):
        host.utils.set_random_seed(1)
        model = dense(host)
        model.fit(X, Y, batch_size=8, epochs=epochs, verbose=0, callbacks=pyadam.Resume(folder, every=1))
        found = [w.tolist() for w in model.get_weights()]
    return {"equal": found == fit(host, tempfile.mkdtemp(), None)[0]}


def refused(host: Any) -> Any:
    ours = dict(HOSTS.values())[host]
    arrays = lambda **given: lambda: {"x": X, "y": Y, "batch_size": 8, **given}  # noqa: E731
    file = Path(tempfile.mkdtemp()) / "file"
    file.write_text("")
    return {
        "another optimizer": other(host, make=lambda k: dense(k, ours.SGD(0.01))),
        "other arguments": other(host, make=lambda k: dense(k, ours.Adam(0.01, amsgrad=True))),
        "another rate": other(host, make=lambda k: dense(k, ours.Adam(0.02))),
        "a schedule": other(host, make=lambda k: dense(k, ours.Adam(k.optimizers.schedules.CosineDecay(0.01, 9)))),
        "other data": other(host, data=arrays(batch_size=4)),
        "other order": other(host, data=arrays(shuffle=False)),
        "a file": message(lambda: fit(host, str(file), None)),
    }


for (_name, (_host, _)), (_kind, _data) in itertools.product(HOSTS.items(), DATA.items()):
    CASES[f"{_name} {_kind}"] = lambda h=_host, d=_data: goes_on(h, data=d)
for _name, (_host, _) in HOSTS.items():
    CASES |= {
        f"{_name} stateful": lambda h=_host: goes_on(
            h, make=stateful, data=lambda: {"x": X, "y": Y, "batch_size": 8, "shuffle": False}
        ),
        f"{_name} two optimizers": lambda h=_host: goes_on(h, make=of_two_optimizers),
        f"{_name} its own Adam": lambda h=_host: goes_on(h, make=compiled_with("Adam", learning_rate=0.01)),
        f"{_name} its own SGD": lambda h=_host: goes_on(h, make=compiled_with("SGD", learning_rate=0.01)),
        f"{_name} memory of a callback": lambda h=_host: goes_on(h, callbacks=remembering),
        f"{_name} stopped within an epoch": lambda h=_host: stopped_within_an_epoch(h),
        f"{_name} alone": lambda h=_host: alone(h),
        f"{_name} more epochs in order": lambda h=_host: more_epochs_in_order(h),
        f"{_name} in this process": lambda h=_host: in_this_process(h),
        f"{_name} refused": lambda h=_host: refused(h),
    }

if __name__ == "__main__":
    print_cases(CASES, sys.argv[1:] or CASES)
