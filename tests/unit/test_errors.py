"""Bad input: the kind of error and its words, which name the argument, the value and what is allowed."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import pyadam
from pyadam import NA, specs

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
    ({"beta_1": 1.0}, ValueError, r"beta_1 must be a number in \[0, 1\), a variable that holds one or a function without arguments, got 1.0"),
    ({"beta_2": -0.1}, ValueError, r"beta_2 must be a number in \[0, 1\), a variable that holds one or a function without arguments, got -0.1"),
    ({"epsilon": -1e-7}, ValueError, r"epsilon must be a number in \[0, inf\), got -1e-07"),
    ({"amsgrad": "yes"}, TypeError, r"amsgrad must be True or False, got 'yes' \(str\)"),
    ({"amsgrad": NA}, TypeError, r"amsgrad must be True or False, got NA"),
    ({"weight_decay": -1}, ValueError, r"weight_decay must be a number in \[0, inf\), or None \(NULL in R\), got -1"),
    ({"clipnorm": 0}, ValueError, r"clipnorm must be a number in \(0, inf\), or None \(NULL in R\), got 0"),
    ({"clipvalue": -1}, ValueError, r"clipvalue must be a number in \(0, inf\)"),
    ({"global_clipnorm": "1"}, TypeError, r"global_clipnorm must be a number in \(0, inf\)"),
    ({"clipnorm": 1, "clipvalue": 2}, ValueError, r"at most one of clipnorm, clipvalue and global_clipnorm"),
    ({"use_ema": 1}, TypeError, r"use_ema must be True or False, got 1"),
    ({"ema_momentum": 1.5}, ValueError, r"ema_momentum must be a number in \[0, 1\], got 1.5"),
    ({"ema_overwrite_frequency": 2.5}, ValueError, r"ema_overwrite_frequency must be a whole number >= 1, .*, got 2.5"),
    ({"ema_overwrite_frequency": 0}, ValueError, r"ema_overwrite_frequency must be a whole number >= 1"),
    ({"loss_scale_factor": 0}, ValueError, r"loss_scale_factor must be a number in \(0, inf\)"),
    ({"gradient_accumulation_steps": -2}, ValueError, r"gradient_accumulation_steps must be a whole number >= 1"),
    ({"name": 7}, TypeError, r"name must be a string, got 7"),
    ({"jit_compile": "auto"}, TypeError, r"jit_compile must be True or False, got 'auto'"),
    ({"beta1": 0.9}, TypeError, r"unknown argument beta1, did you mean beta_1\?"),
    ({"learning_rte": 0.9}, TypeError, r"unknown argument learning_rte, did you mean learning_rate\?"),
    ({"momentum": 0.9, "decay": 1}, TypeError, r"unknown argument momentum, did you mean ema_momentum\?"),
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
    with pytest.raises(TypeError, match=r"^AdamW: weight_decay must be a number in \[0, inf\), got None"):
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
    with pytest.raises(ValueError, match="amsgrad can't change once the optimizer is built"):
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
    with pytest.raises(ValueError, match="expected one gradient a variable, got 2 gradients for 1"):
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
    with pytest.raises(ValueError, match="variable kernel is given twice"):
        pyadam.Adam().build([v, v])
    with pytest.raises(ValueError, match=r"set_weights\(\) before the optimizer is built"):
        pyadam.Adam().set_weights([])


def test_variables_that_hold_no_real_numbers():
    with pytest.raises(TypeError, match="variables must hold float16, bfloat16, float32 or float64 numbers, got int32"):
        pyadam.Adam().build([tf.Variable([1, 2])])


@pytest.mark.parametrize("spec", specs.SPECS.values(), ids=lambda s: s.__name__)
def test_exclusion_that_matches_nothing_warns(spec):
    optimizer = getattr(pyadam, spec.__name__)(weight_decay=0.1)
    optimizer.exclude_from_weight_decay(var_names=["bais"])
    with pytest.warns(UserWarning, match="no variable's path has a component 'bais'"):
        optimizer.build([keras.Variable([1.0], name="bias")])
