"""Subclasses and wrappers written for Keras' optimizers work, or are refused with a reason."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import pyadam
import pyadam.tf_keras

NEVER_CALLED = [
    (pyadam.SGD, "update_step"),
    (pyadam.Adam, "_backend_update_step"),
    (pyadam.Adam, "_clip_gradients"),
    (pyadam.AdamW, "_apply_weight_decay"),
    (pyadam.AdamW, "_use_weight_decay"),
    (pyadam.Adam, "add_variable_from_reference"),
    (pyadam.Adam, "_resource_apply_dense"),
    (pyadam.LossScaleOptimizer, "update_step"),
    (pyadam.LossScaleOptimizer, "_common_apply"),
    (pyadam.tf_keras.SGD, "update_step"),
    (pyadam.tf_keras.Adam, "_internal_apply_gradients"),
    (pyadam.tf_keras.Adam, "aggregate_gradients"),
]


@pytest.mark.parametrize(("base", "name"), NEVER_CALLED, ids=str)
def test_what_no_step_calls_cannot_be_overridden(base, name):
    def hook(self, *args):
        """Never called."""

    words = f"{name} can't be overridden, because no step of pyadam calls it"
    with pytest.raises(TypeError, match=f"^Mine: {words}.* Instead "):
        type("Mine", (base,), {name: hook})
    with pytest.raises(TypeError, match=f"^Mine: {words}"):
        type("Mine", (type("Mixin", (), {name: hook}), base), {})


def test_nor_on_an_object():
    with pytest.raises(TypeError, match=r"^SGD: update_step can't be overridden"):
        pyadam.SGD().update_step = print


def test_what_keras_does_with_a_tenth_of_the_rate_and_what_works_here():
    class Theirs(keras.optimizers.SGD):
        def update_step(self, gradient, variable, learning_rate):
            super().update_step(gradient, variable, learning_rate * 0.1)

    class Ours(pyadam.SGD):
        def apply(self, grads, trainable_variables=None):
            super().apply([0.1 * g for g in grads], trainable_variables)

    for optimizer in (Theirs(0.1), Ours(0.1)):
        w = keras.Variable([1.0])
        optimizer.apply_gradients([(tf.constant([1.0]), w)])
        assert w.numpy()[0] == pytest.approx(0.99)


def test_what_is_called_can_be_overridden():
    calls = []

    class Mine(pyadam.Adam):
        def build(self, variables):
            calls.append("build")
            super().build(variables)

        def get_config(self):
            calls.append("get_config")
            return super().get_config()

        @property
        def learning_rate(self):
            calls.append("learning_rate")
            return super().learning_rate

    optimizer, w = Mine(0.1), keras.Variable([1.0])
    optimizer.build([w])
    optimizer.apply([tf.ones(1)], [w])
    optimizer.get_config()
    assert {"build", "get_config", "learning_rate"} <= set(calls)


@pytest.mark.parametrize(
    "rate", [0.5, keras.optimizers.schedules.PiecewiseConstantDecay([1], [0.5, 0.5])], ids=["number", "schedule"]
)
def test_an_overridden_learning_rate_is_that_of_the_step(rate):
    class Halved(pyadam.SGD):
        @property
        def learning_rate(self):
            return super().learning_rate * 0.5

    w = keras.Variable([1.0], dtype="float32")
    Halved(rate).apply([tf.ones(1)], [w])
    np.testing.assert_array_equal(w.numpy(), [0.75])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_overridden_learning_rate_may_be_a_plain_number(dtype):
    """Float64 weights ended in an AttributeError."""

    class Fixed(pyadam.SGD):
        learning_rate = property(lambda self: 0.1)

    w = keras.Variable([1.0], dtype=dtype)
    Fixed().apply([tf.ones(1, dtype)], [w])
    np.testing.assert_array_equal(w.numpy(), np.ones(1, dtype) - np.array(0.1, dtype))


LISTS = [  # class, arguments, Keras' lists of state
    ("Adadelta", {}, ["_accumulated_grads", "_accumulated_delta_vars"]),
    ("Adagrad", {}, ["_accumulators"]),
    ("Adam", {"amsgrad": True}, ["_momentums", "_velocities", "_velocity_hats"]),
    ("AdamW", {"use_ema": True}, ["_momentums", "_velocities", "_model_variables_moving_average"]),
    ("Adamax", {}, ["_m", "_u"]),
    ("Adafactor", {}, ["_r", "_c", "_v"]),
    ("Ftrl", {}, ["_accumulators", "_linears"]),
    ("Lamb", {}, ["_momentums", "_velocities"]),
    ("Lion", {}, ["_momentums"]),
    ("RMSprop", {"momentum": 0.9, "centered": True}, ["_velocities", "_momentums", "_average_gradients"]),
    ("SGD", {"momentum": 0.9}, ["momentums"]),
    ("SGD", {}, ["momentums"]),
]


@pytest.mark.parametrize(("name", "arguments", "lists"), LISTS, ids=str)
def test_lists_of_state_as_in_keras(name, arguments, lists):
    found = []
    for module in (keras.optimizers, pyadam):
        optimizer, w = getattr(module, name)(0.1, **arguments), keras.Variable(np.full((2, 3), 0.5), name="w")
        for _ in range(2):
            optimizer.apply([tf.fill([2, 3], 0.25)], [w])
        found.append([[np.asarray(v) for v in getattr(optimizer, each)] for each in lists])
        assert optimizer._get_variable_index(w) == 0
    for theirs, ours in zip(*found, strict=True):
        assert len(theirs) == len(ours)
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)


def test_the_gradients_that_wait():
    optimizer, w = pyadam.SGD(gradient_accumulation_steps=3), keras.Variable([1.0])
    for _ in range(2):
        optimizer.apply([tf.constant([0.25])], [w])
    assert [v.numpy().tolist() for v in optimizer._accumulated_gradients] == [[0.5]]


def test_lists_that_are_not_there():
    optimizer, w = pyadam.Adam(), keras.Variable([1.0])
    with pytest.raises(AttributeError, match="no attribute '_momentums' before its build"):
        _ = optimizer._momentums
    optimizer.build([w])
    assert not hasattr(optimizer, "_model_variables_moving_average")
    assert not hasattr(optimizer, "_linears")
    with pytest.raises(ValueError, match="unknown variable other"):
        optimizer._get_variable_index(keras.Variable([1.0], name="other"))


def test_a_state_in_a_list_is_the_state():
    optimizer, w = pyadam.SGD(1.0, momentum=0.5), keras.Variable([1.0])
    optimizer.build([w])
    optimizer.momentums[0].assign([-0.5])
    optimizer.apply([tf.zeros(1)], [w])
    assert w.numpy()[0] == 0.75


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Lion", "Adafactor"])
def test_update_step_is_the_step_of_one_variable_at_this_rate(name):
    ends = []
    for module in (keras.optimizers, pyadam):
        optimizer = getattr(module, name)(0.5, clipvalue=1e-3)
        vs = [keras.Variable(np.full((2, 3), 0.5), name=f"w{i}") for i in range(2)]
        optimizer.build(vs)
        for rate in (0.1, 0.01):
            optimizer.update_step(tf.fill([2, 3], 0.25), vs[0], tf.constant(rate))
        assert int(optimizer.iterations) == 0
        ends.append([v.numpy() for v in vs])
    np.testing.assert_allclose(ends[1], ends[0], rtol=1e-5)
    np.testing.assert_array_equal(ends[1][1], 0.5)
    assert np.all(ends[1][0] != 0.5)


def test_update_step_that_is_not_one_variable_s():
    optimizer, w = pyadam.Nadam(), keras.Variable([1.0])
    optimizer.build([w])
    with pytest.raises(NotImplementedError, match=r"^Nadam: update_step\(\) .* u_product .* call apply\(\)"):
        optimizer.update_step(tf.ones(1), w, 0.1)
    with pytest.raises(ValueError, match=r"^Adam: unknown variable"):
        pyadam.Adam().update_step(tf.ones(1), w, 0.1)


def test_in_tf_keras():
    theirs, ours = tf_keras.optimizers.Adam(0.1, jit_compile=False), pyadam.tf_keras.Adam(0.1)
    for optimizer in (theirs, ours):
        v = tf.Variable([1.0])
        optimizer.build([v])
        optimizer.update_step(tf.constant([0.5]), v)
        assert v.numpy()[0] == pytest.approx(0.9, rel=1e-5)
        assert optimizer._momentums[optimizer._index_dict[optimizer._var_key(v)]].numpy()[0] == pytest.approx(0.05)
        assert int(optimizer.iterations) == 0


@pytest.mark.parametrize("every", [1, 2])
def test_iterations_of_tf_keras_can_be_another_variable(every):
    count, v = tf.Variable(6, dtype=tf.int64), tf.Variable(1.0)
    optimizer = pyadam.tf_keras.Adam(0.1, gradient_accumulation_steps=every)
    with pytest.raises(TypeError, match=r"iterations must be a scalar tf.Variable of int64, got 7"):
        optimizer.iterations = 7
    optimizer.iterations = count
    for _ in range(2):
        optimizer.minimize(lambda: v**2, [v])
    assert (int(count), int(optimizer.iterations), int(optimizer.variables[0])) == (8, 8 // every, 8)
    with pytest.raises(RuntimeError, match=r"^Adam: iterations can be set .* only before the optimizer is built"):
        optimizer.iterations = tf.Variable(7, dtype=tf.int64)


def test_swapping_averages_that_are_not_kept_is_refused():
    model, x = keras.Sequential([keras.layers.Dense(1)]), np.ones((2, 1))
    model.compile(pyadam.SGD(0.1), "mse")
    with pytest.raises(ValueError, match="SwapEMAWeights must be used when"):
        model.fit(x, x, validation_data=(x, x), verbose=0, callbacks=[keras.callbacks.SwapEMAWeights()])


def test_two_optimizers_of_one_model_have_paths_of_their_own():
    model, vs = keras.Sequential([keras.layers.Dense(1)]), [keras.Variable([1.0], name="w")]
    model.one, model.two = pyadam.Adam(), pyadam.Adam()
    for optimizer in (model.one, model.two):
        optimizer.build(vs)
    paths = list(model._get_variable_map())
    assert len(paths) == len(set(paths)) == 2 * 4
    assert model.one.get_config()["name"] == model.two.get_config()["name"] == "adam"


def test_a_build_of_a_subclass_is_called_before_the_first_step():
    class Counting(pyadam.Adam):
        def build(self, variables):
            super().build(variables)
            self.seen = self.add_variable((), "zeros", name="seen")

        def apply(self, grads, trainable_variables=None):
            super().apply(grads, trainable_variables)
            self.seen.assign_add(1.0)

    optimizer = Counting(0.01)
    variable = keras.Variable([1.0])
    for _ in range(2):
        optimizer.apply_gradients([(tf.constant([1.0]), variable)])
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(Counting(0.01), "mse")
    model.fit(np.ones((4, 1)), np.ones((4, 1)), epochs=3, verbose=0)
    assert (float(optimizer.seen), float(model.optimizer.seen)) == (2.0, 3.0)


def test_tf_keras_mark_of_a_build_is_there_for_its_callbacks():
    """BackupAndRestore reads ``_built``; without it, getattr(optimizer, "_built", False) would always be False."""
    optimizer = pyadam.tf_keras.SGD(0.1)
    assert not optimizer._built
    optimizer.build([tf.Variable([1.0])])
    assert optimizer._built
    optimizer._built = True
