"""Sparse gradients: where rows without gradient stay as they are, a step touches the others alone, to the same bits."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import WIDTH, table

import pyadam
from pyadam.engine.lanes import SMALL

ROWS = 2 * SMALL
BY_ROWS = [
    ("SGD", {}),
    ("SGD", {"clipvalue": 0.5, "loss_scale_factor": 4.0}),
    ("Adagrad", {}),
    ("Adagrad", {"epsilon": 0.1}),
]
DENSE = [
    ("SGD", {"momentum": 0.9}),
    ("SGD", {"weight_decay": 0.1}),
    ("Adagrad", {"use_ema": True}),
    ("Adam", {}),
    ("SGD", {"global_clipnorm": 1.0}),
    ("SGD", {"gradient_accumulation_steps": 2}),
]


def slices(rng, n, dtype="float32"):
    rows = rng.integers(0, ROWS, n)
    rows[: n // 4] = rows[0]  # the same row more than once
    return tf.IndexedSlices(
        tf.constant(rng.standard_normal((n, WIDTH)), dtype), tf.constant(rows), tf.constant([ROWS, WIDTH])
    )


def seen(optimizer):
    """Whether the engine has gone by rows so far, for each kind of gradient that it met."""
    return {by_rows for _, given, *_ in optimizer._engine._steps for by_rows in given if by_rows is not None}


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize(("name", "arguments"), BY_ROWS)
def test_rows_move_as_in_a_dense_step(name, arguments, dtype):
    rng = np.random.default_rng(2)
    v, w = table(ROWS, dtype), table(ROWS, dtype)
    wide = "float64" if dtype == "float64" else "float32"
    by_rows, dense = (getattr(pyadam, name)(0.1, **arguments) for _ in range(2))
    for n in (7, 40, 1, 33):
        g = slices(rng, n, dtype)
        by_rows.apply([g], [v])
        dense.apply([tf.convert_to_tensor(tf.cast(g, wide))], [w])
    assert seen(by_rows) == {True}
    assert seen(dense) == {False}
    for a, b in zip([v, *by_rows.variables], [w, *dense.variables], strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(a), keras.ops.convert_to_numpy(b))


@pytest.mark.parametrize(("name", "arguments"), DENSE)
def test_where_every_row_moves_the_step_is_dense(name, arguments):
    optimizer = getattr(pyadam, name)(0.1, **arguments)
    optimizer.apply([slices(np.random.default_rng(2), 7)], [table(ROWS)])
    assert seen(optimizer) == {False}


def test_few_sizes_are_compiled():
    """Seven numbers of rows are four powers of two."""
    rng = np.random.default_rng(2)
    v, optimizer = table(ROWS), pyadam.SGD(0.1)
    for n in (5, 6, 7, 8, 3, 2, 1):
        optimizer.apply([slices(rng, n)], [v])
    (program,) = optimizer._engine.programs
    assert program.traces <= 4


def test_an_embedding_in_fit_and_beside_dense_weights():
    def trained(**arguments):
        keras.utils.set_random_seed(3)
        model = keras.Sequential([keras.layers.Embedding(ROWS, WIDTH), keras.layers.Flatten(), keras.layers.Dense(1)])
        model.compile(pyadam.Adagrad(0.1), "mse", **arguments)
        x = np.random.default_rng(4).integers(0, ROWS, (50, 4))
        model.fit(x, np.ones((50, 1)), batch_size=16, epochs=2, verbose=0)  # the last batch is smaller
        return model

    graph, eager = trained(), trained(run_eagerly=True)
    assert True in seen(graph.optimizer)
    for a, b in zip(graph.weights, eager.weights, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-7)


def test_no_rows_at_all_change_nothing_but_the_count():
    v, optimizer = table(ROWS), pyadam.SGD(0.1)
    before = v.numpy()
    empty = tf.IndexedSlices(tf.zeros((0, WIDTH)), tf.zeros([0], tf.int64), tf.constant([ROWS, WIDTH]))
    optimizer.apply([empty], [v])
    np.testing.assert_array_equal(v.numpy(), before)
    assert int(optimizer.iterations) == 1


def test_rows_of_another_width_are_refused():
    g = tf.IndexedSlices(tf.ones((2, WIDTH + 1)), tf.constant([0, 1]), tf.constant([ROWS, WIDTH + 1]))
    with pytest.raises(ValueError, match=rf"must have the variable's shape \({ROWS}, {WIDTH}\)"):
        pyadam.SGD().apply([g], [table(ROWS)])


SMALL_ROWS = 5


@pytest.mark.parametrize("name", ["SGD", "Adam"])
@pytest.mark.parametrize("rows", [ROWS, SMALL_ROWS])
def test_a_dense_shape_that_is_not_the_variables_is_refused(rows, name):
    v = keras.Variable(np.ones((rows, WIDTH)), name="table")
    g = tf.IndexedSlices(tf.ones((2, WIDTH)), tf.constant([0, 1]), tf.constant([9999, WIDTH]))
    words = rf"{name}: the gradient of table must have the variable's shape \({rows}, {WIDTH}\), got \(9999, {WIDTH}\)"
    with pytest.raises(ValueError, match=words):
        getattr(pyadam, name)().apply([g], [v])
    np.testing.assert_array_equal(v.numpy(), 1.0)


@pytest.mark.parametrize("name", ["SGD", "Adam"])
@pytest.mark.parametrize("rows", [ROWS, SMALL_ROWS])
@pytest.mark.parametrize("beyond", [False, True], ids=["negative", "too large"])
@pytest.mark.parametrize("graph", [False, True], ids=["eager", "graph"])
def test_an_index_that_is_no_row_is_refused_by_name(graph, beyond, rows, name):
    v = keras.Variable(np.ones((rows, WIDTH)), name="table")
    optimizer = getattr(pyadam, name)()
    optimizer.build([v])

    def step(indices):
        optimizer.apply([tf.IndexedSlices(tf.ones((2, WIDTH)), indices, tf.constant([rows, WIDTH]))], [v])

    indices = [0, rows] if beyond else [0, -1]
    got = rf"{min(indices)} ?to ?{max(indices)}" if not graph else rf"\[{min(indices)}\] \[to\] \[{max(indices)}\]"
    words = rf"{name}: the indices of the gradient of table must be in \[0, {rows - 1}\], got some from\]? {got}"
    if graph and (rows, name) == (ROWS, "SGD"):  # by rows
        words = rf"indices\[1\] = {indices[1]} is not in \[0, {rows}\)"
    with pytest.raises(tf.errors.InvalidArgumentError if graph else ValueError, match=words):
        (tf.function(step) if graph else step)(tf.constant(indices))
    np.testing.assert_array_equal(v.numpy(), 1.0)
    assert graph or int(optimizer.iterations) == 0


def test_slices_without_a_dense_shape_have_the_variables():
    v, w = table(ROWS), table(ROWS)
    whole = slices(np.random.default_rng(2), 7)
    pyadam.SGD(0.1).apply([tf.IndexedSlices(whole.values, whole.indices)], [v])
    pyadam.SGD(0.1).apply([whole], [w])
    np.testing.assert_array_equal(v.numpy(), w.numpy())
    small = keras.Variable(np.ones((SMALL_ROWS, WIDTH)))
    pyadam.Adam(0.1).apply([tf.IndexedSlices(tf.ones((1, WIDTH)), [2])], [small])
    np.testing.assert_allclose(small.numpy()[:, 0], [1.0, 1.0, 0.9, 1.0, 1.0], rtol=1e-6)
