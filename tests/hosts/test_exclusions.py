"""Exclusions from weight decay are saved: a loaded model, a copy and a converted file decay what the first one did."""

import copy
import json
import pickle

import keras
import pytest
import tensorflow as tf
import tf_keras
from helpers import assert_same
from models import goes_on_in_a_fresh_process, make_model, train

import pyadam
import pyadam.tf_keras

CLASSES = {"keras": (keras, pyadam), "tf_keras": (tf_keras, pyadam.tf_keras)}


def excluding(host="keras", **keywords):
    """A model that decays strongly, but not its biases and its last kernel."""
    module, classes = CLASSES[host]
    optimizer = classes.AdamW(0.1, weight_decay=0.5, **keywords)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    model = make_model(optimizer, module)
    optimizer.exclude_from_weight_decay(var_list=[model.layers[-1].trainable_variables[0]])
    return model


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize(("host", "name"), [("keras", "m.keras"), ("tf_keras", "m.keras"), ("tf_keras", "m.h5")])
def test_a_loaded_model_goes_on_as_if_it_had_not_stopped(host, name, tmp_path):
    """Every variable decayed: a weight of 0.31 was 0.16 after two more steps."""
    whole = train(excluding(host), 4)
    train(excluding(host), 2).save(tmp_path / name)
    loaded = train(CLASSES[host][0].models.load_model(tmp_path / name), 2)
    assert_same(whole.get_weights(), loaded.get_weights())
    everything = make_model(CLASSES[host][1].AdamW(0.1, weight_decay=0.5), CLASSES[host][0])
    assert any((a != b).any() for a, b in zip(train(everything, 4).get_weights(), whole.get_weights(), strict=True))


def test_a_fresh_process(tmp_path):
    goes_on_in_a_fresh_process(train(excluding(), 2), tmp_path)


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))], ids=["copy", "pickle"]
)
def test_copies(copied):
    model = train(excluding(), 2)
    other = copied(model)
    assert_same(train(model, 2).get_weights(), train(other, 2).get_weights())


def test_an_optimizer_of_a_config_excludes_what_the_first_did():
    paths = ["dense/kernel", "dense/bias", "head/kernel", "norm/gamma"]
    variables = [_variable(path) for path in paths]
    first = pyadam.AdamW()
    assert "excluded_from_weight_decay" not in first.get_config()
    first.exclude_from_weight_decay(var_names=["bias"], var_list=[variables[2]])
    config = json.loads(json.dumps(first.get_config()))
    assert config["excluded_from_weight_decay"] == {"var_names": ["bias"], "found": {"head/kernel": True}}
    again = pyadam.AdamW.from_config(config)
    again.exclude_from_weight_decay(var_names=["gamma"])
    again.build([_variable(path) for path in paths])
    assert again.get_config()["excluded_from_weight_decay"] == {
        "var_names": ["bias", "gamma"],
        "found": dict(zip(paths, [False, True, True, True], strict=True)),
    }


def _variable(path):
    layer, name = path.split("/")
    with keras.name_scope(layer):
        return keras.Variable([1.0], name=name)


@pytest.mark.filterwarnings("ignore:convert. not carried")
def test_a_converted_file_keeps_them_or_says_that_it_does_not(tmp_path):
    train(excluding(), 2).save(tmp_path / "m.keras")
    found = pyadam.convert(tmp_path / "m.keras", tmp_path / "of-tf.keras", to="tf_keras")
    assert not [words for words in found.lost if "excluded" in words]
    found = pyadam.convert(tmp_path / "m.keras", tmp_path / "of-keras.keras", optimizer="keras")
    assert "excluded_from_weight_decay, an argument that keras's AdamW does not have" in found.lost


@pytest.mark.parametrize("wrong", [None, [], {"var_names": "bias"}, {"var_names": ["bias"], "found": {"a": 1}}])
def test_a_config_that_was_written_by_hand(wrong):
    with pytest.raises(
        ValueError, match="AdamW: excluded_from_weight_decay must be a dictionary of var_names and found"
    ):
        pyadam.AdamW.from_config(pyadam.AdamW().get_config() | {"excluded_from_weight_decay": wrong})


# --- which variables these are, told by a step without gradients -------------------------------------------------------------


def decayed(optimizer, variables):
    """Whether a step of a strong decay, with gradients of 0, moves each of these variables."""
    optimizer.learning_rate, optimizer.weight_decay = 0.1, 1.0
    before = [v.numpy() + 0 for v in variables]
    optimizer.apply([tf.zeros_like(v) for v in variables], variables)
    return [bool((b != v.numpy()).any()) for b, v in zip(before, variables, strict=True)]


def again(optimizer, times=1):
    for _ in range(times):
        optimizer = type(optimizer).from_config(json.loads(json.dumps(optimizer.get_config())))
    return optimizer


@pytest.mark.parametrize("built", [False, True])
def test_copies_of_copies(built):
    """The second one had lost what was excluded by identity."""
    variables = [_variable(path) for path in ("a/kernel", "b/kernel")]
    optimizer = pyadam.AdamW()
    optimizer.exclude_from_weight_decay(var_list=variables[1:])
    if built:
        optimizer.build(variables)
    assert decayed(again(optimizer, 3), variables) == [True, False]


@pytest.mark.parametrize("excluded", range(3))
def test_equal_paths(excluded):
    """All three decayed, or none."""
    variables = [tf.Variable([1.0]) for _ in range(3)]
    optimizer = pyadam.AdamW()
    optimizer.exclude_from_weight_decay(var_list=[variables[excluded]])
    optimizer.build(variables)
    others = [tf.Variable([1.0]) for _ in range(3)]
    assert decayed(again(optimizer), others) == [i != excluded for i in range(3)]


def test_names_of_a_config_are_for_new_variables_alone():
    """Keras numbers layers anew: ``dense_1`` of a model made later is what ``dense`` was."""
    optimizer = pyadam.AdamW()
    optimizer.exclude_from_weight_decay(var_names=["dense_1"])
    optimizer.build([_variable(f"{layer}/kernel") for layer in ("dense", "dense_1", "dense_2")])
    later = [_variable(f"{layer}/kernel") for layer in ("dense_1", "dense_2", "dense_3")]
    loaded = again(optimizer)
    assert decayed(loaded, later) == [True, False, True]


@pytest.mark.filterwarnings("ignore:convert. not carried")
def test_layers_that_the_other_keras_calls_something_else(tmp_path):
    layers = keras.layers
    model = keras.Sequential([keras.Input((4, 2)), layers.Bidirectional(layers.LSTM(2)), layers.Dense(1)])
    optimizer = pyadam.AdamW()
    optimizer.exclude_from_weight_decay(var_list=[model.trainable_variables[-2]])
    model.compile(optimizer, "mse")
    model.train_on_batch(tf.zeros([1, 4, 2]), tf.zeros([1, 1]))
    model.save(tmp_path / "m.keras")
    pyadam.convert(tmp_path / "m.keras", tmp_path / "t.keras", to="tf_keras")
    loaded = tf_keras.models.load_model(tmp_path / "t.keras")
    assert list(loaded.optimizer.get_config()["excluded_from_weight_decay"]["found"].values()) == [False] * 6 + [
        True,
        False,
    ]
