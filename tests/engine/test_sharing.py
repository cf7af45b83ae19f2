"""Equal programs are compiled once; what they hold of an optimizer goes with it."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from family import ONE_OF_EACH_KIND
from helpers import assert_same, run_python, values
from tensorflow.python.eager import context

import pyadam.tf_keras
from pyadam.engine import compiler, sharing

DROPPED = """
import gc, json, keras, numpy as np, tensorflow as tf, pyadam

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 1e6

def grown(optimizers, count, *shape):
    def one():
        v = keras.Variable(np.ones(shape, "float32"))
        optimizer = optimizers.Adam(0.1)
        for _ in range(2):
            optimizer.apply([tf.ones(shape)], [v])
    for _ in range(10):
        one()
    gc.collect()
    before = resident()
    for _ in range(count):
        one()
    gc.collect()
    return (resident() - before) / count

print(json.dumps([grown(keras.optimizers, COUNT, 4, 3), grown(pyadam, COUNT, 4, 3), grown(pyadam, 10, 1000, 1000)]))
"""


@pytest.mark.parametrize("many", [20, pytest.param(1000, marks=pytest.mark.long)])
def test_optimizers_that_are_dropped_leave_little(many, count):
    """MB each: Keras 0.3, pyadam 0.5; without sharing it was 1.2. Of large variables (12 MB with the state) nothing stays."""
    run = run_python(DROPPED.replace("COUNT", str(many)))
    keras_leaves, ours, large = json.loads(run.stdout.splitlines()[-1])
    count("memory", f"MB for each of {many} optimizers that are dropped: Keras {keras_leaves:.2f}, pyadam {ours:.2f}")
    count("memory", f"MB for each of 10 optimizers of large variables that are dropped: pyadam {large:.2f}")
    assert ours < keras_leaves + 0.45
    assert large < 3


def step(name, host="keras", shape=(40, 3), number=1, **given):
    make = tf.Variable if host == "tf_keras" else keras.Variable
    v = [make(np.ones(shape, "float32")) for _ in range(number)]
    module = pyadam.tf_keras if host == "tf_keras" else pyadam
    optimizer = getattr(module, name)(0.1, **given)
    for k in range(3):
        optimizer.apply_gradients([(tf.fill(shape, 0.5 + k + i), v[i]) for i in range(number)])
    return [*v, *optimizer.variables]


def alone(concrete):
    return lambda inputs: concrete._call_flat(inputs, concrete.captured_inputs)


def made(monkeypatch):
    monkeypatch.setitem(sharing._PROGRAMS, context.context(), {})
    return sharing._PROGRAMS[context.context()]


MODELS = {
    "small": {},
    "large and alike": {"shape": (70, 70), "number": 3},  # a program that calls a function
    "with branches": {"shape": (70, 70), "slot_dtype": "bfloat16"},
}


@pytest.mark.sample(8)
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", ONE_OF_EACH_KIND)
def test_shared_programs_have_the_bits_of_own_ones(name, model, monkeypatch):
    programs, given = made(monkeypatch), MODELS[model]
    first, second = values(step(name, **given)), values(step(name, **given))
    assert len(programs) == 1
    monkeypatch.setattr(compiler, "shared", alone)
    own = values(step(name, **given))
    assert_same(first, own)
    assert_same(second, own)


def test_only_equal_ones_are_shared(monkeypatch):
    programs = made(monkeypatch)
    for _ in range(2):
        step("Adam")
        step("Adam", epsilon=1e-3)
        step("Adam", amsgrad=True)
        step("SGD")
    assert len(programs) == 4


def test_models_in_turn_keep_apart(monkeypatch):
    """Two optimizers that share a program step their own variables."""
    programs = made(monkeypatch)
    a, b = keras.Variable([1.0, 2.0]), keras.Variable([3.0, 4.0])
    first, second = pyadam.SGD(0.5), pyadam.SGD(0.5)
    for _ in range(2):
        first.apply([tf.constant([1.0, 0.0])], [a])
        second.apply([tf.constant([0.0, 1.0])], [b])
    assert len(programs) == 1
    assert_same(values([a, b]), [np.array([0.0, 2.0]), np.array([3.0, 3.0])])


def test_folds_of_a_cross_validation_compile_once(monkeypatch):
    programs = made(monkeypatch)
    x, y = np.ones((8, 3), "float32"), np.ones((8, 1), "float32")
    for library, ours in ((keras, pyadam), (tf_keras, pyadam.tf_keras)):
        programs.clear()
        for _ in range(3):
            model = library.Sequential(
                [library.layers.InputLayer((3,)), library.layers.Dense(2), library.layers.Dense(1)]
            )
            model.compile(ours.Adam(), "mse")
            model.fit(x, y, verbose=0)
        assert len(programs) == 1, library.__name__


def test_programs_belong_to_the_context_of_tensorflow():
    """Tests of Keras replace it, and with it all functions: "The tensor ... is out of scope and cannot be used here"."""
    run = run_python(
        """
        import keras, numpy as np, pyadam
        from tensorflow.python.eager import context

        for _ in range(2):
            model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
            model.compile(pyadam.SGD(0.1), "mse")
            model.fit(np.ones((4, 3)), np.ones((4, 1)), verbose=0)
            print(int(model.optimizer.iterations), flush=True)
            context._reset_context()
        """
    )
    assert run.stdout.split() == ["1", "1"], run.stderr[-2000:]
