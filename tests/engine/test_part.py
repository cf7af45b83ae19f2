"""A slot in an arena behaves like a tf.Variable with its own memory."""

import copy
import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf

import pyadam
from pyadam.engine.arena import Arena
from pyadam.engine.part import Part

START = np.arange(6, dtype="float32").reshape(3, 2) + 1
ROWS = tf.IndexedSlices(tf.constant([[2.0, 4.0], [3.0, 5.0]]), tf.constant([2, 0]))
TWICE = tf.IndexedSlices(tf.constant([[2.0, 4.0], [3.0, 5.0]]), tf.constant([1, 1]))
NESTED = tf.constant([[0, 1], [2, 0]])
X = np.random.default_rng(0).normal(size=(32, 4)).astype("float32")


def made(shapes, start) -> Arena:
    shapes = [tf.TensorShape(shape) for shape in shapes]
    return Arena(tf.Variable(tf.fill([sum(shape.num_elements() for shape in shapes)], start)), shapes)


def part(value=START) -> Part:
    """A slot in the middle of an arena, whose neighbors must not change."""
    arena = made([(2,), value.shape, (3,)], 0.0)
    arena.parts[1].assign(value)
    return arena.parts[1]


def neighbors(variable) -> list:
    return [np.array(p) for p in variable.arena.parts if p is not variable]


WRITES = {
    "assign": lambda v: v.assign(tf.fill([3, 2], 7.0)),
    "assign of a list": lambda v: v.assign([[6, 5], [4, 3], [2, 1]]),
    "assign_add": lambda v: v.assign_add(START),
    "assign_sub": lambda v: v.assign_sub(2 * START),
    "a slice": lambda v: v[1:, 0].assign([8.0, 9.0]),
    "a row": lambda v: v[-1].assign([8.0, 9.0]),
    **{
        f"scatter_{what} {kind}": lambda v, what=what, rows=rows: getattr(v, f"scatter_{what}")(rows)
        for what in ("add", "sub", "max", "min", "mul", "div", "update")
        for kind, rows in (("rows", ROWS), ("a row twice", TWICE))
        if (what, kind) != ("update", "a row twice")  # either may win
    },
    **{
        f"scatter_nd_{what}": lambda v, what=what: getattr(v, f"scatter_nd_{what}")(NESTED, [1.5, 5.5])
        for what in ("add", "sub", "max", "min", "update")
    },
}
READS = {
    "value()": lambda v: v.value(),
    "read_value()": lambda v: v.read_value(),
    "numpy()": lambda v: v.numpy(),
    "convert_to_tensor": tf.convert_to_tensor,
    "an operation": lambda v: tf.matmul(v, v, transpose_b=True),
    "operators": lambda v: 2 * v + v / 3 - abs(-v),
    "a comparison": lambda v: v > 3,
    "a slice": lambda v: v[1:, ::2],
    "np.array": np.array,
    "np.asarray of a dtype": lambda v: np.asarray(v, "float64"),
    "iteration": lambda v: tf.stack(list(v)),
    "sparse_read": lambda v: v.sparse_read([2, 0]),
    "gather_nd": lambda v: v.gather_nd([[2, 0]]),
    "is_initialized": lambda v: v.is_initialized(),
    "tf.gather": lambda v: tf.gather(v, [1]),
    "a cast": lambda v: tf.cast(v, tf.float64),
    "keras.ops": lambda v: keras.ops.sum(v, axis=0),
}
FACTS = ("shape", "dtype", "trainable", "synchronization", "aggregation", "constraint")


def in_graph(change):
    return tf.function(change, autograph=False)


@pytest.mark.parametrize("graph", [False, True], ids=["eager", "graph"])
@pytest.mark.parametrize("name", WRITES)
def test_writes_are_those_of_a_variable(name, graph):
    reference, ours = tf.Variable(START), part()
    untouched = neighbors(ours)
    for variable in (reference, ours):
        (in_graph(WRITES[name]) if graph else WRITES[name])(variable)
    np.testing.assert_array_equal(ours.numpy(), reference.numpy())
    assert (ours.numpy() != START).any()
    for before, after in zip(untouched, neighbors(ours), strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("name", ["assign", "assign_add", "assign_sub", "scatter_add rows", "scatter_nd_max"])
def test_writes_return_the_variable_or_its_new_value(name):
    ours = part()
    assert WRITES[name](ours) is ours
    returned = in_graph(WRITES[name])(ours)
    np.testing.assert_array_equal(returned, ours.numpy())
    assert ours.assign(START, read_value=False) is None


@pytest.mark.parametrize("name", READS)
def test_reads_are_those_of_a_variable(name):
    np.testing.assert_array_equal(READS[name](part()), READS[name](tf.Variable(START)))


@pytest.mark.parametrize("fact", FACTS)
def test_facts_are_those_of_a_variable(fact):
    assert getattr(part(), fact) == getattr(tf.Variable(START, trainable=False), fact)


def test_it_is_a_variable():
    ours = part().named("adam/momentum")
    assert isinstance(ours, tf.Variable)
    assert tf.is_tensor(ours) == tf.is_tensor(tf.Variable(START))
    assert ours.name == "adam/momentum:0"
    assert ours.device == tf.Variable(START).device
    assert ours.ref() == ours.ref()
    assert len({ours.ref(), ours.ref(), part().ref()}) == 2
    assert repr(ours).startswith("<Part 'adam/momentum:0' shape=(3, 2) dtype=float32, numpy=array(")
    (scalar,) = made([()], 2.0).parts
    assert (float(scalar), int(scalar), bool(scalar)) == (2.0, 2, True)


def test_what_it_cannot_do_is_said():
    ours = part().named("adam/momentum")
    with pytest.raises(
        AttributeError, match=r"adam/momentum shares the memory of one variable.*read_value\(\).*assign\(\)"
    ):
        _ = ours.handle
    assert not hasattr(ours, "handle")
    with pytest.raises(TypeError, match="unhashable"):
        hash(ours)
    with pytest.raises(TypeError, match="IndexedSlices"):
        ours.scatter_add(START)
    for value in (np.zeros((2, 3), "float32"), np.zeros(6, "float32"), 0.0):
        with pytest.raises(ValueError, match=r"shape \(.*\) to variable adam/momentum:0 of shape \(3, 2\)"):
            ours.assign(value)
    np.testing.assert_array_equal(ours.numpy(), START)


@pytest.mark.parametrize("how", [copy.deepcopy, lambda v: pickle.loads(pickle.dumps(v))], ids=["deepcopy", "pickle"])
def test_copies_have_memory_of_their_own(how):
    ours = part().named("momentum")
    other = how(ours)
    other.assign_add(START)
    np.testing.assert_array_equal(ours.numpy(), START)
    np.testing.assert_array_equal(other.numpy(), 2 * START)
    assert other.name == "momentum:0"
    assert copy.copy(ours) is ours


def test_a_strategy_updates_it():
    ours = part()
    for strategy in (tf.distribute.get_strategy(), tf.distribute.OneDeviceStrategy("CPU:0")):
        with strategy.scope():
            before = ours.numpy()
            strategy.extended.update(ours, lambda v, by: v.assign_add(by), args=(START,))
            np.testing.assert_array_equal(ours.numpy(), before + START)


def test_a_function_takes_it_as_an_argument_and_closes_over_it():
    ours = part()
    twice = tf.function(lambda v: v * 2)
    np.testing.assert_array_equal(twice(ours), 2 * START)
    ours.assign_add(START)
    np.testing.assert_array_equal(twice(ours), 4 * START)
    closing = tf.function(lambda: ours + 1)
    np.testing.assert_array_equal(closing(), 2 * START + 1)


def test_checkpoints_hold_what_they_hold_of_a_variable(tmp_path):
    saved = tf.train.Checkpoint(v=part()).save(str(tmp_path / "c"))
    assert (
        tf.train.list_variables(saved)[1:2]
        == tf.train.list_variables(tf.train.Checkpoint(v=tf.Variable(START)).save(str(tmp_path / "d")))[1:2]
    )
    for target in (tf.Variable(START * 0), part(START * 0)):
        tf.train.Checkpoint(v=target).restore(saved).assert_consumed()
        np.testing.assert_array_equal(target.numpy(), START)


# --- the variables of an optimizer -------------------------------------------------------------------------------------------


def network() -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(8), keras.layers.Dense(4)])


def gradients(model, x):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((model(x) - x) ** 2)
    return loss, tape.gradient(loss, model.trainable_variables)


class Trainer(tf.Module):
    """A model that is trained after deployment."""

    def __init__(self):
        self.model, self.optimizer = network(), pyadam.AdamW(0.01, use_ema=True)
        self.optimizer.build(self.model.trainable_variables)

    @tf.function(input_signature=[tf.TensorSpec([None, 4])])
    def train(self, x):
        loss, grads = gradients(self.model, x)
        self.optimizer.apply_gradients(zip(grads, self.model.trainable_variables, strict=True))
        return {"loss": loss}


def state(model_or_optimizer) -> list:
    return [np.array(v) for v in model_or_optimizer.variables]


def test_slots_of_small_weights_are_in_an_arena():
    values = [v.value for v in Trainer().optimizer.variables[2:]]
    assert all(isinstance(v, Part) for v in values)


def test_a_savedmodel_trains_on_to_the_bit(tmp_path):
    trainer = Trainer()
    trainer.train(X)
    tf.saved_model.save(trainer, str(tmp_path / "m"), signatures={"train": trainer.train})
    loaded = tf.saved_model.load(str(tmp_path / "m")).signatures["train"]
    for _ in range(4):
        assert float(loaded(x=tf.constant(X))["loss"]) == float(trainer.train(X)["loss"])


def test_an_asynchronous_checkpoint(tmp_path):
    """Only once: at the second save Keras' own variables fail, whatever the optimizer."""
    trainer = Trainer()
    trainer.train(X)
    checkpoint = tf.train.Checkpoint(model=trainer.model, optimizer=trainer.optimizer)
    options = tf.train.CheckpointOptions(experimental_enable_async_checkpoint=True)
    saved, expected = checkpoint.save(str(tmp_path / "c"), options=options), state(trainer.optimizer)
    trainer.train(X)
    checkpoint.sync()
    other = Trainer()
    tf.train.Checkpoint(model=other.model, optimizer=other.optimizer).restore(saved).expect_partial()
    for ours, right in zip(state(other.optimizer), expected, strict=True):
        np.testing.assert_array_equal(ours, right)


@pytest.mark.sample(1)
@pytest.mark.parametrize("large", [False, True], ids=["in an arena", "on its own"])
def test_swapped_averages(large):
    """Validation sees the averages, training continues with the weights, whether weights are small or large."""
    size = 100 if large else 4
    x = np.random.default_rng(0).normal(size=(32, size)).astype("float32")

    def ends(module):
        keras.utils.set_random_seed(0)
        layers = (
            [keras.layers.Dense(size, use_bias=False)] if large else [keras.layers.Dense(8), keras.layers.Dense(size)]
        )
        model = keras.Sequential([keras.Input((size,)), *layers])
        model.compile(optimizer=module.Adam(0.01, use_ema=True, ema_momentum=0.5), loss="mse")
        callback = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
        history = model.fit(x, x, epochs=2, verbose=0, shuffle=False, validation_data=(x, x), callbacks=[callback])
        return history.history["val_loss"], history.history["loss"]

    np.testing.assert_allclose(ends(pyadam), ends(keras.optimizers), rtol=1e-5)


def test_a_callback_resets_state_by_its_values():
    trainer = Trainer()
    trainer.train(X)
    for v in trainer.optimizer.variables[2:]:
        v.value.assign(tf.zeros_like(v))
    assert all((s == 0).all() for s in state(trainer.optimizer)[2:])
