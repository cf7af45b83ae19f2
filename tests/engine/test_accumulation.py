"""Accumulation with missing gradients: several calls equal one on the mean, whatever was saved, traced or missing between."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import assert_same, values

import pyadam
from pyadam.engine import step

pytestmark = pytest.mark.filterwarnings("ignore:.*Gradients do not exist for variables")

SHAPES = ((2,), (70, 70), (3,))
ARGUMENTS = [{}, {"global_clipnorm": 0.5, "weight_decay": 0.1}, {"use_ema": True, "ema_overwrite_frequency": 2}]
# for each call which variables have a gradient; two calls make an update
WINDOWS = [("abc", "abc"), ("ab", "ac"), ("a", "a"), ("ac", "b"), ("b", "c"), ("c", "ab")]


def variables(*shapes, names="abc"):
    return [keras.Variable(np.ones(s, "float32"), name=n) for s, n in zip(shapes, names, strict=False)]


def gradients(rng, there):
    """A gradient for each variable that is named; those of the large one have zeros in half of its rows."""
    found = []
    for name, shape in zip("abc", SHAPES, strict=True):
        g = rng.standard_normal(shape).astype("float32")
        if name == "b":
            g[:35] = 0
        found.append(tf.constant(g) if name in there else None)
    return found


def trained(optimizer, vs, apply=None, save_after=()):
    """Runs all calls; after some, a new optimizer takes over the state. Returns all values."""
    rng, apply = np.random.default_rng(0), apply or (lambda optimizer, gs, there: optimizer.apply(gs, vs))
    optimizer.build(vs)
    for number, there in enumerate(there for window in WINDOWS for there in window):
        apply(optimizer, gradients(rng, there), there)
        if number in save_after:
            resumed = type(optimizer).from_config(optimizer.get_config())
            resumed.build(vs)
            resumed.set_weights([v.numpy() for v in optimizer.variables])
            optimizer = resumed
    return values([*vs, *optimizer.variables])


def accumulating(name, arguments):
    return getattr(pyadam, name)(0.1, gradient_accumulation_steps=2, **arguments)


@pytest.mark.sample(2)
@pytest.mark.parametrize("name", ["Adam", "SGD", "Lamb", "Nadam", "Prodigy", "ScheduleFreeAdamW"])
@pytest.mark.parametrize("arguments", ARGUMENTS, ids=str)
def test_a_window_equals_one_call_with_its_mean(name, arguments):
    """A gradient that is missing in all calls of a window is missing; else it counts as zero where it is."""
    if name == "ScheduleFreeAdamW" and arguments.get("use_ema"):
        pytest.skip("has an average of its own")
    vs, once = variables(*SHAPES), variables(*SHAPES)
    found = trained(accumulating(name, arguments), vs)[: len(vs)]
    rng, plain = np.random.default_rng(0), getattr(pyadam, name)(0.1, **arguments)
    plain.build(once)
    for first, second in WINDOWS:
        pairs = zip(gradients(rng, first), gradients(rng, second), SHAPES, strict=True)
        given = [None if a is b is None else sum(x for x in (a, b) if x is not None) / 2 for a, b, _ in pairs]
        plain.apply(given, once)
    for a, b in zip(found, values(once), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-6)


def test_a_variable_without_a_gradient_in_a_window_keeps_its_values():
    """It used to be moved by its momentum once it had had a gradient, but not after the state was saved and loaded."""
    a, b = variables((2,), (2,))
    optimizer = accumulating("SGD", {"momentum": 0.9})
    for _ in range(2):
        optimizer.apply([tf.ones(2), tf.ones(2)], [a, b])
    np.testing.assert_allclose(b.numpy(), 0.9, rtol=1e-6)
    for _ in range(2):
        optimizer.apply([tf.ones(2), None], [a, b])
    np.testing.assert_allclose(b.numpy(), 0.9, rtol=1e-6)  # was 0.81
    np.testing.assert_allclose(a.numpy(), 0.71, rtol=1e-6)


@pytest.mark.sample(1)
@pytest.mark.parametrize("save_after", [range(1, 12, 2), range(12)], ids=["updates", "calls"])
@pytest.mark.parametrize("arguments", ARGUMENTS, ids=str)
def test_saving_and_loading_changes_nothing(arguments, save_after):
    whole = trained(accumulating("Adam", arguments), variables(*SHAPES))
    assert_same(trained(accumulating("Adam", arguments), variables(*SHAPES), save_after=save_after), whole)


@pytest.mark.sample(1)
@pytest.mark.parametrize("masks", [False, True])
@pytest.mark.parametrize("arguments", ARGUMENTS, ids=str)
def test_functions_that_are_traced_for_some_gradients_each_take_what_others_have_accumulated(
    monkeypatch, arguments, masks
):
    """A function used to leave out what had had no gradient before it was traced, and to leave its sum for a later update."""
    eager = trained(accumulating("Adam", arguments), variables(*SHAPES))
    monkeypatch.setattr(step, "_OWN", 0 if masks else 1000)
    vs, functions = variables(*SHAPES), {}

    def apply(optimizer, gs, there):
        if there not in functions:
            functions[there] = tf.function(
                lambda given: optimizer.apply([given.get(name) for name in "abc"], vs), autograph=False
            )
        functions[there]({name: g for name, g in zip("abc", gs, strict=True) if g is not None})

    assert_same(trained(accumulating("Adam", arguments), vs, apply), eager)
    assert len(functions) == 6


def test_what_a_frozen_variable_has_accumulated_does_not_move_it():
    base, head = variables((70, 70), (2,), names=["base", "head"])
    optimizer = accumulating("Adam", {"groups": {"base": {"learning_rate": 0.01}}})
    optimizer.apply([tf.ones((70, 70)), tf.ones(2)], [base, head])
    optimizer.groups = {"base": {"frozen": True}}
    optimizer.apply([tf.ones((70, 70)), tf.ones(2)], [base, head])
    assert (base.numpy() == 1).all()
    assert (head.numpy() != 1).all()


def test_what_a_variable_has_accumulated_when_it_is_frozen_is_dropped():
    """It waited until the variable was thawed: -49 after gradients of 0."""
    a, b = variables((2,), (2,))
    optimizer = accumulating("SGD", {"groups": {"b": {"learning_rate": 1.0}}})
    optimizer.apply([tf.ones(2), tf.fill([2], 100.0)], [a, b])
    optimizer.groups = {"b": {"frozen": True}}
    for _ in range(5):
        optimizer.apply([tf.ones(2)] * 2, [a, b])
    optimizer.groups = {"b": {"learning_rate": 1.0}}
    for _ in range(2):
        optimizer.apply([tf.zeros(2)] * 2, [a, b])
    np.testing.assert_array_equal(b.numpy(), [1.0, 1.0])


def test_copies_start_at_the_first_update_with_the_first_gradient_or_without():
    """z used to start as the weight at the build where the first gradient came later: 1, not 3."""
    a, b = variables((2,), (2,))
    optimizer = pyadam.ScheduleFreeAdamW(0.1)
    optimizer.build([a, b])
    b.assign([3.0, 3.0])  # as load_weights() does
    optimizer.apply([tf.ones(2), None], [a, b])
    (z,) = [v for v in optimizer.variables if v.path.endswith("b_momentum")]
    np.testing.assert_array_equal(z.numpy(), [3.0, 3.0])


@pytest.mark.parametrize("size", [2, 9000])
def test_copies_may_be_stored_in_bfloat16(size):
    """The build ended in a ValueError about types."""
    rule = pyadam.new_optimizer_class(
        "Kept", lambda w, g, s, h: (w - h.learning_rate * g, {"z": s.z}), slots={"z": None}
    )
    (v,) = variables((size,))
    optimizer = rule(0.5, slot_dtype="bfloat16")
    optimizer.build([v])
    v.assign(np.full(size, 2.0))
    optimizer.apply([tf.ones(size)], [v])
    assert v.numpy()[-1] == 1.5
    assert float(optimizer.variables[-1].numpy()[-1]) == 2.0


def test_copies_of_single_variables_start_with_their_own_step():
    rule = pyadam.new_optimizer_class(
        "Pulled", lambda w, g, s, h: (w - h.learning_rate * g, {"z": s.z}), slots={"z": None}
    )
    vs = variables((2,), (2,))
    optimizer = rule(0.5)
    optimizer.build(vs)
    for v in vs:
        optimizer.update_step(tf.ones(2), v)
    for z in (v for v in optimizer.variables if v.path.endswith("_z")):
        np.testing.assert_array_equal(z.numpy(), [1.0, 1.0])


def test_a_model_with_a_head_for_each_task():
    inputs = keras.Input((3,))
    body = keras.layers.Dense(4, name="body")(inputs)
    heads = [keras.layers.Dense(1, name=name) for name in ("left", "right")]
    models = [keras.Model(inputs, head(body)) for head in heads]

    def run(compiled):
        keras.utils.set_random_seed(0)
        for model in models:
            model.set_weights([np.ones(w.shape) for w in model.get_weights()])
        optimizer = accumulating("Adam", {})
        optimizer.build(list({id(v): v for model in models for v in model.trainable_variables}.values()))

        def step_of(model):
            def one(x):
                with tf.GradientTape() as tape:
                    loss = tf.reduce_sum(model(x) ** 2)
                vs = model.trainable_variables
                optimizer.apply(tape.gradient(loss, vs), vs)

            return tf.function(one, autograph=False) if compiled else one

        left, right = map(step_of, models)
        x = np.random.default_rng(0)
        for each in (left, right, left, right, right, left):
            each(tf.constant(x.standard_normal((5, 3)), tf.float32))
        return values([v for model in models for v in model.trainable_variables])

    for a, b in zip(run(True), run(False), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)
