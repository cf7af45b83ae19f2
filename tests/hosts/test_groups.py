"""Groups of variables: the bits of optimizers of their own, one program, files, changes, and what is refused."""

import json
import re
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from family import EVERY
from helpers import assert_same, gradients_of, restart, values, variables
from models import goes_on_in_a_fresh_process, make_model, train

import pyadam
import pyadam.tf_keras
from pyadam.hosts.groups import Membership
from pyadam.optimizers import SPECS, arguments
from pyadam.optimizers.groups import Group
from pyadam.parity.values import EXERCISED, NEEDS, PerStep, Schedule, by_kind, fits

HOSTS = pytest.mark.parametrize(
    ("host", "module"), [(keras, pyadam), (tf_keras, pyadam.tf_keras)], ids=["Keras 3", "tf_keras"]
)
SHAPES = ((3, 4), (5,), (70, 70), (2, 6))  # v0 to v3


def own_values(spec):
    """A value for each argument that a group of this optimizer may set."""
    given = {}
    for name, field in arguments(spec).items():
        kind = field.metadata["kind"]
        if name in spec.__annotations__ and name not in spec.alike and name != "learning_rate":
            known = [v for v in EXERCISED.get(name, ()) if fits(kind, v) and not isinstance(v, PerStep | Schedule)]
            given |= {**NEEDS.get(name, {}), name: (known or by_kind(kind, field.default))[0]}
    return {**given, "learning_rate": 0.02, "weight_decay": 0.03}


def steps(apply, count=6):
    """Calls with the same gradients for variables of SHAPES, which it returns."""
    restart()
    vs = variables(*SHAPES)
    for _ in range(count):
        apply(gradients_of(vs), vs)
    return values(vs)


@pytest.mark.sample(2)
@pytest.mark.parametrize("name", EVERY)
def test_a_group_has_the_bits_of_an_optimizer_of_its_own(name):
    make, spec = getattr(pyadam, name), SPECS[name]
    own = own_values(spec)
    together = make(0.01, groups={"v[12]": own})
    others, inside = make(0.01), make(**own)

    def apart(gs, vs):
        others.apply([gs[0], gs[3]], [vs[0], vs[3]])
        inside.apply(gs[1:3], vs[1:3])

    assert_same(steps(together.apply), steps(apart))
    assert [program.traces for program in together._engine.programs] == [1]


def test_the_learning_rate_factor_follows_the_learning_rate():
    optimizer = pyadam.SGD(0.5, groups={"v1": {"learning_rate_factor": 0.25}, "v2": {"learning_rate": 2.0}})
    vs = [keras.Variable(np.zeros(2), name=f"v{i}") for i in range(3)]
    for rate in (0.5, 1.0):
        optimizer.learning_rate = rate
        optimizer.apply([tf.ones(2)] * 3, vs)
    np.testing.assert_array_equal([v.numpy()[0] for v in vs], [-1.5, -0.375, -4.0])


def test_schedules_functions_and_variables_of_groups_are_read_at_every_step():
    rates = iter([1.0, 2.0, 4.0])
    followed = tf.Variable(8.0)
    halving = keras.optimizers.schedules.ExponentialDecay(16.0, 1, 0.5)
    optimizer = pyadam.SGD(
        0.5,
        groups={
            "v0": {"learning_rate": lambda: next(rates)},
            "v1": {"learning_rate": followed},
            "v2": {"learning_rate": halving},
        },
    )
    vs = [keras.Variable(np.zeros(2), name=f"v{i}") for i in range(4)]
    optimizer.build(vs)
    step = tf.function(lambda: optimizer.apply([tf.ones(2)] * 4, vs))
    for rate in (8.0, 16.0, 32.0):
        followed.assign(rate)
        step()
    np.testing.assert_array_equal([v.numpy()[0] for v in vs], [-7.0, -56.0, -28.0, -1.5])


def test_frozen_variables_stay_until_they_are_thawed():
    optimizer = pyadam.Adam(0.1, weight_decay=0.1, global_clipnorm=1.0, groups={"v0": {"frozen": True}})
    vs = variables((3,), (3,), (4, 4))
    before = values(vs)
    for _ in range(3):
        optimizer.apply([tf.fill(3, 1e6), tf.ones(3), tf.ones((4, 4))], vs)
    after = values(vs)
    np.testing.assert_array_equal(after[0], before[0])
    assert np.abs(after[1] - before[1]).min() > 0.1  # a frozen gradient is no part of the norm
    optimizer.groups = {"v0": {"frozen": False}}
    optimizer.apply([tf.ones(3)] * 2 + [tf.ones((4, 4))], vs)
    assert np.abs(values(vs)[0] - before[0]).min() > 0.01


def test_the_average_of_a_frozen_variable_is_its_weight_at_any_moment():
    vs = variables((3,), (3,))
    optimizer = pyadam.Adam(0.1, use_ema=True, groups={"v0": {"frozen": True}})
    optimizer.apply([tf.ones(3)] * 2, vs)
    vs[0].assign([30.0] * 3)  # as load_weights() does
    with optimizer.averaged_weights():
        np.testing.assert_array_equal(vs[0].numpy(), [30.0] * 3)  # was 1


def test_frozen_alone_takes_no_step_but_counts():
    optimizer, vs = pyadam.Adam(groups={"v.": {"frozen": True}}), variables((3,))
    before = values(vs)
    optimizer.apply([tf.ones(3)], vs)
    assert_same(values(vs), before)
    assert int(optimizer.iterations.numpy()) == 1


def test_gradients_that_were_accumulated_before_freezing_wait():
    optimizer = pyadam.SGD(1.0, gradient_accumulation_steps=2, groups={"v0": {"frozen": False}})
    vs = [keras.Variable(np.zeros(2), name=f"v{i}") for i in range(2)]
    optimizer.apply([tf.ones(2)] * 2, vs)
    optimizer.groups = {"v0": {"frozen": True}}
    optimizer.apply([tf.ones(2)] * 2, vs)
    np.testing.assert_array_equal([v.numpy()[0] for v in vs], [0.0, -1.0])


def test_decay_in_a_group_reaches_the_rows_without_gradient():
    """The way of a sparse gradient is that of the group."""
    ends = []
    for dense in (True, False):
        v = keras.Variable(np.ones((5000, 2)), name="table")
        optimizer = pyadam.SGD(0.1, groups={"table": {"weight_decay": 0.5}})
        g = tf.IndexedSlices(tf.ones((2, 2)), tf.constant([1, 3]), tf.constant([5000, 2]))
        for _ in range(3):
            optimizer.apply([tf.convert_to_tensor(g) if dense else g], [v])
        ends.append(v.numpy())
    np.testing.assert_array_equal(*ends)
    assert ends[0][0, 0] == pytest.approx(0.95**3)


# --- patterns --------------------------------------------------------------------------------------------------------------

PATHS = ("encoder/dense/kernel", "encoder/dense/bias", "encoder/dense_1/kernel", "dense/unbiased_kernel")


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("encoder", (0, 1, 2)),
        ("encoder/.*", (0, 1, 2)),
        ("dense", (0, 1, 3)),
        (r"dense(_\d+)?", (0, 1, 2, 3)),
        ("dense/kernel", (0,)),
        ("bias", (1,)),
        (".*kernel", (0, 2, 3)),
        ("encoder/dense_1/kernel", (2,)),
        (["bias", "encoder/dense_1"], (1, 2)),
    ],
)
def test_a_pattern_matches_whole_components(pattern, found):
    vs = [SimpleNamespace(path=path, name=path) for path in PATHS]
    members = pattern if isinstance(pattern, list) else [pattern]
    membership = Membership("Adam", [Group(variables=members)], id, {"dense"}.__contains__)
    membership.find(vs)
    assert tuple(i for i, v in enumerate(vs) if membership.found[id(v)] == 0) == found


def test_variables_are_known_by_identity():
    vs = [tf.Variable([0.0]) for _ in range(3)]  # all of one name
    optimizer = pyadam.SGD(1.0, groups=[{"variables": [vs[1]], "learning_rate": 0.5}])
    optimizer.apply([tf.ones(1)] * 3, vs)
    np.testing.assert_array_equal([v.numpy()[0] for v in vs], [-1.0, -0.5, -1.0])


@HOSTS
def test_layerwise_decay_falls_from_the_last_layer_to_the_first(host, module):
    layers = host.layers
    body = host.Sequential([layers.Dense(3, name="first"), layers.Dense(4, name="second")], name="body")
    model = host.Sequential([host.Input((2,)), body, layers.Dropout(0.1), layers.Dense(1, name="head")])
    optimizer = module.SGD(groups=pyadam.layerwise_decay(model, 0.5))
    optimizer.build(model.trainable_variables)
    found = [
        (x.path.split(":")[0].split("/")[-2], optimizer.groups[x.group]["learning_rate_factor"])
        for x in optimizer._engine.targets.values()
    ]
    assert dict(found) == {"first": 0.25, "second": 0.5, "head": 1.0}
    assert len(found) == 6


# --- files -----------------------------------------------------------------------------------------------------------------

GROUPS = {
    "dense": {"learning_rate": 1e-3, "amsgrad": True},
    "dense_1/bias": {"learning_rate_factor": 0.1, "frozen": False, "weight_decay": 0},
}


@pytest.mark.sample(1)
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("file", ["model.keras", "model.h5"])
@HOSTS
def test_a_saved_model_goes_on_with_its_groups(host, module, file, tmp_path):
    host.backend.clear_session()
    model = train(make_model(module.AdamW(0.01, groups=GROUPS), host), 3)
    model.save(str(tmp_path / file))
    loaded = host.models.load_model(str(tmp_path / file))
    assert loaded.optimizer.groups == model.optimizer.groups
    for each in (model, loaded):
        train(each, 3)
    for a, b in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def nested(groups):
    """A model within a model, whose names are in the paths of a loaded model no longer."""
    layers = keras.layers
    body = keras.Sequential([layers.Dense(3), layers.Dense(3)], name="body")
    model = keras.Sequential([keras.Input((4,)), body, layers.Dense(2)])
    model.compile(pyadam.AdamW(0.01, groups=groups(model, body)), "mse")
    return model


@pytest.mark.sample(1)
@pytest.mark.parametrize(
    "groups",
    [
        lambda model, body: {"body/.*": {"learning_rate_factor": 0.1}},
        lambda model, body: [{"variables": body, "learning_rate": 1e-3}],
        lambda model, body: pyadam.layerwise_decay(model, 0.5),
    ],
    ids=["pattern", "layer", "layer by layer"],
)
def test_a_saved_model_goes_on_with_its_groups_in_a_fresh_process(groups, tmp_path):
    goes_on_in_a_fresh_process(train(nested(groups), 2), tmp_path)


@HOSTS
def test_the_config_is_json_and_comes_back(host, module):
    schedule = host.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    optimizer = module.Adam(
        groups={"a|b": {"learning_rate": schedule, "weight_decay": None, "epsilon": np.float32(0.1)}}
    )
    config = json.loads(json.dumps(optimizer.get_config()))
    assert config["groups"][0]["epsilon"] == 0.1
    again = module.Adam.from_config(config)
    assert again.get_config() == optimizer.get_config()
    assert float(again.groups[0]["learning_rate"](10)) == pytest.approx(0.05)


def test_without_groups_the_config_is_that_of_keras():
    assert "groups" not in pyadam.Adam().get_config()


# --- changes and errors ----------------------------------------------------------------------------------------------------


def test_values_can_change_after_the_build_and_members_cannot():
    optimizer = pyadam.SGD(1.0, groups={"v0": {"learning_rate": 0.5}})
    vs = [keras.Variable(np.zeros(2), name=f"v{i}") for i in range(2)]
    optimizer.apply([tf.ones(2)] * 2, vs)
    optimizer.groups = {"v0": {"learning_rate": 0.25}}
    optimizer.apply([tf.ones(2)] * 2, vs)
    np.testing.assert_array_equal([v.numpy()[0] for v in vs], [-0.75, -2.0])
    for groups in ({"v1": {"learning_rate": 0.25}}, {"v0": {"momentum": 0.5}}, None):
        with pytest.raises(ValueError, match="SGD: groups can't be changed once the optimizer is built"):
            optimizer.groups = groups
    with pytest.raises(TypeError, match=r"assign a new list to optimizer\.groups"):
        optimizer.groups[0]["learning_rate"] = 1.0


FORMS = "AdamW: groups must be dictionaries of arguments (named lists in R) by pattern, or a sequence of them"
REFUSED = [
    (3, TypeError, FORMS),
    ({"a": 3}, TypeError, FORMS),
    ([{"learning_rate": 1}], ValueError, "a group has no variables"),
    ([{"variables": []}], ValueError, "a group has no variables"),
    ({"(": {}}, ValueError, "'(' (str) is no variable, no layer and no regular expression"),
    (
        {"a": {"learning_rat": 1}},
        TypeError,
        "the group 'a': unknown argument learning_rat, did you mean learning_rate?",
    ),
    ({"a": {"lr": 1}}, TypeError, "the group 'a': unknown argument lr, did you mean learning_rate?"),
    ({"a": {"momentum": 1}}, TypeError, "the group 'a': unknown argument momentum; the arguments are learning_rate, "),
    (
        {"a": {"clipnorm": 1.0}},
        ValueError,
        "the group 'a' can't have clipnorm of its own, because all variables have it",
    ),
    ({"a": {"beta_1": 2}}, ValueError, "AdamW: the group 'a': beta_1 must be a number in [0, 1), "),
    ({"a": {"frozen": "no"}}, TypeError, "AdamW: the group 'a': frozen must be True or False, got 'no' (str)"),
    (
        {"a": {"learning_rate": 1, "learning_rate_factor": 1}},
        ValueError,
        "learning_rate and learning_rate_factor; give it one",
    ),
]


@pytest.mark.parametrize(("groups", "error", "words"), REFUSED, ids=lambda value: str(value)[:40])
def test_what_is_no_group_is_refused(groups, error, words):
    with pytest.raises(error, match=re.escape(words)):
        pyadam.AdamW(groups=groups)


def test_nadam_has_one_product_of_momenta():
    with pytest.raises(ValueError, match="can't have beta_1 of its own, because the product of momenta is one number"):
        pyadam.Nadam(groups={"a": {"beta_1": 0.5}})


def test_a_pattern_that_matches_nothing_or_a_variable_in_two_groups_is_refused_before_anything_is_made():
    for groups, words in (
        (
            {"v0": {}, "w": {}},
            "AdamW: no variable's path matches 'w' of groups; a pattern has to match whole components of a ",
        ),
        (
            {"v0": {}, "v.": {}},
            "AdamW: the variable v0 is in several groups: 'v.', 'v0'; let each variable match one group",
        ),
    ):
        optimizer, vs = pyadam.AdamW(groups=groups), variables((2,), (2,))
        with pytest.raises(ValueError, match=re.escape(words)):
            optimizer.apply([tf.ones(2)] * 2, vs)
        assert len(optimizer.variables) == 2  # iteration and learning rate


@pytest.mark.parametrize(
    ("decay", "error", "words"),
    [
        (1.5, ValueError, "layerwise_decay: decay must be a number in (0, 1], got 1.5"),
        ("a", TypeError, "layerwise_decay: decay must be a number in (0, 1], got 'a' (str)"),
    ],
)
def test_layerwise_decay_refuses(decay, error, words):
    with pytest.raises(error, match=re.escape(words)):
        pyadam.layerwise_decay(make_model("sgd"), decay)
    with pytest.raises(ValueError, match="model has no trainable variables; build it first"):
        pyadam.layerwise_decay(keras.Sequential([keras.layers.Dense(2)]))


def test_layers_with_variables_that_are_not_trained_now():
    """Moving means were "matched by no path"; so were the weights of a layer that is frozen for now."""
    layers = keras.layers
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.BatchNormalization(), layers.Dense(1)])
    optimizer = pyadam.SGD(0.1, groups=[{"variables": model, "learning_rate_factor": 0.0}])
    model.layers[0].trainable = False
    x = np.ones((8, 4), "float32")
    for _ in range(2):
        model.compile(optimizer, "mse")
        before = [v.numpy() for v in model.trainable_variables]
        model.fit(x, x[:, :1], verbose=0)
        for a, v in zip(before, model.trainable_variables, strict=True):
            np.testing.assert_array_equal(a, v.numpy())
        model.layers[0].trainable = True


def test_frozen_weights_are_not_replaced_by_their_averages():
    """They went back by 9.9 of the 10 that had been assigned to them."""
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="a"), keras.layers.Dense(1)])
    model.compile(pyadam.SGD(0.1, use_ema=True, groups={"a": {"frozen": True}}), "mse")
    x, kernel = np.ones((8, 4), "float32"), model.layers[0].kernel
    model.fit(x, x[:, :1], verbose=0)
    kernel.assign(kernel + 10.0)
    before = kernel.numpy()
    model.fit(x, x[:, :1], verbose=0)
    np.testing.assert_array_equal(kernel.numpy(), before)


def test_variables_of_another_model_are_refused_in_words_that_fit():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    optimizer = pyadam.Adam(groups=[{"variables": model.layers[0], "frozen": True}])
    with pytest.raises(ValueError, match=r"of groups are not the optimizer's variables"):
        optimizer.build(keras.models.clone_model(model).trainable_variables)


@pytest.mark.parametrize(
    "change",
    [lambda g: g.update(frozen=True), lambda g: g.pop("frozen"), lambda g: g.clear(), lambda g: g.setdefault("x", 1)],
)
def test_a_group_can_not_be_changed_by_any_method(change):
    group = pyadam.Adam(groups={"a": {"frozen": False}}).groups[0]
    with pytest.raises(TypeError, match=r"a group can't be changed; assign a new list to optimizer\.groups"):
        change(group)
