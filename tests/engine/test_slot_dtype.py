"""bfloat16 slots are right on average, with random bits that depend only on step, slot and element, and survive saving."""

import functools
import importlib
import pickle
import re

import keras
import ml_dtypes
import models
import numpy as np
import pytest
import tensorflow as tf
from family import EVERY
from helpers import assert_same, values

import pyadam
import pyadam.tf_keras
from pyadam.engine.rounding import random_bits, stochastically_rounded

BF16 = {"slot_dtype": "bfloat16"}
MANY = 10_000
SHAPES = [(3, 4), (100, 100), (5,), (), (0, 3), (70, 80)]  # small ones on both sides of a large one
FACES = [("keras", "pyadam"), ("tf_keras", "pyadam.tf_keras")]


def drawn(shapes=SHAPES, seed=0):
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.standard_normal(shape), "float32") for shape in shapes]


def stepped(optimizer, vs, steps=5, present=None):
    """Steps on gradients that depend only on step and variable; from step 2 on only those of ``present``, if given."""
    for step in range(steps):
        gs = [tf.constant(g) for g in drawn([v.shape for v in vs], seed=step)]
        if present is not None and step > 1:
            gs = [g if i in present else None for i, g in enumerate(gs)]
        optimizer.apply(gs, vs)
    return values([*vs, *optimizer.variables])


def rounded(x, bits):
    return stochastically_rounded(tf.constant(x, tf.float32), tf.constant(bits, tf.uint32)).numpy().astype("float64")


# --- the rounding --------------------------------------------------------------------------------------------------------


def test_a_value_goes_to_its_neighbors_by_its_distance_from_them():
    step = 2.0**-7  # between neighbors from 1 to 2
    for share in (0.0, 0.125, 0.5, 0.96875):
        for sign in (1, -1):
            found = rounded(np.full(65536, sign * (1 + share * step)), np.arange(65536)) * sign
            assert set(found) <= {1.0, 1.0 + step}
            assert np.mean(found > 1.0) == share


@pytest.mark.parametrize("bits", [0, 1, 65535])
def test_what_bfloat16_holds_stays_and_nothing_overflows(bits):
    largest = float(ml_dtypes.finfo("bfloat16").max)
    held = np.array([0.0, -0.0, 1.0, -3.140625, 2.0**-126, largest, -largest, np.inf, -np.inf], "float32")
    found = rounded(held, bits)
    np.testing.assert_array_equal(found, held)
    np.testing.assert_array_equal(np.signbit(found), np.signbit(held))
    np.testing.assert_array_equal(
        rounded([np.finfo("float32").max, -np.finfo("float32").max], bits), [largest, -largest]
    )
    nan = np.array([0x7FC00000, 0xFFC00000, 0x7F800001, 0x7FFFFFFF], "uint32").view("float32")
    assert np.isnan(rounded(nan, bits)).all()


def hashed(x):
    """lowbias32, in Python's own integers."""
    x = (x ^ x >> 16) * 0x7FEB352D % 2**32
    x = (x ^ x >> 15) * 0x846CA68B % 2**32
    return x ^ x >> 16


@pytest.mark.parametrize("compiled", [True, False])
def test_the_bits_are_a_function_of_integers(compiled):
    elements = np.array([0, 1, 77, 2**31, 2**32 - 1], "uint32")
    made = tf.function(random_bits, jit_compile=compiled)
    for t in (1, 1000, 2**40):
        for slot in (0, 2):
            key = hashed((t % 2**32) ^ hashed(slot))
            expected = [hashed((int(e) + key) % 2**32) >> 16 for e in elements]
            assert made(tf.constant(t, tf.int64), slot, tf.constant(elements)).numpy().tolist() == expected


def test_the_bits_are_spread_evenly_over_elements_and_over_steps_and_slots_are_independent():
    elements = tf.cast(tf.range(MANY), tf.uint32)
    over_elements = random_bits(tf.constant(5, tf.int64), 0, elements).numpy() / 65536
    steps = [random_bits(tf.constant(t, tf.int64), 0, elements[3:4]).numpy()[0] / 65536 for t in range(1000)]
    for found in (over_elements, np.array(steps)):
        counts = np.histogram(found, bins=10, range=(0, 1))[0]
        assert np.sum((counts - len(found) / 10) ** 2) / (len(found) / 10) < 27.9  # chi-square of 9 degrees, p = 0.001
    other = random_bits(tf.constant(5, tf.int64), 1, elements).numpy()
    following = random_bits(tf.constant(6, tf.int64), 0, elements).numpy()
    for found in (other, following, np.roll(over_elements, 1)):
        assert abs(np.corrcoef(over_elements, found)[0, 1]) < 0.04  # 4 standard deviations


def test_a_second_moment_moves_on_in_the_mean_where_rounding_to_nearest_stops():
    """v moves from 1 towards 4 by a thousandth of the distance a step, 0.003: less than half the gap to its neighbor, 1/128."""
    means = {}
    for slot_dtype in (None, "bfloat16"):
        v = keras.Variable(np.zeros(MANY, "float32"))
        optimizer = pyadam.Adam(0.0, slot_dtype=slot_dtype)
        optimizer.build([v])
        optimizer.variables[3].assign(np.ones(MANY, "float32"))
        for _ in range(100):
            optimizer.apply([tf.fill([MANY], 2.0)], [v])
        means[slot_dtype] = values(optimizer.variables)[3].mean()
    nearest = np.ones(1, ml_dtypes.bfloat16)
    for _ in range(100):
        at = nearest.astype("float32")
        nearest = (at + np.float32(0.001) * (np.float32(4.0) - at)).astype(ml_dtypes.bfloat16)
    assert float(nearest[0]) == 1.0
    assert means[None] == pytest.approx(1 + 3 * (1 - 0.999**100), abs=1e-4)  # 1.2856
    assert means["bfloat16"] == pytest.approx(means[None], abs=0.002)  # an element is off by 0.03, their mean by 0.0003


# --- the optimizers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EVERY)
def test_slots_are_half_as_large_and_nothing_else_changes_its_dtype(name):
    arguments = {"use_ema": True, "gradient_accumulation_steps": 2}
    made = [getattr(pyadam, name)(**arguments), getattr(pyadam, name)(**arguments, **BF16)]
    for optimizer in made:
        optimizer.build([keras.Variable(w) for w in drawn()])
    size = [sum(v.numpy().nbytes for v in optimizer.variables) for optimizer in made]
    slots = 0
    for whole, half in zip(*(optimizer.variables for optimizer in made), strict=True):
        is_slot = half.dtype == "bfloat16"
        assert (whole.dtype, tuple(whole.shape)) == ("float32" if is_slot else half.dtype, tuple(half.shape))
        slots += is_slot * whole.numpy().nbytes
    assert size[0] - size[1] == slots / 2
    kept = {"ScheduleFreeAdamW": "momentum", "Prodigy": "start"}.get(name)  # it is a weight
    expected = {id(v) for x in made[1]._engine.targets.values() for each, v in x.slots.items() if each != kept}
    assert len(expected) == sum(v.dtype == "bfloat16" for v in made[1].variables)


@pytest.mark.sample(1)
@pytest.mark.parametrize("name", EVERY)
def test_a_step_is_that_of_float32_slots_and_stores_one_of_their_neighbors(name):
    """From the same state: the weight up to its last bit, each slot within one bfloat16 ULP."""
    vs, ws = ([keras.Variable(w) for w in drawn()] for _ in range(2))
    half, whole = getattr(pyadam, name)(0.01, **BF16), getattr(pyadam, name)(0.01)
    stepped(half, vs, 2)
    whole.build(ws)
    for to, value in zip([*ws, *whole.variables], [*vs, *half.variables], strict=True):
        to.assign(tf.cast(tf.convert_to_tensor(value), to.dtype))
    gs = [tf.constant(g) for g in drawn(seed=9)]
    half.apply(gs, vs)
    whole.apply(gs, ws)
    for a, b in zip(values(vs), values(ws), strict=True):
        np.testing.assert_allclose(a, b, rtol=5e-7, atol=2e-7)
    for a, b, v in zip(values(half.variables), values(whole.variables), half.variables, strict=True):
        if v.dtype == "bfloat16":
            assert np.all(np.abs(a - b) <= np.maximum(np.abs(b) * 2.0**-7, 1e-37))
        else:
            np.testing.assert_array_equal(a, b)


@pytest.mark.sample(1)
@pytest.mark.parametrize("name", ["Adam", "Adagrad", "Lamb"])
def test_both_shells_come_to_the_same_bits(name):
    """tf_keras has no arenas."""
    ours = stepped(getattr(pyadam, name)(0.01, **BF16), [keras.Variable(w) for w in drawn()])
    module = importlib.import_module("pyadam.tf_keras")
    theirs = stepped(getattr(module, name)(0.01, **BF16), [tf.Variable(w) for w in drawn()])
    assert_same(ours[: len(SHAPES)], theirs[: len(SHAPES)])
    assert_same(ours[len(SHAPES) + 2 :], theirs[len(SHAPES) + 1 :])


@pytest.mark.filterwarnings("ignore:.*Gradients do not exist")
def test_the_bits_of_an_element_do_not_depend_on_which_variables_share_its_loop():
    everything = [keras.Variable(w) for w in drawn()]
    some = [keras.Variable(w) for w in drawn()]
    whole, partly = pyadam.Adam(0.01, **BF16), pyadam.Adam(0.01, **BF16)
    stepped(whole, everything)
    stepped(partly, some, present=(0, 2, 5))
    for i in (0, 2, 5):
        places = [2 + 2 * i, 3 + 2 * i]
        assert_same(
            values([everything[i], *(whole.variables[k] for k in places)]),
            values([some[i], *(partly.variables[k] for k in places)]),
        )


def test_elements_are_rounded_each_on_its_own():
    """The same gradient everywhere, but different slots, both within a variable and between two of them."""
    vs = [keras.Variable(np.zeros(shape, "float32")) for shape in [(1000,), (1000,), (100, 100)]]
    optimizer = pyadam.SGD(0.1, momentum=0.9, **BF16)
    for _ in range(3):
        optimizer.apply([tf.fill(v.shape, 0.3) for v in vs], vs)
    first, second, third = values(optimizer.variables[2:])
    assert all(len(np.unique(each)) > 1 for each in (first, second, third))
    assert np.any(first != second)
    assert np.any(first != third.ravel()[:1000])


@pytest.mark.sample(1)
@pytest.mark.parametrize("compiled", [None, True])
def test_eager_steps_and_those_inside_a_function_come_to_the_same_bits(compiled):
    found = []
    for wrap in (lambda step: step, lambda step: tf.function(step, jit_compile=compiled)):
        vs, gs = [keras.Variable(w) for w in drawn()], [tf.constant(g) for g in drawn(seed=3)]
        optimizer = pyadam.Adam(0.01, **BF16)
        optimizer.build(vs)
        step = wrap(lambda: optimizer.apply(gs, vs))  # noqa: B023 called in this round
        for _ in range(3):
            step()
        found.append(values([*vs, *optimizer.variables]))
    assert_same(*found)


def test_slots_are_overwritten_in_place_and_nothing_else_of_their_size_is_kept():
    v = keras.Variable(np.zeros((1000, 100), "float32"))
    optimizer = pyadam.Adam(**BF16)
    optimizer.apply([tf.ones(v.shape)], [v])
    hlo = optimizer._engine.programs[0].hlo()
    assert re.search(r"bf16\[1000,100\]\S* fusion\(", hlo)
    assert not re.search(r"\[1000,100\]\S* (copy|constant)\(", hlo)


def test_sparse_gradients_step_as_dense_ones():
    tables = [keras.Variable(drawn([(9000, 2)])[0]) for _ in range(2)]
    sparse, dense = pyadam.Adagrad(0.1, **BF16), pyadam.Adagrad(0.1, **BF16)
    for step in range(3):
        rows = tf.IndexedSlices(tf.constant(drawn([(5, 2)], step)[0]), tf.constant([7, 1, 7, 8999, 3]), (9000, 2))
        sparse.apply([rows], tables[:1])
        dense.apply([tf.convert_to_tensor(rows)], tables[1:])
    assert_same(values([tables[0], *sparse.variables]), values([tables[1], *dense.variables]))


def test_sixteen_bit_weights_have_rounded_slots_too():
    v = keras.Variable(np.ones((100, 50), "float32"), dtype="bfloat16")
    optimizer = pyadam.Adam(0.1, **BF16)
    for _ in range(3):
        optimizer.apply([tf.ones(v.shape, "bfloat16")], [v])
    assert {v.dtype for v in optimizer.variables[2:]} == {"bfloat16"}
    np.testing.assert_allclose(values([v])[0], 0.7, rtol=0.02)


# --- arguments -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "error", "shown"),
    [("float16", ValueError, "'float16'"), (16, TypeError, "16"), (True, TypeError, "True")],
)
def test_other_dtypes_are_refused(value, error, shown):
    words = rf'Adam: slot_dtype must be "bfloat16", or None \(NULL in R\), got {shown}'
    with pytest.raises(error, match=words):
        pyadam.Adam(slot_dtype=value)


def test_float64_weights_are_refused_before_anything_is_made():
    optimizer = pyadam.Adam(**BF16)
    with pytest.raises(
        ValueError, match=r"slot_dtype must be None \(NULL in R\) for float64 variables, got 'bfloat16' for wide"
    ):
        optimizer.build([keras.Variable([1.0]), keras.Variable([1.0], dtype="float64", name="wide")])
    assert len(optimizer.variables) == 2


def test_the_dtype_stays_once_the_slots_are_there():
    optimizer = pyadam.Adam()
    optimizer.slot_dtype = "bfloat16"
    optimizer.build([keras.Variable([1.0])])
    assert optimizer.variables[2].dtype == "bfloat16"
    with pytest.raises(ValueError, match="slot_dtype can't be changed once the optimizer is built"):
        optimizer.slot_dtype = None


@pytest.mark.parametrize("library", ["pyadam", "pyadam.tf_keras"])
def test_a_config_has_it_where_it_is_set(library):
    adam = importlib.import_module(library).Adam
    assert "slot_dtype" not in adam().get_config()
    assert adam.from_config(adam(**BF16).get_config()).slot_dtype == "bfloat16"
    assert "slot_dtype='bfloat16'" in repr(adam(**BF16))


# --- files ---------------------------------------------------------------------------------------------------------------


make_model = functools.partial(models.make_model, sizes=(70, 80, 2))  # small variables and a large one


def train(model, steps):
    return models.train(model, steps, *drawn([(32, 70), (32, 2)]))


def state(model):
    return values([*model.trainable_variables, *model.optimizer.variables])


def through(kind, first, second, folder):
    """Loads the first model's weights and optimizer state into the second, through a file of this kind."""
    second.optimizer.build(second.trainable_variables)
    if kind == "checkpoint":
        saved = tf.train.Checkpoint(model=first, optimizer=first.optimizer).save(str(folder / "c"))
        tf.train.Checkpoint(model=second, optimizer=second.optimizer).restore(saved).assert_existing_objects_matched()
    else:
        first.save_weights(str(folder / "m.weights.h5"))
        second.load_weights(str(folder / "m.weights.h5"))
    return second


@pytest.mark.sample(1)
@pytest.mark.parametrize("kind", ["keras", "weights.h5", "checkpoint", "pickle"])
@pytest.mark.parametrize(("library", "ours"), FACES)
def test_training_goes_on_to_the_bit(library, ours, kind, tmp_path):
    library, adam = importlib.import_module(library), importlib.import_module(ours).Adam
    whole = train(make_model(adam(0.01, **BF16), library), 6)
    half = train(make_model(adam(0.01, **BF16), library), 3)
    if kind == "keras":
        half.save(tmp_path / "m.keras")
        resumed = library.models.load_model(tmp_path / "m.keras")
    elif kind == "pickle":
        resumed = make_model(pickle.loads(pickle.dumps(half.optimizer)), library)
        resumed.set_weights(half.get_weights())
        resumed.optimizer.build(resumed.trainable_variables)
    else:
        resumed = through(kind, half, make_model(adam(0.01, **BF16), library), tmp_path)
    assert resumed.optimizer.slot_dtype == "bfloat16"
    assert_same(state(resumed), state(half))
    assert_same(state(train(resumed, 3)), state(whole))


def test_a_saved_model_holds_the_slots(tmp_path):
    model = train(make_model(pyadam.Adam(0.01, **BF16)), 1)
    tf.saved_model.save(model, str(tmp_path))
    reader = tf.train.load_checkpoint(str(tmp_path / "variables" / "variables"))
    rounded = [name for name, dtype in reader.get_variable_to_dtype_map().items() if dtype == tf.bfloat16]
    held = [name for name in rounded if "/arena_" not in name]
    assert (len(held), len(rounded)) == (8, 10)  # the arenas behind them are saved, too, for functions that train
    for name in held:
        place = int(name.split("/")[2])
        np.testing.assert_array_equal(reader.get_tensor(name), model.optimizer.variables[place].numpy())


@pytest.mark.parametrize(("library", "ours"), FACES)
def test_state_goes_over_from_float32_to_the_nearest_and_back_as_it_is(library, ours, tmp_path):
    library, adam = importlib.import_module(library), importlib.import_module(ours).Adam
    whole = train(make_model(adam(0.01), library), 3)
    half = through("weights.h5", whole, make_model(adam(0.01, **BF16), library), tmp_path)
    back = through("weights.h5", half, make_model(adam(0.01), library), tmp_path)
    assert_same(state(half), state(back))
    for a, b, v in zip(
        values(half.optimizer.variables), values(whole.optimizer.variables), half.optimizer.variables, strict=True
    ):
        nearest = v.dtype == "bfloat16"
        np.testing.assert_array_equal(a, b.astype(ml_dtypes.bfloat16).astype("float64") if nearest else b)


def test_keras_own_class_takes_the_state(tmp_path):
    half = train(make_model(pyadam.Adam(0.01, **BF16)), 3)
    theirs = through("weights.h5", half, make_model(keras.optimizers.Adam(0.01)), tmp_path)
    assert_same(state(half), state(theirs))


def test_a_checkpoint_keeps_its_dtype(tmp_path):
    """TensorFlow itself refuses, because its checkpoints convert nothing."""
    whole = train(make_model(pyadam.Adam(0.01)), 1)
    with pytest.raises(
        tf.errors.InvalidArgumentError, match="expected dtype bfloat16 does not equal original dtype float"
    ):
        through("checkpoint", whole, make_model(pyadam.Adam(0.01, **BF16)), tmp_path)


@pytest.mark.parametrize("library", [pyadam, pyadam.tf_keras], ids=["keras", "tf_keras"])
def test_training_goes_on_to_the_bit_after_layers_were_unfrozen(library):
    """Elements were numbered in the order in which the optimizer first saw them, which no file knows."""

    def resumed(anew):
        base, head = (tf.Variable(value, name=name) for value, name in zip(drawn([(70, 80), (5,)]), "bh", strict=True))
        optimizer = library.Adam(0.01, **BF16)
        optimizer.apply_gradients([(tf.ones(5), head)])
        gs = [tf.constant(g) for g in drawn([(70, 80), (5,)], seed=1)]
        optimizer.apply_gradients(list(zip(gs, [base, head], strict=True)))
        if anew:
            old, optimizer = optimizer, library.Adam(0.01, **BF16)
            optimizer.build([base, head])
            optimizer.set_weights([v.numpy() for v in old.variables])
        optimizer.apply_gradients(list(zip(gs, [base, head], strict=True)))
        return values([base, head]) + [np.array(v.numpy(), "float64") for v in optimizer.variables]

    assert_same(resumed(anew=True), resumed(anew=False))
