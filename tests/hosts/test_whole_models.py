"""A whole model that was saved in any format of its Keras loads with the optimizer it had, and trains on to the same bits.

SavedModel is the exception: tf_keras itself restores no state of an optimizer from it (`pyadam convert` does).
"""

import keras
import numpy as np
import pytest
import tf_keras

import pyadam
import pyadam.tf_keras

HOSTS = {"keras": (keras, pyadam), "tf_keras": (tf_keras, pyadam.tf_keras)}
SAVED_MODEL = "saved_model"
KERAS_OWN_FAILS = [("keras", "m.h5", "loss scale of Keras' Adam")]  # "Unknown variable", as for Keras' Adam alone
FORMATS = [("keras", "m.keras"), ("keras", "m.h5")]
FORMATS += [("tf_keras", "m.keras"), ("tf_keras", "m.h5"), ("tf_keras", SAVED_MODEL)]


def registered(keras):
    """A function as learning rate that this Keras can find again."""

    @keras.saving.register_keras_serializable("test_whole_models")
    def rate():
        return 0.03

    return rate


OPTIMIZERS = {
    "Adam, schedule": lambda k, p: p.Adam(k.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)),
    "Lion, function": lambda k, p: p.Lion(registered(k)),
    "Muon": lambda k, p: p.Muon(0.1),
    "SGD, momentum, average": lambda k, p: p.SGD(0.1, momentum=0.9, use_ema=True),
    "Nadam, 16-bit slots": lambda k, p: p.Nadam(0.1, slot_dtype="bfloat16"),
    "loss scale of Adam": lambda k, p: p.LossScaleOptimizer(p.Adam(0.1)),
    "loss scale of Lamb": lambda k, p: p.LossScaleOptimizer(p.Lamb(0.1, slot_dtype="bfloat16")),
    "loss scale of a schedule": lambda k, p: p.LossScaleOptimizer(
        p.Adam(k.optimizers.schedules.CosineDecay(0.1, 9)), initial_scale=64.0, dynamic_growth_steps=2
    ),
    "loss scale of Keras' Adam": lambda k, p: p.LossScaleOptimizer(k.optimizers.Adam(0.1)),
}
X, Y = np.linspace(-1, 1, 24, dtype="float32").reshape(8, 3), np.linspace(0, 1, 16, dtype="float32").reshape(8, 2)


def model_of(k, optimizer):
    k.utils.set_random_seed(3)
    model = k.Sequential([k.layers.InputLayer((3,)), k.layers.Dense(4, activation="tanh"), k.layers.Dense(2)])
    model.compile(optimizer, k.losses.MeanSquaredError())
    return model


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file:UserWarning")
@pytest.mark.sample(3)
@pytest.mark.parametrize(("host", "file"), FORMATS)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_model_trains_on(name, host, file, tmp_path):
    if (host, file, name) in KERAS_OWN_FAILS:
        pytest.skip("Keras builds the optimizer of an .h5 file without variables, and its Adam takes none later")
    k, p = HOSTS[host]
    model = model_of(k, OPTIMIZERS[name](k, p))
    model.fit(X, Y, batch_size=4, epochs=2, verbose=0)
    model.save(tmp_path / file, **({"save_format": "tf"} if file == SAVED_MODEL else {}))
    loaded = k.models.load_model(tmp_path / file)
    assert loaded.optimizer.get_config() == model.optimizer.get_config()
    assert type(loaded.optimizer) is type(model.optimizer)
    if file == SAVED_MODEL:
        return
    for each in (model, loaded):
        each.fit(X, Y, batch_size=4, epochs=2, verbose=0, shuffle=False)
    assert int(loaded.optimizer.iterations) == 8
    for a, b in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
