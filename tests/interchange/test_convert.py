"""`convert`: training continues from any file in any other, bit by bit; what can't be carried is said before it is written."""

import warnings

import keras
import numpy as np
import pytest
import tf_keras
from family import EVERY
from files import HOSTS, SOURCES, TARGETS, holds_model, load, maker, save, train
from helpers import run_python

import pyadam
from pyadam import convert

SCHEDULE = {"learning_rate": lambda k: k.optimizers.schedules.ExponentialDecay(0.05, 2, 0.5)}
OTHERS = [("keras", "m.keras", "tf_keras", "m.h5"), ("tf_keras", "m.h5", "keras", "m.keras")]
OTHERS += [("keras", "checkpoint", "tf_keras", "m.weights.h5"), ("tf_keras", "saved_model", "keras", "m.weights.h5")]
ARGUMENTS = [
    ("Adam", {"amsgrad": True}),
    ("Adam", SCHEDULE),
    ("SGD", {"momentum": 0.9, "nesterov": True}),
    ("RMSprop", {"momentum": 0.9, "centered": True}),
    ("AdamW", {"weight_decay": 0.1, "clipnorm": 0.1}),
    ("Nadam", {"use_ema": True, "ema_overwrite_frequency": 2}),
    ("Adam", {"gradient_accumulation_steps": 2}),
    ("Lion", {"slot_dtype": "bfloat16"}),
]

pytestmark = [
    pytest.mark.filterwarnings("ignore:convert. not carried"),
    pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file:UserWarning"),
    pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer"),
]


def goes_on(make_optimizer, ours, source, target, tmp_path):
    """Asserts that a training that is converted after 3 steps has, after 3 more, the bits of one that is not."""
    (host, name), (other, new) = source, target
    model_in = maker(make_optimizer, ours)
    model = train(model_in(HOSTS[host][0]))
    save(model, name, tmp_path / name)
    (tmp_path / "to").mkdir()
    found = convert(tmp_path / name, tmp_path / "to" / new, to=other, model=None if holds_model(name) else model_in)
    assert found.written
    loaded = load(other, new, tmp_path / "to" / new, model_in)
    for each in (model, loaded):
        train(each)
    counted = getattr(loaded.optimizer, "inner_optimizer", loaded.optimizer).iterations
    assert int(counted) == int(getattr(model.optimizer, "inner_optimizer", model.optimizer).iterations)
    for a, b in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    return found


@pytest.mark.sample(2)
@pytest.mark.parametrize("target", TARGETS, ids="-".join)
@pytest.mark.parametrize("source", SOURCES, ids="-".join)
@pytest.mark.parametrize("ours", [True, False], ids=["pyadam", "Keras"])
def test_any_format_into_any_other(ours, source, target, tmp_path, count):
    if not ours and target == ("keras", "m.h5"):
        pytest.skip("from .h5 Keras 3 itself trains none of its optimizers on: refused, see below")
    goes_on(lambda k, classes: classes.Adam(0.05), ours, source, target, tmp_path)
    whose = "pyadam's" if ours else "Keras'"
    count("converted, and trained on to the same bits", f"{source[0]} -> {target[0]}, {whose} Adam, pairs of formats")


@pytest.mark.sample(2)
@pytest.mark.parametrize("pair", OTHERS, ids="-".join)
@pytest.mark.parametrize("name", [name for name in EVERY if name != "Adam"])
def test_any_optimizer(name, pair, tmp_path, count):
    goes_on(lambda k, classes: getattr(classes, name)(0.05), True, pair[:2], pair[2:], tmp_path)
    count("converted, and trained on to the same bits", f"{pair[0]} -> {pair[2]}, other optimizers")


@pytest.mark.sample(2)
@pytest.mark.parametrize("pair", OTHERS, ids="-".join)
@pytest.mark.parametrize(("name", "given"), ARGUMENTS, ids=[f"{name} {' '.join(given)}" for name, given in ARGUMENTS])
def test_arguments(name, given, pair, tmp_path):
    def make_optimizer(k, classes):
        values = {each: value(k) if callable(value) else value for each, value in given.items()}
        return getattr(classes, name)(**{"learning_rate": 0.05, **values})

    goes_on(make_optimizer, True, pair[:2], pair[2:], tmp_path)


@pytest.mark.sample(2)
@pytest.mark.parametrize("pair", [*OTHERS[:1], ("tf_keras", "m.keras", "keras", "m.keras")], ids="-".join)
@pytest.mark.parametrize("inner", ["Adam", "Lamb"])
def test_a_loss_scale(inner, pair, tmp_path):
    def make_optimizer(k, classes):
        return classes.LossScaleOptimizer(getattr(classes, inner)(0.05), initial_scale=64.0, dynamic_growth_steps=2)

    goes_on(make_optimizer, True, pair[:2], pair[2:], tmp_path)


def test_the_class_can_be_chosen(tmp_path):
    model_in = maker(lambda k, classes: classes.Adam(0.05), ours=False)
    train(model_in(keras)).save(tmp_path / "theirs.keras")
    found = convert(tmp_path / "theirs.keras", tmp_path / "ours.keras", optimizer="pyadam")
    ours = keras.models.load_model(tmp_path / "ours.keras").optimizer
    assert type(ours) is pyadam.Adam
    assert int(ours.iterations) == 3
    assert [str(each) for each in found.carried] == [
        "4 weights",
        "Adam of Keras, 3 steps -> pyadam",
        "its state: momentum, velocity",
    ]
    convert(tmp_path / "ours.keras", tmp_path / "back.keras", optimizer="keras")
    assert type(keras.models.load_model(tmp_path / "back.keras").optimizer) is keras.optimizers.Adam


# --- models --------------------------------------------------------------------------------------------------------------


def convolutions(k):
    x = k.Input((8, 8, 3))
    a = k.layers.BatchNormalization()(k.layers.Conv2D(4, 3, padding="same", kernel_regularizer="l2")(x))
    b = k.layers.DepthwiseConv2D(3, padding="same")(a)
    c = k.layers.Dropout(0.2)(k.layers.GlobalAveragePooling2D()(k.layers.Add()([a, b])))
    return k.Model(x, k.layers.Dense(2, kernel_constraint=k.constraints.MaxNorm(2.0))(c))


def recurrent(k):
    layers = [
        k.layers.Embedding(10, 4),
        k.layers.LSTM(3, return_sequences=True),
        k.layers.Bidirectional(k.layers.GRU(3)),
    ]
    return k.Sequential([k.layers.InputLayer((5,)), *layers, k.layers.LayerNormalization(), k.layers.Dense(2)])


def attention(k):
    x = k.Input((5, 4))
    return k.Model(x, k.layers.Dense(1)(k.layers.Flatten()(k.layers.MultiHeadAttention(2, 3)(x, x))))


def nested(k):
    x = k.Input((5,))
    inner = k.Sequential([k.layers.InputLayer((5,)), k.layers.Dense(3)])
    both = k.layers.Concatenate()([inner(x), x])
    return k.Model(x, [both, k.layers.Dense(1, name="second")(both)])


@pytest.mark.sample(2)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("host", "other"), [("keras", "tf_keras"), ("tf_keras", "keras")])
@pytest.mark.parametrize("network", [convolutions, recurrent, attention, nested])
def test_a_model_is_made_anew_in_the_other_keras(network, host, other, tmp_path):
    model = network(HOSTS[host][0])
    model.compile("sgd", "mse")
    model.save(tmp_path / "m.keras")
    convert(tmp_path / "m.keras", tmp_path / "new.keras", to=other)
    loaded = HOSTS[other][0].models.load_model(tmp_path / "new.keras")
    for a, b in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_model_that_computes_something_else_is_not_written(tmp_path):
    """The default of this argument differs: tf_keras' layer has none, and approximates never."""
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.RMSNormalization()])
    model.compile("sgd", "mse")
    model.save(tmp_path / "m.keras")
    with pytest.raises(
        ValueError, match=r"convert: this model can't be made from its config in tf_keras: .*; give model, "
    ):
        convert(tmp_path / "m.keras", tmp_path / "new.keras", to="tf_keras")
    assert not (tmp_path / "new.keras").exists()


# --- what can't be carried -----------------------------------------------------------------------------------------------


@pytest.mark.sample(2)
@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("Adadelta", {"learning_rate": 1.0}),
        ("Adam", {}),
        ("Adam", {"amsgrad": True}),
        ("Adamax", {}),
        ("Ftrl", {"learning_rate": 0.1, "l1_regularization_strength": 0.01}),
        ("RMSprop", {"momentum": 0.9, "centered": True}),
        ("SGD", {"momentum": 0.9, "nesterov": True}),
        ("SGD", {}),
    ],
    ids=str,
)
@pytest.mark.parametrize("source", ["m.h5", "saved_model"])
def test_a_legacy_optimizer_goes_on_where_todays_computes_the_same(name, given, source, tmp_path):
    """Up to rounding: the legacy kernels round in another order."""
    model = train(maker(lambda k, classes: getattr(k.optimizers.legacy, name)(**given), ours=False)(tf_keras), epochs=2)
    save(model, source, tmp_path / source)
    convert(tmp_path / source, tmp_path / "new.keras", to="tf_keras", optimizer="pyadam")
    loaded = tf_keras.models.load_model(tmp_path / "new.keras")
    before = model.get_weights()
    for each in (model, loaded):
        train(each, epochs=3)
    for start, a, b in zip(before, model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_allclose(a - start, b - start, rtol=2e-3, atol=2e-6)


def test_tf_keras_itself_writes_no_legacy_state_into_its_newer_files(tmp_path):
    model = train(maker(lambda k, classes: k.optimizers.legacy.Adam(0.05), ours=False)(tf_keras))
    model.save(tmp_path / "m.keras")
    assert int(tf_keras.models.load_model(tmp_path / "m.keras").optimizer.iterations) == 0
    found = convert(tmp_path / "m.keras", tmp_path / "new.keras")
    assert found.lost == ["the state of the legacy Adam, which tf_keras does not write into keras"]


@pytest.mark.parametrize("name", ["Adagrad", "Nadam", "RMSprop"])
def test_other_legacy_optimizers_are_refused_by_name(name, tmp_path):
    model = train(maker(lambda k, classes: getattr(k.optimizers.legacy, name)(0.01), ours=False)(tf_keras))
    model.save(tmp_path / "m.h5")
    message = (
        rf"convert: the state of the legacy {name} can't carry over to today's {name}: .*; optimizer='none' carries the"
    )
    with pytest.raises(ValueError, match=message):
        convert(tmp_path / "m.h5", tmp_path / "new.keras")
    assert not (tmp_path / "new.keras").exists()
    convert(tmp_path / "m.h5", tmp_path / "new.keras", optimizer="none")
    for a, b in zip(model.get_weights(), keras.models.load_model(tmp_path / "new.keras").get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_check_only_looks_and_says_what_is_lost_before(tmp_path):
    model_in = maker(lambda k, classes: classes.Adam(0.05, gradient_accumulation_steps=2), ours=True)
    train(model_in(keras)).save(tmp_path / "m.keras")
    with pytest.warns(
        UserWarning, match=r"^convert: not carried: gradient_accumulation_steps, an argument that tf_keras's"
    ):
        found = convert(tmp_path / "m.keras", tmp_path / "c", to="tf_keras", optimizer="keras", check=True)
    assert not found.written
    assert str(found).endswith("nothing was written")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.keras"]


ERRORS = {
    "source": ("none.keras", "t.keras", {}, FileNotFoundError, "convert: source '.*none.keras' does not exist"),
    "no format": (
        "text.txt",
        "t.keras",
        {},
        ValueError,
        r"convert: source must be a file that ends in .keras, .weights.h5",
    ),
    "damaged": ("damaged.keras", "t.keras", {}, ValueError, r"convert: source '.*' is damaged, or no .keras file"),
    "target": (
        "m.keras",
        "t.onnx",
        {},
        ValueError,
        r"convert: target must end in .keras, .* for a checkpoint, got '.*t.onnx'",
    ),
    "exists": ("m.keras", "m.keras", {}, FileExistsError, "convert: target '.*m.keras' exists; remove it first"),
    "to": (
        "m.keras",
        "t.keras",
        {"to": "jax"},
        ValueError,
        "convert: to must be one of None, 'keras', 'tf_keras', got 'jax'",
    ),
    "optimizer": (
        "m.keras",
        "t.keras",
        {"optimizer": 1},
        ValueError,
        "convert: optimizer must be one of 'same', .*, got 1",
    ),
    "no model": (
        "m.weights.h5",
        "t.keras",
        {},
        ValueError,
        "convert: weights.h5 files hold no model: give model, a function",
    ),
    "other model": (
        "m.weights.h5",
        "t.keras",
        {"model": lambda k: k.Sequential([k.Input((2,)), k.layers.Dense(1)])},
        ValueError,
        "convert: source '.*' does not fit the model: ",
    ),
    "not built": (
        "m.weights.h5",
        "t.keras",
        {"model": lambda k: k.Sequential([k.layers.Dense(1)])},
        ValueError,
        "convert: model must return a model of keras that is built; give it an Input layer, or call model.build",
    ),
    "Keras in .h5": (
        "m.keras",
        "t.h5",
        {"to": "keras", "optimizer": "keras"},
        ValueError,
        "convert: target must end in .ker",
    ),
    "no such class": (
        "muon.keras",
        "t.keras",
        {"to": "tf_keras", "optimizer": "keras"},
        ValueError,
        ".* tf_keras has no Muon",
    ),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sources")
    model = train(maker(lambda k, classes: classes.Adam(0.05), ours=True)(keras))
    model.save(folder / "m.keras")
    model.save_weights(folder / "m.weights.h5")
    train(maker(lambda k, classes: classes.Muon(0.05), ours=True)(keras)).save(folder / "muon.keras")
    (folder / "text.txt").write_text("no model")
    (folder / "damaged.keras").write_bytes((folder / "m.keras").read_bytes()[:3000])
    return folder


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case, folder):
    source, target, given, error, message = ERRORS[case]
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(error, match=message):
        convert(folder / source, folder / target, **given)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_the_command_in_a_fresh_process(folder, tmp_path):
    code = "import sys; from pyadam.cli import main; sys.exit(main(['convert', *sys.argv[1:]]))"
    (tmp_path / "net.py").write_text(
        "import importlib\n"
        "def model(keras):\n"
        "    pyadam = importlib.import_module('pyadam.tf_keras' if keras.__name__ == 'tf_keras' else 'pyadam')\n"
        "    layers = [keras.layers.InputLayer((5,)), keras.layers.Dense(4, activation='tanh'), keras.layers.Dense(2)]\n"
        "    model = keras.Sequential(layers)\n"
        "    model.compile(pyadam.Adam(0.05), keras.losses.MeanSquaredError())\n"
        "    return model\n"
    )
    target = tmp_path / "new.h5"
    model = f"{tmp_path / 'net.py'}:model"
    run = run_python(code, str(folder / "m.weights.h5"), str(target), "--model", model, "--to", "tf_keras")
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[1:] == [
        "  carried: 4 weights",
        "  carried: Adam of pyadam, 3 steps -> pyadam",
        "  carried: its state: momentum, velocity",
        "  written",
    ]
    loaded = tf_keras.models.load_model(target)
    assert int(loaded.optimizer.iterations) == 3
    again = run_python(code, str(folder / "m.weights.h5"), str(target), "--model", model)
    assert again.returncode == 1
    assert again.stderr.splitlines()[-1].startswith(f"pyadam convert: target '{target}' exists; remove it first")


def test_nothing_is_said_where_all_is_carried(folder, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", module="h5py|tf_keras")
        convert(folder / "m.keras", tmp_path / "new.keras", to="tf_keras")
