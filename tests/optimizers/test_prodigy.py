"""Prodigy's estimate of the distance, which all variables share."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import pyadam


def trained(optimizer, steps, start=(0.0, 0.0, 0.0), goal=3.0):
    """Some steps on the mean distance from a point, whose gradient does not shrink on the way."""
    v, w = keras.Variable(np.array(start[:2], "float32")), keras.Variable(np.array(start[2:], "float32"))
    optimizer.build([v, w])
    for _ in range(steps):
        optimizer.apply_gradients([(tf.sign(x.value - goal), x) for x in (v, w)])
    return v, w


def distance(optimizer):
    return optimizer.d0 * float(optimizer._growth.numpy())


def test_the_distance_is_found():
    """From a millionth d becomes 1.12, where each weight is 3 away; Adam with the first d for its rate gets nowhere."""
    optimizer = pyadam.Prodigy()
    v, w = trained(optimizer, 200)
    assert 1.0 < distance(optimizer) < 6.0
    assert np.abs(np.r_[v.numpy(), w.numpy()] - 3.0).max() < 1.5
    v, _ = trained(pyadam.Adam(1e-6), 200)
    assert v.numpy().max() < 3e-4


@pytest.mark.parametrize("d0", [1e-8, 1e-4])
def test_the_first_estimate_hardly_matters(d0):
    optimizer = pyadam.Prodigy(d0=d0)
    trained(optimizer, 300)
    assert 1.0 < distance(optimizer) < 6.0


def test_a_step_without_gradients_of_effect_changes_no_estimate():
    """|s| is 0 then: the quotient was none."""
    optimizer = pyadam.Prodigy()
    v = keras.Variable([1.0])
    for _ in range(3):
        optimizer.apply_gradients([(tf.zeros(1), v)])
    assert distance(optimizer) == optimizer.d0
    assert v.numpy().tolist() == [1.0]


def test_x_0_is_what_the_model_holds_when_training_begins():
    """Not what it held at the build: weights loaded in between were a distance of their own."""
    optimizer, v = pyadam.Prodigy(), keras.Variable([0.0])
    optimizer.build([v])
    v.assign([5.0])
    for _ in range(3):
        optimizer.apply_gradients([(-tf.ones(1), v)])
    assert distance(optimizer) < 1e-5  # 1.7 with x_0 = 0, which is 5 away against the gradient


@pytest.mark.filterwarnings("ignore:Prodigy. Gradients do not exist")
def test_variables_without_a_gradient_stay_in_the_estimate():
    """|s| of those that moved alone, and r of all: d jumped from 7 to 5,621."""
    v, w = keras.Variable(np.zeros(10_000, "float32")), keras.Variable(np.zeros(2, "float32"))
    optimizer = pyadam.Prodigy()
    optimizer.build([v, w])
    for step in range(40):
        grads = [tf.sign(x.value - 100.0) for x in (v, w)]
        optimizer.apply([None if 18 <= step < 22 else grads[0], grads[1]], [v, w])
    assert 1.0 < distance(optimizer) < 200.0
    assert np.abs(v.numpy()).max() < 1000.0
