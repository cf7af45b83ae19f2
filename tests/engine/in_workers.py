"""Run by test_workers.py, one process for each worker: cases under MultiWorkerMirroredStrategy, the cluster in TF_CONFIG.

    python in_workers.py CASE...

Each case prints a line: its name, a tab, what it found as JSON.
"""

import hashlib
import json
import logging
import os
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

tf.get_logger().setLevel(logging.ERROR)
warnings.simplefilter("ignore")
WORKER = int(json.loads(os.environ["TF_CONFIG"])["task"]["index"])
STRATEGY = tf.distribute.MultiWorkerMirroredStrategy()
N = STRATEGY.num_replicas_in_sync

import keras  # noqa: E402
import tf_keras  # noqa: E402

import pyadam.distribute  # noqa: E402
import pyadam.tf_keras  # noqa: E402
from pyadam.engine import wire  # noqa: E402

sys.path.insert(0, str(Path(__file__).parents[1]))
from programs import message, print_cases  # noqa: E402

HOSTS = {"keras": (keras, pyadam), "tf_keras": (tf_keras, pyadam.tf_keras)}
CASES: dict[str, Callable[[], Any]] = {}
BATCH = 12
WIDTH = 1500
X = np.random.default_rng(0).normal(size=(2 * BATCH, 4)).astype("float32")
Y = (X @ np.array([[1.0], [-2], [3], [0.5]])).astype("float32")


def digest(variables: Any) -> str:
    """A fingerprint of values."""
    return hashlib.sha256(b"".join(np.ascontiguousarray(v.numpy()).tobytes() for v in variables)).hexdigest()[:16]


def model_of(host: Any) -> Any:
    glorot = host.initializers.GlorotUniform
    inputs = host.Input((4,))
    hidden = host.layers.Dense(WIDTH, activation="tanh", kernel_initializer=glorot(seed=3))(inputs)
    return host.Model(inputs, host.layers.Dense(1, kernel_initializer=glorot(seed=4))(hidden))


def data(epochs: int) -> Any:
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return tf.data.Dataset.from_tensor_slices((X, Y)).batch(BATCH).repeat(epochs).with_options(options)


def gradients(model: Any, x: Any, y: Any) -> Any:
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(model(x, training=True) - y)) / BATCH
    return tape.gradient(loss, model.trainable_variables)


def on_workers(host: Any, make: Any, epochs: int, graph: bool = True) -> tuple[Any, Any]:
    """A custom loop on all workers."""
    with STRATEGY.scope():
        model, optimizer = model_of(host), make()

    def step(x: Any, y: Any) -> None:
        optimizer.apply_gradients(list(zip(gradients(model, x, y), model.trainable_variables, strict=True)))

    def run(x: Any, y: Any) -> None:
        STRATEGY.run(step, args=(x, y))

    run = tf.function(run, autograph=False) if graph else run
    for x, y in STRATEGY.experimental_distribute_dataset(data(epochs)):
        run(x, y)
    return model, optimizer


def in_one_process(host: Any, make: Any, epochs: int, graph: bool = True) -> tuple[Any, Any]:
    """The same on the sum of the workers' gradients, in their order."""
    model, optimizer = model_of(host), make()

    def step(x: Any, y: Any) -> None:
        parts = [gradients(model, a, b) for a, b in zip(tf.split(x, N), tf.split(y, N), strict=True)]
        total = parts[0]
        for part in parts[1:]:
            total = [a + b for a, b in zip(total, part, strict=True)]
        optimizer.apply_gradients(list(zip(total, model.trainable_variables, strict=True)))

    step = tf.function(step, autograph=False) if graph else step
    for x, y in tf.data.Dataset.from_tensor_slices((X, Y)).batch(BATCH).repeat(epochs):
        step(x, y)
    return model, optimizer


def facts(model: Any, optimizer: Any) -> list[str]:
    return [digest(model.trainable_variables), digest(optimizer.variables)]


def loop(host: Any, make: Any, epochs: int = 6, graph: bool = True) -> Any:
    several = facts(*on_workers(host, make, epochs, graph))
    return {"facts": several, "equal": several == facts(*in_one_process(host, make, epochs, graph))}


def fit(host: Any, optimizers: Any) -> Any:
    """``fit`` has the bits of the custom loop."""
    make = lambda: optimizers.Adam(0.01, global_clipnorm=1.0)  # noqa: E731
    with STRATEGY.scope():
        model = model_of(host)
        model.compile(make(), "mse", metrics=["mae"])
    if host is keras:
        assert pyadam.distribute.on_workers(model) is model
    history = model.fit(data(1), epochs=3, verbose=0, validation_data=data(1)).history
    losses = [history["val_loss"][-1], model.evaluate(data(1), verbose=0)[0]]
    with STRATEGY.scope():
        other = model_of(host)
        optimizer = make()

    def step(x: Any, y: Any) -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(y - other(x, training=True))) / N
        found = tape.gradient(loss, other.trainable_variables)
        optimizer.apply_gradients(list(zip(found, other.trainable_variables, strict=True)))

    run = tf.function(lambda x, y: STRATEGY.run(step, args=(x, y)), autograph=False)
    for x, y in STRATEGY.experimental_distribute_dataset(data(3)):
        run(x, y)
    close = [
        np.allclose(a, b, rtol=1e-5, atol=1e-7) for a, b in zip(model.get_weights(), other.get_weights(), strict=True)
    ]
    predicted = model.predict(X, verbose=0).shape == (len(X), 1)
    return {
        "facts": [digest(model.trainable_variables), losses],
        "equal": all(close) and losses[0] == losses[1] and predicted,
    }


def function(host: Any, optimizers: Any) -> Any:
    """The first worker's function decides: the others' give other values."""
    calls: list[int] = []

    def rate(worker: int = WORKER) -> float:
        calls.append(1)
        return 0.01 / len(calls) + worker

    model, optimizer = on_workers(host, lambda: optimizers.Adam(rate), 3)
    calls.clear()
    first = in_one_process(host, lambda: optimizers.Adam(lambda: rate(0)), 3)
    return {"facts": facts(model, optimizer), "equal": facts(model, optimizer) == facts(*first)}


def overflow(host: Any, optimizers: Any) -> Any:
    """An infinite gradient on the second worker alone: all skip the step."""
    with STRATEGY.scope():
        weight = keras.Variable(0.0) if host is keras else tf.Variable(0.0)
        optimizer = optimizers.LossScaleOptimizer(optimizers.SGD(1.0), initial_scale=4.0)

    def step(g: Any) -> None:
        optimizer.apply_gradients([(g, weight)])

    run = tf.function(lambda g: STRATEGY.run(step, args=(g,)), autograph=False)
    run(STRATEGY.experimental_distribute_values_from_function(lambda c: tf.constant([1.0, np.inf][min(WORKER, 1)])))
    found = [float(weight.numpy()), float(np.array(optimizer.dynamic_scale))]
    return {"facts": found, "equal": found == [0.0, 2.0]}


def error_of(action: Callable[[], Any]) -> dict[str, str]:
    """The error of each worker."""
    return {"error": message(action)}


def variable(host: Any, constraint: Any) -> Any:
    if host is tf_keras:
        return tf.Variable(tf.zeros([8]), constraint=constraint)
    made = keras.Variable(tf.zeros([8]))
    made.constraint = constraint
    return made


def mismatch(host: Any, make: Any, width: int = 8, constraint: Any = None) -> Any:
    """A step of workers that were given different things."""

    def step() -> None:
        with STRATEGY.scope():
            weights = [variable(host, constraint) for _ in range(1 + (width > 8))]
            optimizer = make()
        some = weights if WORKER == 0 else weights[:1]
        STRATEGY.run(lambda: optimizer.apply_gradients([(tf.ones_like(w), w) for w in some]))

    return error_of(step)


def excluding(optimizer: Any) -> Any:
    """An optimizer that excludes its variable from decay, but not on the first worker."""
    if WORKER:
        optimizer.exclude_from_weight_decay(var_names=["[vV]ariable.*"])
    return optimizer


def another_model_before(host: Any, optimizers: Any) -> Any:
    """A model that the first worker alone made before gives the layers of the next one other numbers."""
    host.utils.set_random_seed(1) if host is keras else None
    if WORKER == 0:
        model_of(host)
    with STRATEGY.scope():
        model, optimizer = model_of(host), optimizers.Adam(0.01)
    STRATEGY.run(lambda: optimizer.apply_gradients([(tf.ones_like(w), w) for w in model.trainable_variables]))
    return {"facts": facts(model, optimizer), "equal": True}


def divided() -> tuple[Any, Any]:
    """A variable, and an optimizer whose state is divided, after a step."""
    with STRATEGY.scope():
        weight, optimizer = tf.Variable(tf.zeros([100, 50])), pyadam.Adam(shard_state=True)
    STRATEGY.run(lambda: optimizer.apply([tf.ones_like(weight)], [weight]))
    return weight, optimizer


def read_by_one() -> Any:
    """The first worker alone reads divided state, while the others take a step."""
    weight, optimizer = divided()
    step = tf.function(lambda: STRATEGY.run(lambda: optimizer.apply([tf.ones_like(weight)], [weight])))
    return error_of(step if WORKER else lambda: [v.numpy() for v in optimizer.variables])


def read_by_one_while_nothing_happens() -> Any:
    wire.PATIENCE = 4.0
    _, optimizer = divided()
    found = error_of(lambda: [v.numpy() for v in optimizer.variables] if WORKER == 0 else time.sleep(8))
    return found


def shown_by_one() -> Any:
    """The first worker alone shows divided state: nothing is read, and the training continues."""
    weight, optimizer = divided()
    shown = [repr(v) for v in optimizer.variables] if WORKER == 0 else ["momentum"]
    STRATEGY.run(lambda: optimizer.apply([tf.ones_like(weight)], [weight]))
    return {"facts": [digest([weight])], "equal": "momentum" in "".join(shown)}


def steps_per_execution() -> Any:
    with STRATEGY.scope():
        model = model_of(keras)
        model.compile(pyadam.Adam(), "mse", steps_per_execution=2)
    return error_of(lambda: pyadam.distribute.on_workers(model).fit(data(1), verbose=0))


def on_batch() -> Any:
    with STRATEGY.scope():
        model = model_of(keras)
        model.compile(pyadam.Adam(), "mse")
    pyadam.distribute.on_workers(model).train_on_batch(X[:BATCH], Y[:BATCH])
    return {"facts": [digest(model.trainable_variables)], "equal": int(model.optimizer.iterations.numpy()) == 1}


def different_gradients(graph: bool) -> Any:
    """Each worker has a gradient for another variable, of the same size."""
    with STRATEGY.scope():
        weights, optimizer = [tf.Variable(tf.zeros([8]), name=name) for name in ("a", "b")], pyadam.SGD(1.0)

    def step() -> None:
        optimizer.apply([tf.ones([8]) if i in (WORKER, 2 * WORKER) else None for i in range(2)], weights)

    STRATEGY.run(lambda: optimizer.apply([tf.ones([8])] * 2, weights))
    run = lambda: STRATEGY.run(step)  # noqa: E731
    return error_of(tf.function(run, autograph=False) if graph else run)


def many_patterns() -> Any:
    """2,500 steps with missing gradients and numbers of rows that change, each worker's its own."""
    rows, steps = 60, 2500
    with STRATEGY.scope():
        dense, table = tf.Variable(tf.zeros(8)), tf.Variable(tf.zeros([rows, 3]))
        optimizer = pyadam.SGD(1.0)
        optimizer.build([dense, table])

    def step(number: Any, has_dense: bool) -> None:
        sparse = tf.IndexedSlices(tf.ones([number, 3]), tf.range(number), tf.constant([rows, 3]))
        optimizer.apply([tf.ones(8) if has_dense else None, sparse], [dense, table])

    run = tf.function(lambda *given: STRATEGY.run(step, args=given), autograph=False)
    for number in range(steps):
        run(tf.constant(1 + (number + 7 * WORKER) % rows), number // 500 % 2 == 0)
    found = [dense.numpy()[0].item(), table.numpy()[0, 0].item()]
    return {"facts": found, "equal": found == [-N * 1500.0, -N * 2500.0]}


def sharded(host: Any, optimizers: Any) -> Any:
    """Divided state: the same bits, about half of the bytes; files hold it whole, for one process and for all workers."""
    make = lambda shard: optimizers.AdamW(  # noqa: E731
        0.01, global_clipnorm=1.0, use_ema=True, gradient_accumulation_steps=2, shard_state=shard
    )
    model, optimizer = on_workers(host, lambda: make(True), 6)
    one, whole = in_one_process(host, lambda: make(False), 6)
    weights = digest(model.trainable_variables) == digest(one.trainable_variables)
    state = digest(optimizer.variables) == digest(whole.variables)
    folder = tempfile.mkdtemp()
    saved = tf.train.Checkpoint(optimizer=optimizer).save(f"{folder}/checkpoint")
    alone = make(False)
    alone.build(one.trainable_variables)
    tf.train.Checkpoint(optimizer=alone).restore(saved)
    with STRATEGY.scope():
        restored = make(True)
        restored.build(model.trainable_variables)
        tf.train.Checkpoint(optimizer=restored).restore(saved)
    files = [digest(alone.variables) == digest(whole.variables), digest(restored.variables) == digest(whole.variables)]
    share = optimizer.state_bytes / whole.state_bytes
    return {"facts": facts(model, optimizer), "equal": weights and state and all(files), "share": share}


for _host, (_keras, _ours) in HOSTS.items():
    CASES |= {
        f"{_host} loop": lambda k=_keras, p=_ours: loop(k, lambda: p.Adam(0.01, global_clipnorm=1.0)),
        f"{_host} eager": lambda k=_keras, p=_ours: loop(k, lambda: p.Nadam(0.01), 2, False),
        f"{_host} accumulation, averages": lambda k=_keras, p=_ours: loop(
            k, lambda: p.AdamW(0.01, gradient_accumulation_steps=3, use_ema=True)
        ),
        f"{_host} fit": lambda k=_keras, p=_ours: fit(k, p),
        f"{_host} function": lambda k=_keras, p=_ours: function(k, p),
        f"{_host} overflow": lambda k=_keras, p=_ours: overflow(k, p),
        f"{_host} sharded": lambda k=_keras, p=_ours: sharded(k, p),
        f"{_host} mismatch argument": lambda k=_keras, p=_ours: mismatch(k, lambda: p.Adam(0.01 * (1 + WORKER))),
        f"{_host} mismatch class": lambda k=_keras, p=_ours: mismatch(
            k, lambda: (p.Adam, p.Nadam)[min(WORKER, 1)](0.01)
        ),
        f"{_host} mismatch exclusions": lambda k=_keras, p=_ours: mismatch(k, lambda: excluding(p.AdamW(0.01))),
        f"{_host} mismatch constraint": lambda k=_keras, p=_ours: mismatch(
            k, lambda: p.Adam(0.01), constraint=(k.constraints.MaxNorm(2.0) if WORKER == 0 else k.constraints.NonNeg())
        ),
        f"{_host} another model before": lambda k=_keras, p=_ours: another_model_before(k, p),
        f"{_host} mismatch variables": lambda k=_keras, p=_ours: mismatch(k, lambda: p.Adam(0.01), width=9),
    }


CASES |= {
    "many patterns": many_patterns,
    "different gradients, eager": lambda: different_gradients(False),
    "different gradients, graph": lambda: different_gradients(True),
    "read by one": read_by_one,
    "shown by one": shown_by_one,
    "steps_per_execution": steps_per_execution,
    "train_on_batch": on_batch,
    "read by one while nothing happens": read_by_one_while_nothing_happens,
}

# --- a worker that dies --------------------------------------------------------------------------------------------------

FOLDER = os.environ.get("CHECKPOINTS", "")
LAST = 40  # steps


def train_with_checkpoints(until: int | None = None, how: int = signal.SIGKILL) -> Any:
    """Trains to step LAST from the last checkpoint; the second worker is killed or frozen before a step, if asked."""
    with STRATEGY.scope():
        model, optimizer = model_of(keras), pyadam.Adam(0.01, global_clipnorm=1.0)
        optimizer.build(model.trainable_variables)
    folder = FOLDER if WORKER == 0 else tempfile.mkdtemp()
    checkpoint = tf.train.Checkpoint(model=model, optimizer=optimizer)
    manager = tf.train.CheckpointManager(checkpoint, folder, max_to_keep=2)
    last = tf.train.latest_checkpoint(FOLDER)
    if last is not None:
        checkpoint.restore(last)

    def step(x: Any, y: Any) -> None:
        optimizer.apply_gradients(list(zip(gradients(model, x, y), model.trainable_variables, strict=True)))

    run = tf.function(lambda x, y: STRATEGY.run(step, args=(x, y)), autograph=False)
    start = int(optimizer.iterations.numpy())
    clock = time.monotonic()
    try:
        for number in range(start, LAST):
            rows = np.random.default_rng([number, WORKER]).integers(0, len(X), BATCH // N)
            if number == until and WORKER == 1:
                os.kill(os.getpid(), how)
            clock = time.monotonic()
            run(tf.constant(X[rows]), tf.constant(Y[rows]))
            if number % 8 == 7:
                manager.save(checkpoint_number=number + 1)
    except tf.errors.OpError as error:
        return {
            "start": start,
            "error": type(error).__name__,
            "words": str(error)[:300],
            "seconds": time.monotonic() - clock,
        }
    return {"start": start, "facts": facts(model, optimizer)}


CASES["train"] = train_with_checkpoints
for _step in range(1, LAST):
    CASES[f"die {_step}"] = lambda step=_step: train_with_checkpoints(step)
    CASES[f"freeze {_step}"] = lambda step=_step: train_with_checkpoints(step, signal.SIGSTOP)

if __name__ == "__main__":
    print_cases(CASES, sys.argv[1:])
    time.sleep(3)  # another worker may not have heard yet how the last case ended
    os._exit(0)  # a cluster with a dead worker waits for it at the end
