"""Small variables keep their state in arenas, and nothing outside the engine can tell."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import pyadam
from pyadam.engine.lanes import make_lanes
from pyadam.engine.part import Part
from pyadam.optimizers.sparse import Way

ALL = {"use_ema": True, "gradient_accumulation_steps": 2, "amsgrad": True}


def stepped(steps=4, **arguments):
    vs = [keras.Variable(np.full(shape, 0.5, "float32"), name=f"v{i}") for i, shape in enumerate([(3, 4), (5,), ()])]
    optimizer = pyadam.Adam(0.1, **arguments)
    for step in range(steps):
        optimizer.apply([tf.fill(v.shape, 0.1 * (step + i)) for i, v in enumerate(vs)], vs)
    return optimizer, vs


def test_small_variables_share_one_memory_for_each_name():
    optimizer, vs = stepped(**ALL)
    parts = [optimizer._native(v) for v in optimizer.variables[2:]]
    assert len(parts) == 5 * len(vs)
    assert all(isinstance(part, Part) for part in parts)
    assert len({id(part.arena) for part in parts}) == 5


def test_a_single_variable_needs_no_arena():
    v = keras.Variable([1.0, 2.0])
    optimizer = pyadam.Adam()
    optimizer.build([v])
    assert all(isinstance(optimizer._native(state), tf.Variable) for state in optimizer.variables)


def test_a_part_is_read_and_assigned_as_a_variable():
    optimizer, _ = stepped()
    before = [v.numpy() for v in optimizer.variables]
    state = optimizer.variables[4]
    value = np.arange(state.shape.num_elements(), dtype="float32").reshape(state.shape)
    state.assign(value)
    assert state.shape == (5,)
    assert state.dtype == "float32"
    for read in (state.numpy(), np.asarray(state), tf.convert_to_tensor(state).numpy(), (state + 0.0).numpy()):
        np.testing.assert_array_equal(read, value)
    state.assign_add(value)
    np.testing.assert_array_equal(state[1:].numpy(), 2 * value[1:])
    assert "[0. 2. 4. 6. 8.]" in repr(state)
    for i, (v, old) in enumerate(zip(optimizer.variables, before, strict=True)):
        if i != 4:
            np.testing.assert_array_equal(v.numpy(), old)


@pytest.mark.parametrize("present", [(0,), (1, 2), (0, 2)])
def test_some_of_an_arena_may_be_without_gradient(present):
    """Variables with a gradient move as they do alone; the others keep weight and slots."""
    optimizer, vs = stepped()
    frozen = {i: [v.numpy() for v in (vs[i], *optimizer.variables[2 + 2 * i : 4 + 2 * i])] for i in range(3)}
    alone, ws = stepped()
    gs = [tf.fill(v.shape, 0.3) for v in vs]
    with pytest.warns(UserWarning, match="Gradients do not exist"):
        optimizer.apply([g if i in present else None for i, g in enumerate(gs)], vs)
    alone.apply(gs, ws)
    for i in range(3):
        now = [v.numpy() for v in (vs[i], *optimizer.variables[2 + 2 * i : 4 + 2 * i])]
        want = [v.numpy() for v in (ws[i], *alone.variables[2 + 2 * i : 4 + 2 * i])] if i in present else frozen[i]
        for a, b in zip(now, want, strict=True):
            np.testing.assert_array_equal(a, b)


def test_variables_that_come_later_have_an_arena_of_their_own():
    optimizer, _ = stepped()
    new = [keras.Variable(tf.ones([2])), keras.Variable(tf.ones([3]))]
    with pytest.warns(UserWarning, match="none with these variables"):
        optimizer.apply([tf.ones([2]), tf.ones([3])], new)
    assert len({id(optimizer._native(v).arena) for v in optimizer.variables[2:]}) == 4
    fresh, ws = pyadam.Adam(0.1), [keras.Variable(tf.ones([2]))]
    for _ in range(4):  # up to the same step number, with zero moments: a zero gradient moves neither
        fresh.apply([tf.zeros([2])], ws)
    fresh.apply([tf.ones([2])], ws)
    np.testing.assert_allclose(new[0].numpy(), ws[0].numpy(), rtol=1e-6)


def test_a_saved_model_takes_the_optimizer_along(tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(1)])
    model.compile(pyadam.Adam(), "mse")
    x = np.ones((8, 4), "float32")
    model.fit(x, np.ones((8, 1)), verbose=0)
    tf.saved_model.save(model, str(tmp_path))
    held = dict(tf.train.list_variables(str(tmp_path / "variables" / "variables")))
    assert sum(tuple(shape) == (4, 3) for shape in held.values()) == 3  # the weight and its two slots
    loaded = tf.saved_model.load(str(tmp_path))
    np.testing.assert_allclose(loaded.signatures["serving_default"](tf.constant(x))["output_0"], model(x), rtol=1e-6)
    parts = [v for v in model.optimizer.variables if isinstance(model.optimizer._native(v), Part)]
    assert len(parts) == 8


def test_variables_that_come_later_have_arenas_of_their_own():
    """Existing ones stay where they are: the program owns all state but the weights."""
    optimizer, vs = pyadam.Adam(), [keras.Variable(np.ones(size, "float32")) for size in (4, 5, 2, 7)]
    optimizer.apply([tf.ones(4), tf.ones(5)], vs[:2])
    optimizer.apply([tf.ones(v.shape) for v in vs], vs)
    targets = list(optimizer._engine.targets.values())
    lanes = make_lanes(targets, [True] * 4, [{Way.DENSE}] * 4, pack=True, masked=[False] * 4)
    assert [(lane.indices, lane.passed) for lane in lanes] == [([0, 1], ["weight"]), ([2, 3], ["weight"])]
