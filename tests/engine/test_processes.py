"""Threads, forked and spawned processes, copies in the middle of an accumulation."""

import copy
import multiprocessing
import pickle
import threading
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from helpers import assert_same, run_python, values

import pyadam.tf_keras

HOSTS = {"keras": (keras, pyadam), "tf_keras": (tf_keras, pyadam.tf_keras)}
FORK = """
import os, signal
import numpy as np, tensorflow as tf, {host} as host, pyadam, pyadam.tf_keras
ours = pyadam if host.__name__ == "keras" else pyadam.tf_keras
def step():
    v = tf.Variable([1.0, 2.0]) if host.__name__ == "tf_keras" else host.Variable([1.0, 2.0])
    optimizer = ours.Adam()
    optimizer.apply_gradients([(tf.ones(2), v)])
    return optimizer, v
if {before}:
    optimizer, v = step()
pid = os.fork()
if pid == 0:
    signal.alarm(60)
    try:
        if {before}:
            optimizer.apply_gradients([(tf.ones(2), v)])
        else:
            step()
        print("works", flush=True)
    except RuntimeError as error:
        print(error, flush=True)
    os._exit(0)
print("ended with", os.waitpid(pid, 0)[1], flush=True)
"""


@pytest.mark.parametrize("host", ["keras", pytest.param("tf_keras", marks=pytest.mark.long)])
def test_a_fork_after_use_is_refused_and_one_before_works(host):
    """Without the check both a compiled and an uncompiled step wait for ever, as a large one of Keras does."""
    after = run_python(FORK.format(host=host, before=True)).stdout.splitlines()
    assert after[0].startswith(
        "Adam: this process was forked from one in which an optimizer had been made; TensorFlow's"
    )
    assert after[1] == "ended with 0"
    assert run_python(FORK.format(host=host, before=False)).stdout.splitlines() == ["works", "ended with 0"]


def variable(host):
    return tf.Variable([1.0, 2.0], name="v") if host == "tf_keras" else keras.Variable([1.0, 2.0], name="v")


def in_another(optimizer, start, results):
    v = keras.Variable(start, name="v")
    optimizer.apply([tf.constant([0.5, -0.5])], [v])
    results.put([np.array(v.value).tolist(), [np.array(s.value).tolist() for s in optimizer.variables]])


@pytest.mark.long
def test_an_optimizer_goes_on_in_a_spawned_process():
    optimizer, v = pyadam.Adam(0.1, gradient_accumulation_steps=2), variable("keras")
    for _ in range(3):
        optimizer.apply([tf.constant([0.5, -0.5])], [v])
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    process = context.Process(target=in_another, args=(optimizer, np.array(v.value), results))
    process.start()
    theirs = results.get(timeout=120)
    process.join()
    optimizer.apply([tf.constant([0.5, -0.5])], [v])
    assert theirs == [np.array(v.value).tolist(), [np.array(s.value).tolist() for s in optimizer.variables]]


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize(
    "way", [copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))], ids=["deepcopy", "pickle"]
)
def test_a_copy_in_the_middle_of_an_accumulation_goes_on_to_the_bit(host, way):
    k, ours = HOSTS[host]
    k.utils.set_random_seed(0)
    model = k.Sequential([k.layers.InputLayer((3,)), k.layers.Dense(2)])
    model.compile(ours.Adam(0.1, gradient_accumulation_steps=3, use_ema=True), "mse")
    x, y = np.ones((4, 3), "float32"), np.ones((4, 2), "float32")
    model.fit(x, y, batch_size=1, verbose=0)  # four calls: one update, and one gradient that waits
    other = k.models.clone_model(model)
    other.set_weights(model.get_weights())
    other.compile(way(model.optimizer), "mse")
    for each in (model, other):
        each.fit(x * 2, y, batch_size=1, verbose=0)
    assert_same(model.get_weights(), other.get_weights())
    assert_same(values(model.optimizer.variables), values(other.optimizer.variables))


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("shared", [True, False], ids=["one optimizer", "two optimizers"])
def test_threads(host, shared):
    """One optimizer counts the steps of both threads, each of which is whole; two have the bits of a run without threads."""
    ours, steps = HOSTS[host][1], 50

    def trained(threads):
        vs = [variable(host) for _ in range(1 if shared else 2)]
        optimizers = [ours.SGD(0.125) for _ in vs] if shared else [ours.Adam(0.1) for _ in vs]
        pairs = list(zip(optimizers, vs, strict=True)) * (2 if shared else 1)
        for optimizer, v in pairs[: len(vs)]:
            optimizer.apply_gradients([(tf.zeros(2), v)])
        errors = []

        def run(optimizer, v):
            try:
                for _ in range(steps):
                    optimizer.apply_gradients([(tf.constant([1.0, -1.0]), v)])
            except Exception as error:
                errors.append(error)

        if threads:
            workers = [threading.Thread(target=run, args=pair) for pair in pairs]
            for each in workers:
                each.start()
            for each in workers:
                each.join(120)
        else:
            for pair in pairs:
                run(*pair)
        assert errors == []
        return values(vs), [int(optimizer.iterations) for optimizer in optimizers]

    (found, counts), (wanted, wanted_counts) = trained(True), trained(False)
    assert_same(found, wanted)
    assert counts == wanted_counts


@pytest.mark.parametrize("host", HOSTS)
def test_copies_while_another_thread_steps(host):
    """Values and checksums were read at different times: a pickle that could not be loaded."""
    optimizer, v = HOSTS[host][1].Adam(gradient_accumulation_steps=2), variable(host)
    optimizer.apply_gradients([(tf.ones(2), v)])
    stop = threading.Event()

    def run():
        while not stop.is_set():
            optimizer.apply_gradients([(tf.ones(2), v)])

    worker = threading.Thread(target=run)
    worker.start()
    try:
        for _ in range(10):
            pickle.loads(pickle.dumps(optimizer)).build([v])
    finally:
        stop.set()
        worker.join(60)


def test_threads_whose_steps_bring_new_variables_and_follow_a_schedule():
    """A step used to read variables and rate before it had the lock: "dictionary changed size", or the rate of another step."""
    rates = keras.optimizers.schedules.PolynomialDecay(1.0, 24, end_learning_rate=0.0)
    optimizer, shared, errors = pyadam.SGD(rates), keras.Variable(np.zeros(2, "float32")), []

    def run(number):
        try:
            for k in range(6):
                own = keras.Variable(np.zeros(2, "float32"), name=f"v{number}_{k}")
                optimizer.apply([tf.ones(2), tf.ones(2)], [shared, own])
        except Exception as error:
            errors.append(error)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        workers = [threading.Thread(target=run, args=(number,)) for number in range(4)]
        for each in workers:
            each.start()
        for each in workers:
            each.join(300)
    assert errors == []
    assert int(optimizer.iterations) == 24
    np.testing.assert_allclose(shared.numpy(), -sum(1 - k / 24 for k in range(24)), rtol=1e-5)
