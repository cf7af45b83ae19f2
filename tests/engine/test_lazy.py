"""LazyAdam moves the rows of a sparse gradient as Adam does and no others; on dense gradients it is Adam."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from helpers import WIDTH, assert_same, gradients_of, table, values, variables

import pyadam
import pyadam.tf_keras
from pyadam.engine.lanes import SMALL
from pyadam.parity.inputs import Slices
from pyadam.parity.oracle import Oracle
from pyadam.specs import LazyAdam, arguments

SIZES = {"small": 8, "large": SMALL}  # row counts of a table in an arena, and of one outside
STEPS = [[1, 1, 3], [3, 0], [5, 1, 1, 1, 5], [2]]  # the rows with a gradient
ARGUMENTS = [
    {},
    {"amsgrad": True, "weight_decay": 0.1},
    {"clipnorm": 0.5},
    {"clipvalue": 0.3, "weight_decay": 0.1},
    {"global_clipnorm": 0.5, "jit_compile": False},
    {"loss_scale_factor": 8.0, "gradient_accumulation_steps": 1},
]
GENERATIONS = {
    "Keras 3": (pyadam, lambda value, dtype: keras.Variable(value, dtype=dtype)),
    "tf_keras": (pyadam.tf_keras, lambda value, dtype: tf.Variable(value, dtype=dtype)),
}
CASES = [("Keras 3", "float32", size, given) for size in SIZES for given in ARGUMENTS]
CASES += [("tf_keras", "float64", size, ARGUMENTS[1]) for size in SIZES]


def sparse(named, rows, dtype="float32"):
    """A gradient with values for these rows."""
    drawn = np.random.default_rng(len(named)).standard_normal((len(named), WIDTH))
    return tf.IndexedSlices(tf.constant(drawn, dtype), tf.constant(named, tf.int64), tf.constant([rows, WIDTH]))


# --- what moves ----------------------------------------------------------------------------------------------------------


@pytest.mark.sample(2)
@pytest.mark.parametrize(("generation", "dtype", "size", "given"), CASES, ids=str)
def test_rows_with_a_gradient_follow_the_oracle_and_the_others_keep_their_bits(generation, dtype, size, given):
    (module, variable), rows = GENERATIONS[generation], SIZES[size]
    rng = np.random.default_rng(7)
    vs = [variable(rng.standard_normal(shape), dtype) for shape in ((rows, WIDTH), (4,), (2, 2))]
    defaults = {name: field.default for name, field in arguments(LazyAdam).items()}
    truth = Oracle("LazyAdam", defaults | {"learning_rate": 0.1} | given, [v.numpy() for v in vs], [dtype] * 3)
    optimizer = module.LazyAdam(0.1, **given)
    optimizer.build(vs)
    slots = list(optimizer.variables)[-len(truth.state()[2:]) :]
    tables = [v for v in (*vs, *slots) if tuple(v.shape) == (rows, WIDTH)]
    assert len(tables) == 3 + ("amsgrad" in given)
    for step, named in enumerate(STEPS, start=1):
        before, g = [v.numpy() for v in tables], sparse(named, rows, dtype)
        dense = [np.full(v.shape, 0.1 * step) for v in vs[1:]]
        optimizer.apply_gradients(list(zip([g, *(tf.constant(d, dtype) for d in dense)], vs, strict=True)))
        truth([Slices(g.values.numpy().astype("float64"), g.indices.numpy(), (rows, WIDTH)), *dense])
        idle = np.setdiff1d(np.arange(rows), named)
        for old, new in zip(before, (v.numpy() for v in tables), strict=True):
            np.testing.assert_array_equal(new[idle], old[idle])
    for found, right in zip([*vs, *slots], [*truth.weights, *truth.state()[2:]], strict=True):
        tolerance = 1e-9 if dtype == "float64" else 1e-5
        np.testing.assert_allclose(found.numpy(), right, rtol=tolerance, atol=0.1 * tolerance)


@pytest.mark.parametrize("rows", SIZES.values(), ids=SIZES)
def test_rows_of_the_same_index_are_summed(rows):
    ends = []
    for indices, given in (([1, 4, 1], [1.0, 3.0, 2.0]), ([4, 1], [3.0, 3.0])):
        v, optimizer = table(rows), pyadam.LazyAdam(0.1)
        g = tf.constant(given)[:, None] * tf.ones([1, WIDTH])
        optimizer.apply([tf.IndexedSlices(g, tf.constant(indices))], [v])
        ends.append(values([v, *optimizer.variables]))
    assert_same(*ends)


@pytest.mark.parametrize("arguments", [{}, {"clipvalue": 0.5, "weight_decay": 0.1, "amsgrad": True}], ids=str)
@pytest.mark.parametrize("rows", SIZES.values(), ids=SIZES)
def test_a_gradient_of_all_rows_moves_them_as_adam_does(rows, arguments):
    v, w = table(rows), table(rows)
    lazy, adam = pyadam.LazyAdam(0.1, **arguments), pyadam.Adam(0.1, **arguments)
    for step in range(1, 4):
        g = sparse(list(np.random.default_rng(step).permutation(rows)), rows)
        lazy.apply([g], [v])
        adam.apply([tf.convert_to_tensor(g)], [w])
    assert_same(values([v, *lazy.variables]), values([w, *adam.variables]))


@pytest.mark.parametrize(
    "arguments",
    [{}, {"global_clipnorm": 0.5, "use_ema": True}, {"gradient_accumulation_steps": 2, "weight_decay": 0.1}],
    ids=str,
)
def test_dense_gradients_make_it_adam_to_the_bit(arguments):
    vs = variables((3, 4), (5,), (SMALL + 1,))
    vs[1].constraint = keras.constraints.NonNeg()
    ws = [keras.Variable(v) for v in vs]
    ws[1].constraint = vs[1].constraint
    lazy, adam = pyadam.LazyAdam(0.1, **arguments), pyadam.Adam(0.1, **arguments)
    for _ in range(4):
        gs = gradients_of(vs)
        lazy.apply(gs, vs)
        adam.apply(gs, ws)
    assert_same(values([*vs, *lazy.variables]), values([*ws, *adam.variables]))


def test_a_variable_may_have_a_sparse_a_dense_and_no_gradient_in_turn():
    vs = [table(8), *variables((4,))]
    optimizer = pyadam.LazyAdam(0.1)
    defaults = {name: field.default for name, field in arguments(LazyAdam).items()}
    truth = Oracle("LazyAdam", defaults | {"learning_rate": 0.1}, values(vs), ["float32"] * 2)
    ones = tf.ones(4)
    for named in STEPS:
        g = sparse(named, 8)
        optimizer.apply([g, ones], vs)
        optimizer.apply([tf.convert_to_tensor(g), ones], vs)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            optimizer.apply([None, ones], vs)
        rows = Slices(g.values.numpy().astype("float64"), g.indices.numpy(), (8, WIDTH))
        for given in (rows, rows.dense(), None):
            truth([given, np.ones(4)])
    for found, right in zip(values(vs), truth.weights, strict=True):
        np.testing.assert_allclose(found, right, rtol=1e-5, atol=1e-6)


def test_elements_of_a_vector_are_rows():
    vs = variables((6,), (3,))
    before = values(vs)
    optimizer = pyadam.LazyAdam(0.1, epsilon=0.0)
    optimizer.apply([tf.IndexedSlices(tf.constant([2.0, -3.0]), tf.constant([4, 1])), tf.ones(3)], vs)
    np.testing.assert_allclose(values(vs)[0] - before[0], [0, 0.1, 0, 0, -0.1, 0], atol=1e-6)


def test_no_rows_at_all_change_nothing_but_the_count():
    for rows in SIZES.values():
        v, optimizer = table(rows), pyadam.LazyAdam(0.1, weight_decay=0.1)
        optimizer.apply([sparse([1], rows)], [v])
        before = values([v, *optimizer.variables])
        optimizer.apply([sparse([], rows)], [v])
        after = values([v, *optimizer.variables])
        assert after.pop(1) == before.pop(1) + 1
        assert_same(after, before)


def test_the_program_sees_no_more_than_the_rows():
    optimizer = pyadam.LazyAdam(0.1, weight_decay=0.1, global_clipnorm=1.0)
    optimizer.apply([sparse([7, 1, 5], SMALL)], [table(SMALL)])
    (program,) = optimizer._engine.programs
    assert f"f32[4,{WIDTH}]" in program.hlo()
    assert f"[{SMALL}," not in program.hlo()


# --- in use --------------------------------------------------------------------------------------------------------------


def embedding_model(optimizer, host=keras, **compile_arguments):
    host.utils.set_random_seed(3)
    model = host.Sequential(
        [host.layers.Embedding(40, WIDTH), host.layers.GlobalAveragePooling1D(), host.layers.Dense(1)]
    )
    model.compile(optimizer, "mse", **compile_arguments)
    return model


X = np.random.default_rng(4).integers(0, 10, (50, 4))  # the first ten of 40 rows


def fit(model, epochs=2):
    return model.fit(X, np.ones((50, 1)), batch_size=16, epochs=epochs, shuffle=False, verbose=0)  # the last is smaller


@pytest.mark.sample(1)
@pytest.mark.parametrize("given", [{}, {"run_eagerly": True}], ids=str)
@pytest.mark.parametrize(("module", "host"), [(pyadam, keras), (pyadam.tf_keras, tf_keras)], ids=GENERATIONS)
def test_an_embedding_in_fit(module, host, given):
    model = embedding_model(module.LazyAdam(0.1, weight_decay=0.1), host, **given)
    model.build((None, 4))
    start = model.weights[0].numpy()
    loss = fit(model).history["loss"]
    assert loss[1] < loss[0]
    moved = (model.weights[0].numpy() != start).all(1)
    assert moved.tolist() == [row in X for row in range(40)]


@pytest.mark.sample(2)
@pytest.mark.parametrize(("module", "host"), [(pyadam, keras), (pyadam.tf_keras, tf_keras)], ids=GENERATIONS)
@pytest.mark.parametrize("scaled", [False, True])
def test_an_embedding_in_a_train_step_that_is_compiled_as_a_whole(scaled, module, host):
    def trained(**given):
        optimizer = module.LazyAdam(0.1, weight_decay=0.1)
        optimizer = module.LossScaleOptimizer(optimizer, initial_scale=2.0) if scaled else optimizer
        model = embedding_model(optimizer, host, **given)
        fit(model)
        return [weight.numpy() for weight in model.weights]

    for compiled, plain in zip(trained(jit_compile=True), trained(jit_compile=False), strict=True):
        np.testing.assert_allclose(compiled, plain, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("given", "constraint", "words"),
    [
        ({"use_ema": True}, None, "use_ema=True; set use_ema=False, or use Adam"),
        (
            {"gradient_accumulation_steps": 4},
            None,
            "gradient_accumulation_steps=4; set gradient_accumulation_steps=1, or use Adam",
        ),
        (
            {"slot_dtype": "bfloat16"},
            None,
            r"slot_dtype='bfloat16'; set slot_dtype=None \(NULL in R\), or use Adam",
        ),
        ({}, keras.constraints.NonNeg(), "the variable's constraint; take the constraint away, or use Adam"),
    ],
)
def test_what_needs_all_rows_is_refused_and_nothing_is_changed(given, constraint, words):
    v = keras.Variable(np.ones((8, WIDTH)), dtype="float32", name="table")
    v.constraint = constraint
    optimizer = pyadam.LazyAdam(0.1, **given)
    optimizer.build([v])
    before = values([v, *optimizer.variables])
    with pytest.raises(
        ValueError, match=f"^LazyAdam: the gradient of table is sparse, which can't be combined with {words}$"
    ):
        optimizer.apply([sparse([1], 8)], [v])
    assert_same(values([v, *optimizer.variables]), before)


@pytest.mark.sample(1)
@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("rows", SIZES.values(), ids=SIZES)
def test_loss_scaling_around_it(generation, graph, rows):
    module, variable = GENERATIONS[generation]
    v, w = (variable(table(rows).numpy(), "float32") for _ in range(2))
    plain, inner = module.LazyAdam(0.1, clipnorm=1.0), module.LazyAdam(0.1, clipnorm=1.0)
    optimizer = module.LossScaleOptimizer(inner, 1024.0)
    optimizer.build([w])

    def step(g):
        scaled = tf.IndexedSlices(g.values * optimizer.dynamic_scale, g.indices, g.dense_shape)
        pairs = [(scaled, w)]
        if generation == "tf_keras":
            pairs = [(optimizer.get_unscaled_gradients([scaled])[0], w)]
        optimizer.apply_gradients(pairs)

    run = tf.function(step) if graph else step
    for named in STEPS:
        g = sparse(named, rows)
        plain.apply_gradients([(g, v)])
        run(g)
        run(tf.IndexedSlices(g.values * np.nan, g.indices, g.dense_shape))  # skipped
    assert_same(values([w, *inner.variables]), values([v, *plain.variables]))


@pytest.mark.sample(1)
@pytest.mark.parametrize("kind", ["keras", "weights.h5"])
def test_a_file_goes_on_to_the_bit(kind, tmp_path):
    whole, half = (embedding_model(pyadam.LazyAdam(0.1)) for _ in range(2))
    fit(whole, 2)
    fit(half, 1)
    file = tmp_path / f"m.{kind}"
    if kind == "keras":
        half.save(file)
        half = keras.models.load_model(file)
    else:
        half.save_weights(file)
        half = embedding_model(pyadam.LazyAdam(0.1))
        half.build((None, 4))
        half.optimizer.build(half.trainable_variables)
        half.load_weights(file)
    fit(half, 1)
    assert_same(
        values([*half.weights, *half.optimizer.variables]), values([*whole.weights, *whole.optimizer.variables])
    )


@pytest.mark.sample(1)
@pytest.mark.parametrize(
    ("first", "second"), [(pyadam.LazyAdam, pyadam.Adam), (keras.optimizers.Adam, pyadam.LazyAdam)]
)
def test_adam_reads_its_files_and_it_reads_adams(first, second, tmp_path):
    one, other = embedding_model(first(0.1)), embedding_model(second(0.1))
    fit(one)
    one.save_weights(tmp_path / "m.weights.h5")
    other.build((None, 4))
    other.optimizer.build(other.trainable_variables)
    other.load_weights(tmp_path / "m.weights.h5")
    assert_same(values([*other.weights, *other.optimizer.variables]), values([*one.weights, *one.optimizer.variables]))
