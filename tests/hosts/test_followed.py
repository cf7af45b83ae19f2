"""Hyperparameters given as variables are read at every step; rates reach float64 arithmetic in float64."""

import copy
import json
import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import pyadam
import pyadam.tf_keras
from pyadam import specs
from pyadam.optimizers.kinds import DynamicNumber

HOSTS = pytest.mark.parametrize(
    ("host", "module"), [(keras, pyadam), (tf_keras, pyadam.tf_keras)], ids=["Keras 3", "tf_keras"]
)
WRAPS = pytest.mark.parametrize(
    "wrap",
    [lambda f: f, tf.function, lambda f: tf.function(f, jit_compile=True)],
    ids=["eager", "function", "compiled whole"],
)
MADE = pytest.mark.parametrize("make", [tf.Variable, keras.Variable], ids=["tf.Variable", "keras.Variable"])
STARTS = {"learning_rate": 0.5, "weight_decay": 0.25, "adam_weight_decay": 0.25, "muon_b": -4.0, "muon_a": 3.0}
FOLLOWED = [
    (name, argument)
    for name, spec in specs.SPECS.items()
    for argument, field in specs.arguments(spec).items()
    if isinstance(field.metadata["kind"], DynamicNumber)
    and name in ("SGD", "RMSprop", "Adadelta", "AdamW", "Ftrl", "Muon")
]


def stepped(optimizer, calls, wrap=tf.function, dtype="float32"):
    """A weight after steps with gradient 1, each preceded by the corresponding call."""
    w = keras.Variable(np.full([3, 2], 2.0), dtype=dtype)

    def step():
        optimizer.apply_gradients([(tf.ones([3, 2], dtype), w.value)])

    step = wrap(step)
    for call in calls:
        call()
        step()
    return w.numpy()


def nothing():
    pass


@pytest.mark.sample(4)
@HOSTS
@WRAPS
@MADE
@pytest.mark.parametrize(("argument", "then", "right"), [("learning_rate", 0.5, -0.5), ("weight_decay", 0.0, -0.125)])
def test_the_second_step_has_the_second_value(argument, then, right, make, wrap, host, module):
    given = make(0.25)
    optimizer = module.SGD(**{"learning_rate": 0.125, argument: given})
    first = stepped(copy.deepcopy(optimizer), [nothing], wrap)
    moved = stepped(optimizer, [nothing, lambda: given.assign(then)], wrap) - first
    np.testing.assert_array_equal(moved, np.float32(right))


@pytest.mark.sample(3)
@pytest.mark.parametrize(("name", "argument"), FOLLOWED, ids=map(".".join, FOLLOWED))
def test_every_variable_moves_as_its_number_does(name, argument):
    before = STARTS.get(
        argument, 0.5 if specs.arguments(specs.SPECS[name])[argument].metadata["kind"].high > 0 else -0.5
    )
    variable = tf.Variable(before, dtype=tf.float64)
    followed, number = ({"learning_rate": 0.25, argument: value} for value in (variable, before))
    with_number, with_variable = getattr(pyadam, name)(**number), getattr(pyadam, name)(**followed)
    np.testing.assert_allclose(
        stepped(with_variable, [nothing] * 2, dtype="float64"),
        stepped(with_number, [nothing] * 2, dtype="float64"),
        1e-14,
    )
    assert with_variable.get_config()[argument] == before


@HOSTS
def test_a_variable_set_later_is_followed(host, module):
    rate, decay = tf.Variable(0.25), tf.Variable(0.0)
    optimizer = module.SGD(0.125)
    w = tf.Variable(8.0)
    optimizer.apply_gradients([(tf.constant(1.0), w)])
    optimizer.learning_rate, optimizer.weight_decay = rate, decay
    optimizer.apply_gradients([(tf.constant(1.0), w)])
    assert float(w) == 8.0 - 0.125 - 0.25
    rate.assign(0.5)
    decay.assign(0.5)
    optimizer.apply_gradients([(tf.constant(1.0), w)])
    assert float(w) == 7.625 * 0.75 - 0.5
    optimizer.learning_rate = 0.0625  # like callbacks
    assert float(rate) == 0.0625


@HOSTS
def test_a_variable_in_a_config_is_its_value(host, module):
    rate = tf.Variable(0.1)
    optimizer = module.Adam(rate, beta_1=tf.Variable(0.5), epsilon=tf.Variable(1e-3))
    rate.assign(0.3)
    config = json.loads(json.dumps(optimizer.get_config()))
    assert (config["learning_rate"], config["beta_1"], config["epsilon"]) == (0.3, 0.5, 0.001)
    assert "learning_rate=0.3, beta_1=0.5" in repr(optimizer)
    v = keras.Variable([1.0])
    optimizer.build([v.value if host is tf_keras else v])
    for other in (pickle.loads(pickle.dumps(optimizer)), copy.deepcopy(optimizer), type(optimizer).from_config(config)):
        assert other.get_config() == optimizer.get_config()
    names = [x.name.split(":")[0] for x in optimizer.variables]
    assert names.count("learning_rate") == (host is keras)  # the place of a number's variable in files


def test_a_model_with_a_variable_as_rate_is_saved_and_loaded(tmp_path):
    rate = tf.Variable(0.25)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(pyadam.LossScaleOptimizer(pyadam.Adam(rate)), "mse")
    model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0)
    rate.assign(0.5)
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    assert float(loaded.optimizer.learning_rate) == 0.5
    for a, b in zip(model.optimizer.variables, loaded.optimizer.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


BAD = [
    (
        lambda: tf.Variable(1),
        "learning_rate",
        TypeError,
        r"of shape \(\) and dtype int32; make it a scalar of a floating",
    ),
    (lambda: tf.Variable([0.1]), "weight_decay", TypeError, r"of shape \(1,\) and dtype float32; make it a scalar"),
    (lambda: tf.Variable(-1.0), "learning_rate", ValueError, r"must be a number in \[0, inf\).*got -1.0"),
    (lambda: keras.Variable(1.5), "momentum", ValueError, r"must be a number in \[0, 1\].*got 1.5"),
    (
        lambda: tf.Variable(1.0),
        "clipnorm",
        TypeError,
        r"must be a number in \(0, inf\).*variables aren't supported here, pass its",
    ),
]


@HOSTS
@pytest.mark.parametrize(("make", "argument", "error", "words"), BAD)
def test_variables_that_are_refused(make, argument, error, words, host, module):
    with pytest.raises(error, match=f"SGD: {argument} .*{words}"):
        module.SGD(**{argument: make()})
    optimizer = module.SGD(0.5)
    with pytest.raises(error, match=f"SGD: {argument} .*{words}"):
        setattr(optimizer, argument, make())
    assert optimizer.get_config() == module.SGD(0.5).get_config()


# --- float64 -------------------------------------------------------------------------------------------------------------


def schedules(host):
    s = host.optimizers.schedules
    return {
        "exponential": (s.ExponentialDecay(0.001, 10, 0.3), 0.001 * 0.3**0.1),
        "inverse": (s.InverseTimeDecay(0.001, 10, 0.3), 0.001 / 1.03),
        "piecewise": (s.PiecewiseConstantDecay([5], [0.001, 0.1]), 0.001),
        "polynomial": (s.PolynomialDecay(0.001, 10, 0.0003), 0.0007 * 0.9 + 0.0003),
        "cosine": (s.CosineDecay(0.001, 10), 0.001 * 0.5 * (1 + np.cos(np.pi / 10))),
        "restarts": (s.CosineDecayRestarts(0.001, 10), 0.001 * 0.5 * (1 + np.cos(np.pi / 10))),
    }


@pytest.mark.sample(6)
@HOSTS
@pytest.mark.parametrize("rate", ["number", "function", *schedules(keras)])
@pytest.mark.parametrize("wrap", [lambda f: f, tf.function], ids=["eager", "function"])
def test_a_rate_reaches_float64_weights_in_float64(rate, wrap, host, module):
    given, second = {"number": (0.001, 0.001), "function": (lambda: 0.001, 0.001), **schedules(host)}[rate]
    ends = stepped(module.SGD(given), [nothing] * 2, wrap, "float64")
    np.testing.assert_allclose(2.0 - ends, 0.001 + second, rtol=1e-12)  # up to 5e-8 off in float32


@pytest.mark.parametrize(("assign", "right"), [(False, 0.3), (True, float(np.float32(0.3)))], ids=["set", "assigned"])
def test_a_rate_that_changed_since_counts_in_float64(assign, right):
    optimizer = pyadam.SGD(0.001)

    def change():
        if assign:  # to Keras' narrower variable
            optimizer.learning_rate.assign(0.3)
        else:
            optimizer.learning_rate = 0.3

    ends = stepped(optimizer, [nothing, change], dtype="float64")
    np.testing.assert_allclose(2.0 - ends, 0.001 + right, rtol=1e-14)
