"""A step is traced once, is one program, gives the same numbers compiled or not, and accepts inputs as users have them."""

import re
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from family import EVERY, ONE_OF_EACH_KIND
from helpers import gradients_of, values, variables

import pyadam
from pyadam import specs
from pyadam.engine import compiler
from pyadam.engine.lanes import SMALL
from pyadam.optimizers import RULES
from pyadam.optimizers.numerics import rounded
from pyadam.parity.compare import size, ulp

# --- one trace, one program ----------------------------------------------------------------------------------------------


@pytest.mark.sample(3)
@pytest.mark.parametrize("name", ONE_OF_EACH_KIND)
def test_one_trace_after_100_steps_with_changing_learning_rate(name):
    optimizer = getattr(pyadam, name)()
    vs = variables((3, 4), (4,))
    for i in range(100):
        optimizer.learning_rate = 0.1 / (i + 1)
        optimizer.apply(gradients_of(vs), vs)
    (program,) = optimizer._engine.programs
    assert program.traces == 1
    assert int(optimizer.iterations) == 100


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


def test_plain_adam_is_three_loops_a_large_variable_and_two_for_the_scalars():
    vs = variables(LARGE, (2 * SMALL,), (4, 4, SMALL))
    assert loops(compiled(pyadam.Adam(), vs, gradients_of(vs))) == 3 * len(vs) + 2


def test_small_variables_share_their_loops():
    few, many = ([(3, 5)] * n for n in (2, 40))
    counts = [loops(compiled(pyadam.Adam(), vs, gradients_of(vs))) for vs in (variables(*few), variables(*many))]
    assert max(counts) <= 5


def test_small_variables_move_as_large_ones_do():
    """Each variable ends where it does alone, whether or not it is concatenated with others."""
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


CANCELS = {"rho": 0.06, "centered": True}  # the squared mean is most of the mean square


@pytest.mark.sample(2)
@pytest.mark.parametrize(("name", "arguments"), [*((name, {}) for name in EVERY), ("RMSprop", CANCELS)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_compiled_and_uncompiled_agree_to_4_ulp_a_step(name, arguments, dtype):
    vs = variables((7, 5), (5,), (), dtype=dtype)
    pairs = [keras.Variable(v, dtype=dtype) for v in vs]
    fast = getattr(pyadam, name)(0.01, weight_decay=0.1, **arguments)
    slow = getattr(pyadam, name)(0.01, weight_decay=0.1, jit_compile=False, **arguments)
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


def averages(optimizer):
    return optimizer._model_variables_moving_average if optimizer.use_ema else []


def test_variables_may_differ_from_call_to_call():
    a, b = variables((2,), (3,))
    optimizer = pyadam.Adam(0.1)
    for vs in ([a], [b], [a, b], [b, a]):
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            optimizer.apply([tf.ones(v.shape) for v in vs], vs)
        assert [("none with these variables" in str(w.message)) for w in said] == [True] * (
            vs[-1] is b and len(vs) == 1
        )
    assert int(optimizer.iterations) == 4
    order = [v.path.split("/")[-1] for v in optimizer.variables]
    assert order == ["iteration", "learning_rate", "v0_momentum", "v0_velocity", "v1_momentum", "v1_velocity"]


def test_averages_of_later_variables_keep_kerass_order():
    a, b = variables((2,), (3,))
    optimizer = pyadam.Adam(0.1, use_ema=True, amsgrad=True)
    optimizer.apply([tf.ones(2)], [a])
    optimizer.apply([tf.ones(2), tf.ones(3)], [a, b])
    reference = keras.optimizers.Adam(0.1, use_ema=True, amsgrad=True, name=optimizer.name)
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


@pytest.mark.sample(2)
@pytest.mark.parametrize("name", ONE_OF_EACH_KIND)
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
    for a, b in zip(averages(accumulating), averages(plain), strict=True):
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


@pytest.mark.parametrize("limit", ["clipvalue", "clipnorm", "global_clipnorm"])
def test_a_replaced_variable_is_neither_clipped_nor_counted(limit):
    replaced, v, alone = (keras.Variable([1.0]) for _ in range(3))
    replaced.overwrite_with_gradient = True
    pyadam.SGD(0.1, **{limit: 1.0}).apply([tf.constant([50.0]), tf.constant([0.5])], [replaced, v])
    pyadam.SGD(0.1, **{limit: 1.0}).apply([tf.constant([0.5])], [alone])
    assert float(replaced[0]) == 50.0
    assert float(v[0]) == float(alone[0])


def test_a_hidden_zero_of_a_branch_is_not_used_outside_of_it():
    """TensorFlow's graphs of branches have the collections of the graph around them."""

    @tf.function(autograph=False)
    def f(x, t):
        branch = tf.cond(x > 0.0, lambda: rounded(x, t), lambda: rounded(-x, t))
        return branch + rounded(x, t)

    assert f(tf.constant(2.0), tf.constant(1)) == 4.0
