"""What a step takes and does: inputs as users have them, one trace and one program, nothing copied."""

import re
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import pyadam
from pyadam import specs
from pyadam.cli.parity.compare import size, ulp
from pyadam.engine import compiler
from pyadam.engine.lanes import SMALL
from pyadam.rules import RULES

OPTIMIZERS = list(specs.SPECS)
RNG = np.random.default_rng(0)


def variables(*shapes, dtype="float32"):
    return [keras.Variable(RNG.normal(size=shape), dtype=dtype, name=f"v{i}") for i, shape in enumerate(shapes)]


def gradients_of(vs):
    return [tf.cast(RNG.normal(size=v.shape), v.dtype) for v in vs]


def values(vs):
    return [np.array(tf.cast(v if isinstance(v, tf.Variable) else v.value, tf.float64)) for v in vs]


def small_model(**compile_arguments):
    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, activation="tanh"), keras.layers.Dense(1)])
    model.compile(loss="mse", **compile_arguments)
    return model


def fit(model, epochs=2, **arguments):
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(64, 4)).astype("float32"), rng.normal(size=(64, 1)).astype("float32")
    return model.fit(x, y, epochs=epochs, batch_size=16, shuffle=False, verbose=0, **arguments)


# --- one trace, one program ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_one_trace_after_100_steps_with_changing_learning_rate(name):
    optimizer = getattr(pyadam, name)()
    vs = variables((3, 4), (4,))
    for i in range(100):
        optimizer.learning_rate = 0.1 / (i + 1)
        optimizer.apply(gradients_of(vs), vs)
    (program,) = optimizer._engine.programs
    assert program.traces == 1
    assert int(optimizer.iterations) == 100


def test_one_trace_in_fit_and_over_two_fits():
    model = small_model(optimizer=pyadam.Adam())
    fit(model)
    model.optimizer.learning_rate = 0.5
    fit(model)
    (program,) = model.optimizer._engine.programs
    assert program.traces == 1


def compiled(optimizer, vs, gs):
    optimizer.apply(gs, vs)
    if optimizer.gradient_accumulation_steps:
        optimizer.apply(gs, vs)
    return optimizer._engine.programs[0].hlo()


def loops(hlo):
    return len(re.findall(r" fusion\(", hlo[hlo.index("ENTRY") :]))


LARGE = (2 * SMALL // 64, 64)


EMA = {"weight_decay": 0.1, "use_ema": True, "ema_overwrite_frequency": 3}


@pytest.mark.parametrize("arguments", [{}, EMA, {"global_clipnorm": 1.0}, {"gradient_accumulation_steps": 2}])
def test_large_variables_are_updated_in_place_without_copies(arguments):
    vs = variables(LARGE, (2 * SMALL,))
    optimizer = pyadam.Adam(**arguments)
    hlo = compiled(optimizer, vs, gradients_of(vs))
    states = 3 + ("use_ema" in arguments)
    assert len(re.findall(r"may-alias|must-alias", hlo.splitlines()[0])) == states * len(vs)
    assert not re.search(r"= \S+ copy\(", hlo)


def test_plain_adam_is_three_loops_a_large_variable_and_one_for_the_scalars():
    vs = variables(LARGE, (2 * SMALL,), (4, 4, SMALL))
    assert loops(compiled(pyadam.Adam(), vs, gradients_of(vs))) == 3 * len(vs) + 1


def test_small_variables_share_their_loops():
    few, many = ([(3, 5)] * n for n in (2, 40))
    counts = [loops(compiled(pyadam.Adam(), vs, gradients_of(vs))) for vs in (variables(*few), variables(*many))]
    assert max(counts) <= 5


def test_small_variables_move_as_large_ones_do():
    """Each variable ends where it does alone, laid end to end with others or not."""
    shapes = [(3, 5), (7,), (), (SMALL + 1,), (0,), (2, 2)]
    together = variables(*shapes)
    apart = [keras.Variable(v) for v in together]
    optimizer = pyadam.Adam(0.01, weight_decay=0.1, use_ema=True, ema_overwrite_frequency=2)
    own = [pyadam.Adam(0.01, weight_decay=0.1, use_ema=True, ema_overwrite_frequency=2) for _ in shapes]
    for _ in range(5):
        gs = gradients_of(together)
        optimizer.apply(gs, together)
        for o, g, v in zip(own, gs, apart, strict=True):
            o.apply([g], [v])
    for a, b in zip(together, apart, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_state_is_two_slots_a_weight():
    vs = variables((10, 10), (10,))
    optimizer = pyadam.Adam()
    optimizer.build(vs)
    size = sum(np.prod(v.shape, dtype=int) * v.value.dtype.size for v in optimizer.variables[2:])
    assert size == 2 * 4 * 110


# --- compiled or not -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_compiled_and_uncompiled_agree_to_4_ulp_a_step(name, dtype):
    vs = variables((7, 5), (5,), (), dtype=dtype)
    pairs = [keras.Variable(v, dtype=dtype) for v in vs]
    fast = getattr(pyadam, name)(0.01, weight_decay=0.1)
    slow = getattr(pyadam, name)(0.01, weight_decay=0.1, jit_compile=False)
    fast.build(vs)
    slow.build(pairs)
    magnified = RULES[specs.SPECS[name]].magnified(fast._spec)
    for _ in range(20):
        gs = gradients_of(vs)
        before = [v.numpy() for v in vs]
        for a, b in zip([*vs, *fast.variables], [*pairs, *slow.variables], strict=True):
            b.assign(a)  # each step from the same weights and state
        fast.apply(gs, vs)
        slow.apply(gs, pairs)
        for old, a, b in zip(before, vs, pairs, strict=True):
            assert np.all(np.abs(a.numpy() - b.numpy()) <= 4 * ulp(size(old, a.numpy(), magnified), dtype))


def test_a_device_that_cannot_compile_falls_back_with_one_warning(monkeypatch):
    compiler.can_compile.cache_clear()
    tf_function = tf.function

    def refuse(function, jit_compile=None, **arguments):
        if jit_compile:
            raise tf.errors.UnimplementedError(None, None, "no compiler for this device")
        return tf_function(function, jit_compile=jit_compile, **arguments)

    monkeypatch.setattr(compiler.tf, "function", refuse)
    vs, optimizer = variables((2,)), pyadam.Adam(0.1)
    try:
        with pytest.warns(RuntimeWarning, match="no compiler for this device") as caught:  # noqa: PT031
            for _ in range(3):
                optimizer.apply(gradients_of(vs), vs)
            pyadam.Adam().apply(gradients_of(vs), vs)
        assert len(caught) == 1
        assert int(optimizer.iterations) == 3
    finally:
        compiler.can_compile.cache_clear()


# --- in Keras' own loop --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_fit_gives_the_same_weights_in_every_mode(name):
    ends = []
    for mode in ({}, {"jit_compile": True}, {"run_eagerly": True}, {"jit_compile": False}):
        model = small_model(optimizer=getattr(pyadam, name)(0.01, clipnorm=1.0), **mode)
        fit(model)
        ends.append(values(model.trainable_variables))
    for end in ends[1:]:
        for a, b in zip(ends[0], end, strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=2e-5)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_fit_agrees_with_keras(name):
    ends = []
    for module in (pyadam, keras.optimizers):
        model = small_model(optimizer=getattr(module, name)(0.01, global_clipnorm=1.0, weight_decay=0.01))
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


# --- inputs as users have them -------------------------------------------------------------------------------------------


def test_custom_loop_with_tape_and_tf_variable_in_graph_and_eager():
    ends = []
    for wrap in (lambda f: f, tf.function):
        w = tf.Variable([1.0, -2.0])
        optimizer = pyadam.Adam(0.1)

        @wrap
        def step(w=w, optimizer=optimizer):
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(w * w)
            optimizer.apply_gradients(zip(tape.gradient(loss, [w]), [w], strict=True))

        for _ in range(10):
            step()
        ends.append(w.numpy())
    np.testing.assert_array_equal(*ends)
    assert np.all(np.abs(ends[0]) < [1.0, 2.0])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_dtypes_of_weights_and_state(dtype):
    vs = variables((3,), dtype=dtype)
    optimizer = pyadam.Nadam(0.1, use_ema=True)
    optimizer.apply(gradients_of(vs), vs)
    assert vs[0].dtype == dtype
    state = "float64" if dtype == "float64" else "float32"
    assert {v.dtype for v in optimizer.variables[2:]} == {state}


def test_scalars_and_empty_variables():
    vs = variables((), (0,), (2, 0, 3))
    optimizer = pyadam.AdamW(0.1, global_clipnorm=1.0)
    optimizer.apply(gradients_of(vs), vs)
    assert [tuple(v.shape) for v in vs] == [(), (0,), (2, 0, 3)]
    assert np.isfinite(float(vs[0]))


def test_a_missing_gradient_leaves_its_variable_alone():
    vs = variables((2,), (2,))
    before = values(vs)
    with pytest.warns(UserWarning, match="Gradients do not exist for variables v1"):
        pyadam.AdamW(0.1).apply([tf.ones(2), None], vs)
    np.testing.assert_array_equal(values(vs)[1], before[1])
    assert not np.array_equal(values(vs)[0], before[0])


def test_variables_may_differ_from_call_to_call():
    a, b = variables((2,), (3,))
    optimizer = pyadam.Adam(0.1)
    for vs in ([a], [b], [a, b], [b, a]):
        optimizer.apply([tf.ones(v.shape) for v in vs], vs)
    assert int(optimizer.iterations) == 4
    order = [v.path.split("/")[-1] for v in optimizer.variables]
    assert order == ["iteration", "learning_rate", "v0_momentum", "v0_velocity", "v1_momentum", "v1_velocity"]


def test_averages_of_later_variables_keep_kerass_order():
    a, b = variables((2,), (3,))
    optimizer = pyadam.Adam(0.1, use_ema=True, amsgrad=True)
    optimizer.apply([tf.ones(2)], [a])
    optimizer.apply([tf.ones(2), tf.ones(3)], [a, b])
    reference = keras.optimizers.Adam(0.1, use_ema=True, amsgrad=True, name="adam")
    reference.build([a, b])
    assert [v.path for v in optimizer.variables] == [v.path for v in reference.variables]


def test_sparse_gradients_of_any_number_of_rows_share_one_program():
    (v,) = variables((6, 2))
    optimizer = pyadam.Adam(0.1, clipnorm=1.0)
    for rows in ([0], [1, 1, 3], [5, 4, 3, 2, 1]):
        optimizer.apply([tf.IndexedSlices(tf.ones((len(rows), 2)), tf.constant(rows), tf.constant([6, 2]))], [v])
    (program,) = optimizer._engine.programs
    assert program.traces == 1


def test_sparse_rows_are_merged_before_clipping():
    ends = []
    sparse = tf.IndexedSlices(tf.constant([[3.0], [3.0]]), tf.constant([0, 0]), tf.constant([2, 1]))
    for gradient in (sparse, tf.convert_to_tensor(sparse)):
        (v,) = [keras.Variable([[1.0], [1.0]])]
        pyadam.Adam(0.1, clipnorm=4.0, epsilon=1.0).apply([gradient], [v])
        ends.append(v.numpy())
    np.testing.assert_array_equal(*ends)


def test_nan_stays_in_its_element_unless_the_global_norm_is_clipped():
    for arguments, poisoned in (
        ({}, 1),
        ({"clipvalue": 1.0}, 1),
        ({"clipnorm": 1.0}, 1),
        ({"global_clipnorm": 1.0}, 4),
    ):
        for jit in (True, False):
            vs = [keras.Variable([1.0, 1.0]), keras.Variable([1.0, 1.0])]
            pyadam.Adam(0.1, jit_compile=jit, **arguments).apply([tf.constant([np.nan, 1.0]), tf.ones(2)], vs)
            assert sum(np.isnan(v.numpy()).sum() for v in vs) == poisoned, (arguments, jit)


def test_constraints_are_applied():
    v = keras.Variable([-1.0, 1.0])
    v.constraint = keras.constraints.NonNeg()
    pyadam.Adam(0.1).apply([tf.zeros(2)], [v])
    np.testing.assert_array_equal(v.numpy(), [0.0, 1.0])


def test_overwrite_with_gradient_with_and_without_accumulation():
    for every, expected in ((None, 1.0), (2, 2.0)):
        v, w = keras.Variable([5.0]), keras.Variable([5.0])
        v.overwrite_with_gradient = True
        optimizer = pyadam.Adam(0.1, gradient_accumulation_steps=every)
        for g in (2.0, 1.0) if every else (1.0,):
            optimizer.apply([tf.constant([g]), tf.constant([g])], [v, w])
        assert float(v[0]) == expected
        assert float(w[0]) < 5.0


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize(
    "arguments",
    [{}, {"clipnorm": 0.5, "weight_decay": 0.1}, {"global_clipnorm": 0.5, "use_ema": True}, {"clipvalue": 0.1}],
)
def test_micro_batches_equal_one_large_batch(name, arguments):
    many = [keras.Variable([1.0, 2.0]), keras.Variable(3.0)]
    once = [keras.Variable([1.0, 2.0]), keras.Variable(3.0)]
    accumulating = getattr(pyadam, name)(0.1, gradient_accumulation_steps=4, **arguments)
    plain = getattr(pyadam, name)(0.1, **arguments)
    for _ in range(3):
        micro = [gradients_of(many) for _ in range(4)]
        for gs in micro:
            accumulating.apply(gs, many)
        plain.apply([tf.add_n(list(column)) / 4 for column in zip(*micro, strict=True)], once)
    for a, b in zip(many, once, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-6)
    for a, b in zip(accumulating._model_variables_moving_average, plain._model_variables_moving_average, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-6)
    assert int(accumulating.iterations) == int(plain.iterations) == 3


def test_accumulation_counts_a_missing_gradient_as_zero():
    a, b = keras.Variable([1.0]), keras.Variable([1.0])
    optimizer = pyadam.Adam(0.1, gradient_accumulation_steps=2)
    optimizer.apply([tf.ones(1), tf.ones(1)], [a, b])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        optimizer.apply([tf.ones(1), None], [a, b])
    reference = keras.Variable([1.0])
    pyadam.Adam(0.1).apply([tf.constant([0.5])], [reference])
    np.testing.assert_array_equal(b.numpy(), reference.numpy())


def test_loss_scale_is_taken_out_again():
    a, b = keras.Variable([1.0]), keras.Variable([1.0])
    scaled = pyadam.Adam(0.1, loss_scale_factor=1024.0, clipnorm=0.5)
    assert float(scaled.scale_loss(tf.constant(2.0))) == 2048.0
    scaled.apply([tf.constant([1024.0])], [a])
    pyadam.Adam(0.1, clipnorm=0.5).apply([tf.constant([1.0])], [b])
    np.testing.assert_array_equal(a.numpy(), b.numpy())
