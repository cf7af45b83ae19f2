"""Loaded state goes to its variables by path, from every kind of file, whatever is trained and in whatever order."""

import itertools
import re
import warnings
from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from helpers import run_python

import pyadam
import pyadam.tf_keras
from pyadam.hosts.paths import same_variables

X = np.random.default_rng(0).normal(size=(32, 4)).astype("float32")


# --- which path is which -------------------------------------------------------------------------------------------------

AUTOMATIC = {"dense", "sequential", "functional", "variable"}.__contains__


@pytest.mark.parametrize(
    ("saved", "here", "names", "right"),
    [
        (["a/k", "b/k"], ["b/k", "a/k"], (), {"a/k": "a/k", "b/k": "b/k"}),  # another order
        (["a/k", "b/k"], ["b/k"], (), {"b/k": "b/k"}),  # one is frozen now
        (["b/k"], ["a/k", "b/k"], (), {"b/k": "b/k"}),  # one was frozen then
        (["a/k"], ["b/k"], (), {}),
        (["m/a/k", "m/b/k"], ["a/k", "b/k"], (), {"a/k": "m/a/k", "b/k": "m/b/k"}),  # the model's own name
        (["dense/k", "dense_1/k"], ["dense_4/k", "dense_5/k"], (), {"dense_4/k": "dense/k", "dense_5/k": "dense_1/k"}),
        (["dense_1/k", "dense_2/k"], ["dense/k", "dense_1/k"], (), {"dense/k": "dense_1/k", "dense_1/k": "dense_2/k"}),
        (["dense/k"], ["dense_1/k"], ("dense", "dense_1"), {}),  # the other layer of the same model
        (["block_1/k"], ["block_2/k"], (), {}),  # a number chosen by the user
        # one Dense was made before: the saved model's number belongs to another layer now
        (
            ["net/dense/k", "net/dense_1/k"],
            ["net/dense_1/k", "net/dense_2/k"],
            ("dense", "dense_1"),
            {"net/dense_1/k": "net/dense/k", "net/dense_2/k": "net/dense_1/k"},
        ),
        (
            ["dense/k", "dense_1/k", "a/k"],
            ["dense_1/k", "dense_2/k", "a/k", "b/k"],
            ("dense", "dense_1", "a"),
            {"a/k": "a/k"},
        ),
        (["dense/k", "dense_1/k", "dense_2/k"], ["dense_2/k", "dense_3/k"], (), {}),
        # variables without names, whatever was made before, together with another variable
        (
            ["m/variable", "m/variable_1"],
            ["m/variable_1", "m/variable_2"],
            ("m",),
            {"m/variable_1": "m/variable", "m/variable_2": "m/variable_1"},
        ),
        (
            ["m/variable", "m/variable_1"],
            ["m/variable_1", "m/variable_2", "a/k"],
            ("m", "a"),
            {"m/variable_1": "m/variable", "m/variable_2": "m/variable_1"},
        ),
        (["m/variable", "m/variable_1"], ["m/variable_1"], (), {}),
        # models within a model, whose names Keras leaves out of paths when it loads
        (["m/body/a/k", "m/b/k"], ["a/k", "b/k"], (), {"a/k": "m/body/a/k", "b/k": "m/b/k"}),
        (["m/body/a/k", "m/b/k"], ["b/k", "a/k"], (), {"a/k": "m/body/a/k", "b/k": "m/b/k"}),
        (["m/body/a/k", "m/b/k"], ["a/k"], (), {"a/k": "m/body/a/k"}),
        (["body/a/k", "other/a/k"], ["a/k", "a/k#1"], (), {"a/k": "body/a/k", "a/k#1": "other/a/k"}),
        (["body/a/k", "other/a/k"], ["a/k"], (), {}),  # which one?
        (
            ["sequential/sequential_1/dense/k", "sequential/dense_1/k"],
            ["sequential_2/sequential_3/dense_2/k", "dense_3/k"],
            (),
            {
                "sequential_2/sequential_3/dense_2/k": "sequential/sequential_1/dense/k",
                "dense_3/k": "sequential/dense_1/k",
            },
        ),
        (["sequential/dense/k"], ["sequential_3/dense_1/k"], (), {"sequential_3/dense_1/k": "sequential/dense/k"}),
    ],
)
def test_which_path_is_which(saved, here, names, right):
    assert same_variables(saved, here, names, AUTOMATIC) == right


# --- a model whose trainable variables change ----------------------------------------------------------------------------


def net(module=keras):
    module.utils.set_random_seed(5)
    layers = [module.layers.Dense(4, name=name) for name in ("body", "head")]
    return module.Sequential(
        [module.layers.InputLayer(input_shape=(4,)) if module is not keras else keras.Input((4,)), *layers]
    )


def fit(model, epochs=2):
    return model.fit(X, X, epochs=epochs, verbose=0, shuffle=False).history["loss"]


def short(variable):
    """The last parts of a name; the names of optimizer and model come before them."""
    return "_".join(variable.path.partition("/")[2].split("_")[-3:])


def within(host, names):
    """Two models within a model, with layers of these names; Keras 3 leaves the inner models out of paths when it loads."""
    layers = host.layers
    inner = [host.Sequential([layers.Dense(3, name=name)], name=f"body{i}") for i, name in enumerate(names)]
    return host.Sequential([host.Input((4,)), *inner, layers.Dense(4)])


@pytest.mark.sample(3)
@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("names", [(None, None), ("own", "other"), ("same", "same")], ids=str)
@pytest.mark.parametrize(("host", "module"), [(keras, pyadam), (tf_keras, pyadam.tf_keras)], ids=["keras", "tf_keras"])
def test_the_state_of_models_within_a_model_is_loaded(host, module, names, frozen, tmp_path):
    model = within(host, names)
    model.layers[0].trainable = not frozen
    model.compile(module.Adam(0.01), "mse")
    model.fit(X, X, verbose=0)
    model.save(tmp_path / "m.keras")
    again = host.models.load_model(tmp_path / "m.keras")
    pairs = zip(model.optimizer.variables, again.optimizer.variables, strict=True)
    for saved, loaded in pairs:
        np.testing.assert_array_equal(saved.numpy(), loaded.numpy())


def staged():
    """One optimizer for the head alone, then for all: its state is not in the order of the model's variables."""
    model, optimizer = net(), pyadam.Adam(0.01)
    model.layers[0].trainable = False
    model.compile(optimizer, keras.losses.MeanSquaredError())
    fit(model)
    model.layers[0].trainable = True
    model.compile(optimizer, keras.losses.MeanSquaredError())
    fit(model)
    return model


@pytest.mark.sample(1)
@pytest.mark.parametrize("kind", ["m.keras", "m.h5", "m.weights.h5", "checkpoint"])
def test_staged_unfreezing_resumes_as_if_it_had_not_stopped(kind, tmp_path):
    """Read by number, as Keras does, head and body would be swapped."""
    model = staged()
    file = str(tmp_path / kind)
    if kind == "checkpoint":
        file = tf.train.Checkpoint(model=model, optimizer=model.optimizer).save(file)
        again = net()
        again.compile(pyadam.Adam(0.01), "mse")
        tf.train.Checkpoint(model=again, optimizer=again.optimizer).restore(file)
    elif kind == "m.weights.h5":
        model.save_weights(file)
        again = net()
        again.compile(pyadam.Adam(0.01), "mse")
        again.load_weights(file)
    else:
        model.save(file)
        again = keras.models.load_model(file)
    assert fit(again) == fit(model)


@pytest.mark.parametrize("frozen", [("body",), ("head",), ("body", "head")], ids=str)
def test_a_model_loads_whatever_is_frozen_and_its_state_is_kept(frozen, tmp_path):
    model = net()
    model.compile(pyadam.Adam(0.01), "mse")
    fit(model)
    moments = {short(v): v.numpy() for v in model.optimizer.variables}
    for name in frozen:
        model.get_layer(name).trainable = False
    for turn in range(2):  # what is kept is saved again
        model.save(tmp_path / f"{turn}.keras")
        model = keras.models.load_model(tmp_path / f"{turn}.keras")
    for name in frozen:
        model.get_layer(name).trainable = True
    model.compile(model.optimizer, "mse")
    before = int(model.optimizer.iterations)
    model.optimizer.learning_rate = 0.0
    model.optimizer.build(model.trainable_variables)
    for v in model.optimizer.variables[2:]:
        np.testing.assert_array_equal(v.numpy(), moments[short(v)])
    assert before == 2


def test_what_was_not_saved_starts_fresh_with_one_warning(tmp_path):
    model = net()
    model.layers[0].trainable = False
    model.compile(pyadam.Adam(0.01), "mse")
    fit(model)
    model.save_weights(tmp_path / "m.weights.h5")
    model.layers[0].trainable = True
    model.compile(pyadam.Adam(0.01), "mse")
    model.load_weights(tmp_path / "m.weights.h5")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        fit(model)
    said = [str(w.message) for w in said if "fresh" in str(w.message)]
    assert len(said) == 1
    assert "body/kernel" in said[0]
    assert "head/kernel" not in said[0]


# --- state of another kind -----------------------------------------------------------------------------------------------

KINDS = {
    "Adam": pyadam.Adam,
    "Adam with averages": lambda **kw: pyadam.Adam(use_ema=True, **kw),
    "Adam that accumulates": lambda **kw: pyadam.Adam(gradient_accumulation_steps=2, **kw),
    "AMSGrad": lambda **kw: pyadam.Adam(amsgrad=True, **kw),
    "Lamb": pyadam.Lamb,
    "RMSprop": lambda **kw: pyadam.RMSprop(momentum=0.9, **kw),
    "RMSprop, centered": lambda **kw: pyadam.RMSprop(centered=True, **kw),
    "SGD": lambda **kw: pyadam.SGD(momentum=0.9, **kw),
    "SGD with averages": lambda **kw: pyadam.SGD(use_ema=True, **kw),
}


@pytest.mark.sample(1)
@pytest.mark.parametrize("kind", ["checkpoint", "store"])
def test_state_of_another_kind_is_refused(kind, tmp_path):
    """Otherwise RMSprop's averages would silently be taken for momenta: number and shapes are the same."""

    def made(name):
        variable = keras.Variable(np.ones((2, 2), "float32"), name="w")
        optimizer = KINDS[name](jit_compile=False)
        optimizer.build([variable])
        return optimizer, variable

    for a, b in itertools.permutations(KINDS, 2):
        (first, v), (second, _) = made(a), made(b)
        first.apply([tf.ones((2, 2))], [v])
        before = [np.array(x) for x in second.variables]
        if kind == "checkpoint":
            load = partial(
                tf.train.Checkpoint(o=second).restore, tf.train.Checkpoint(o=first).save(str(tmp_path / "c"))
            )
        else:
            load = partial(second._load, first._state())
        with pytest.raises(ValueError, match="the saved state is that of an"):
            load()
        for x, y in zip(before, second.variables, strict=True):
            np.testing.assert_array_equal(x, np.array(y))


# --- a fresh process -----------------------------------------------------------------------------------------------------


def test_a_saved_model_loads_in_a_fresh_process(tmp_path):
    """Packages may be imported in any order; importing pyadam alone imports no TensorFlow."""
    model = net()
    model.compile(pyadam.Adam(0.01), "mse")
    fit(model)
    model.save(tmp_path / "m.keras")
    import tf_keras

    other = net(tf_keras)
    other.compile(pyadam.tf_keras.Adam(0.01), "mse")
    fit(other)
    other.save(tmp_path / "t.keras")
    for first, name, file in (
        ("import pyadam, keras", "keras", "m.keras"),
        ("import tf_keras, pyadam", "tf_keras", "t.keras"),
    ):
        code = f"""
        import sys
        if {first!r}.startswith("import pyadam"):
            import pyadam
            assert "tensorflow" not in sys.modules
        {first}
        optimizer = {name}.models.load_model({str(tmp_path / file)!r}).optimizer
        print(type(optimizer).__module__, int(optimizer.iterations))
        """
        run = run_python(code)
        assert run.stdout.split() == [f"pyadam.{'keras3' if name == 'keras' else 'tf_keras'}", "2"], run.stderr


def test_variables_that_a_subclass_adds_come_last_and_are_saved(tmp_path):
    """As in Keras' files; two variables with one name stay two."""

    def fresh(module=pyadam):
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        model.compile(optimizer=module.Adam(0.01, name="mine"), loss="mse")
        optimizer = model.optimizer
        optimizer.build(model.trainable_variables)
        optimizer.add_variable_from_reference(model.trainable_variables[0], "mine")
        optimizer.add_variable((2,), name="other")
        optimizer.add_variable((3,), name="other")
        return model

    model, theirs = fresh(), fresh(keras.optimizers)
    names = [re.sub(r"(sequential|dense)_\d+", r"\1", v.path) for m in (model, theirs) for v in m.optimizer.variables]
    assert names[: len(names) // 2] == names[len(names) // 2 :]
    for i, v in enumerate(model.optimizer.variables[2:]):
        v.assign(np.full(v.shape, i + 1.0))
    model.save_weights(tmp_path / "m.weights.h5")
    again = fresh()
    again.load_weights(tmp_path / "m.weights.h5")
    theirs.load_weights(tmp_path / "m.weights.h5")
    for other in (again, theirs):
        for a, b in zip(other.optimizer.variables, model.optimizer.variables, strict=True):
            np.testing.assert_array_equal(a, b)


# --- before and after a load -----------------------------------------------------------------------------------------------


@keras.saving.register_keras_serializable("test_state")
class Unnamed(keras.layers.Layer):
    """Three weights without names."""

    def build(self, input_shape):
        self.a, self.b, self.c = (self.add_weight(shape=(4, 4)) for _ in range(3))

    def call(self, x):
        return keras.ops.tanh(keras.ops.tanh(x @ self.a) @ self.b) @ self.c


@keras.saving.register_keras_serializable("test_state")
class Stack(keras.Model):
    """Three layers with Keras' default names."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.stack = [keras.layers.Dense(4) for _ in range(3)]

    def call(self, x):
        for layer in self.stack:
            x = keras.ops.tanh(layer(x))
        return x


def compiled(model):
    model.compile(pyadam.Adam(0.05), "mse")
    return model


@pytest.mark.sample(1)
@pytest.mark.parametrize("make", [lambda: keras.Sequential([keras.Input((4,)), Unnamed(name="mix")]), Stack])
@pytest.mark.parametrize("others", [0, 1, 2, 10])
def test_numbers_that_keras_counts_from_another_one(make, others, tmp_path):
    """As in another process that made other layers before."""
    keras.backend.clear_session()
    model = compiled(make())
    fit(model)
    model.save(tmp_path / "m.keras")
    expected = fit(model)
    keras.backend.clear_session()
    for _ in range(others):
        keras.Variable(1.0)
        keras.layers.Dense(1)
    assert fit(keras.models.load_model(tmp_path / "m.keras")) == expected


@pytest.mark.sample(1)
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_checkpoint_is_restored_before_a_build_inside_of_a_graph(wrapped, tmp_path):
    def made():
        optimizer = pyadam.Adam(0.05)
        model = net()
        model.compile(keras.optimizers.LossScaleOptimizer(optimizer) if wrapped else optimizer, "mse")
        return model, tf.train.Checkpoint(model=model, optimizer=model.optimizer)

    model, checkpoint = made()
    fit(model)
    saved, expected = checkpoint.save(str(tmp_path / "c")), fit(model)
    again, checkpoint = made()
    checkpoint.restore(saved)
    assert fit(again) == expected


def test_what_starts_fresh_starts_fresh_though_it_has_state(tmp_path):
    """Back to the best weights of stage one, after unfreezing: 'starts fresh' is what happens."""
    model, optimizer = net(), pyadam.Adam(0.05, use_ema=True)
    model.layers[0].trainable = False
    model.compile(optimizer, "mse")
    fit(model)
    model.save_weights(tmp_path / "best.weights.h5")
    model.layers[0].trainable = True
    model.compile(optimizer, "mse")
    fit(model)
    with pytest.warns(UserWarning, match="nothing for .*body/kernel.*they start fresh"):
        model.load_weights(tmp_path / "best.weights.h5")
    fresh = [v for v in optimizer.variables if "body_kernel" in v.path]
    assert [float(np.abs(v).max()) for v in fresh[1:]] == [0.0, 0.0]
    np.testing.assert_array_equal(fresh[0], model.layers[0].kernel)


@pytest.mark.sample(1)
@pytest.mark.parametrize("how", ["loaded", "LossScaleOptimizer", "Keras' LossScaleOptimizer", "one replica"])
def test_layers_are_unfrozen_where_keras_builds_the_optimizer(how, tmp_path):
    inner = pyadam.Adam(0.01)
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope() if how == "one replica" else tf.name_scope(""):
        model = net()
        model.layers[0].trainable = False
        wrap = {
            "LossScaleOptimizer": pyadam.LossScaleOptimizer,
            "Keras' LossScaleOptimizer": keras.optimizers.LossScaleOptimizer,
        }.get(how, lambda optimizer: optimizer)
        model.compile(wrap(inner), "mse")
        fit(model)
        if how == "loaded":
            model.save(tmp_path / "m.keras")
            model = keras.models.load_model(tmp_path / "m.keras")
        model.layers[0].trainable = True
        before = np.array(model.layers[0].kernel)
        model.compile(model.optimizer, "mse")
        fit(model)
    assert (np.array(model.layers[0].kernel) != before).all()


def test_kept_state_goes_to_no_other_variable_whose_path_ends_alike(tmp_path):
    base = keras.Sequential([keras.layers.Dense(4, name="dense")], name="base")
    layers = [base, keras.layers.Dense(4, name="head"), keras.layers.Dense(4, name="dense")]
    for layer in layers:
        layer.build((None, 4))
    inner, head, other = ([layer.trainable_variables[0]] for layer in layers)
    first = pyadam.Adam(0.05)
    for _ in range(3):
        first.apply([tf.ones((4, 4))] * 2, inner + head)
    saved = tf.train.Checkpoint(o=first).save(str(tmp_path / "c"))
    second = pyadam.Adam(0.05)
    tf.train.Checkpoint(o=second).restore(saved)
    second.apply([tf.ones((4, 4))], head)
    second.apply([tf.ones((4, 4))] * 2, other + head)
    (momentum,) = (v for v in second.variables if v.path.endswith("/dense_kernel_momentum"))
    np.testing.assert_allclose(momentum, 0.1, rtol=1e-6)
