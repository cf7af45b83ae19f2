"""Several optimizers in one: the bits of each alone, files, later variables, and what is refused."""

import json
import re
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf
from family import KERAS_315
from helpers import assert_same, gradients_of, restart, values, variables
from models import goes_on_in_a_fresh_process, train

import pyadam

pytestmark = pytest.mark.skipif(not KERAS_315, reason="Keras 3.15 first had it")

SHAPES = ((3, 4), (5,), (2, 6))


def multi(**keywords):
    return pyadam.MultiOptimizer(pyadam.OptimizerMap(pyadam.SGD(0.1), {"v1|v2": pyadam.Adam(0.01)}), **keywords)


def test_each_part_has_the_bits_of_its_optimizer_alone():
    ends = []
    for together in (True, False):
        restart()
        vs, optimizer = variables(*SHAPES), multi()
        sgd, adam = pyadam.SGD(0.1), pyadam.Adam(0.01)
        for _ in range(4):
            gs = gradients_of(vs)
            if together:
                optimizer.apply(gs, vs)
            else:
                sgd.apply(gs[:1], vs[:1])
                adam.apply(gs[1:], vs[1:])
        ends.append(values(vs))
    assert_same(*ends)
    assert int(optimizer.iterations) == 0
    assert [type(each).__name__ for each in optimizer.optimizers] == ["Adam", "SGD"]


def test_an_exact_path_comes_before_patterns_and_no_path_may_match_two():
    special, general, default = pyadam.SGD(), pyadam.Adam(), pyadam.RMSprop()
    chosen = pyadam.OptimizerMap(default, {"a/kernel": special, "a/.*": general, ".*/bias": special})
    paths = {"a/kernel": special, "a/gamma": general, "b/bias": special, "b/kernel": default, "a": default}
    assert {path: chosen[path] for path in paths} == paths
    with pytest.raises(ValueError, match="a/bias"):
        chosen["a/bias"]


def nested():
    """A model within a model, whose names are in the paths of a loaded model no longer."""
    keras.utils.set_random_seed(3)
    layers, shared = keras.layers, pyadam.AdamW(0.01, use_ema=True)
    chosen = pyadam.OptimizerMap(pyadam.SGD(0.1, momentum=0.9), {".*body/.*": shared, ".*head/bias": shared})
    body = keras.Sequential([layers.Dense(3), layers.Dense(3)], name="body")
    model = keras.Sequential([keras.Input((4,)), body, layers.Dense(2, name="head")])
    model.compile(pyadam.MultiOptimizer(chosen), keras.losses.MeanSquaredError())
    return model


@pytest.mark.parametrize("kind", ["model.keras", "model.weights.h5", "model.h5", "checkpoint"])
def test_a_saved_model_goes_on_as_if_it_had_not_stopped(kind, tmp_path):
    model = train(nested(), 3)
    file = str(tmp_path / kind)
    again = nested()
    if kind == "checkpoint":
        file = tf.train.Checkpoint(model=model, optimizer=model.optimizer).save(file)
        tf.train.Checkpoint(model=again, optimizer=again.optimizer).restore(file)
    elif kind == "model.weights.h5":
        model.save_weights(file)
        again.load_weights(file)
    else:
        model.save(file)
        again = keras.models.load_model(file)
    for each in (model, again):
        train(each, 3)
    assert_same(model.get_weights(), again.get_weights())
    assert int(again.optimizer.iterations) == 6


def test_a_saved_model_goes_on_in_a_fresh_process(tmp_path):
    goes_on_in_a_fresh_process(train(nested(), 3), tmp_path)


def test_the_config_is_json_and_an_optimizer_of_several_keys_stays_one():
    shared = pyadam.Adam(0.5)
    optimizer = pyadam.MultiOptimizer(pyadam.OptimizerMap(shared, {"a": shared, "b": pyadam.SGD()}), name="mine")
    config = json.loads(json.dumps(keras.optimizers.serialize(optimizer)))
    again = keras.optimizers.deserialize(config)
    assert type(again) is pyadam.MultiOptimizer
    assert keras.optimizers.serialize(again) == keras.optimizers.serialize(optimizer)
    assert len(again.optimizers) == 2


def test_keras_own_config_is_read():
    theirs = keras.optimizers.MultiOptimizer(keras.optimizers.OptimizerMap(pyadam.SGD(0.5), {"v1": pyadam.Adam()}))
    made = pyadam.MultiOptimizer.from_config(theirs.get_config())
    assert [type(each) for each in made.optimizers] == [pyadam.Adam, pyadam.SGD]


def test_a_function_may_choose_and_a_config_needs_it_registered():
    sgd, adam = pyadam.SGD(1.0), pyadam.Adam(0.1)

    def chosen(variable):
        return adam if variable.path.endswith("1") else sgd

    optimizer, vs = pyadam.MultiOptimizer(chosen), variables((2,), (2,))
    before = values(vs)
    optimizer.apply([tf.ones(2)] * 2, vs)
    np.testing.assert_allclose(
        [b - v for b, v in zip(before, values(vs), strict=True)], [[1.0] * 2, [0.1] * 2], rtol=1e-5
    )
    with pytest.raises(ValueError, match="optimizer_map is the function chosen, which a config can't hold"):
        optimizer.get_config()
    keras.saving.register_keras_serializable("test-multi")(chosen)
    assert pyadam.MultiOptimizer.from_config(optimizer.get_config())._optimizer_map is chosen


def test_missing_gradients_and_later_variables():
    optimizer, vs = multi(), variables(*SHAPES)
    optimizer.apply([tf.ones(SHAPES[0]), tf.ones(5)], vs[:2])
    before = values(vs)
    with pytest.warns(UserWarning, match="Gradients do not exist for variables v1, v2; they keep their values"):
        optimizer.apply([tf.ones(SHAPES[0]), None, None], vs)
    with pytest.warns(UserWarning, match="Gradients do not exist for variables v0; they keep their values"):
        optimizer.apply([None, tf.ones(5), tf.ones(SHAPES[2])], vs)
    after = values(vs)
    assert all((a != b).all() for a, b in zip(before, after, strict=True))
    with pytest.raises(ValueError, match="MultiOptimizer: No gradients provided for any variable: v0"):
        optimizer.apply([None], vs[:1])


@pytest.mark.parametrize("explicit", [False, True])
def test_a_variable_may_join_alone_in_the_part_of_another(explicit, recwarn):
    """It was an unknown variable to the part, although the step had a known one, and nobody had called build()."""
    optimizer, vs = multi(), variables(*SHAPES)
    if explicit:
        optimizer.build(vs[:2])
    optimizer.apply([tf.ones(SHAPES[0]), tf.ones(5)], vs[:2])
    before = values(vs)
    optimizer.apply([tf.ones(SHAPES[0]), tf.ones(SHAPES[2])], [vs[0], vs[2]])
    after = values(vs)
    assert [bool((a != b).any()) for a, b in zip(before, after, strict=True)] == [True, False, True]
    assert not recwarn.list
    np.testing.assert_allclose(before[2] - after[2], 0.01, rtol=0.5)  # Adam's second step with a fresh state


@pytest.mark.parametrize("kind", ["map", "function"])
def test_a_variable_has_no_decay_whichever_optimizer_it_has(kind, recwarn):
    """With a function nothing was excluded; with a map each part warned of the variables that it doesn't have."""
    parts = [pyadam.SGD(1.0, weight_decay=0.5), keras.optimizers.SGD(1.0, weight_decay=0.5)]
    first, second = keras.Variable(np.ones(2), name="bias"), keras.Variable(np.ones(2), name="kernel")
    third, fourth = keras.Variable(np.ones(2), name="bias"), keras.Variable(np.ones(2), name="kernel")
    vs = [first, second, third, fourth]
    given_first = {id(first), id(second)}
    if kind == "map":
        optimizer = pyadam.MultiOptimizer(pyadam.OptimizerMap(parts[0], {}))
    else:
        optimizer = pyadam.MultiOptimizer(lambda v: parts[0] if id(v) in given_first else parts[1])
    optimizer.exclude_from_weight_decay(var_list=[fourth], var_names=["bias"])
    optimizer.apply([tf.zeros(2)] * 4, vs)
    assert [float(v.numpy()[0]) for v in vs] == [1.0, 0.5, 1.0, 1.0]
    assert not recwarn.list
    with pytest.raises(ValueError, match="MultiOptimizer: exclude_from_weight_decay\\(\\) must be called before"):
        optimizer.exclude_from_weight_decay(var_names=["kernel"])


def test_names_that_no_part_matches_are_told_once():
    optimizer = multi()
    optimizer.exclude_from_weight_decay(var_names=["gamma"])
    with pytest.warns(
        UserWarning, match="MultiOptimizer: exclude_from_weight_decay: no variable's path has .*'gamma'"
    ) as told:
        optimizer.build(variables(*SHAPES))
    assert len(told) == 1
    with pytest.raises(
        TypeError, match="MultiOptimizer: exclude_from_weight_decay: var_list must hold variables, got 'bias'"
    ):
        multi().exclude_from_weight_decay(["bias"])


def test_a_config_has_what_is_excluded():
    parts = pyadam.OptimizerMap(pyadam.SGD(1.0, weight_decay=0.5), {"b|c": pyadam.SGD(1.0, weight_decay=0.5)})
    optimizer = pyadam.MultiOptimizer(parts)
    optimizer.exclude_from_weight_decay(var_names=["a", "c"])
    vs = [keras.Variable(np.ones(2), name=name) for name in "abc"]
    before = json.dumps(optimizer.get_config())
    optimizer.build(vs)
    for config in (before, json.dumps(optimizer.get_config())):
        made = pyadam.MultiOptimizer.from_config(json.loads(config))
        for v in vs:
            v.assign(np.ones(2))
        made.apply([tf.zeros(2)] * 3, vs)
        assert [float(v.numpy()[0]) for v in vs] == [1.0, 0.5, 1.0]


def test_averages_of_those_that_keep_some():
    averaging = pyadam.SGD(0.1, use_ema=True, ema_momentum=0.5)
    optimizer = pyadam.MultiOptimizer(pyadam.OptimizerMap(pyadam.Adam(), {"v0": averaging}))
    vs = variables((2,), (2,))
    for _ in range(3):
        optimizer.apply([tf.ones(2)] * 2, vs)
    raw = values(vs)
    with optimizer.averaged_weights():
        np.testing.assert_array_equal(vs[0], averaging._model_variables_moving_average[0])
        np.testing.assert_array_equal(vs[1], raw[1])
    assert_same(values(vs), raw)
    with (
        pytest.raises(ValueError, match="MultiOptimizer: averaged_weights\\(\\) needs an optimizer in it"),
        multi().averaged_weights(),
    ):
        pass


def test_one_factor_for_all():
    with pytest.warns(UserWarning, match="loss_scale_factor=4.0 of an inner optimizer is set to 2.0"):
        optimizer = pyadam.MultiOptimizer(
            pyadam.OptimizerMap(pyadam.SGD(1.0, loss_scale_factor=4.0), {"v1": pyadam.SGD(1.0)}), loss_scale_factor=2.0
        )
    vs = [keras.Variable(np.zeros(2), name=f"v{i}") for i in range(2)]
    optimizer.apply([tf.ones(2)] * 2, vs)
    assert [v.numpy()[0] for v in vs] == [-0.5, -0.5]
    assert float(optimizer.scale_loss(tf.constant(3.0))) == 6.0


REFUSED = [
    (
        lambda: pyadam.OptimizerMap("adam"),
        TypeError,
        "OptimizerMap: default_optimizer must be an optimizer of the same Keras",
    ),
    (
        lambda: pyadam.OptimizerMap(pyadam.tf_keras.SGD()),
        TypeError,
        "OptimizerMap: default_optimizer must be an optimizer",
    ),
    (
        lambda: pyadam.OptimizerMap(pyadam.SGD(), {"(": pyadam.SGD()}),
        ValueError,
        "optimizer_map must be optimizers by regular",
    ),
    (lambda: pyadam.OptimizerMap(pyadam.SGD(), {"a": "sgd"}), TypeError, "optimizer_map must be optimizers by regular"),
    (lambda: pyadam.OptimizerMap(pyadam.SGD(), {"a": multi()}), ValueError, "optimizer cannot be MultiOptimizer"),
    (lambda: pyadam.OptimizerMap(pyadam.SGD(), optimizers={}), TypeError, "unknown argument optimizers"),
    (
        lambda: pyadam.MultiOptimizer(pyadam.SGD),
        TypeError,
        "MultiOptimizer: optimizer_map must be an OptimizerMap, or a func",
    ),
    (lambda: pyadam.MultiOptimizer(), TypeError, "MultiOptimizer: missing a required argument: 'optimizer_map'"),
    (lambda: multi(loss_scale_factor=-1), ValueError, "MultiOptimizer: loss_scale_factor must be a number in (0, inf)"),
    (lambda: multi().learning_rate, AttributeError, "Learning rate cannot be accessed on a MultiOptimizer"),
    (
        lambda: pyadam.MultiOptimizer(lambda v: "adam").build(variables((2,))),
        ValueError,
        "MultiOptimizer: the optimizer of v0 must be one of Keras 3, got 'adam' (str)",
    ),
]


@pytest.mark.parametrize(("make", "error", "words"), REFUSED)
def test_what_is_refused(make, error, words):
    with pytest.raises(error, match=re.escape(words)):
        make()


def test_every_optimizer_of_keras_is_here():
    theirs = {
        name
        for name, each in vars(keras.optimizers).items()
        if isinstance(each, type) and (issubclass(each, keras.optimizers.Optimizer) or name == "OptimizerMap")
    }
    assert theirs - {"Optimizer"} <= set(dir(pyadam))


def test_a_step_is_refused_before_a_part_of_it_is_taken():
    """The other optimizers used to take theirs: 0.8, and no count."""
    a, b = (keras.Variable(np.ones(2), name=name) for name in "ab")
    optimizer = pyadam.MultiOptimizer(pyadam.OptimizerMap(pyadam.SGD(0.1), {"b": pyadam.SGD(0.1)}))
    optimizer.apply([tf.ones(2)] * 2, [a, b])
    with pytest.raises(ValueError, match=r"SGD: the gradient of a must have the variable's shape \(2,\), got \(3,\)"):
        optimizer.apply([tf.ones(3), tf.ones(2)], [a, b])
    np.testing.assert_allclose(b.numpy(), 0.9, rtol=1e-6)


def test_frozen_variables_of_its_optimizers_skip_no_step_of_a_loss_scale():
    a, b = (keras.Variable(np.ones(2), name=name) for name in "ab")
    parts = pyadam.OptimizerMap(pyadam.SGD(0.1), {"b": pyadam.SGD(0.1, groups={"b": {"frozen": True}})})
    optimizer = pyadam.LossScaleOptimizer(pyadam.MultiOptimizer(parts), initial_scale=4.0)
    optimizer.build([a, b])
    optimizer.apply([tf.fill([2], 4.0), tf.fill([2], np.inf)], [a, b])
    np.testing.assert_allclose(a.numpy(), 0.9, rtol=1e-6)
    assert float(optimizer.dynamic_scale) == 4.0


def test_threads_may_share_it():
    """The counts of the whole were lost: 317 of 400."""
    optimizer, vs = multi(), variables(*SHAPES)
    optimizer.build(vs)

    def run():
        for _ in range(40):
            optimizer.apply([tf.ones(shape) for shape in SHAPES], vs)

    workers = [threading.Thread(target=run) for _ in range(4)]
    for each in workers:
        each.start()
    for each in workers:
        each.join(300)
    assert int(optimizer.iterations) == 160
    assert [int(each.iterations) for each in optimizer.optimizers] == [160, 160]


def test_what_it_shows_and_a_key_that_matches_nothing():
    sgd, adam = pyadam.SGD(0.5), pyadam.Adam(0.25)
    optimizer = pyadam.MultiOptimizer(pyadam.OptimizerMap(sgd, {"haed/.*": adam}))
    assert repr(optimizer) == (
        "pyadam.MultiOptimizer(pyadam.OptimizerMap(pyadam.SGD(learning_rate=0.5), "
        "{'haed/.*': pyadam.Adam(learning_rate=0.25)}))"
    )
    # in a Sequential model, where a path begins with the name of the model, it said no more than that nothing matches
    with pytest.warns(
        UserWarning,
        match=r"MultiOptimizer: no variable's path matches 'haed/\.\*' so far; .* paths are sequential\S*/head/",
    ):
        optimizer.build(keras.Sequential([keras.Input([1]), keras.layers.Dense(2, name="head")]).trainable_variables)
    assert optimizer.state_bytes == sgd.state_bytes + adam.state_bytes > 0
    assert dict(pyadam.OptimizerMap(sgd, [])) == {}  # R's list()
    with pytest.raises(ValueError, match="optimizer_map must be optimizers by regular expression"):
        pyadam.OptimizerMap(sgd, {"": adam})
