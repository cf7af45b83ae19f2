"""Hyperparameters given as schedules and functions."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import pyadam

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


def test_swapping_a_rate_for_a_schedule_and_back():
    optimizer = pyadam.Adam(0.1)
    assert len(optimizer.variables) == 2
    optimizer.learning_rate = SCHEDULE
    assert len(optimizer.variables) == 1
    with pytest.raises(TypeError, match="LearningRateSchedule"):
        optimizer.learning_rate = 0.1
    assert float(optimizer.learning_rate) == pytest.approx(0.1)
