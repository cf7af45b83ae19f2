"""Custom optimizers: the bits of pyadam's, everything that comes with a rule, and rules that can't work."""

import json
import pickle
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from helpers import assert_same, gradients_of, restart, run_python, values, variables
from models import goes_on_in_a_fresh_process, make_model, train

import pyadam
import pyadam.tf_keras

SHAPES = ((3, 4), (5,), (), (70, 70))


def signum(w, g, s, h):
    """m <- momentum m + (1 - momentum) g;  w <- w - lr sign(m)."""
    m = h.momentum * s.m + (1 - h.momentum) * g
    return w - h.learning_rate * tf.sign(m), {"m": m}


Signum = pyadam.new_optimizer_class("Signum", signum, slots="m", doc="Signs of a mean.", momentum=0.9)


def as_lion(w, g, s, h):
    direction = tf.sign(s.momentum + (1 - h.beta_1) * (g - s.momentum))
    return w - h.learning_rate * direction, {"momentum": s.momentum + (1 - h.beta_2) * (g - s.momentum)}


def as_adagrad(w, g, s, h):
    total = s.accumulator + g * g
    return w - h.learning_rate * g / tf.sqrt(total + h.epsilon), {"accumulator": total}


def as_lamb(w, g, s, h):
    m, v = s.m + (1 - h.beta_1) * (g - s.m), s.v + (1 - h.beta_2) * (g * g - s.v)
    r = m / (1 - h.beta_1**h.t) / (tf.sqrt(v / (1 - h.beta_2**h.t)) + h.epsilon)
    lengths = tf.norm(w), tf.norm(r)
    ratio = tf.where((lengths[0] > 0) & (lengths[1] > 0), lengths[0] / lengths[1], 1)
    return w - h.learning_rate * ratio * r, {"m": m, "v": v}


BETAS = {"beta_1": 0.9, "beta_2": {"default": 0.99, "low": 0, "high": 1}}
TWINS = {
    "Lion": ("OwnLion", as_lion, "momentum", BETAS),
    "Adagrad": ("OwnAdagrad", as_adagrad, {"accumulator": 0.1}, {"epsilon": 1e-7}),
    "Lamb": ("OwnLamb", as_lamb, ["m", "v"], {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}),
}
COMMON = {
    "alone": {},
    "decay, clip": {"weight_decay": 0.1, "clipnorm": 0.5},
    "averages": {"use_ema": True, "ema_overwrite_frequency": 3},
    "accumulation, scale": {"gradient_accumulation_steps": 2, "loss_scale_factor": 8.0},
    "uncompiled": {"jit_compile": False},
    "groups": {"groups": {"v[03]": {"learning_rate": 1e-3}}},
    "bfloat16 slots": {"slot_dtype": "bfloat16"},
}


def ends(optimizer, dtype="float32", steps=8):
    restart()
    vs = variables(*SHAPES, dtype=dtype)
    for _ in range(steps):
        optimizer.apply(gradients_of(vs), vs)
    return values(vs)


@pytest.mark.sample(3)
@pytest.mark.parametrize("arguments", COMMON.values(), ids=COMMON)
@pytest.mark.parametrize("name", TWINS)
def test_a_rule_of_ones_own_gives_the_numbers_of_pyadams(name, arguments):
    classname, update, slots, own = TWINS[name]
    made = pyadam.new_optimizer_class(classname, update, slots=slots, **own)(0.01, **arguments)
    for a, b in zip(ends(made), ends(getattr(pyadam, name)(0.01, **arguments)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-2 if "slot_dtype" in arguments else 1e-5, atol=1e-5)
    assert all(program.traces <= 1 for program in made._engine.programs)


@pytest.mark.parametrize(("update", "elementwise"), [(signum, True), (as_adagrad, True), (as_lamb, False)])
def test_small_variables_share_a_lane_where_the_rule_is_elementwise(update, elementwise):
    slots = {"signum": "m", "as_adagrad": "accumulator", "as_lamb": ["m", "v"]}[update.__name__]
    arguments = {"momentum": 0.9, "beta_1": 0.9, "beta_2": 0.99, "epsilon": 1e-7}
    made = pyadam.new_optimizer_class("Probe", update, slots=slots, **arguments)
    assert made.spec_rule.elementwise == elementwise


def test_constants_of_a_shape_make_a_rule_see_the_whole():
    made = pyadam.new_optimizer_class("Shaped", lambda w, g, s, h: (w - tf.ones([3, 2], w.dtype) * g, {}))
    assert not made.spec_rule.elementwise


@pytest.mark.sample(1)
@pytest.mark.parametrize("dtype", ["float64", "bfloat16", "float16"])
def test_dtypes_are_those_of_the_arithmetic(dtype):
    for a, b in zip(ends(Signum(0.01), dtype), ends(Signum(0.01), "float64"), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-1 if dtype != "float64" else 0, atol=0.1 if dtype != "float64" else 0)


@pytest.mark.filterwarnings("ignore:.*Gradients do not exist")
def test_sparse_gradients_and_missing_ones():
    found = []
    for dense in (True, False):
        table, other = keras.Variable(np.ones((6000, 2))), keras.Variable(np.ones(3))
        optimizer = Signum(0.1)
        for step in range(4):
            g = tf.IndexedSlices(tf.ones((2, 2)), tf.constant([1, 1 + step]), tf.constant([6000, 2]))
            optimizer.apply([tf.convert_to_tensor(g) if dense else g, tf.ones(3) if step else None], [table, other])
        found.append(values([table, other]))
    assert_same(*found)


def test_flags_are_known_when_the_rule_is_traced():
    def update(w, g, s, h):
        return (w + g if h.uphill else w - g), {}

    made = pyadam.new_optimizer_class("Either", update, uphill=False)
    for uphill, end in ((False, 0.0), (True, 2.0)):
        v = keras.Variable([1.0])
        made(uphill=uphill).apply([tf.ones(1)], [v])
        assert v.numpy() == [end]


def test_a_slot_may_start_as_the_weight():
    made = pyadam.new_optimizer_class(
        "Back", lambda w, g, s, h: (s.first - g, {"first": s.first}), slots={"first": None}
    )
    v, optimizer = keras.Variable([1.0, 2.0]), made()
    for _ in range(3):
        optimizer.apply([tf.ones(2)], [v])
    np.testing.assert_array_equal(v.numpy(), [0.0, 1.0])


def test_the_signature_the_documentation_and_the_checks():
    assert str(Signum.__signature__).startswith("(learning_rate=0.001, momentum=0.9, weight_decay=None, clipnorm=None")
    assert "Signs of a mean." in Signum.__doc__
    assert "m <- momentum m" in Signum.__doc__
    assert repr(Signum(0.5)) == "Signum(learning_rate=0.5)"
    with pytest.raises(TypeError, match="Signum: unknown argument momentun, did you mean momentum"):
        Signum(momentun=1)
    with pytest.raises(ValueError, match=r"OwnLion: beta_2 must be a number in \[0, 1\]"):
        pyadam.new_optimizer_class("OwnLion", as_lion, slots="momentum", **BETAS)(beta_2=2)


def test_hyperparameters_follow_functions_and_variables():
    momentum = tf.Variable(0.5)
    optimizer, v = Signum(lambda: 0.25, momentum=momentum), keras.Variable([1.0])
    step = tf.function(lambda g: optimizer.apply([g], [v]))
    optimizer.build([v])
    step(tf.constant([1.0]))
    momentum.assign(0.0)  # from here on the sign is that of the gradient
    step(tf.constant([-0.1]))
    assert v.numpy() == [1.0]


@pytest.mark.sample(1)
@pytest.mark.parametrize("file", ["model.keras", "model.h5", "model.weights.h5"])
def test_saved_models_go_on(file, tmp_path):
    keras.backend.clear_session()
    model = train(make_model(Signum(0.01, use_ema=True)), 2)
    (model.save_weights if "weights" in file else model.save)(str(tmp_path / file))
    if "weights" in file:
        keras.backend.clear_session()
        again = make_model(Signum(0.01, use_ema=True))
        again.load_weights(str(tmp_path / file))
    else:
        again = keras.models.load_model(str(tmp_path / file))
    for each in (model, again):
        train(each, 2)
    assert_same(model.get_weights(), again.get_weights())


def test_configs_and_pickles():
    optimizer = Signum(0.25, momentum=0.5, groups={"a": {"momentum": 0.1}})
    config = json.loads(json.dumps(keras.optimizers.serialize(optimizer)))
    assert keras.optimizers.deserialize(config).get_config() == optimizer.get_config()
    assert pickle.loads(pickle.dumps(optimizer)).get_config() == optimizer.get_config()


def test_a_saved_model_loads_in_a_fresh_process_that_defines_the_class(tmp_path):
    code = """
        def signum(w, g, s, h):
            m = h.momentum * s.m + (1 - h.momentum) * g
            return w - h.learning_rate * tf.sign(m), {"m": m}

        pyadam.new_optimizer_class("Signum", signum, slots="m", momentum=0.9)
    """
    goes_on_in_a_fresh_process(train(make_model(Signum(0.01)), 2), tmp_path, code)


def test_tf_keras_has_them_where_it_is_in_use():
    code = """
        import tensorflow as tf, tf_keras
        import pyadam
        made = pyadam.new_optimizer_class("Plain", lambda w, g, s, h: (w - h.learning_rate * g, {}))
        v = tf.Variable([1.0])
        made(0.25).apply_gradients([(tf.constant([1.0]), v)])
        assert issubclass(made, tf_keras.optimizers.Optimizer)
        print("moved to", v.numpy())
    """
    assert "moved to [0.75]" in run_python(code, TF_USE_LEGACY_KERAS="1").stdout
    assert tf_keras is not None


# --- rules that can't work -----------------------------------------------------------------------------------------------

COUNTER = iter(range(1000))


def branching(w, g, s, h):
    return (w if tf.reduce_sum(g) > 0 else g), {}


RULES = [
    (
        lambda w, g, s, h: (w - next(COUNTER) * g, {}),
        ValueError,
        "made other operations when it was called a second time",
    ),
    (
        lambda w, g, s, h: (w - tf.random.normal([], dtype=w.dtype) * g, {}),
        ValueError,
        "side effects (RandomStandardNormal)",
    ),
    (lambda w, g, s, h: (w - tf.py_function(lambda: 1.0, [], w.dtype), {}), ValueError, "side effects (EagerPyFunc)"),
    (
        branching,
        ValueError,
        "a branch or a loop that depends on the values of tensors (if); choose between values with tf.where",
    ),
    (
        lambda w, g, s, h: (tf.cond(h.t > 1, lambda: w, lambda: g), {}),
        ValueError,
        "a branch or a loop that depends on the",
    ),
    (
        lambda w, g, s, h: (tf.while_loop(lambda x: h.t > 1, lambda x: x, [w])[0], {}),
        ValueError,
        "(StatelessWhile); choose",
    ),
    (lambda w, g, s, h: (tf.cast(w, tf.float16), {}), TypeError, "the weight in the dtype of w, float32, got float16"),
    (lambda w, g, s, h: (tf.reduce_sum(w), {}), ValueError, "the weight in the shape of w, (3, 2), got ()"),
    (lambda w, g, s, h: (w, {"m": g[0]}), ValueError, "the slot m in the shape of w, (3, 2), got (2,)"),
    (lambda w, g, s, h: (w, {"m": "x"}), TypeError, "the slot m in the dtype of w, float32, got string"),
    (
        lambda w, g, s, h: w,
        TypeError,
        "update must return the new weight and a dictionary of the slots m, got <tf.Tensor",
    ),
    (lambda w, g, s, h: (w, [g]), TypeError, "in place of the slots"),
    (
        lambda w, g, s, h: (w, {}),
        ValueError,
        "update must return the new weight and a dictionary of the slots m, got none",
    ),
    (lambda w, g, s, h: (w, {"m": g, "n": g}), ValueError, "a dictionary of the slots m, got m, n"),
    (lambda w, g, s, h: (w - h.lr * g, {"m": g}), ValueError, "update(w, g, s, h) raised AttributeError: "),
    (lambda w, g: w, ValueError, "raised TypeError: "),
    (lambda w, g, s, h: (w.numpy(), {"m": g}), ValueError, "it is called with tensors that have no values yet"),
]


@pytest.mark.parametrize(("update", "error", "words"), RULES, ids=[words[:30] for _, _, words in RULES])
def test_a_rule_that_cant_work_is_refused(update, error, words):
    slots = ["m"] if "m" in words.split() or "AttributeError" in words or "no values yet" in words else []
    slots = ["m"] if "slot m" in words or "slots m" in words else slots
    with pytest.raises(error, match=r"^Mine: .*" + re.escape(words)):
        pyadam.new_optimizer_class("Mine", update, slots=slots)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"classname": "Adam"}, ValueError, "classname must be an identifier that no optimizer has, got 'Adam'"),
        ({"classname": "my rule"}, ValueError, "classname must be an identifier"),
        ({"classname": 3}, TypeError, "classname must be a string, got 3"),
        ({"update": 3}, TypeError, "update must be a function of w, g, s and h, got 3"),
        ({"doc": 0.5}, TypeError, "doc must be a string, got 0.5"),
        ({"slots": ["average"]}, ValueError, "a slot's name must be an identifier that the engine doesn't use"),
        ({"slots": {"m": "x"}}, TypeError, "the first value of slot m must be a number"),
        ({"weight_decay": 0.1}, ValueError, "the argument weight_decay is one that all optimizers have, or t"),
        ({"momentum": "x"}, TypeError, "momentum must be a number in (-inf, inf)"),
        ({"momentum": {"default": 2, "high": 1}}, ValueError, "momentum must be a number in (-inf, 1]"),
        ({"momentum": {"low": 2}}, TypeError, "the argument momentum must be a default, or a dictionary"),
    ],
)
def test_what_is_no_class_is_refused(arguments, error, words):
    given = {"classname": "Mine", "update": lambda w, g, s, h: (w, {})} | arguments
    with pytest.raises(error, match=r"^new_optimizer_class: " + re.escape(words)):
        pyadam.new_optimizer_class(**given)


def test_a_rule_that_asks_for_the_shape_sees_it():
    """All its operations are elementwise, so one graph of no known shape did for all, without the branch for matrices."""

    def update(w, g, s, h):
        return (w - tf.sign(g) if w.shape.rank == 2 else w - g / (w.shape[0] if w.shape.rank else 1)), {}

    made = pyadam.new_optimizer_class("ByRank", update)
    k, b = keras.Variable(np.zeros((3, 2), "float32")), keras.Variable(np.zeros(2, "float32"))
    made().apply([tf.fill((3, 2), 4.0), tf.fill((2,), 4.0)], [k, b])
    assert k.numpy()[0].tolist() == [-1.0, -1.0]
    assert b.numpy().tolist() == [-2.0, -2.0]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"apply": 1.0}, "the argument apply is one that all optimizers have"),
        ({"variables": 1.0}, "the argument variables is one that all optimizers have"),
        (
            {"class": 1.0},
            "an argument's name must be an identifier, without dots, and no keyword of Python, got 'class'",
        ),
        ({"slots": 3}, "slots must be different names, or first values by name, got 3"),
        ({"slots": ["m", "m"]}, "slots must be different names"),
    ],
)
def test_names_that_would_break_later(given, words):
    with pytest.raises((TypeError, ValueError), match=words):
        pyadam.new_optimizer_class("Broken", lambda w, g, s, h: (w, {}), **given)


def test_a_slot_that_starts_as_the_weight_is_that_of_the_first_update():
    """Weights that are loaded after the build were pulled back to what they had been."""
    made = pyadam.new_optimizer_class(
        "Anchored", lambda w, g, s, h: (s.anchor - g, {"anchor": s.anchor}), {"anchor": None}
    )
    v, optimizer = keras.Variable([0.0]), made()
    optimizer.build([v])
    v.assign([5.0])
    optimizer.apply([tf.ones(1)], [v])
    assert v.numpy().tolist() == [4.0]
