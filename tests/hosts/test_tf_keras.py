"""The classes for tf_keras give the bits of those for Keras 3, and train, save and load as tf_keras does."""

import copy
import json
import pickle
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from family import EVERY, ONE_OF_EACH_KIND
from helpers import assert_same, run_python
from models import MODES, X, Y, arrays, fit, make_model

import pyadam
import pyadam.tf_keras
from pyadam import specs
from pyadam.parity.cases import Case
from pyadam.parity.inputs import Slices, draw, typed
from pyadam.parity.values import EXERCISED, NEEDS, Clock, PerStep, Schedule, by_kind

SHARED = [name for name in EVERY if hasattr(tf_keras.optimizers, name)]
CLIPS = ("clipnorm", "clipvalue", "global_clipnorm")


def bundles(name):
    """Sets of compatible arguments; every argument is in one of them, every clip in its own."""
    spec = specs.SPECS[name]
    for i, clip in enumerate(CLIPS):
        given = {}
        for argument, field in specs.arguments(spec).items():
            if argument in CLIPS and argument != clip:
                continue
            kind = field.metadata["kind"]
            values = EXERCISED.get(argument) or by_kind(kind, field.default)
            values = [value for value in values if value != 0 or not getattr(kind, "low_open", False)]
            # epsilon 0 only if every row has a gradient: the bits of 0 / 0 would prove nothing
            place = max(i - 1, 0) if argument == "epsilon" else i
            given |= {**NEEDS.get(argument, {}), argument: values[place % len(values)]}
        if i == 2:  # the float64 case
            del given["slot_dtype"]
        yield {**given, "jit_compile": i > 0}


CASES = [
    Case(f"{name} {label}", name, given, dtypes, gradients=gradients, steps=12)
    for name in EVERY
    for label, given, dtypes, gradients in [
        ("defaults", {}, ("float32",), "dense"),
        *zip(
            ("all, uncompiled", "all, sparse", "all, some none"),
            bundles(name),
            (("float32",), ("float32", "bfloat16"), ("float64",)),
            ("dense", "sparse", "some none"),
            strict=True,
        ),
    ]
]
CASES = [case for case in CASES if not case.refused()]


def steps_of(case, module, host, make_variable):
    """Weights and state after every step, as bytes, without the learning rate, which tf_keras does not list."""
    clock, inputs = Clock(), draw(case)

    def literal(value):
        if isinstance(value, Schedule):
            return getattr(host.optimizers.schedules, value.kind.title().replace("_", ""))(**value.arguments)
        return (lambda: value(clock.step)) if isinstance(value, PerStep) else value

    def tensor(g, dtype):
        if isinstance(g, Slices):
            return tf.IndexedSlices(tf.constant(typed(g.values, dtype)), tf.constant(g.indices), tf.constant(g.shape))
        return None if g is None else tf.constant(typed(g, dtype))

    weights = [make_variable(w, case.dtype(j), f"layer/variable_{j}") for j, w in enumerate(inputs.weights)]
    optimizer = getattr(module, case.optimizer)(**{k: literal(v) for k, v in case.arguments.items()})
    optimizer.build(weights)
    state = [v for v in optimizer.variables if v is not getattr(optimizer, "_learning_rate", None)]
    for number, gradients in enumerate(inputs.gradients, start=1):
        clock.step = number
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*Gradients do not exist for variables")
            optimizer.apply_gradients(
                [(tensor(g, case.dtype(j)), w) for j, (g, w) in enumerate(zip(gradients, weights, strict=True))]
            )
        assert all(np.isfinite(np.array(v, "float64")).all() for v in weights)
        yield [np.array(v).tobytes() for v in weights], sorted(np.array(v).tobytes() for v in state)


@pytest.mark.sample(3)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_bits_of_keras_3(case):
    def of_keras(w, dtype, name):
        return keras.Variable(w, dtype=dtype, name=name.rpartition("/")[2])

    def of_tf_keras(w, dtype, name):
        return tf.Variable(typed(w, dtype), name=name)

    first = steps_of(case, pyadam, keras, of_keras)
    second = steps_of(case, pyadam.tf_keras, tf_keras, of_tf_keras)
    for step, (a, b) in enumerate(zip(first, second, strict=True), start=1):
        assert a[0] == b[0], f"weights differ after step {step}"
        # one of the two has zeros as placeholders
        assert [x for x in a[1] if any(x)] == [x for x in b[1] if any(x)], f"state differs after step {step}"


# --- training ------------------------------------------------------------------------------------------------------------


@pytest.mark.sample(1)
@pytest.mark.parametrize("name", ONE_OF_EACH_KIND)
@pytest.mark.parametrize("mode", MODES)
def test_a_model_ends_with_the_same_weights_in_both_generations(name, mode):
    ends = []
    for module, host in ((pyadam, keras), (pyadam.tf_keras, tf_keras)):
        optimizer = getattr(module, name)(0.05, weight_decay=0.01, global_clipnorm=0.5)
        model = fit(make_model(optimizer, host, **{"jit_compile": False, **MODES[mode]}), steps=5)
        assert int(optimizer.iterations) == 5
        ends.append(model.get_weights())
    for a, b in zip(*ends, strict=True):  # compiled as a whole, the host's own gradients differ in the last bit
        np.testing.assert_allclose(a, b, rtol=0, atol=4 * np.spacing(np.float32(1)) if mode == "compiled" else 0)


def test_averages_are_taken_at_the_end_of_fit():
    models = [make_model(m.Adam(0.05, use_ema=True), h) for m, h in ((pyadam, keras), (pyadam.tf_keras, tf_keras))]
    assert_same(*(fit(model).get_weights() for model in models))


def test_tf_keras_nadam_advances_its_product_once_a_variable_in_a_graph():
    """Row 5 of docs/differences.md: three variables, four steps."""
    products, weights = {}, {}
    for module in (tf_keras.optimizers, pyadam.tf_keras):
        optimizer = module.Nadam(0.1)
        variables = [tf.Variable(1.0), tf.Variable(1.0), tf.Variable(1.0)]
        optimizer.build(variables)
        step = tf.function(lambda o=optimizer, vs=variables: o.apply_gradients([(v * 0 + 1.0, v) for v in vs]))
        for _ in range(4):
            step()
        name = module.__name__.split(".")[0]
        products[name] = float(optimizer._u_product if name == "tf_keras" else optimizer.variables[-1])
        weights[name] = float(variables[0])
    expected = np.prod([0.9 * (1 - 0.5 * 0.96**t) for t in range(1, 5)])
    np.testing.assert_allclose(products["pyadam"], expected, rtol=1e-6)
    np.testing.assert_allclose(products["tf_keras"], 0.0009, atol=5e-5)
    np.testing.assert_allclose([weights["pyadam"], weights["tf_keras"]], [0.675, 0.694], atol=5e-4)


@pytest.mark.sample(2)
@pytest.mark.parametrize("name", EVERY)
def test_minimize_and_a_custom_loop_step_alike(name):
    ends = []
    for way in ("minimize", "minimize with a tape", "apply_gradients", "apply"):
        v = tf.Variable([[1.0, 2.0], [3.0, 4.0]])
        optimizer = getattr(pyadam.tf_keras, name)(0.1, loss_scale_factor=8.0)
        for _ in range(3):
            with tf.GradientTape() as tape:
                loss = optimizer.scale_loss(tf.reduce_sum(v * v))
            if way == "minimize":
                optimizer.minimize(lambda v=v: tf.reduce_sum(v * v), [v])
            elif way == "minimize with a tape":
                optimizer.minimize(loss, [v], tape=tape)
            elif way == "apply":
                optimizer.apply(tape.gradient(loss, [v]), [v])
            else:
                optimizer.apply_gradients(zip(tape.gradient(loss, [v]), [v], strict=True), name="step")
        ends.append(v.numpy())
    for end in ends[1:]:
        np.testing.assert_array_equal(end, ends[0])


# --- learning rates ------------------------------------------------------------------------------------------------------


def test_the_learning_rate_is_set_and_read_under_both_names():
    optimizer = pyadam.tf_keras.Adam(0.5)
    assert float(optimizer.learning_rate) == float(optimizer.lr) == 0.5
    optimizer.learning_rate = 0.25
    optimizer.lr.assign(optimizer.lr / 2)
    assert float(optimizer.lr) == 0.125
    optimizer.lr = 1
    assert float(optimizer.learning_rate) == 1.0
    assert [v.name for v in optimizer.variables] == ["iteration:0"]
    with pytest.warns(DeprecationWarning, match="argument lr is deprecated"):
        assert float(pyadam.tf_keras.Adam(lr=0.5).learning_rate) == 0.5
    with pytest.raises(ValueError, match=r"Adam: learning_rate must be a number in \[0, inf\).*got -1.0"):
        optimizer.learning_rate = -1.0


def test_callbacks_and_schedules_move_a_model_as_in_keras_3():
    ends = []
    for module, host in ((pyadam, keras), (pyadam.tf_keras, tf_keras)):
        x, y = X, Y
        model = make_model(module.SGD(0.1), host)
        callback = host.callbacks.LearningRateScheduler(lambda epoch, lr: lr / 2)
        history = model.fit(x, y, batch_size=len(x), epochs=4, shuffle=False, verbose=0, callbacks=[callback]).history
        np.testing.assert_allclose(next(history[k] for k in ("lr", "learning_rate") if k in history)[-1], 0.1 / 16)
        rate = host.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)
        other = fit(make_model(module.SGD(rate), host), steps=4)
        np.testing.assert_allclose(float(other.optimizer.learning_rate), 0.1 / 4, rtol=1e-6)
        ends.append([*model.get_weights(), *other.get_weights()])
    assert_same(*ends)


def test_a_function_as_learning_rate_is_called_at_every_step_of_a_graph():
    calls = []
    model = make_model(pyadam.tf_keras.SGD(lambda: calls.append(1) or 0.1 / len(calls)), tf_keras)
    fit(model, steps=4)
    assert len(calls) == 4


# --- files ---------------------------------------------------------------------------------------------------------------

FILES = ["h5", "keras", "weights.h5", "checkpoint"]


def save_and_load(model, kind, folder, fresh):
    """The model from a file of that kind; ``fresh`` makes a model for files without architecture."""
    file = str(folder / "m") + ("" if kind == "checkpoint" else f".{kind}")
    if kind in ("h5", "keras"):
        model.save(file)
        return tf_keras.models.load_model(file)
    other = fresh()
    other.optimizer.build(other.trainable_variables)
    if kind == "checkpoint":
        saved = tf.train.Checkpoint(model=model, optimizer=model.optimizer).save(file)
        tf.train.Checkpoint(model=other, optimizer=other.optimizer).restore(saved).assert_existing_objects_matched()
    else:
        model.save_weights(file)
        other.load_weights(file)
        other.optimizer.set_weights([np.array(v) for v in model.optimizer.variables])
    return other


@pytest.mark.sample(1)
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file:UserWarning")
@pytest.mark.parametrize("name", ONE_OF_EACH_KIND)
def test_a_model_resumes_from_its_file_to_the_bit(name, tmp_path):
    def fresh():
        return make_model(getattr(pyadam.tf_keras, name)(0.05, use_ema=True, ema_overwrite_frequency=2), tf_keras)

    half = fit(fresh())
    loaded = [save_and_load(half, kind, tmp_path, fresh) for kind in FILES]
    for each in loaded:
        assert type(each.optimizer) is type(half.optimizer)
        assert_same(arrays(each), arrays(half))
    whole = arrays(fit(half))
    for each in loaded:
        assert_same(arrays(fit(each)), whole)


@pytest.mark.sample(1)
@pytest.mark.parametrize("module", [pyadam.tf_keras, tf_keras.optimizers], ids=["pyadam", "tf_keras"])
@pytest.mark.parametrize("name", ["Adafactor", "Adam", "Nadam", "SGD"])
def test_a_saved_model_holds_the_weights_and_the_optimizers_arguments(name, module, tmp_path):
    """Nothing more: tf_keras doesn't restore the state of its own optimizers either."""
    model = fit(make_model(getattr(module, name)(0.05, clipnorm=1.0), tf_keras), steps=1)
    model.save(tmp_path / "m")
    loaded = tf_keras.models.load_model(tmp_path / "m")
    assert type(loaded.optimizer) is type(model.optimizer)
    assert_same(loaded.get_weights(), model.get_weights())
    assert float(loaded.optimizer.learning_rate) == np.float32(0.05)
    assert loaded.optimizer.clipnorm == 1.0
    assert int(loaded.optimizer.iterations) == 0
    fit(loaded, steps=1)


@pytest.mark.sample(2)
@pytest.mark.parametrize("name", SHARED)
@pytest.mark.parametrize("writer", ["tf_keras", "pyadam"])
def test_a_file_of_either_resumes_in_the_other(name, writer, tmp_path):
    modules = {"tf_keras": tf_keras.optimizers, "pyadam": pyadam.tf_keras}
    (reader,) = modules.keys() - {writer}
    first = fit(make_model(getattr(modules[writer], name)(0.01), tf_keras))
    saved = tf.train.Checkpoint(model=first, optimizer=first.optimizer).save(str(tmp_path / "c"))
    first.save(tmp_path / "m.keras")
    state, weights = [np.array(v) for v in first.optimizer.variables], first.get_weights()
    for kind in ("checkpoint", "set_weights", "keras"):
        if (name, kind, reader) == ("Nadam", "keras", "tf_keras"):
            continue  # tf_keras' own class skips such a file with a warning, because the product is one variable more
        second = make_model(getattr(modules[reader], name)(0.01), tf_keras)
        second.optimizer.build(second.trainable_variables)
        if kind == "checkpoint":
            tf.train.Checkpoint(model=second, optimizer=second.optimizer).restore(saved).expect_partial()
        elif kind == "keras":
            second.load_weights(tmp_path / "m.keras")
        else:  # what load_model does with an H5 file
            second.set_weights(weights)
            second.optimizer.set_weights(state)
        found = [np.array(v) for v in second.optimizer.variables]
        if name == "Nadam" and kind != "checkpoint":  # this one contains tf_keras' product, with the defect shown above
            ours = state if writer == "pyadam" else found
            np.testing.assert_allclose(ours[-1], PRODUCT_AFTER_3, rtol=1e-6)
        both = min(len(state), len(found)) if name == "Nadam" else None
        assert_same([*weights, *state[:both]], [*second.get_weights(), *found[:both]])
    if name != "Nadam":
        resumed, whole = fit(second), fit(first)
        for x, y in zip(resumed.get_weights(), whole.get_weights(), strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)


PRODUCT_AFTER_3 = np.prod([0.9 * (1 - 0.5 * 0.96**t) for t in range(1, 4)])


def test_state_that_does_not_fit_is_an_error():
    model = fit(make_model(pyadam.tf_keras.Adam(), tf_keras))
    with pytest.raises(ValueError, match=r"Adam: the saved state does not fit: expected 9 variables .*found 8"):
        model.optimizer.set_weights([np.array(v) for v in model.optimizer.variables][:-1])


@pytest.mark.parametrize("name", EVERY)
def test_configs_go_round_as_json(name):
    schedule = tf_keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    for given in (
        {},
        {"learning_rate": 0.3, "clipnorm": 1, "jit_compile": False, "name": "o"},
        {"learning_rate": schedule},
    ):
        optimizer = getattr(pyadam.tf_keras, name)(**given)
        config = json.loads(json.dumps(optimizer.get_config()))
        assert type(optimizer).from_config(config).get_config() == optimizer.get_config()
        assert (
            getattr(pyadam, name).from_config({**config, "learning_rate": 0.1}).get_config()["name"] == optimizer.name
        )
        again = tf_keras.optimizers.deserialize(tf_keras.optimizers.serialize(optimizer))
        assert type(again) is type(optimizer)
        assert again.get_config() == optimizer.get_config()
    theirs = getattr(tf_keras.optimizers, name, None)
    if theirs is not None:
        assert theirs.from_config(getattr(pyadam.tf_keras, name)(0.3, clipnorm=1.0).get_config()).clipnorm == 1.0
        ours = getattr(pyadam.tf_keras, name).from_config(theirs(0.25, clipnorm=1.0).get_config())
        assert ours.get_config()["learning_rate"] == 0.25


def test_pickle_keeps_the_state():
    model = fit(make_model(pyadam.tf_keras.Nadam(0.3, clipvalue=2.0), tf_keras))
    for other in (pickle.loads(pickle.dumps(model.optimizer)), copy.deepcopy(model.optimizer)):
        assert other.get_config() == model.optimizer.get_config()
        other.build(model.trainable_variables)
        assert_same(*([np.array(v) for v in o.variables] for o in (other, model.optimizer)))


# --- which generation ----------------------------------------------------------------------------------------------------


def test_the_functions_follow_tensorflows_switch():
    code = """
        import pyadam
        print(type(pyadam.optimizer_adam()).__module__, pyadam.Adam.__module__, pyadam.info()["keras_generation"])
        schedule = pyadam.learning_rate_schedule_exponential_decay(0.1, 10, 0.5)
        print(type(pyadam.optimizer_sgd(schedule)).__module__)
    """
    for switch, found in (("1", "pyadam.tf_keras pyadam.keras3 2"), ("0", "pyadam.keras3 pyadam.keras3 3")):
        done = run_python(code, TF_USE_LEGACY_KERAS=switch)
        assert done.stdout.split() == [*found.split(), found.split()[0]], done.stderr


def test_without_tf_keras_an_error_says_what_to_install():
    code = """
        import sys
        sys.modules["tf_keras"] = None
        import pyadam
        pyadam.optimizer_adam()
    """
    error = run_python(code, TF_USE_LEGACY_KERAS="1").stderr
    assert "ImportError: pyadam.tf_keras needs tf_keras, the second generation of Keras: pip install tf_keras" in error
