"""pyadam's optimizers train, validate, average and report in Keras' own training loop."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from family import AS_IN_KERAS, EVERY, theirs
from helpers import values, variables

import pyadam


def small_model(**compile_arguments):
    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, activation="tanh"), keras.layers.Dense(1)])
    model.compile(loss="mse", **compile_arguments)
    return model


def fit(model, epochs=2, **arguments):
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(64, 4)).astype("float32"), rng.normal(size=(64, 1)).astype("float32")
    return model.fit(x, y, epochs=epochs, batch_size=16, shuffle=False, verbose=0, **arguments)


def test_one_trace_in_fit_and_over_two_fits():
    model = small_model(optimizer=pyadam.Adam())
    fit(model)
    model.optimizer.learning_rate = 0.5
    fit(model)
    (program,) = model.optimizer._engine.programs
    assert program.traces == 1


@pytest.mark.parametrize(
    "name", ["Adam", *(pytest.param(name, marks=pytest.mark.long) for name in EVERY if name != "Adam")]
)
def test_fit_gives_the_same_weights_in_every_mode(name):
    ends = []
    for mode in ({}, {"jit_compile": True}, {"run_eagerly": True}, {"jit_compile": False}):
        model = small_model(optimizer=getattr(pyadam, name)(0.01, clipnorm=1.0), **mode)
        fit(model)
        ends.append(values(model.trainable_variables))
    for end in ends[1:]:
        for a, b in zip(ends[0], end, strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=2e-5)


@pytest.mark.sample(1)
@pytest.mark.parametrize("name", AS_IN_KERAS)
def test_fit_agrees_with_keras(name):
    ends = []
    for optimizer in (getattr(pyadam, name), theirs(keras.optimizers, name)):
        model = small_model(optimizer=optimizer(0.01, global_clipnorm=1.0, weight_decay=0.01))
        fit(model, epochs=5)
        ends.append(values(model.trainable_variables))
    for a, b in zip(*ends, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=2e-5)


def test_steps_per_execution():
    ends = []
    for steps in (1, 4):
        model = small_model(optimizer=pyadam.Adam(0.01), steps_per_execution=steps)
        fit(model)
        ends.append(values(model.trainable_variables))
    for a, b in zip(*ends, strict=True):
        np.testing.assert_array_equal(a, b)


def test_embedding_and_mixed_precision_fit():
    keras.utils.set_random_seed(0)
    policy = keras.mixed_precision.DTypePolicy("mixed_float16")
    layers = [
        keras.layers.Embedding(10, 4, dtype=policy),
        keras.layers.Flatten(),
        keras.layers.Dense(2, dtype=policy),
    ]
    model = keras.Sequential([keras.Input((5,), dtype="int32"), *layers])
    optimizer = keras.optimizers.LossScaleOptimizer(pyadam.Adam(0.01, clipnorm=1.0), initial_scale=256.0)
    model.compile(optimizer=optimizer, loss="mse")
    x, y = np.ones((8, 5), "int32"), np.zeros((8, 2), "float32")
    history = model.fit(x, y, epochs=3, verbose=0).history["loss"]
    assert np.isfinite(history).all()
    assert history[-1] < history[0]


def test_the_average_is_in_the_model_after_fit():
    model = small_model(optimizer=pyadam.Adam(0.1, use_ema=True, ema_momentum=0.9))
    fit(model)
    for weight, average in zip(model.trainable_variables, model.optimizer._model_variables_moving_average, strict=True):
        np.testing.assert_array_equal(weight.numpy(), average.numpy())


@pytest.mark.sample(2)
@pytest.mark.parametrize("library", [keras.optimizers, pyadam])
@pytest.mark.parametrize("wrapped", [False, True])
def test_averages_that_are_not_there_are_not_swapped_in(library, wrapped):
    optimizer = library.LossScaleOptimizer(library.Adam()) if wrapped else library.Adam()
    model = small_model(optimizer=optimizer)
    fit(model, epochs=1)
    with pytest.raises(ValueError, match="use_ema=True"):
        model.evaluate(np.ones((1, 4)), np.ones((1, 1)), verbose=0, callbacks=[keras.callbacks.SwapEMAWeights()])


def test_averages_of_a_model_that_fit_builds():
    model = keras.Sequential([keras.layers.Dense(3, kernel_initializer="ones", use_bias=False)])
    model.compile(optimizer=pyadam.Adam(use_ema=True), loss="mse")
    model.fit(np.ones((1, 5)), np.zeros((1, 3)), verbose=0)
    np.testing.assert_array_equal(
        model.trainable_variables[0].numpy(), model.optimizer._model_variables_moving_average[0].numpy()
    )


def test_weights_without_an_update_are_not_overwritten_by_empty_averages():
    vs = variables((3,))
    before = values(vs)
    optimizer = pyadam.Adam(use_ema=True, gradient_accumulation_steps=2)
    optimizer.build(vs)
    optimizer.apply([tf.ones(3)], vs)
    optimizer.finalize_variable_values(vs)
    with optimizer.averaged_weights():
        np.testing.assert_array_equal(values(vs)[0], before[0])


def test_averaged_weights_come_and_go():
    optimizer = pyadam.Adam(0.1, use_ema=True, ema_momentum=0.5)
    vs = variables((3,))
    for _ in range(3):
        optimizer.apply([tf.ones(3)], vs)
    raw = values(vs)
    with pytest.raises(RuntimeError, match="inside"), optimizer.averaged_weights():  # noqa: PT012
        np.testing.assert_array_equal(vs[0].numpy(), optimizer._model_variables_moving_average[0].numpy())
        raise RuntimeError("inside")
    np.testing.assert_array_equal(values(vs)[0], raw[0])
    with pytest.raises(ValueError, match="use_ema=True"), pyadam.Adam().averaged_weights():
        pass


@pytest.mark.parametrize("build", [True, False])
def test_the_average_that_schedule_free_keeps_is_the_weighted_mean_of_its_steps(build):
    gradients = [tf.constant([1.0, -2.0]), tf.constant([0.5, 4.0]), tf.constant([-3.0, 1.0])]
    optimizer, vs = pyadam.ScheduleFreeAdamW(0.1, beta_1=0.7, warmup_steps=2), variables((2,))
    if build:
        optimizer.build(vs)
        vs[0].assign([3.0, 4.0])  # z starts where training does
    start, z = values(vs)[0], []
    with optimizer.averaged_weights():
        np.testing.assert_array_equal(values(vs)[0], start)
    for g in gradients:
        optimizer.apply([g], vs)
        z.append(next(v for v in optimizer.variables if "momentum" in v.path).numpy())
    raw = values(vs)[0]
    with optimizer.averaged_weights():
        mean = values(vs)[0]
    expected = np.average(z, axis=0, weights=[0.25, 1.0, 1.0])  # the squares of the rates
    np.testing.assert_allclose(mean, expected, rtol=1e-6)
    np.testing.assert_allclose(raw, 0.3 * z[-1] + 0.7 * expected, rtol=1e-6)
    np.testing.assert_array_equal(values(vs)[0], raw)


def test_a_later_variable_of_schedule_free_starts_from_its_weight():
    optimizer, (first, second) = pyadam.ScheduleFreeAdamW(0.1), variables((2,), (2,))
    for _ in range(3):
        optimizer.apply([tf.ones(2)], [first])
    before = second.numpy()
    optimizer.apply([tf.ones(2), tf.zeros(2)], [first, second])
    np.testing.assert_array_equal(second.numpy(), before)
