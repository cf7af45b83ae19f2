"""R keras 2.11's schedule functions return Keras' own schedules, check their arguments, and give the documented rates."""

import inspect
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

import pyadam
from pyadam.hosts.schedules import SCHEDULES, new_class

# A call of each function, with its own formula; steps are counted from 0.
CASES = {
    "learning_rate_schedule_cosine_decay": (
        {"initial_learning_rate": 0.1, "decay_steps": 20.0, "alpha": 0.2},
        lambda t: 0.1 * (0.2 + 0.8 * (1 + math.cos(math.pi * min(t / 20, 1))) / 2),
    ),
    "learning_rate_schedule_cosine_decay_restarts": (
        {"initial_learning_rate": 0.1, "first_decay_steps": 5.0, "t_mul": 2, "m_mul": 0.5},
        lambda t: next(
            0.1 * 0.5**i * (1 + math.cos(math.pi * (t - start) / (5 * 2**i))) / 2
            for i, start in enumerate([0, 5, 15, 35, 75])
            if t < start + 5 * 2**i
        ),
    ),
    "learning_rate_schedule_exponential_decay": (
        {"initial_learning_rate": 0.1, "decay_steps": 7, "decay_rate": 0.5},
        lambda t: 0.1 * 0.5 ** (t / 7),
    ),
    "learning_rate_schedule_inverse_time_decay": (
        {"initial_learning_rate": 0.1, "decay_steps": 7, "decay_rate": 0.5, "staircase": True},
        lambda t: 0.1 / (1 + 0.5 * (t // 7)),
    ),
    "learning_rate_schedule_piecewise_constant_decay": (
        {"boundaries": np.array([10.0, 30.0]), "values": [1, 0.5, 0.25]},
        lambda t: 1 if t <= 10 else 0.5 if t <= 30 else 0.25,
    ),
    "learning_rate_schedule_polynomial_decay": (
        {"initial_learning_rate": 0.1, "decay_steps": 20, "end_learning_rate": 0.01, "power": 2, "cycle": True},
        lambda t: 0.01 + 0.09 * (1 - t / (20 * max(1, math.ceil(t / 20)))) ** 2,
    ),
}
EACH = pytest.mark.parametrize("name", SCHEDULES)
REQUIRED = {
    name: [p.name for p in spec.signature().parameters.values() if p.default is p.empty]
    for name, spec in SCHEDULES.items()
}


def make(function, **changed):
    return getattr(pyadam, function)(**CASES[function][0] | changed)


@pytest.fixture(params=["keras", "tf_keras"])
def host(request, monkeypatch):
    """With each generation of Keras as the one in use."""
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "01"[request.param == "tf_keras"])
    return pytest.importorskip(request.param)


@EACH
def test_values_are_the_formulas(name, host):
    schedule, formula = make(name), CASES[name][1]
    np.testing.assert_allclose([schedule(t) for t in range(60)], [formula(t) for t in range(60)], rtol=1e-5, atol=1e-8)


@EACH
def test_the_object_is_keras_own(name, host):
    schedule = make(name)
    own = getattr(host.optimizers.schedules, SCHEDULES[name].__name__)
    assert type(schedule) is own
    by_hand = own(**{key: value for key, value in schedule.get_config().items() if key != "name"})
    assert schedule.get_config() == by_hand.get_config()  # the default name is Keras' too
    assert make(name, name="mine").name == "mine"
    for given, value in CASES[name][0].items():
        assert schedule.get_config()[given] == (value.tolist() if isinstance(value, np.ndarray) else value)


@EACH
def test_defaults_are_keras_own(name):
    theirs = inspect.signature(getattr(keras.optimizers.schedules, SCHEDULES[name].__name__)).parameters
    for parameter in SCHEDULES[name].signature().parameters.values():
        if parameter.name != "name":
            assert parameter.default == theirs[parameter.name].default


@EACH
def test_what_is_refused(name):
    owner = SCHEDULES[name].__name__
    for argument, field in SCHEDULES[name].arguments().items():
        kind = field.metadata["kind"]
        wrong = [
            pyadam.NA,
            {},
            *([] if kind.optional else [None]),
            *([[-1.0], ["x"]] if "list" in kind.allowed() else [[1.0]]),
        ]
        if "whole number" in kind.allowed():
            wrong += [2.5, -1, math.inf, True]
        elif "number" in kind.allowed():
            wrong += [-1, math.nan, math.inf, True, "x"]
        for value in wrong:
            with pytest.raises((TypeError, ValueError)) as error:
                make(name, **{argument: value})
            assert f"{owner}: {argument} must be {kind.described()}, got " in str(error.value)
    for argument in REQUIRED[name]:
        others = {key: value for key, value in CASES[name][0].items() if key != argument}
        with pytest.raises(TypeError, match=f"{owner}: missing a required argument: '{argument}'"):
            getattr(pyadam, name)(**others)
    with pytest.raises(TypeError, match=f"{owner}: unknown argument nam, did you mean name"):
        make(name, nam="x")


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_learning_rate_is_told_the_name_that_the_schedule_has(name):
    right = "initial_learning_rate" if "initial_learning_rate" in REQUIRED[name] else "values"
    for wrong in ("learning_rate", "lr"):
        with pytest.raises(TypeError, match=f"unknown argument {wrong}, did you mean {right}\\?$"):
            getattr(pyadam, name)(**{wrong: 0.1})
    with pytest.raises(TypeError, match=r"unknown argument nesterov; the arguments are .*name"):
        getattr(pyadam, name)(nesterov=True)


@pytest.mark.parametrize(
    ("boundaries", "values", "words"),
    [
        ([], [0.1], r"boundaries must not be empty and must increase, got \[\]"),
        ([5, 5], [3, 2, 1], r"boundaries must not be empty and must increase, got \[5, 5\]"),
        ([5], [3, 2, 1], "values must be one more than boundaries, got 3 values for 1 boundaries"),
    ],
)
def test_boundaries_and_values_that_do_not_fit(boundaries, values, words):
    with pytest.raises(ValueError, match=f"PiecewiseConstantDecay: {words}"):
        pyadam.learning_rate_schedule_piecewise_constant_decay(boundaries, values)


@keras.saving.register_keras_serializable("tests")
class Halving(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule written in Python."""

    def __init__(self, rate):
        self.rate = rate

    def __call__(self, step):
        return self.rate * 0.5 ** tf.cast(step, tf.float32)

    def get_config(self):
        return {"rate": self.rate}


def r_like():
    """A class as R makes it, with Python in place of R: one function per object, which runs the methods by name."""

    def new_object():
        private = {}

        def run(self, parent, method, *args, **kwargs):
            if method == "initialize":
                private["rate"] = kwargs["rate"]
            elif method == "call":
                return private["rate"] * 0.5 ** tf.cast(args[0], tf.float32)
            return {"rate": private["rate"]}

        return run

    return new_class("HalvingInR", ["initialize", "call", "get_config"], {}, new_object)


SCHEDULES_TO_FIT = {
    **{name: lambda name=name: make(name) for name in SCHEDULES},
    "written in Python": lambda: Halving(0.1),
    "class of functions": lambda: r_like()(rate=0.1),
}


@pytest.mark.sample(3)
@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("make_schedule", SCHEDULES_TO_FIT.values(), ids=SCHEDULES_TO_FIT)
def test_fit_save_and_load(make_schedule, jit_compile, tmp_path):
    schedule = make_schedule()
    dense = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")
    model = keras.Sequential([keras.Input((1,)), dense])
    model.compile(optimizer=pyadam.SGD(schedule), loss="mse", jit_compile=jit_compile)
    x = np.ones((12, 1))
    model.fit(x, x, batch_size=1, epochs=1, verbose=0)
    rates = np.array([float(schedule(step)) for step in range(12)])
    np.testing.assert_allclose(model.get_weights()[0], 1 - np.prod(1 - 2 * rates), rtol=1e-5)

    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras").optimizer
    assert type(loaded.get_config()["learning_rate"]) is dict
    assert loaded.get_config() == model.optimizer.get_config()
    assert float(loaded.learning_rate) == float(schedule(12))


def test_every_schedule_has_a_case_and_is_public():
    assert set(CASES) == set(SCHEDULES)
    assert set(SCHEDULES) <= set(pyadam.__all__)


@pytest.mark.parametrize(("host", "other"), [("keras", "tf_keras"), ("tf_keras", "keras")])
def test_a_schedule_of_the_other_keras_is_refused(host, other):
    schedule = pytest.importorskip(other).optimizers.schedules.CosineDecay(0.1, 10)
    classes = pyadam if host == "keras" else pytest.importorskip("pyadam.tf_keras")
    words = f"Adam: learning_rate must be a LearningRateSchedule of {host}, got a CosineDecay of {other}"
    with pytest.raises(TypeError, match=words):
        classes.Adam(schedule)


def test_a_schedule_is_no_decay_rate():
    with pytest.raises(
        TypeError,
        match=r"Adam: beta_1 must be a number in \[0, 1\), a variable that holds one or a function without arguments",
    ):
        pyadam.Adam(beta_1=make("learning_rate_schedule_cosine_decay"))


WARM = {"warmup_target": 0.5, "warmup_steps": 4}


def test_a_warm_up_comes_before_the_cosine(host):
    schedule = make("learning_rate_schedule_cosine_decay", alpha=0.0, **WARM)
    right = [0.1 + 0.4 * t / 4 for t in range(4)]
    right += [0.5 * (1 + math.cos(math.pi * min(t / 20, 1))) / 2 for t in range(30)]
    np.testing.assert_allclose([float(schedule(t)) for t in range(34)], right, rtol=1e-5, atol=1e-8)
    again = host.optimizers.schedules.CosineDecay.from_config(schedule.get_config())
    assert float(again(2)) == float(schedule(2))


@pytest.mark.parametrize("given", [{"warmup_target": 0.5}, {"warmup_steps": 4}])
def test_half_a_warm_up_is_refused(given):
    with pytest.raises(
        ValueError, match="CosineDecay: warmup_target and warmup_steps must be given together, got warmup_t"
    ):
        make("learning_rate_schedule_cosine_decay", **given)


def test_a_warm_up_reaches_float64_weights_in_float64():
    ends = []
    for dtype in ("float32", "float64"):
        v, optimizer = (
            keras.Variable([0.0], dtype=dtype),
            pyadam.SGD(make("learning_rate_schedule_cosine_decay", **WARM)),
        )
        for _ in range(8):
            optimizer.apply([tf.ones(1, dtype)], [v])
        ends.append(v.numpy()[0])
    right = -sum([0.1 + 0.1 * t for t in range(4)]) - sum(
        0.5 * (0.2 + 0.8 * (1 + math.cos(math.pi * t / 20)) / 2) for t in range(4)
    )
    np.testing.assert_allclose(ends[0], right, rtol=1e-6)
    np.testing.assert_allclose(ends[1], right, rtol=1e-13)


def test_every_schedule_of_keras_is_here():
    theirs = {
        name
        for name, each in vars(keras.optimizers.schedules).items()
        if isinstance(each, type) and issubclass(each, keras.optimizers.schedules.LearningRateSchedule)
    }
    assert theirs - {"LearningRateSchedule"} == {spec.__name__ for spec in SCHEDULES.values()}
