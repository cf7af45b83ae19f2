"""A saved optimizer resumes to the bit from configs, files and checkpoints, whether pyadam or Keras wrote them."""

import copy
import json
import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf
from family import AS_IN_KERAS, EVERY, ONE_OF_EACH_KIND, theirs
from helpers import assert_same, run_python
from models import arrays, make_model, train

import pyadam
import pyadam.tf_keras
from pyadam import specs
from pyadam.optimizers import arguments
from pyadam.optimizers.kinds import DynamicNumber

STATES = [{}, {"use_ema": True}, {"gradient_accumulation_steps": 2}]


@pytest.mark.sample(2)
@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("state", STATES, ids=str)
def test_layout_is_keras_layout(name, state):
    ours, keras_own = (make(name="o", **state) for make in (getattr(pyadam, name), theirs(keras.optimizers, name)))
    models = [train(make_model(optimizer), 1) for optimizer in (ours, keras_own)]
    assert [(v.dtype, tuple(v.shape)) for v in ours.variables] == [
        (v.dtype, tuple(v.shape)) for v in keras_own.variables
    ]
    weights = tuple(f"o/{v.path.replace('/', '_')}_" for v in models[1].trainable_variables)
    named = [
        (a.path, b.path) for a, b in zip(ours.variables, keras_own.variables, strict=True) if b.path.startswith(weights)
    ]
    assert (
        named or len(ours.variables) == 2
    )  # Keras gives some no name of their own: Adafactor's means, Nadam's product
    assert [a.split("_")[-1] for a, _ in named] == [b.split("_")[-1] for _, b in named]


@pytest.mark.sample(3)
@pytest.mark.parametrize("name", ONE_OF_EACH_KIND)
@pytest.mark.parametrize("state", STATES, ids=str)
@pytest.mark.parametrize("kind", ["weights.h5", "keras", "checkpoint"])
@pytest.mark.parametrize("writer", ["keras", "pyadam"])
def test_a_file_of_either_resumes_in_the_other(name, state, kind, writer, tmp_path):
    classes = {"keras": theirs(keras.optimizers, name), "pyadam": getattr(pyadam, name)}
    (reader,) = classes.keys() - {writer}
    first = train(make_model(classes[writer](0.01, **state)), 3)
    second = make_model(classes[reader](0.01, **state))
    second.optimizer.build(second.trainable_variables)
    if kind == "checkpoint":
        saved = tf.train.Checkpoint(model=first, optimizer=first.optimizer).save(str(tmp_path / "c"))
        tf.train.Checkpoint(model=second, optimizer=second.optimizer).restore(saved).expect_partial()
    else:
        file = str(tmp_path / f"m.{kind}")
        first.save(file) if kind == "keras" else first.save_weights(file)
        second.load_weights(file)
    assert_same(arrays(first), arrays(second))


@pytest.mark.sample(2)
@pytest.mark.parametrize("name", AS_IN_KERAS)
def test_three_steps_of_keras_and_three_of_pyadam_are_six_of_pyadam(name, tmp_path):
    whole = train(make_model(getattr(pyadam, name)(0.01)), 6)
    classes = (theirs(keras.optimizers, name), getattr(pyadam, name))
    for first, second in (classes, classes[::-1]):
        file = str(tmp_path / "m.weights.h5")
        train(make_model(first(0.01)), 3).save_weights(file)
        resumed = make_model(second(0.01))
        resumed.optimizer.build(resumed.trainable_variables)
        resumed.load_weights(file)
        train(resumed, 3)
        for a, b in zip(whole.trainable_variables, resumed.trainable_variables, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=0, atol=6 * np.spacing(np.float32(1.0)) + 2e-5 * 0.06)
        assert int(resumed.optimizer.iterations) == 6


@pytest.mark.sample(1)
@pytest.mark.parametrize("name", ONE_OF_EACH_KIND)
def test_save_and_load_model_resumes_to_the_bit(name, tmp_path):
    whole = train(make_model(getattr(pyadam, name)(0.01, use_ema=True)), 6)
    half = train(make_model(getattr(pyadam, name)(0.01, use_ema=True)), 3)
    half.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    assert type(loaded.optimizer) is getattr(pyadam, name)
    assert_same(arrays(train(loaded, 3)), arrays(whole))


@pytest.mark.sample(3)
@pytest.mark.parametrize("kind", ["own variables", "checkpoint"])
@pytest.mark.parametrize("stepped", [False, True], ids=["fresh", "stepped"])
@pytest.mark.parametrize("wrap", [lambda f: f, tf.function], ids=["eager", "graph"])
@pytest.mark.filterwarnings("ignore:.*Gradients do not exist for variables")
def test_a_state_from_the_middle_of_an_accumulation_keeps_every_share(kind, stepped, wrap, tmp_path):
    """The second call has no gradient for b, whose first one waits in the accumulator."""

    def make():
        optimizer = pyadam.SGD(1.0, gradient_accumulation_steps=2)
        vs = [keras.Variable([1.0, 2.0]), keras.Variable([3.0])]
        optimizer.build(vs)
        return optimizer, vs

    def step(optimizer, vs, *gradients):
        wrap(lambda: optimizer.apply([None if g is None else tf.constant(g) for g in gradients], vs))()

    first, vs = make()
    step(first, vs, [1.0, 1.0], [1.0])
    resumed, ws = make()
    if stepped:
        step(resumed, ws, [5.0, 5.0], None)
    if kind == "checkpoint":
        saved = tf.train.Checkpoint(optimizer=first).save(str(tmp_path / "c"))
        tf.train.Checkpoint(optimizer=resumed).restore(saved)
    else:
        store = {}
        first.save_own_variables(store)
        resumed.load_own_variables(store)
    step(resumed, ws, [1.0, 1.0], None)
    np.testing.assert_array_equal(ws[0].numpy(), [0.0, 1.0])
    np.testing.assert_array_equal(ws[1].numpy(), [2.5])


def test_a_model_saved_before_its_first_step_loads(tmp_path):
    make_model(pyadam.Adam(0.01)).save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    assert_same(arrays(train(loaded, 2)), arrays(train(make_model(pyadam.Adam(0.01)), 2)))


def test_state_loaded_before_build_waits_for_it(tmp_path):
    first = train(make_model(pyadam.Adam(0.01)), 3)
    first.save_weights(tmp_path / "m.weights.h5")
    second = make_model(pyadam.Adam(0.01))
    assert not second.optimizer.built
    second.load_weights(tmp_path / "m.weights.h5")
    second.optimizer.build(second.trainable_variables)
    assert_same(arrays(first), arrays(second))


@pytest.mark.parametrize("built", [True, False])
def test_state_that_does_not_fit_is_an_error_and_nothing_changes(built, tmp_path):
    train(make_model(pyadam.Nadam(0.01)), 3).save_weights(tmp_path / "m.weights.h5")
    model = make_model(pyadam.Adam(0.01))
    if built:
        model.optimizer.build(model.trainable_variables)
    before = [np.array(v) for v in model.optimizer.variables]
    with pytest.raises(
        ValueError, match="Adam: the saved state is that of another optimizer: expected the layout adam, fo"
    ):
        model.load_weights(tmp_path / "m.weights.h5")
    assert_same(before, [np.array(v) for v in model.optimizer.variables])
    with pytest.warns(UserWarning, match="expected the layout adam, found nadam"):
        model.load_weights(tmp_path / "m.weights.h5", skip_mismatch=True)
    train(model, 1)


def test_set_weights_checks_count_and_shape():
    model = train(make_model(pyadam.Adam()), 1)
    weights = [np.array(v) for v in model.optimizer.variables]
    model.optimizer.set_weights(weights)
    with pytest.raises(ValueError, match=r"expected 10 variables .*, found 9"):
        model.optimizer.set_weights(weights[:-1])
    weights[2] = weights[2][:1]
    with pytest.raises(ValueError, match=r"expected shape \(4, 3\) for momentum of .*kernel, found \(1, 3\)"):
        model.optimizer.set_weights(weights)


def test_a_file_without_optimizer_state_warns(tmp_path):
    model = train(make_model(pyadam.Adam()), 1)
    model.optimizer, optimizer = None, model.optimizer
    model.save_weights(tmp_path / "m.weights.h5")
    model.optimizer = optimizer
    with pytest.warns(UserWarning, match="holds no optimizer state"):
        model.load_weights(tmp_path / "m.weights.h5")


# --- configs -------------------------------------------------------------------------------------------------------------


@keras.saving.register_keras_serializable("pyadam-tests")
def halved():
    return 0.5


@pytest.mark.parametrize("name", EVERY)
def test_config_round_trips_as_json(name):
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    kinds = {n: field.metadata["kind"] for n, field in arguments(specs.SPECS[name]).items()}
    dynamic = {
        n: np.float32(0.7 if kind.high > 0 else -0.7) for n, kind in kinds.items() if isinstance(kind, DynamicNumber)
    }
    for given in (
        {},
        {**dynamic, "clipnorm": 1, "jit_compile": False, "name": "mine"},
        {"learning_rate": schedule, "use_ema": True, "ema_overwrite_frequency": 5.0},
        dict.fromkeys(dynamic, halved),
    ):
        optimizer = getattr(pyadam, name)(**given)
        config = optimizer.get_config()
        again = type(optimizer).from_config(json.loads(json.dumps(config)))
        assert again.get_config() == config
        restored = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
        assert type(restored) is type(optimizer)
        assert restored.get_config() == config
    assert getattr(pyadam, name)(learning_rate=np.float32(0.1)).get_config()["learning_rate"] == 0.1


@pytest.mark.parametrize("name", EVERY)
def test_keras_reads_our_config_and_we_read_kerass(name):
    ours = getattr(pyadam, name)(0.3, clipnorm=1.0)
    keras_own = theirs(keras.optimizers, name)
    assert keras_own.from_config(ours.get_config()).clipnorm == 1.0
    config = keras_own(0.25, clipnorm=1.0, name="o").get_config()
    assert getattr(pyadam, name).from_config(config).get_config()["learning_rate"] == 0.25


def test_config_follows_the_learning_rate():
    optimizer = pyadam.Adam(0.1)
    optimizer.learning_rate = 0.3
    assert optimizer.get_config()["learning_rate"] == 0.3
    optimizer.learning_rate.assign(0.7)
    assert optimizer.get_config()["learning_rate"] == 0.7


def test_config_refuses_unregistered_functions_by_name():
    message = "Adam: beta_1 is the function <lambda>, which a config can't hold; register it with "
    with pytest.raises(ValueError, match=message + r"keras\.saving\.register_keras_serializable\(\), or use"):
        pyadam.Adam(beta_1=lambda: 0.9).get_config()


def test_a_repr_names_functions_without_their_addresses():
    def slower():
        return 0.1

    assert repr(pyadam.Adam(slower)) == "pyadam.Adam(learning_rate=<function slower>)"


@pytest.mark.parametrize("module", [pyadam, pyadam.tf_keras], ids=["keras", "tf_keras"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("getcwd", {"module": "os", "class_name": "function", "config": "getcwd", "registered_name": "getcwd"}),
        ("relu", {"module": "builtins", "class_name": "function", "config": "relu", "registered_name": "function"}),
        ("lambda", {"module": "builtins", "class_name": "__lambda__", "config": {"value": "4wE="}}),
    ],
)
def test_a_config_with_a_function_that_is_not_registered_is_refused(module, name, value):
    """A file could name any function there is: what `get_config` refuses to write is refused when it is read."""
    with pytest.raises(
        ValueError, match=f"^Adam: learning_rate is the function {name}, which a config can't hold; regis"
    ):
        module.Adam.from_config({"learning_rate": value})


def test_pickle_and_deepcopy():
    optimizer = pyadam.Nadam(0.3, clipvalue=2.0)
    for other in (pickle.loads(pickle.dumps(optimizer)), copy.deepcopy(optimizer)):
        assert other.get_config() == optimizer.get_config()


def test_repr_shows_what_is_not_default():
    assert repr(pyadam.Adam()) == "pyadam.Adam()"
    assert repr(pyadam.AdamW(1, clipnorm=2)) == "pyadam.AdamW(learning_rate=1.0, clipnorm=2.0)"


@pytest.mark.sample(1)
@pytest.mark.parametrize("former", ["loss_scale_keras3", "loss_scale_tf_keras"])
def test_a_pickle_finds_the_loss_scale_where_it_was_at_first(former):
    run = run_python(f"""
        import pickle
        print(pickle.loads(b"cpyadam.{former}\\nLossScaleOptimizer\\n."))
    """)
    assert f"pyadam.{former.removeprefix('loss_scale_')}.LossScaleOptimizer" in run.stdout, run.stderr


@pytest.mark.sample(1)
@pytest.mark.parametrize("module", ["loss_scale_tf_keras", "tf_keras"])
def test_tf_keras_loads_a_config_of_today_and_of_before_without_an_import(module):
    run = run_python(f"""
        import tf_keras
        inner = {{"module": "pyadam.tf_keras", "class_name": "Adam", "config": {{}}, "registered_name": "pyadam>Adam"}}
        config = {{"module": "pyadam.{module}", "class_name": "LossScaleOptimizer", "config": {{"inner_optimizer": inner}},
                  "registered_name": "pyadam>LossScaleOptimizer"}}
        print(tf_keras.saving.deserialize_keras_object(config))
    """)
    assert "pyadam.tf_keras.LossScaleOptimizer(pyadam.tf_keras.Adam())" in run.stdout, run.stderr


def test_a_pickle_of_a_tf_keras_optimizer_names_a_public_module():
    import pyadam.tf_keras

    optimizer = pyadam.tf_keras.Adam(0.1)
    assert b"pyadam.tf_keras" in pickle.dumps(optimizer)
    assert b"hosts" not in pickle.dumps(optimizer)
    assert pyadam.tf_keras._restored.__module__ == "pyadam.tf_keras"


def test_the_public_modules_hold_what_they_list():
    for module in (pyadam.keras3, specs, pyadam.schedules):
        names = {}
        exec(f"from {module.__name__} import *", names)
        assert set(module.__all__) <= names.keys()
        assert set(module.__all__) <= set(dir(module))
