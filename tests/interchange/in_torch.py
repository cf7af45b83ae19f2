"""`convert` from and to torch: the state means the same there, and what torch computes otherwise is listed.

torch must be imported before TensorFlow, so these tests run in a process of their own: `test_torch.py` starts it.
"""

import keras
import numpy as np
import pytest

import pyadam
from pyadam import convert

NAMES = {"0.weight": "dense/kernel", "0.bias": "dense/bias", "2.weight": "conv/kernel", "2.bias": "conv/bias"}
CASES = [
    ("Adam", {"lr": 0.01}, {}),
    ("Adam", {"lr": 0.01, "amsgrad": True, "betas": (0.8, 0.95)}, {}),
    ("AdamW", {"lr": 0.01, "weight_decay": 0.1}, {}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True}, {}),
    ("RMSprop", {"lr": 0.01, "momentum": 0.9, "centered": True}, {}),
]


def network(k):
    x = k.Input((6,))
    y = k.layers.Reshape((3, 3, 2))(k.layers.Dense(18, name="dense")(x))
    model = k.Model(x, k.layers.Conv2D(4, (2, 3), name="conv")(y))
    model.compile(pyadam.Adam(), k.losses.MeanSquaredError())
    return model


@pytest.fixture
def torch():
    import torch

    return torch


def in_torch(torch):
    """The same network in torch; its images have the channels first."""

    class Network(torch.nn.Sequential):
        def forward(self, x):
            y = self[0](x).reshape(-1, 3, 3, 2).permute(0, 3, 1, 2)
            return self[2](y).permute(0, 2, 3, 1)

    torch.manual_seed(1)
    return Network(torch.nn.Linear(6, 18), torch.nn.Identity(), torch.nn.Conv2d(2, 4, (2, 3)))


def gradients(step):
    """The gradients of a step by torch's names: for both sides the same."""
    draw = np.random.default_rng(step)
    shapes = {"0.weight": (18, 6), "0.bias": (18,), "2.weight": (4, 2, 2, 3), "2.bias": (4,)}
    return {name: draw.standard_normal(shape).astype("float32") for name, shape in shapes.items()}


def turned(value):
    return value.transpose(*range(2, value.ndim), 1, 0) if value.ndim > 1 else value


def steps_of_torch(torch, model, optimizer, steps):
    for step in steps:
        for name, parameter in model.named_parameters():
            parameter.grad = torch.from_numpy(gradients(step)[name])
        optimizer.step()
    return {name: turned(parameter.detach().numpy()) for name, parameter in model.named_parameters()}


def steps_of_keras(model, steps):
    for step in steps:
        found = gradients(step)
        of_path = {path: turned(found[name]) for name, path in NAMES.items()}
        model.optimizer.apply([of_path[v.path] for v in model.trainable_variables], model.trainable_variables)
    return {name: next(v for v in model.weights if v.path == path).numpy() for name, path in NAMES.items()}


@pytest.mark.filterwarnings("ignore:convert. not carried")
@pytest.mark.parametrize(("name", "given", "_"), CASES, ids=str)
def test_training_goes_on_in_keras_and_back_in_torch(name, given, _, torch, tmp_path):
    """With an epsilon of 0 nothing but rounding is left: the formulas are the same."""
    given = given | ({"eps": 1e-30} if name != "SGD" else {})
    model = in_torch(torch)
    optimizer = getattr(torch.optim, name)(model.parameters(), **given)
    steps_of_torch(torch, model, optimizer, range(5))
    torch.save(
        {"model_state_dict": model.state_dict(), "optimizer_state_dict": optimizer.state_dict()}, tmp_path / "a.pt"
    )
    found = convert(tmp_path / "a.pt", tmp_path / "b.keras", model=network, weights=NAMES)
    in_keras = keras.models.load_model(tmp_path / "b.keras")
    assert type(in_keras.optimizer) is getattr(pyadam, name)
    assert int(in_keras.optimizer.iterations) == (0 if name == "SGD" else 5)
    assert any("epsilon" in each or "momentum" in each for each in found.lost)
    steps_of_keras(in_keras, range(5, 8))
    in_keras.save(tmp_path / "c.keras")
    convert(tmp_path / "c.keras", tmp_path / "d.pt", weights=NAMES)
    held = torch.load(tmp_path / "d.pt", weights_only=True)
    again = in_torch(torch)
    again.load_state_dict(held["model_state_dict"])
    other = getattr(torch.optim, name)(again.parameters(), **given)
    other.load_state_dict(held["optimizer_state_dict"])
    expected = steps_of_torch(torch, model, optimizer, range(5, 12))
    for each, value in steps_of_torch(torch, again, other, range(8, 12)).items():
        np.testing.assert_allclose(value, expected[each], rtol=2e-4, atol=2e-5)


ERRORS = {
    "no names": ({"weights": None}, r"convert: weights must name the path in Keras of each weight of torch, got None"),
    "unknown path": (
        {"weights": {**NAMES, "2.bias": "conv/other"}},
        "convert: weights must name paths of the model, got",
    ),
    "unknown name": (
        {"weights": {**NAMES, "9.bias": "conv/bias"}},
        "convert: weights must be names of the source's",
    ),
    "too few": (
        {"weights": {"0.weight": "dense/kernel"}},
        "convert: weights must name all that the optimizer of torch trains, 4 variables, got 1",
    ),
    "turned": (
        {"weights": {**NAMES, "0.bias": "conv/bias", "2.bias": "dense/bias"}},
        r"convert: conv/bias must have the shape \(4,\), got \(18,\) from torch's 0.bias",
    ),
    "no model": ({"model": None}, "convert: files of torch hold no model: give model, a function of the module keras"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case, torch, tmp_path):
    given, message = ERRORS[case]
    model = in_torch(torch)
    optimizer = torch.optim.Adam(model.parameters())
    steps_of_torch(torch, model, optimizer, range(1))
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "a.pt")
    with pytest.raises(ValueError, match=message):
        convert(tmp_path / "a.pt", tmp_path / "b.keras", **{"model": network, "weights": NAMES} | given)
    assert [path.name for path in tmp_path.iterdir()] == ["a.pt"]


@pytest.mark.parametrize("scaled", [False, True])
def test_what_torch_has_no_place_for_is_listed(scaled, torch, tmp_path):
    model = network(keras)
    given = {"weight_decay": 0.1, "clipnorm": 1.0, "gradient_accumulation_steps": 2}
    given |= {} if scaled else {"loss_scale_factor": 4.0}
    adam = pyadam.Adam(**given)
    model.compile(pyadam.LossScaleOptimizer(adam, initial_scale=8.0) if scaled else adam, "mse")
    model.fit(np.ones((8, 6)), np.ones((8, 2, 1, 4)), batch_size=2, verbose=0)
    model.save(tmp_path / "a.keras")
    with pytest.warns(UserWarning, match="not carried"):
        found = convert(tmp_path / "a.keras", tmp_path / "b.pt", weights=NAMES)
    words = [f"{name}={value}" for name, value in given.items()] + ["the loss scale"] * scaled
    assert all(any(each.startswith(word) for each in found.lost) for word in words), found.lost
    state = torch.load(tmp_path / "b.pt", weights_only=True)["optimizer_state_dict"]
    assert state["state"][0]["step"] == 2  # updates, of 4 calls
    assert state["param_groups"][0]["param_names"] == list(NAMES)


@pytest.mark.filterwarnings("ignore:convert. not carried")
def test_older_files_do_not_say_whether_the_decay_is_decoupled(torch, tmp_path):
    model = in_torch(torch)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.1)
    steps_of_torch(torch, model, optimizer, range(1))
    state = optimizer.state_dict()
    del state["param_groups"][0]["decoupled_weight_decay"]
    torch.save({"model": model.state_dict(), "optimizer": state}, tmp_path / "a.pt")

    def compiled_with(optimizer):
        def make(k):
            model = network(k)
            model.compile(optimizer, "mse")
            return model

        return make

    with pytest.raises(
        ValueError, match="model must be compiled with Adam or AdamW, because this file of an older torch"
    ):
        convert(tmp_path / "a.pt", tmp_path / "b.keras", model=compiled_with(pyadam.SGD()), weights=NAMES)
    convert(tmp_path / "a.pt", tmp_path / "b.keras", model=compiled_with(pyadam.AdamW()), weights=NAMES)
    optimizer = keras.models.load_model(tmp_path / "b.keras").optimizer
    assert (type(optimizer), optimizer.weight_decay) == (pyadam.AdamW, 0.1)


@pytest.mark.filterwarnings("ignore:convert. not carried")
def test_weights_alone_and_in_bfloat16(torch, tmp_path):
    model = in_torch(torch)
    torch.save({"model": {k: v.bfloat16() for k, v in model.state_dict().items()}}, tmp_path / "a.pt")
    convert(tmp_path / "a.pt", tmp_path / "b.keras", model=network, weights=NAMES, optimizer="none")
    found = keras.models.load_model(tmp_path / "b.keras").get_layer("dense").kernel.numpy()
    np.testing.assert_allclose(found, model[0].weight.detach().numpy().T, rtol=0.01)


def test_other_optimizers_of_torch_are_refused(torch, tmp_path):
    model = in_torch(torch)
    optimizer = torch.optim.Adagrad(model.parameters())
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "a.pt")
    with pytest.raises(
        ValueError, match="convert: torch's optimizer must be one of Adam, AdamW, SGD, RMSprop, got one of"
    ):
        convert(tmp_path / "a.pt", tmp_path / "b.keras", model=network, weights=NAMES)


def test_a_file_with_code_is_refused(torch, tmp_path):
    torch.save({"model": print, "optimizer": {}}, tmp_path / "a.pt")
    with pytest.raises(ValueError, match=r"convert: source '.*a.pt' is damaged, or holds more than tensors"):
        convert(tmp_path / "a.pt", tmp_path / "b.keras", model=network, weights=NAMES)
