"""Bad input raises an error that names the argument, the value and what is allowed."""

import threading

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import assert_same, run_python, values

import pyadam
from pyadam import NA, specs

OR_FOLLOWED = ", a variable that holds one or a function without arguments"
A_RATE = r"a number in \[0, inf\), a variable that holds one, a learning-rate schedule or a function without arguments"

BAD = [
    # arguments, error, words after "Adam: "
    ({"learning_rate": -1}, ValueError, rf"learning_rate must be {A_RATE}, got -1"),
    ({"learning_rate": float("nan")}, ValueError, rf"learning_rate must be {A_RATE}, got nan"),
    ({"learning_rate": float("inf")}, ValueError, rf"learning_rate must be {A_RATE}, got inf"),
    ({"learning_rate": "fast"}, TypeError, rf"learning_rate must be {A_RATE}, got 'fast' \(str\)"),
    ({"learning_rate": None}, TypeError, rf"learning_rate must be {A_RATE}, got None"),
    ({"learning_rate": NA}, TypeError, rf"learning_rate must be {A_RATE}, got NA"),
    ({"learning_rate": True}, TypeError, rf"learning_rate must be {A_RATE}, got True"),
    ({"learning_rate": [0.1, 0.2]}, TypeError, r"learning_rate must be .*, got \[0.1, 0.2\] \(list\)"),
    ({"learning_rate": np.array([0.1, 0.2])}, TypeError, r"learning_rate must be .*\(ndarray\)"),
    ({"learning_rate": lambda step: 0.1}, TypeError, r"learning_rate must be .* a function without arguments, got "),
    ({"beta_1": 1.0}, ValueError, rf"beta_1 must be a number in \[0, 1\){OR_FOLLOWED}, got 1.0"),
    ({"beta_2": -0.1}, ValueError, rf"beta_2 must be a number in \[0, 1\){OR_FOLLOWED}, got -0.1"),
    ({"epsilon": -1e-7}, ValueError, rf"epsilon must be a number in \[0, inf\){OR_FOLLOWED}, got -1e-07"),
    ({"amsgrad": "yes"}, TypeError, r"amsgrad must be True or False, got 'yes' \(str\)"),
    ({"amsgrad": NA}, TypeError, r"amsgrad must be True or False, got NA"),
    (
        {"weight_decay": -1},
        ValueError,
        rf"weight_decay must be a number in \[0, inf\){OR_FOLLOWED}, or None \(NULL in R\), got -1",
    ),
    ({"clipnorm": 0}, ValueError, r"clipnorm must be a number in \(0, inf\), or None \(NULL in R\), got 0"),
    ({"clipvalue": -1}, ValueError, r"clipvalue must be a number in \(0, inf\)"),
    ({"global_clipnorm": "1"}, TypeError, r"global_clipnorm must be a number in \(0, inf\)"),
    ({"clipnorm": 1, "clipvalue": 2}, ValueError, r"at most one of clipnorm, clipvalue and global_clipnorm"),
    ({"use_ema": 1}, TypeError, r"use_ema must be True or False, got 1"),
    ({"ema_momentum": 1.5}, ValueError, rf"ema_momentum must be a number in \[0, 1\]{OR_FOLLOWED}, got 1.5"),
    ({"ema_overwrite_frequency": 2.5}, ValueError, r"ema_overwrite_frequency must be a whole number >= 1, .*, got 2.5"),
    ({"ema_overwrite_frequency": 0}, ValueError, r"ema_overwrite_frequency must be a whole number >= 1"),
    ({"loss_scale_factor": 0}, ValueError, r"loss_scale_factor must be a number in \(0, inf\)"),
    ({"gradient_accumulation_steps": -2}, ValueError, r"gradient_accumulation_steps must be a whole number >= 1"),
    ({"name": 7}, TypeError, r"name must be a string, got 7"),
    ({"jit_compile": "auto"}, TypeError, r"jit_compile must be True or False, got 'auto'"),
    ({"beta1": 0.9}, TypeError, r"unknown argument beta1, did you mean beta_1\?"),
    ({"learning_rte": 0.9}, TypeError, r"unknown argument learning_rte, did you mean learning_rate\?"),
    ({"momentum": 0.9, "decay": 1}, TypeError, r"unknown argument momentum, which only Muon, RMSprop and SGD have$"),
    ({"nesterov": True}, TypeError, r"unknown argument nesterov, which only Muon and SGD have$"),
    ({"decay": 1e-6}, TypeError, r"unknown argument decay: .*_inverse_time_decay\(learning_rate, 1, 1e-06\)$"),
    ({"lr_decay": 1e-6}, TypeError, r"unknown argument lr_decay: .*_inverse_time_decay\(learning_rate, 1, 1e-06\)$"),
    ({"betas": (0.9, 0.99)}, TypeError, r"unknown argument betas: the decay rates are beta_1 and beta_2$"),
    ({"rate": 0.1}, TypeError, r"unknown argument rate, did you mean learning_rate\?"),
    ({"learning.rate": 0.1}, TypeError, r"unknown argument learning.rate, did you mean learning_rate\?"),
    ({"schedule": 0.1}, TypeError, r"unknown argument schedule: pass the schedule as learning_rate$"),
    ({"eps": 0.1}, TypeError, r"unknown argument eps, did you mean epsilon\?"),
    ({"wd": 0.1}, TypeError, r"unknown argument wd, did you mean weight_decay\?"),
    ({"max_grad_norm": 1}, TypeError, r"unknown argument max_grad_norm, did you mean global_clipnorm\?"),
    (
        {"clip_norm": 1},
        TypeError,
        r"unknown argument clip_norm: clipnorm limits each variable's gradient, global_clipnorm",
    ),
    ({"schedule_decay": 0.004}, TypeError, r"unknown argument schedule_decay; the arguments are"),
    ({"alpha": 0.9}, TypeError, r"unknown argument alpha; the arguments are"),
    ({"beta_3": 0.9}, TypeError, r"unknown argument beta_3, which only Adan and Prodigy have"),
    ({"xyz": 0.9}, TypeError, r"unknown argument xyz; the arguments are learning_rate, beta_1"),
]


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    BAD,
    ids=lambda x: str(x)[:50] if isinstance(x, dict) and not callable(x.get("learning_rate")) else "",
)
@pytest.mark.parametrize("face", ["Adam", "optimizer_adam"])
def test_arguments(face, arguments, error, words):
    with pytest.raises(error, match="^Adam: " + words):
        getattr(pyadam, face)(**arguments)


@pytest.mark.parametrize("pattern", ["(", ["dense", "*"]])
def test_a_list_of_regular_expressions(pattern):
    with pytest.raises(
        ValueError, match=r"^Muon: exclude_layers must be a list of regular expressions, or None .*, got "
    ):
        pyadam.Muon(exclude_layers=pattern)


def test_adamw_is_nothing_without_its_decay():
    with pytest.raises(TypeError, match=rf"^AdamW: weight_decay must be a number in \[0, inf\){OR_FOLLOWED}, got None"):
        pyadam.AdamW(weight_decay=None)


def test_too_many_arguments():
    with pytest.raises(TypeError, match=r"^Adam: too many positional arguments"):
        pyadam.Adam(*range(20))


def test_lr_is_an_alias_that_warns():
    with pytest.warns(DeprecationWarning, match="use learning_rate"):
        optimizer = pyadam.Adam(lr=0.5)
    assert float(optimizer.learning_rate) == 0.5
    with pytest.raises(TypeError, match="given twice"):
        pyadam.Adam(0.1, lr=0.5)
    with pytest.warns(DeprecationWarning, match="attribute lr"):
        optimizer.lr = 0.25
    with pytest.warns(DeprecationWarning, match="attribute lr"):
        assert float(optimizer.lr) == 0.25


@pytest.mark.parametrize("number", [1, 1.0, np.float32(0.1), np.int64(1), np.array(0.5), tf.constant(0.25)])
def test_numbers_of_every_make(number):
    optimizer = pyadam.Adam(number)
    assert float(optimizer.learning_rate) == np.float32(np.asarray(number))


def test_whole_doubles_are_counts():
    optimizer = pyadam.Adam(use_ema=True, ema_overwrite_frequency=2.0, gradient_accumulation_steps=3.0)
    assert (optimizer.ema_overwrite_frequency, optimizer.gradient_accumulation_steps) == (2, 3)
    assert isinstance(optimizer.get_config()["ema_overwrite_frequency"], int)


def built():
    v = keras.Variable(np.ones((2, 3), "float32"), name="kernel")
    optimizer = pyadam.Adam(0.1)
    optimizer.build([v])
    return optimizer, v


def test_setting_a_bad_value_changes_nothing():
    optimizer, _ = built()
    with pytest.raises(ValueError, match="learning_rate must be"):
        optimizer.learning_rate = -1
    with pytest.raises(ValueError, match="clipnorm must be"):
        optimizer.clipnorm = -1
    with pytest.raises(ValueError, match="amsgrad can't be changed once the optimizer is built"):
        optimizer.amsgrad = True
    assert (float(optimizer.learning_rate), optimizer.clipnorm, optimizer.amsgrad) == (np.float32(0.1), None, False)


def test_setting_a_hyperparameter_takes_effect():
    optimizer, v = built()
    optimizer.apply([tf.ones((2, 3))], [v])
    optimizer.weight_decay = 1.0
    before = v.numpy()
    optimizer.apply([tf.zeros((2, 3))], [v])
    assert np.all(v.numpy() < before * 0.9)


def test_gradients_of_the_wrong_shape_count_or_type():
    optimizer, v = built()
    with pytest.raises(ValueError, match=r"gradient of kernel must have the variable's shape \(2, 3\), got \(3, 2\)"):
        optimizer.apply([tf.ones((3, 2))], [v])
    with pytest.raises(ValueError, match="expected one gradient per variable, got 2 for 1"):
        optimizer.apply([tf.ones((2, 3))] * 2)
    with pytest.raises(TypeError, match="gradient of kernel must hold real numbers, got string"):
        optimizer.apply(["steep"], [v])
    with pytest.raises(TypeError, match="must hold real numbers, got complex64"):
        optimizer.apply([tf.ones((2, 3), tf.complex64)], [v])
    with pytest.raises(ValueError, match="No gradients provided for any variable: kernel"):
        optimizer.apply([None], [v])
    assert int(optimizer.iterations) == 0
    np.testing.assert_array_equal(v.numpy(), 1.0)


def test_before_build_unknown_and_twice():
    optimizer, v = built()
    with pytest.raises(ValueError, match=r"call build\(variables\) first"):
        pyadam.Adam().apply([tf.ones(2)])
    with pytest.raises(ValueError, match="unknown variable other: the optimizer was built for 1 others"):
        optimizer.apply([tf.ones(2)], [keras.Variable([1.0, 1.0], name="other")])
    with pytest.raises(ValueError, match="variable kernel is given twice"):
        optimizer.apply([tf.ones((2, 3))] * 2, [v, v])
    shared = pyadam.Adam()
    shared.build([v, v])  # as two models have it
    assert len(shared.variables) == 4
    with pytest.raises(ValueError, match=r"set_weights\(\) before the optimizer is built"):
        pyadam.Adam().set_weights([])


@pytest.mark.parametrize("spec", specs.SPECS.values(), ids=lambda s: s.__name__)
def test_exclusion_that_matches_nothing_warns(spec):
    optimizer = getattr(pyadam, spec.__name__)(weight_decay=0.1)
    optimizer.exclude_from_weight_decay(var_names=["bais"])
    with pytest.warns(UserWarning, match="no variable's path has a component 'bais' so far; the paths are "):
        optimizer.build([keras.Variable([1.0], name="bias")])


@pytest.mark.parametrize("off", [0, 0.0, None, np.float32(0)])
def test_a_decay_that_did_nothing_is_taken(off):
    with pytest.warns(DeprecationWarning, match="argument decay no longer exists and is ignored"):
        optimizer = pyadam.Adam.from_config({"name": "Adam", "learning_rate": 0.001, "decay": off, "amsgrad": False})
    assert float(optimizer.learning_rate) == np.float32(0.001)
    assert "decay" not in optimizer.get_config()


@pytest.mark.parametrize("argument", ["decay", "schedule_decay", "momentum_decay"])
def test_the_momentum_schedule_of_old_nadams(argument):
    with pytest.raises(TypeError, match=f"^Nadam: unknown argument {argument}: .* leave the argument out$"):
        pyadam.Nadam(**{argument: 0.004})


def test_foreign_names_of_other_rules():
    with pytest.raises(TypeError, match=r"alpha, did you mean rho\?"):  # torch's name for it
        pyadam.RMSprop(alpha=0.99)
    with pytest.raises(TypeError, match="unknown argument betas; the arguments are"):  # Ftrl's beta is something else
        pyadam.Ftrl(betas=(0.9, 0.999))


def test_what_the_hint_for_decay_names_is_what_decay_was():
    schedule = pyadam.learning_rate_schedule_inverse_time_decay(0.01, 1, 1e-6)
    assert float(schedule(10**6)) == pytest.approx(0.01 / (1 + 1e-6 * 10**6))


@pytest.mark.parametrize("face", ["Adam", "optimizer_adam", "Adadelta", "RMSprop"])
def test_no_epsilon_is_the_default(face):
    assert getattr(pyadam, face)(epsilon=None).epsilon == 1e-7


def test_a_second_model_is_refused_and_nothing_is_changed():
    optimizer, weights = pyadam.Adam(0.1), []
    for layer in ("a", "a", "c"):
        with keras.name_scope(layer):
            weights.append(keras.Variable([1.0], name="w"))
    a, b, c = weights
    optimizer.apply([tf.ones(1)], [a])
    with pytest.raises(
        ValueError, match=r"^Adam: unknown variable a/w: the optimizer has taken 1 steps.*for each fold"
    ):
        optimizer.apply([tf.ones(1)], [b])
    assert (int(optimizer.iterations), len(optimizer._trainable_variables), b.numpy()[0]) == (1, 1, 1.0)
    optimizer.apply([tf.ones(1)] * 2, [a, c])  # unfrozen later
    assert int(optimizer.iterations) == 2


def test_the_first_step_taken_by_threads_at_once():
    optimizer, vs = pyadam.Adam(0.1), [keras.Variable([1.0], name=f"v{i}") for i in range(3)]
    start = threading.Barrier(8)

    def steps():
        start.wait()
        for _ in range(5):
            optimizer.apply([tf.ones(1)] * 3, vs)

    threads = [threading.Thread(target=steps) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert (int(optimizer.iterations), len(optimizer.variables)) == (40, 2 + 2 * 3)
    alone, ws = pyadam.Adam(0.1), [keras.Variable([1.0], name=f"v{i}") for i in range(3)]
    for _ in range(40):
        alone.apply([tf.ones(1)] * 3, ws)
    assert_same(values(vs), values(ws))


def test_another_backend_is_refused_by_name():
    for use in ("pyadam.Adam", "pyadam.optimizer_adam()"):
        run = run_python(f"import pyadam; {use}", KERAS_BACKEND="jax")
        assert "ImportError: pyadam: the optimizers need Keras on TensorFlow, and here its backend is jax" in run.stderr


def test_the_other_generation_s_optimizer():
    import tf_keras

    import pyadam.tf_keras

    with pytest.raises(
        ValueError, match=r"pyadam.Adam\(\), made for Keras 3; a model of tf_keras takes pyadam.tf_keras.Adam"
    ):
        tf_keras.Sequential([tf_keras.layers.Dense(1)]).compile(pyadam.Adam(name="adam"), "mse")
    with pytest.raises(ValueError, match=r"pyadam.tf_keras.Adam\(\), made for tf_keras; .* Keras 3 takes pyadam.Adam"):
        keras.Sequential([keras.layers.Dense(1)]).compile(pyadam.tf_keras.Adam(), "mse")


def test_exclusions_that_are_no_variables_or_no_expressions():
    optimizer = pyadam.AdamW()
    with pytest.raises(
        TypeError, match=r"^AdamW: .* var_list must hold variables, got .*bias.*; names go into var_names"
    ):
        optimizer.exclude_from_weight_decay(["bias"])
    with pytest.raises(
        ValueError, match=r"^AdamW: .* var_names must be regular expressions, got \['kernel', '\(bias'\]"
    ):
        optimizer.exclude_from_weight_decay(var_names=["kernel", "(bias"])
    kernel = keras.Variable([1.0], name="kernel")
    optimizer.apply([tf.zeros(1)], [kernel])
    assert kernel.numpy()[0] < 1.0, "a refused call excludes nothing"


def test_the_optimizers_are_not_in_the_package_of_their_parts():
    with pytest.raises(ImportError, match=r"use pyadam\.Adam$"):
        from pyadam.optimizers import Adam  # noqa: F401


@pytest.mark.parametrize(
    "cls", [pyadam.Adam, pyadam.LossScaleOptimizer, pyadam.tf_keras.Adam, pyadam.tf_keras.LossScaleOptimizer]
)
@pytest.mark.parametrize("config", [None, 1.0, "Adam", [("learning_rate", 0.1)]])
def test_what_is_no_config_is_refused(cls, config):
    with pytest.raises(TypeError, match=f"{cls.__name__}: config must be a dictionary of arguments, got "):
        cls.from_config(config)


@pytest.mark.parametrize("cls", [pyadam.LossScaleOptimizer, pyadam.tf_keras.LossScaleOptimizer])
def test_a_config_without_its_optimizer_is_refused(cls):
    with pytest.raises(ValueError, match="LossScaleOptimizer: config must have inner_optimizer, got initial_scale"):
        cls.from_config({"initial_scale": 2.0})


class Raising:
    def __getattribute__(self, name):
        raise RuntimeError(f"{name} is not for you")


class LikeAVariable:
    dtype, shape = "float32", ()

    def assign(self, value):
        raise RuntimeError("no assignment")


@pytest.mark.parametrize("module", [pyadam, pyadam.tf_keras], ids=["keras", "tf_keras"])
def test_objects_that_raise_or_only_look_like_variables(module):
    """All three ended in errors that named no argument, one of them in the middle of a step."""
    with pytest.raises(TypeError, match="Adam: grads_and_vars must be pairs of gradient and variable, got an object"):
        module.Adam().apply_gradients([Raising(), Raising()])
    with pytest.raises(TypeError, match="Adam: groups must be dictionaries of arguments"):
        module.Adam.from_config({"groups": Raising()})
    for name in ("learning_rate", "epsilon", "ema_momentum"):
        with pytest.raises(TypeError, match=f"Adam: {name} must be a number"):
            module.Adam(**{name: LikeAVariable()})
