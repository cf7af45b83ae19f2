"""Hyperparameters given as schedules or functions are read at every step, eagerly and in graphs."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import pyadam
import pyadam.tf_keras

SCHEDULE = keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)


def run(optimizer, steps=4, wrap=tf.function):
    v = keras.Variable([1.0, 2.0])
    optimizer.build([v])
    step = wrap(lambda: optimizer.apply([tf.constant([1.0, -1.0])], [v]))
    for _ in range(steps):
        step()
    return v.numpy()


@pytest.mark.parametrize("wrap", [tf.function, lambda f: f, lambda f: tf.function(f, jit_compile=True)])
def test_schedule(wrap):
    expected = run(keras.optimizers.Adam(SCHEDULE))
    np.testing.assert_allclose(run(pyadam.Adam(SCHEDULE), wrap=wrap), expected, rtol=0, atol=2e-5 * 0.3)


@pytest.mark.parametrize("wrap", [tf.function, lambda f: f])
def test_functions_are_called_once_a_step(wrap):
    rates, betas = iter([0.1, 0.2, 0.3, 0.4]), iter([0.5, 0.6, 0.7, 0.8])
    got = run(pyadam.Adam(learning_rate=lambda: next(rates), beta_1=lambda: next(betas)), wrap=wrap)
    v, m, s = np.array([1.0, 2.0]), np.zeros(2), np.zeros(2)
    g = np.array([1.0, -1.0])
    for t, (lr, b1) in enumerate(zip([0.1, 0.2, 0.3, 0.4], [0.5, 0.6, 0.7, 0.8], strict=True), 1):
        m += (1 - b1) * (g - m)
        s += 0.001 * (g * g - s)
        v = v - lr * np.sqrt(1 - 0.999**t) / (1 - b1**t) * m / (np.sqrt(s) + 1e-7)
    np.testing.assert_allclose(got, v, rtol=1e-6)
    assert next(rates, None) is None
    assert next(betas, None) is None


def test_a_function_in_fit():
    calls = []
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(optimizer=pyadam.Adam(learning_rate=lambda: calls.append(1) or 0.1), loss="mse")
    model.fit(np.ones((32, 2)), np.ones((32, 1)), batch_size=4, epochs=2, verbose=0)
    assert len(calls) == 16


def test_a_function_may_return_a_tensor_or_variable():
    variable = tf.Variable(0.5)
    optimizer = pyadam.Adam(learning_rate=lambda: variable * 2.0)
    v = keras.Variable(5.0)
    step = tf.function(lambda: optimizer.apply([tf.constant(1.0)], [v]))
    step()
    variable.assign(0.25)
    step()
    np.testing.assert_allclose(v.numpy(), 5.0 - 1.0 - 0.5, rtol=1e-5)


@pytest.mark.parametrize("value", [None, "x", -1.0, float("nan"), [0.1, 0.2]])
@pytest.mark.parametrize("wrap", [tf.function, lambda f: f])
def test_a_function_that_returns_no_rate(value, wrap):
    with pytest.raises(
        (ValueError, TypeError), match=r"Adam: the value that learning_rate\(\) returned must be a number in"
    ):
        run(pyadam.Adam(learning_rate=lambda: value), wrap=wrap)


def test_a_function_can_not_be_called_from_a_compiled_train_step():
    with pytest.raises(ValueError, match="learning_rate is a function, and a train step that is compiled as a whole"):
        run(pyadam.Adam(learning_rate=lambda: 0.1), wrap=lambda f: tf.function(f, jit_compile=True))


def number(keras_in_use):
    return 0.25


def function(keras_in_use):
    return lambda: 0.5


def schedule(keras_in_use):
    return keras_in_use.optimizers.schedules.ExponentialDecay(1.0, 1000, 1.0)


RATES = {number: 0.25, function: 0.5, schedule: 1.0}


@pytest.mark.parametrize(
    ("host", "module"), [(keras, pyadam), (tf_keras, pyadam.tf_keras)], ids=["Keras 3", "tf_keras"]
)
@pytest.mark.parametrize("before", RATES)
@pytest.mark.parametrize("after", RATES)
def test_a_rate_of_one_kind_in_the_place_of_another(before, after, host, module):
    optimizer = module.SGD(before(host))
    v = tf.Variable(8.0)
    optimizer.apply([tf.constant(1.0)], [v])
    if (before, after) == (schedule, number):
        with pytest.raises(TypeError, match=r"SGD: the learning rate is a LearningRateSchedule and can't be set to a"):
            optimizer.learning_rate = after(host)
        assert float(optimizer.learning_rate) == RATES[before]
        return
    optimizer.learning_rate = after(host)
    assert float(optimizer.learning_rate) == RATES[after]
    optimizer.apply([tf.constant(1.0)], [v])
    assert float(v) == 8.0 - RATES[before] - RATES[after]
    listed = [x.name.split(":")[0] for x in optimizer.variables].count("learning_rate")
    assert listed == (after is number and host is keras)
    if after is number:
        assert optimizer.get_config()["learning_rate"] == 0.25
        optimizer.learning_rate.assign(0.125)
        optimizer.apply([tf.constant(1.0)], [v])
        assert float(v) == 8.0 - RATES[before] - 0.25 - 0.125


@pytest.mark.parametrize(("host", "module"), [(tf_keras, pyadam), (keras, pyadam.tf_keras)])
def test_a_schedule_of_the_other_keras_changes_nothing(host, module):
    optimizer = module.SGD(0.25)
    with pytest.raises(TypeError, match=r"SGD: learning_rate must be a LearningRateSchedule of "):
        optimizer.learning_rate = schedule(host)
    assert float(optimizer.learning_rate) == 0.25
    assert optimizer.get_config()["learning_rate"] == 0.25


def test_a_number_that_becomes_a_schedule_reaches_adafactors_rule():
    """relative_step limits a number to 1 / sqrt(t), but not a schedule."""
    constant = keras.optimizers.schedules.ExponentialDecay(4.0, 1000, 1.0)
    ends = {}
    for name, first, second in (
        ("number", 4.0, 4.0),
        ("schedule", constant, constant),
        ("number, then schedule", 4.0, constant),
    ):
        v = keras.Variable([1.0, 2.0])
        optimizer = pyadam.Adafactor(first)
        optimizer.apply([tf.zeros(2)], [v])  # moves nothing
        optimizer.learning_rate = second
        optimizer.apply([tf.ones(2)], [v])
        ends[name] = v.numpy()
    np.testing.assert_array_equal(ends["number, then schedule"], ends["schedule"])
    assert np.all(np.abs(ends["number"] - [1.0, 2.0]) < 0.5 * np.abs(ends["schedule"] - [1.0, 2.0]))
