"""Updating the rows of a sparse gradient separately gives the bits of the dense step, and copies no table."""

import math
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from family import EVERY
from helpers import WIDTH, assert_same, table, values

import pyadam
import pyadam.tf_keras
from pyadam.engine.gradients import prepare
from pyadam.engine.lanes import SMALL
from pyadam.optimizers import RULES, SPECS
from pyadam.optimizers.sparse import Way

ROWS = 2 * SMALL
EACH = {name: RULES[SPECS[name]] for name in EVERY}
ALONE = [
    ("SGD", {}),
    ("SGD", {"clipvalue": 0.5, "loss_scale_factor": 4.0}),
    ("Adagrad", {}),
    ("Adagrad", {"epsilon": 0.1}),
]
WITH_ALL_ROWS = [
    ("SGD", {"momentum": 0.9, "nesterov": True}),
    ("SGD", {"weight_decay": 0.1}),
    ("Adagrad", {"use_ema": True}),
    ("Adam", {"amsgrad": True, "clipvalue": 0.5, "loss_scale_factor": 4.0}),
    ("AdamW", {"use_ema": True}),
    ("RMSprop", {"centered": True, "momentum": 0.9}),
    *(
        (name, {})
        for name, rule in EACH.items()
        if rule.elementwise and rule.single_pass and not (rule.idle(SPECS[name]()) or rule.lazy)
    ),
]
BY_ROWS = ALONE + WITH_ALL_ROWS
DENSE = [
    ("SGD", {"global_clipnorm": 1.0}),
    ("Adam", {"clipnorm": 1.0}),
    ("Adam", {"gradient_accumulation_steps": 2}),
    ("Adam", {"slot_dtype": "bfloat16"}),
    ("Adam", {"jit_compile": False}),
    ("Adam", {"use_ema": True, "ema_overwrite_frequency": 2}),
    *((name, {}) for name, rule in EACH.items() if not (rule.elementwise and rule.single_pass)),
]


def slices(rng, n, dtype="float32"):
    rows = rng.integers(0, ROWS, n)
    rows[: n // 4] = rows[:1]  # with repeated rows
    return tf.IndexedSlices(
        tf.constant(rng.standard_normal((n, WIDTH)), dtype), tf.constant(rows), tf.constant([ROWS, WIDTH])
    )


def seen(optimizer):
    """How all gradients so far were handled."""
    return set().union(*optimizer._engine._seen.values())


LONG = [pytest.param(dtype, marks=pytest.mark.long) for dtype in ("float64", "float16")]


@pytest.mark.sample(2)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", *LONG])
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
    assert seen(by_rows) == {Way.ROWS if (name, arguments) in ALONE else Way.ALL_ROWS}
    assert seen(dense) == {Way.DENSE}
    assert_same(values([v, *by_rows.variables]), values([w, *dense.variables]))


@pytest.mark.parametrize("name", ["Adagrad", "Adam"])
def test_a_constraint_sees_all_rows(name):
    v, w = table(ROWS), table(ROWS)
    v.constraint = w.constraint = keras.constraints.MaxNorm(20.0)
    by_rows, dense = (getattr(pyadam, name)(0.1) for _ in range(2))
    rng = np.random.default_rng(2)
    for n in (7, 40):
        g = slices(rng, n)
        by_rows.apply([g], [v])
        dense.apply([tf.convert_to_tensor(g)], [w])
    assert seen(by_rows).isdisjoint(seen(dense))
    assert_same(values([v, *by_rows.variables]), values([w, *dense.variables]))
    np.testing.assert_allclose(np.linalg.norm(v.numpy(), axis=0), 20.0, rtol=1e-5)


@pytest.mark.sample(1)
@pytest.mark.parametrize("host", ["Keras 3", "tf_keras"])
@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("graph", [False, True])
def test_two_tables_beside_other_weights_in_both_generations(graph, scaled, host):
    """One table is excluded from weight decay; the other variables are dense: a large one, and two small ones in an arena."""
    module, variable = (pyadam, keras.Variable) if host == "Keras 3" else (pyadam.tf_keras, tf.Variable)
    shapes = ((ROWS, WIDTH), (2 * ROWS, WIDTH), (100, 100), (5,), (2, 2))

    def trained(sparse):
        rng = np.random.default_rng(3)
        vs = [variable(rng.standard_normal(s).astype("float32"), name=f"v{i}") for i, s in enumerate(shapes)]
        inner = optimizer = module.SGD(0.1, weight_decay=0.1)
        inner.exclude_from_weight_decay(var_names=["v0"])
        if scaled:
            optimizer = module.LossScaleOptimizer(inner, initial_scale=1.0)
        optimizer.build(vs)

        def step(indices, rows):
            slices = [tf.IndexedSlices(rows, indices, tf.constant(list(v.shape))) for v in vs[:2]]
            gradients = slices if sparse else [tf.convert_to_tensor(g) for g in slices]
            optimizer.apply_gradients(list(zip([*gradients, *(tf.ones(v.shape) for v in vs[2:])], vs, strict=True)))

        step = tf.function(step) if graph else step
        for n in (9, 9, 30):
            step(tf.constant(rng.integers(0, ROWS, n)), tf.constant(rng.standard_normal((n, WIDTH)), tf.float32))
        return inner, [np.array(v) for v in [*vs, *optimizer.variables]]

    (by_rows, found), (dense, right) = trained(True), trained(False)
    assert seen(by_rows) == set(Way)
    assert seen(dense) == {Way.DENSE}
    assert_same(found, right)


@pytest.mark.parametrize("name", ["Adagrad", "Adam"])
def test_a_number_of_rows_that_is_large_after_all(name):
    """In a graph traced before it was known."""
    rows = 4 * 4096
    v, w = table(rows), table(rows)
    by_rows, dense = (getattr(pyadam, name)(0.1) for _ in range(2))
    rng = np.random.default_rng(5)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int64), tf.TensorSpec([None, WIDTH], tf.float32)])
    def step(indices, drawn):
        by_rows.apply([tf.IndexedSlices(drawn, indices, tf.constant([rows, WIDTH]))], [v])

    for n in (3, rows // 4, rows // 4 + 1, rows + 1, 2 * rows, 3):
        g = tf.IndexedSlices(
            tf.constant(rng.standard_normal((n, WIDTH)), tf.float32),
            tf.constant(rng.integers(0, rows, n)),
            tf.constant([rows, WIDTH]),
        )
        step(g.indices, g.values)
        dense.apply([tf.convert_to_tensor(g)], [w])
    assert seen(by_rows).isdisjoint(seen(dense))
    assert_same(values([v, *by_rows.variables]), values([w, *dense.variables]))


@pytest.mark.sample(3)
@pytest.mark.parametrize(("name", "arguments"), BY_ROWS)
def test_no_gradient_of_all_rows_is_made(name, arguments):
    """Besides the rows a program takes only state, in place; if the other rows stay, not even that."""
    optimizer = getattr(pyadam, name)(0.1, **arguments)
    optimizer.apply([slices(np.random.default_rng(2), 7)], [table(ROWS)])
    (program,) = optimizer._engine.programs
    hlo = program.hlo()
    states = sum(math.prod(v.shape) == ROWS * WIDTH for v in optimizer.variables) + 1
    entry = hlo[hlo.index("\nENTRY") :]
    made = re.findall(rf" = \w+\[{ROWS},{WIDTH}\]\S* (\w+)\(", entry)
    assert sorted(made) == ([] if (name, arguments) in ALONE else ["fusion"] * states + ["parameter"] * states)
    assert not re.search(rf"\[{ROWS},{WIDTH}\]\S* copy\(", hlo)


# --- in a train step that XLA compiles as a whole --------------------------------------------------------------------------


def jitted(optimizer, v, known, dense):
    """A compiled step by the gradient of some rows, whose number is known beforehand or not."""
    n, dtype = (7 if known else None), v.dtype
    signature = [tf.TensorSpec([n], tf.int64), tf.TensorSpec([n, WIDTH], dtype)]

    def step(indices, drawn):
        g = tf.IndexedSlices(tf.cast(drawn, "float32" if dense else dtype), indices, tf.constant([ROWS, WIDTH]))
        optimizer.apply([tf.convert_to_tensor(g) if dense else g], [v])

    optimizer.build([v])
    return tf.function(step, signature, jit_compile=True, autograph=False)


@pytest.mark.sample(2)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(("name", "arguments"), [*ALONE, ("LazyAdam", {"clipnorm": 1.0}), ("Adam", {})])
def test_rows_in_a_compiled_step(name, arguments, known, dtype):
    """The bits are those of the step outside and of a dense one, whatever rows repeat."""
    vs = [tf.Variable(table(ROWS, dtype)) for _ in range(3)]
    each = [getattr(pyadam, name)(0.1, **arguments) for _ in vs]
    inside, whole = jitted(each[0], vs[0], known, False), jitted(each[1], vs[1], known, True)
    rng = np.random.default_rng(2)
    for n in (7, 7) if known else (7, 40, 1, 0):
        g = slices(rng, n, dtype)
        inside(g.indices, g.values)
        whole(g.indices, g.values)
        each[2].apply([g], [vs[2]])
    assert seen(each[0]) == {Way.DENSE if name == "Adam" else Way.ROWS}
    assert_same(values([vs[0], *each[0].variables]), values([vs[2], *each[2].variables]))
    if name != "LazyAdam":
        assert_same(values([vs[0], *each[0].variables]), values([vs[1], *each[1].variables]))


@pytest.mark.parametrize("name", ["SGD", "Adagrad", "LazyAdam"])
def test_in_a_compiled_step_an_index_that_is_no_row_counts_for_nothing(name):
    """There are no assertions in it. A dense gradient leaves them out, too."""
    given, drawn = [5, -1, ROWS, ROWS - 1, 2**32 + 5, 0, 5], slices(np.random.default_rng(2), 7).values
    v, w = tf.Variable(table(ROWS)), tf.Variable(table(ROWS))
    inside, outside = getattr(pyadam, name)(0.1), getattr(pyadam, name)(0.1)
    jitted(inside, v, True, False)(tf.constant(given, tf.int64), drawn)
    rows = [0, 3, 5, 6]
    outside.apply([tf.IndexedSlices(tf.gather(drawn, rows), tf.gather(given, rows), tf.constant([ROWS, WIDTH]))], [w])
    assert_same(values([v, *inside.variables]), values([w, *outside.variables]))


@pytest.mark.parametrize("name", ["SGD", "Adagrad", "LazyAdam"])
def test_a_compiled_step_makes_nothing_of_the_tables_size(name):
    """It overwrites rows in place."""
    v, optimizer = tf.Variable(table(ROWS)), getattr(pyadam, name)(0.1)
    step, g = jitted(optimizer, v, True, False), slices(np.random.default_rng(2), 7)
    step(g.indices, g.values)
    hlo = step.experimental_get_compiler_ir(g.indices, g.values)(stage="optimized_hlo")
    entry = hlo[hlo.index("\nENTRY") :]
    made = re.findall(rf" = \w+\[{ROWS},{WIDTH}\]\S* ([\w-]+)\((.*)", entry)
    states = sum(math.prod(x.shape) == ROWS * WIDTH for x in optimizer.variables) + 1
    assert [kind for kind, _ in made].count("parameter") == states
    assert len(made) == 2 * states, made  # and each new one
    assert not re.search(rf"\[{ROWS},{WIDTH}\]\S* (copy|broadcast)\(", hlo)


@pytest.mark.parametrize(("name", "arguments"), DENSE)
def test_where_rows_can_not_be_told_apart_the_step_is_dense(name, arguments):
    optimizer = getattr(pyadam, name)(0.1, **arguments)
    optimizer.apply([slices(np.random.default_rng(2), 7)], [table(ROWS)])
    assert seen(optimizer) == {Way.DENSE}


@pytest.mark.parametrize(("n", "apart"), [(0, True), (ROWS // 4, True), (ROWS // 4 + 1, False)])
def test_where_the_other_rows_move_too_only_few_are_worth_it(n, apart):
    for name, expected in (("Adam", Way.ALL_ROWS if apart else Way.DENSE), ("Adagrad", Way.ROWS)):
        optimizer = getattr(pyadam, name)(0.1)
        optimizer.apply([slices(np.random.default_rng(2), n)], [table(ROWS)])
        assert seen(optimizer) == {expected}


@pytest.mark.parametrize(("rows", "apart"), [(4 * 4096, True), (4 * 4096 - 1, False)])
def test_a_number_of_rows_that_is_not_known_is_taken_for_4096(rows, apart):
    v, optimizer = table(rows), pyadam.Adam(0.1)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32)])
    def step(indices):
        optimizer.apply(
            [tf.IndexedSlices(tf.ones([tf.size(indices), WIDTH]), indices, tf.constant([rows, WIDTH]))], [v]
        )

    step(tf.constant([3, 1, 3]))
    assert seen(optimizer) == {Way.ALL_ROWS if apart else Way.DENSE}


def test_many_rows_become_dense_where_only_the_run_shows_their_number():
    """Nothing is looked up in lists of rows, gathered or scattered, but for one."""
    rows = 4 * 4096
    v = tf.Variable(tf.zeros([rows, WIDTH]))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int64)])
    def prepared(indices):
        g = tf.IndexedSlices(tf.ones([tf.size(indices), WIDTH]), indices, tf.constant([rows, WIDTH]))
        return prepare("", "", v, g, Way.ALL_ROWS)

    few, many = (prepared(tf.range(n, dtype=tf.int64) // 2) for n in (4096, 4097))
    assert [tuple(x.shape) for x in few] == [(4096, WIDTH), (4096,), (), (0, WIDTH)]
    assert int(few.count) == 2048
    assert [tuple(x.shape) for x in many] == [(1, WIDTH), (1,), (), (rows, WIDTH)]
    assert int(many.count) == 0
    assert float(tf.reduce_sum(many.whole)) == 4097 * WIDTH


def test_few_sizes_are_compiled():
    """Seven row counts need four powers of two."""
    rng = np.random.default_rng(2)
    v, optimizer = table(ROWS), pyadam.SGD(0.1)
    for n in (5, 6, 7, 8, 3, 2, 1):
        optimizer.apply([slices(rng, n)], [v])
    (program,) = optimizer._engine.programs
    assert program.traces == 4


def test_the_size_is_that_of_the_rows_as_given_known_beforehand_or_not():
    """Unless the variable has fewer."""

    def size(indices):
        given = tf.IndexedSlices(tf.ones([tf.size(indices), WIDTH]), indices, tf.constant([ROWS, WIDTH]))
        return tf.shape(prepare("", "", v, given, Way.ROWS).values)[0]

    v = tf.Variable(tf.zeros([ROWS, WIDTH]))
    unknown = tf.function(size, input_signature=[tf.TensorSpec([None], tf.int32)])
    for n in [*range(18), ROWS - 1, ROWS, ROWS + 1, 3 * ROWS]:
        repeated = tf.range(n) // 2 % ROWS
        assert int(size(repeated)) == int(unknown(repeated)) == min(1 << max(n - 1, 0).bit_length(), ROWS)


@pytest.mark.sample(1)
@pytest.mark.parametrize(("name", "rows"), [("Adagrad", ROWS), ("Adam", 2 * ROWS)])
def test_an_embedding_in_fit_and_beside_dense_weights(name, rows):
    def trained(**arguments):
        keras.utils.set_random_seed(3)
        model = keras.Sequential([keras.layers.Embedding(rows, WIDTH), keras.layers.Flatten(), keras.layers.Dense(1)])
        model.compile(getattr(pyadam, name)(0.1), "mse", **arguments)
        x = np.random.default_rng(4).integers(0, rows, (50, 4))
        model.fit(x, np.ones((50, 1)), batch_size=16, epochs=2, verbose=0)  # the last batch is smaller
        return model

    graph, eager = trained(), trained(run_eagerly=True)
    assert (Way.ROWS if name == "Adagrad" else Way.ALL_ROWS) in seen(graph.optimizer)
    for a, b in zip(graph.weights, eager.weights, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_no_rows_at_all_change_nothing_but_the_count(name):
    v, optimizer = table(ROWS), getattr(pyadam, name)(0.1)
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
    if graph and (rows, name) == (ROWS, "SGD"):  # row by row only
        words = rf"indices\[1\] = {indices[1]} is not in \[0, {rows}\)"
    with pytest.raises(tf.errors.InvalidArgumentError if graph else ValueError, match=words):
        (tf.function(step) if graph else step)(tf.constant(indices))
    np.testing.assert_array_equal(v.numpy(), 1.0)
    assert int(optimizer.iterations) == 0


def test_slices_without_a_dense_shape_have_the_variables():
    v, w = table(ROWS), table(ROWS)
    whole = slices(np.random.default_rng(2), 7)
    pyadam.SGD(0.1).apply([tf.IndexedSlices(whole.values, whole.indices)], [v])
    pyadam.SGD(0.1).apply([whole], [w])
    np.testing.assert_array_equal(v.numpy(), w.numpy())
    small = keras.Variable(np.ones((SMALL_ROWS, WIDTH)))
    pyadam.Adam(0.1).apply([tf.IndexedSlices(tf.ones((1, WIDTH)), [2])], [small])
    np.testing.assert_allclose(small.numpy()[:, 0], [1.0, 1.0, 0.9, 1.0, 1.0], rtol=1e-6)


@pytest.mark.sample(4)
@pytest.mark.parametrize("host", ["Keras 3", "tf_keras"])
@pytest.mark.parametrize("jit_compile", [True, False])
@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("name", ["Adam", "LazyAdam", "Muon", "SGD"])
def test_nothing_changes_where_a_graph_finds_that_an_index_is_no_row(name, scaled, jit_compile, host):
    """The count of steps had gone on and, uncompiled, the other variables had moved: nothing waited for the check."""
    ours, made = (pyadam.tf_keras, tf.Variable) if host == "tf_keras" else (pyadam, keras.Variable)
    vs = made(tf.ones((4, 3)), name="table"), made(tf.ones(3), name="bias")
    optimizer = getattr(ours, name)(0.1, jit_compile=jit_compile)
    optimizer = ours.LossScaleOptimizer(optimizer) if scaled else optimizer

    @tf.function
    def step(indices):
        sparse = tf.IndexedSlices(tf.ones((2, 3)), indices, tf.constant([4, 3]))
        optimizer.apply_gradients([(sparse, vs[0]), (tf.ones(3), vs[1])])

    step(tf.constant([0, 3]))
    before = values([*vs, *optimizer.variables])
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"indices of the gradient of|is not in \[0, 4\)"):
        step(tf.constant([0, 4]))
    assert_same(values([*vs, *optimizer.variables]), before)
    step(tf.constant([0, 3]))
