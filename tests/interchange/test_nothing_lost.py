"""`convert`: what the source does not hold is not said to be carried; weights keep their names; steps are counted."""

import keras
import numpy as np
import pytest
import tf_keras
from files import X, Y, maker, train

import pyadam.tf_keras
from pyadam import convert

pytestmark = [
    pytest.mark.filterwarnings("ignore:convert. not carried"),
    pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file:UserWarning"),
    pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer"),
    pytest.mark.filterwarnings("ignore:.*the file holds no optimizer state"),
]


@pytest.mark.parametrize("target", ["t.keras", "t.h5"])
def test_steps_of_keras_own_sgd_without_momentum(target, tmp_path):
    """They were 0 after it, and the schedule began anew."""
    schedule = lambda k: k.optimizers.schedules.ExponentialDecay(0.05, 2, 0.5)  # noqa: E731
    model = train(maker(lambda k, classes: classes.SGD(schedule(k)), ours=False)(keras))
    model.save(tmp_path / "m.keras")
    convert(tmp_path / "m.keras", tmp_path / target)
    host = keras if target == "t.keras" else tf_keras
    optimizer = host.models.load_model(tmp_path / target).optimizer
    assert int(optimizer.iterations) == 3


SOURCES = {
    "not compiled": lambda model, path: uncompiled(model).save_weights(path / "m.weights.h5"),
    "another class": lambda model, path: model.save_weights(path / "m.weights.h5"),
}


def uncompiled(model):
    return keras.Sequential.from_config(model.get_config())


@pytest.mark.parametrize("ours", [True, False], ids=["pyadam", "Keras"])
@pytest.mark.parametrize("what", SOURCES)
def test_a_state_that_is_not_there_is_not_carried(what, ours, tmp_path):
    """It was said to be: zeros."""
    model = train(maker(lambda k, classes: classes.Adam(0.05), ours)(keras))
    SOURCES[what](model, tmp_path)
    if what == "another class" and ours:
        with pytest.raises(ValueError, match="does not fit the model"):
            convert(
                tmp_path / "m.weights.h5",
                tmp_path / "t.keras",
                model=maker(lambda k, c: c.SGD(0.1, momentum=0.9), ours),
            )
        return
    found = convert(
        tmp_path / "m.weights.h5", tmp_path / "t.keras", model=maker(lambda k, c: c.SGD(0.1, momentum=0.9), ours)
    )
    assert found.carried == ["4 weights"]
    assert found.lost[0].startswith("the state of the optimizer: the source has none, or that of another class")
    assert int(keras.models.load_model(tmp_path / "t.keras").optimizer.iterations) == 0


def three(names):
    def make(k):
        inputs = k.Input((4,))
        outputs = k.layers.Add()([k.layers.Dense(4, name=name)(inputs) for name in names])
        model = k.Model(inputs, outputs)
        model.compile(pyadam.Adam() if k is keras else pyadam.tf_keras.Adam(), "mse")
        return model

    return make


def test_weights_keep_their_names_where_another_one_changed(tmp_path):
    """All went by their order as soon as one had no partner: a was b."""
    model = three("abc")(keras)
    model.save(tmp_path / "m.keras")
    convert(tmp_path / "m.keras", tmp_path / "t.h5", model=three("baz"))
    loaded = tf_keras.models.load_model(tmp_path / "t.h5")
    for here, there in (("a", "a"), ("b", "b"), ("c", "z")):
        np.testing.assert_array_equal(loaded.get_layer(there).kernel.numpy(), model.get_layer(here).kernel.numpy())


@pytest.mark.parametrize(("source", "target"), [("m.keras", "t.h5"), ("m.h5", "t.h5"), ("m.keras", "t.keras")])
def test_weights_alone(source, target, tmp_path):
    host = keras if source == "m.keras" else tf_keras
    model = train(maker(lambda k, classes: classes.Adam(0.05), ours=True)(host))
    model.save(tmp_path / source)
    convert(tmp_path / source, tmp_path / target, optimizer="none")
    loaded = (keras if target == "t.keras" else tf_keras).models.load_model(tmp_path / target)
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))


def test_arguments_of_compile_are_named(tmp_path):
    model = maker(lambda k, classes: classes.Adam(0.05), ours=True)(keras)
    model.compile(model.optimizer, "mse", steps_per_execution=2)
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "m.keras")
    found = convert(tmp_path / "m.keras", tmp_path / "t.keras")
    assert found.lost == ["steps_per_execution=2, an argument of compile(): give it again"]


def test_a_model_that_small_images_do_not_fit(tmp_path):
    model = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(2, 30)])
    model.compile(pyadam.Adam(), "mse")
    model.save(tmp_path / "m.keras")
    with pytest.raises(
        ValueError, match=r"convert: this model can't be made from its config in tf_keras: .*; give model"
    ):
        convert(tmp_path / "m.keras", tmp_path / "t.h5")


def test_a_folder_that_is_not_there(tmp_path):
    (tmp_path / "m.keras").touch()
    train(maker(lambda k, classes: classes.Adam(0.05), ours=True)(keras)).save(tmp_path / "m.keras")
    with pytest.raises(FileNotFoundError, match=r"convert: target's folder '.*none' does not exist"):
        convert(tmp_path / "m.keras", tmp_path / "none" / "t.keras")


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("metrics", [["mae"], ["accuracy", "AUC"], {"out": ["mse"]}], ids=str)
def test_metrics_given_by_name_are_carried(metrics, tmp_path):
    """Loss and metrics were lost with them: tf_keras keeps a name as a function in a wrapper, in .h5 files."""
    layers = tf_keras.layers
    model = tf_keras.Sequential([layers.Input((4,)), layers.Dense(1, activation="sigmoid", name="out")])
    model.compile(pyadam.tf_keras.Adam(), "mse", metrics=metrics)
    x, y = np.linspace(0, 1, 32, dtype="float32").reshape(8, 4), np.zeros((8, 1), "float32")
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "a.h5")
    assert convert(tmp_path / "a.h5", tmp_path / "b.keras").lost == []
    loaded = keras.models.load_model(tmp_path / "b.keras")
    np.testing.assert_allclose(loaded.evaluate(x, y, verbose=0), model.evaluate(x, y, verbose=0), rtol=1e-6)


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file", "ignore:convert. not carried")
def test_a_metric_that_is_not_known_takes_nothing_with_it(tmp_path):
    def my_metric(y, p):
        return y - p

    model = tf_keras.Sequential([tf_keras.layers.Input((4,)), tf_keras.layers.Dense(1)])
    model.compile(pyadam.tf_keras.Adam(), "mse", metrics=[my_metric])
    model.fit(np.zeros((8, 4)), np.zeros((8, 1)), verbose=0)
    model.save(tmp_path / "a.h5")
    lost = convert(tmp_path / "a.h5", tmp_path / "b.keras").lost
    assert lost == ["the metrics (my_metric is not known): compile the model with it again"]
    assert keras.models.load_model(tmp_path / "b.keras").loss == "mse"
