"""State that makes no sense is refused, or said once, and refusals are short however many variables there are."""

import warnings
import zlib

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import pyadam.tf_keras
from pyadam.hosts.state import Entry, SavedState

HOSTS = {"keras": (keras, pyadam), "tf_keras": (tf_keras, pyadam.tf_keras)}


def compiled(host, layers=1):
    library, optimizers = HOSTS[host]
    model = library.Sequential([library.Input((3,)), *(library.layers.Dense(3) for _ in range(layers))])
    model.compile(optimizers.Adam(0.01, jit_compile=False), "mse")
    model.optimizer.build(model.trainable_variables)
    return model


@pytest.fixture(params=HOSTS)
def host(request):
    return request.param


def saved(host, folder, number, value):
    """A file of weights in which variable ``number`` of the optimizer has another value."""
    file = str(folder / "model.weights.h5")
    compiled(host).save_weights(file)
    with h5py.File(file, "a") as opened:
        held = opened["optimizer/vars"]
        shape, dtype = held[str(number)].shape, held[str(number)].dtype
        del held[str(number)]
        held[str(number)] = np.full(
            shape, value, np.result_type(dtype, type(value)) if dtype.kind != "i" else type(value)
        )
        # as if it had been saved so
        opened["optimizer/pyadam/checksums"][number + 2] = zlib.crc32(np.array(held[str(number)]).tobytes())
    return file


# in files; that of tf_keras has the learning rate elsewhere
NUMBERS = {"keras": {"iteration": 0, "learning_rate": 1, "momentum": 2}, "tf_keras": {"iteration": 0, "momentum": 1}}
REFUSED = {
    (
        "learning_rate",
        np.nan,
    ): "Adam: the saved learning_rate must be a number >= 0, got nan; to keep the optimizer as it is",
    (
        "learning_rate",
        -0.1,
    ): "Adam: the saved learning_rate must be a number >= 0, got -0.1; to keep the optimizer as it is",
    (
        "iteration",
        -3,
    ): "Adam: the saved iteration must be a whole number in [0, 2^62], got -3; to keep the optimizer as it is",
    (
        "iteration",
        np.inf,
    ): "Adam: the saved iteration must be a whole number in [0, 2^62], got inf; to keep the optimizer as it is",
    ("momentum", 1j): "holds complex128 values, which no step can use; to keep the optimizer as it is",
}


@pytest.mark.parametrize(("kind", "value"), REFUSED)
def test_state_that_cannot_be_is_refused_and_nothing_is_changed(host, kind, value, tmp_path):
    if kind not in NUMBERS[host]:
        kind, value = "iteration", -3
    file = saved(host, tmp_path, NUMBERS[host][kind], value)
    model = compiled(host)
    before = [np.array(v.numpy()) for v in model.optimizer.variables]
    with pytest.raises(ValueError, match=r"Adam: the saved") as raised:
        model.load_weights(file)
    assert REFUSED[kind, value] in str(raised.value)
    for a, b in zip(before, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(a, b.numpy())


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_slots_that_are_not_finite_are_said_once(host, value, tmp_path):
    file = saved(host, tmp_path, NUMBERS[host]["momentum"], value)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        compiled(host).load_weights(file)
    words = [str(w.message) for w in said if "infinite" in str(w.message)]
    assert len(words) == 1
    assert words[0].startswith("Adam: the saved state has infinite numbers or NaN in momentum of ")
    assert "compile with a new optimizer to start fresh" in words[0]


def test_a_file_of_keras_itself_may_begin_with_negative_slots(host):
    """tf_keras' own files say nothing of the learning rate: the second variable is a slot."""
    library, optimizers = HOSTS[host]
    weight = tf.Variable([1.0]) if host == "tf_keras" else keras.Variable([1.0])
    theirs, ours = library.optimizers.Adam(0.01), optimizers.Adam(0.01, jit_compile=False)
    for optimizer in (theirs, ours):
        optimizer.build([weight])
    theirs.apply_gradients([(tf.constant([-1.0]), weight)])
    ours.load_own_variables({str(i): v.numpy() for i, v in enumerate(theirs.variables)})
    assert [v.numpy() for v in ours.variables] == [v.numpy() for v in theirs.variables]


def test_a_sound_state_says_nothing(host, tmp_path):
    file = str(tmp_path / "model.weights.h5")
    compiled(host).save_weights(file)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compiled(host).load_weights(file)


def test_refusals_are_short():
    """Of 100 layers there were 27,000 characters."""
    model = compiled("keras", layers=100)
    optimizer = pyadam.Adam(jit_compile=False)
    optimizer.build(model.trainable_variables)
    texts = []
    for action in (
        lambda: optimizer._fit(SavedState([Entry(None, (1,), "float32", None)] * 3)),
        lambda: optimizer.apply([None] * 200, model.trainable_variables),
        lambda: optimizer.build(compiled("keras", layers=100).trainable_variables),
    ):
        with pytest.raises(ValueError, match="Adam: ") as raised:
            action()
        texts.append(str(raised.value))
    assert max(map(len, texts)) < 600, texts
    assert "and 194 more" in texts[1]
    with pytest.warns(UserWarning, match=r"Gradients do not exist for variables .*, and 193 more; they keep") as said:
        optimizer.apply([tf.zeros(model.trainable_variables[0].shape), *[None] * 199], model.trainable_variables)
    assert all(len(str(w.message)) < 600 for w in said)
