"""Loss scaling and mixed precision work in both generations of Keras, saved scale included."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from family import ONE_OF_EACH_KIND
from helpers import assert_same
from models import MODES, X, Y, arrays, fit, make_model

import pyadam
import pyadam.tf_keras

GENERATIONS = {"Keras 3": (pyadam, keras), "tf_keras": (pyadam.tf_keras, tf_keras)}
INF, NAN = float("inf"), float("nan")


@pytest.fixture(params=GENERATIONS)
def generation(request):
    """pyadam's classes and the Keras they are for."""
    return GENERATIONS[request.param]


def variables(host, *values, dtype="float32"):
    if host is keras:
        return [keras.Variable(value, dtype=dtype) for value in values]
    return [tf.Variable(value, dtype=dtype) for value in values]


def step(optimizer, gradients, weights):
    """A step from gradients of the scaled loss, as each generation does it."""
    gradients = [g if g is None or isinstance(g, tf.IndexedSlices) else tf.convert_to_tensor(g) for g in gradients]
    if isinstance(optimizer, tf_keras.optimizers.Optimizer):
        gradients = optimizer.get_unscaled_gradients(gradients)
    optimizer.apply_gradients(list(zip(gradients, weights, strict=True)))


@pytest.fixture(autouse=True)
def _float32_again():
    yield
    for host in (keras, tf_keras):
        host.mixed_precision.set_global_policy("float32")


# --- the scale -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("initial", "growth", "gradients", "scales"),
    [
        (8.0, 2, [1, 1, 1, 1, 1], [8, 16, 16, 32, 32]),
        (8.0, 2, [1, INF, 1, 1, NAN], [8, 4, 4, 8, 4]),
        (3.0, 1, [NAN, -INF, NAN, 1], [1.5, 1, 1, 2]),  # never below 1
        (2.0**126, 1, [1, 1, 1], [2.0**127] * 3),  # nor above float32's range
    ],
)
def test_the_scale_follows_the_gradients(generation, initial, growth, gradients, scales):
    module, host = generation
    (v,) = variables(host, [1.0, 2.0])
    optimizer = module.LossScaleOptimizer(module.SGD(0.1), initial, growth)
    seen = []
    for g in gradients:
        step(optimizer, [[0.0, float(g)]], [v])
        seen.append(float(optimizer.dynamic_scale))
    assert seen == scales
    assert float(optimizer.scale_loss(tf.constant(1.0))) == scales[-1]
    assert int(optimizer.iterations) == np.isfinite(gradients).sum()


def test_keras_own_scale_has_no_floor():
    """Row 15 of docs/differences.md."""
    scales = []
    for module in (keras.optimizers, pyadam):
        optimizer = module.LossScaleOptimizer(module.SGD(0.1))
        v = keras.Variable([1.0])
        for _ in range(20):
            optimizer.apply([tf.constant([INF])], [v])
        scales.append(float(optimizer.dynamic_scale))
    assert scales == [2.0**-5, 1.0]


@pytest.mark.sample(1)
@pytest.mark.parametrize("name", ONE_OF_EACH_KIND)
@pytest.mark.parametrize(
    "arguments", [{}, {"use_ema": True, "gradient_accumulation_steps": 2, "weight_decay": 0.1}], ids=str
)
def test_a_skipped_step_changes_nothing_and_others_are_those_without_a_scale(generation, name, arguments):
    module, host = generation
    starts = [[[1.0, 2.0], [3.0, 4.0]], [0.5, -1.0]]
    scaled, plain = variables(host, *starts), variables(host, *starts)
    inner = getattr(module, name)(0.1, **arguments)
    optimizer, reference = module.LossScaleOptimizer(inner, 1024.0), getattr(module, name)(0.1, **arguments)
    for call in range(5):
        gradients = [tf.constant(w.numpy()) * (call + 1.0) for w in plain]
        if call:
            before = [np.array(v) for v in (*scaled, *inner.variables)]
            rows = tf.IndexedSlices(gradients[0] * NAN, tf.constant([0, 1]), tf.constant([2, 2]))
            for bad in ([gradients[0], [1.0, -INF]], [rows, [1.0, 1.0]]):
                step(optimizer, bad, scaled)
            assert_same(before, [np.array(v) for v in (*scaled, *inner.variables)])
        scale = float(optimizer.dynamic_scale) if call else 1024.0
        step(optimizer, [g * scale for g in gradients], scaled)
        reference.apply_gradients(list(zip(gradients, plain, strict=True)))
    assert_same([v.numpy() for v in scaled], [v.numpy() for v in plain])
    assert_same([np.array(v) for v in inner.variables], [np.array(v) for v in reference.variables])


def test_sparse_gradients_of_any_number_of_rows_share_one_program():
    v = keras.Variable(np.ones((6, 2)), dtype="float32")
    optimizer = pyadam.LossScaleOptimizer(pyadam.Adam(0.1))
    for rows in ([0], [1, 1, 3], [5, 4, 3, 2, 1]):
        values = tf.ones((len(rows), 2)) * (INF if len(rows) == 3 else 1.0)
        optimizer.apply([tf.IndexedSlices(values, tf.constant(rows), tf.constant([6, 2]))], [v])
    (program,) = optimizer.inner_optimizer._engine.programs
    assert program.traces == 1
    assert int(optimizer.iterations) == 2


def test_small_16_bit_gradients_are_divided_in_float32(generation):
    module, host = generation
    (v,) = variables(host, [1.0], dtype="float16")
    step(module.LossScaleOptimizer(module.SGD(2.0**20)), [tf.constant([1e-3], tf.float16)], [v])
    np.testing.assert_allclose(np.array(v), [1.0 - 1e-3 * 2.0**5], rtol=1e-3)


def test_a_gradient_that_is_the_next_value_is_not_divided():
    v = keras.Variable([5.0])
    v.overwrite_with_gradient = True
    pyadam.LossScaleOptimizer(pyadam.SGD()).apply([tf.constant([2.0])], [v])
    assert float(v[0]) == 2.0


# --- training ------------------------------------------------------------------------------------------------------------


def wrappings(module, host):
    theirs = host.mixed_precision.LossScaleOptimizer
    return {
        "pyadam around pyadam": lambda: module.LossScaleOptimizer(module.Adam(0.05)),
        "pyadam around Keras": lambda: module.LossScaleOptimizer(host.optimizers.Adam(0.05)),
        "Keras around pyadam": lambda: theirs(module.Adam(0.05)),
    }


@pytest.mark.sample(2)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("wrapping", ["pyadam around pyadam", "pyadam around Keras", "Keras around pyadam"])
def test_fit_moves_as_without_a_scale(generation, mode, wrapping):
    module, host = generation
    ends = []
    for optimizer in (wrappings(module, host)[wrapping](), module.Adam(0.05)):
        ends.append(fit(make_model(optimizer, host, **{"jit_compile": False, **MODES[mode]}), 4).get_weights())
    for a, b in zip(*ends, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=2e-6)


@pytest.mark.sample(2)
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "bfloat16"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["Adam", "SGD"])
def test_a_policy_of_16_bits(generation, policy, mode, name):
    module, host = generation
    host.mixed_precision.set_global_policy(policy)
    model = make_model(getattr(module, name)(0.05), host, **{"jit_compile": False, **MODES[mode]})
    wrapped = isinstance(model.optimizer, host.mixed_precision.LossScaleOptimizer) or hasattr(
        model.optimizer, "inner_optimizer"
    )
    assert wrapped == (policy == "mixed_float16")
    losses = model.fit(X, Y, batch_size=len(X), epochs=20, shuffle=False, verbose=0).history["loss"]
    assert losses[-1] < 0.8 * losses[0]
    expected = "bfloat16" if policy == "bfloat16" else "float32"
    assert {host.backend.standardize_dtype(v.dtype) if host is keras else v.dtype.name for v in weights_of(model)} == {
        expected
    }
    inner = model.optimizer.inner_optimizer if wrapped else model.optimizer
    held = [v for v in inner.variables if len(v.shape)]
    assert all(np.array(v).dtype == np.float32 for v in held)
    assert all(np.isfinite(w.astype("float32")).all() for w in model.get_weights())


def weights_of(model):
    return [getattr(v, "_variable", v) for v in model.trainable_variables]


def test_keras_wraps_no_second_time_under_mixed_float16(generation):
    module, host = generation
    host.mixed_precision.set_global_policy("mixed_float16")
    optimizer = module.LossScaleOptimizer(module.Adam(0.05))
    model = make_model(optimizer, host)
    assert model.optimizer is optimizer
    losses = model.fit(X, Y, batch_size=len(X), epochs=20, shuffle=False, verbose=0).history["loss"]
    assert losses[-1] < 0.8 * losses[0]


def test_gradients_may_be_arrays(generation):
    """Dense or row by row."""
    module, _ = generation
    ends = []
    for convert in (tf.convert_to_tensor, np.asarray):
        variables = [tf.Variable(np.ones((3, 2), "float32")), tf.Variable([1.0, 2.0])]
        rows = tf.IndexedSlices(convert(np.ones((1, 2), "float32")), convert(np.array([1])), (3, 2))
        dense = convert(np.array([3.0, 4.0], "float32"))
        module.LossScaleOptimizer(module.Adam(0.1)).apply_gradients(zip([rows, dense], variables, strict=True))
        ends.append([v.numpy() for v in variables])
    for a, b in zip(*ends, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("steps", [None, 1, 2])
def test_accumulation_under_tf_keras_own_loss_scale(steps):
    """Four calls with finite gradients: as many updates as without the loss scale."""
    tf_keras.mixed_precision.set_global_policy("mixed_float16")
    optimizer = pyadam.tf_keras.SGD(0.1, gradient_accumulation_steps=steps)
    scaled = tf_keras.mixed_precision.LossScaleOptimizer(optimizer, dynamic=False, initial_scale=8)
    model = make_model(scaled, tf_keras)
    model.fit(X[:8], Y[:8], batch_size=2, verbose=0)
    assert int(model.optimizer.iterations) == 4 // (steps or 1)


def test_tf_keras_reads_the_config_of_the_loss_scale():
    """None for the initial scale means tf_keras' own default."""
    theirs = tf_keras.mixed_precision.LossScaleOptimizer
    ours = pyadam.tf_keras.LossScaleOptimizer(pyadam.tf_keras.SGD(), initial_scale=None)
    again = type(theirs(tf_keras.optimizers.SGD())).from_config(ours.get_config())
    assert float(again.initial_scale) == float(ours.initial_scale) == 32768.0


def test_the_learning_rate_is_that_of_the_optimizer_inside(generation):
    module, _ = generation
    optimizer = module.LossScaleOptimizer(module.Adam(0.5))
    optimizer.learning_rate = 0.25
    assert float(optimizer.learning_rate) == float(optimizer.inner_optimizer.learning_rate) == 0.25


# --- files ---------------------------------------------------------------------------------------------------------------


@pytest.mark.sample(2)
@pytest.mark.parametrize("kind", ["keras", "checkpoint"])
@pytest.mark.parametrize("name", ["Adam", "SGD"])
@pytest.mark.parametrize("pair", ["pyadam to pyadam", "pyadam to Keras", "Keras to pyadam"])
def test_files_resume(generation, kind, name, pair, tmp_path):
    module, host = generation
    theirs = host.mixed_precision.LossScaleOptimizer, getattr(host.optimizers, name)
    ours = module.LossScaleOptimizer, getattr(module, name)

    def fresh(who):
        scale, inner = ours if who == "pyadam" else theirs
        return make_model(scale(inner(0.05), initial_scale=64.0, dynamic_growth_steps=2), host)

    writer, reader = pair.split(" to ")
    first = fit(fresh(writer))
    if kind == "keras" and writer == reader:
        first.save(tmp_path / "m.keras")
        second = host.models.load_model(tmp_path / "m.keras")
        assert type(second.optimizer) is module.LossScaleOptimizer
    else:
        second = fresh(reader)
        second.optimizer.build(second.trainable_variables)
        if kind == "keras":
            first.save(tmp_path / "m.keras")
            second.load_weights(tmp_path / "m.keras")
        else:
            saved = tf.train.Checkpoint(model=first, optimizer=first.optimizer).save(str(tmp_path / "c"))
            tf.train.Checkpoint(model=second, optimizer=second.optimizer).restore(saved).expect_partial()
    assert_same(arrays(first), arrays(second))
    assert int(fit(second).optimizer.iterations) == 6


def test_a_file_of_tf_keras_holds_the_scale_and_what_it_had_before(tmp_path):
    def fresh(module=pyadam.tf_keras):
        scale = module.LossScaleOptimizer if module is pyadam.tf_keras else tf_keras.mixed_precision.LossScaleOptimizer
        inner = pyadam.tf_keras.Adam(0.05)
        model = make_model(scale(inner, initial_scale=64.0, dynamic_growth_steps=2), tf_keras)
        model.optimizer.build(model.trainable_variables)
        return model

    first = fit(fresh(), steps=5)
    assert (float(first.optimizer.dynamic_scale), int(first.optimizer.dynamic_counter)) == (256.0, 1)
    files = [tmp_path / "m.keras", tmp_path / "m.weights.h5"]
    for file in files:
        first.save(file) if file.suffix == ".keras" else first.save_weights(file)
        second, theirs = fresh(), fresh(tf_keras)
        second.load_weights(file)
        assert (float(second.optimizer.dynamic_scale), int(second.optimizer.dynamic_counter)) == (256.0, 1)
        theirs.load_weights(file)
        assert_same(arrays(theirs), arrays(first))
    theirs.save(tmp_path / "theirs.keras")
    third = fresh()
    third.load_weights(tmp_path / "theirs.keras")
    assert_same(arrays(third), arrays(first))
    assert float(third.optimizer.dynamic_scale) == 64.0


@pytest.mark.parametrize("built", [True, False])
def test_state_of_another_optimizer_is_refused(built, tmp_path):
    fit(make_model(pyadam.LossScaleOptimizer(pyadam.Adamax()))).save_weights(tmp_path / "m.weights.h5")
    model = make_model(pyadam.LossScaleOptimizer(pyadam.Adam()))
    message = "LossScaleOptimizer: the saved state is that of another optimizer: .* found loss scale of adamax"
    if built:
        model.optimizer.build(model.trainable_variables)
    with pytest.raises(ValueError, match=message):
        model.load_weights(tmp_path / "m.weights.h5")


def test_configs_of_both_kinds(generation):
    module, host = generation
    for inner in (module.Nadam(0.3), host.optimizers.Nadam(0.3)):
        optimizer = module.LossScaleOptimizer(inner, 64, 5.0, name="mine")
        config = optimizer.get_config()
        again = module.LossScaleOptimizer.from_config(config)
        assert again.get_config() == config
        assert (again.initial_scale, again.dynamic_growth_steps, again.name) == (64.0, 5, "mine")
        restored = host.optimizers.deserialize(host.optimizers.serialize(optimizer))
        assert type(restored) is module.LossScaleOptimizer
        assert type(restored.inner_optimizer) is type(inner)
    theirs = host.mixed_precision.LossScaleOptimizer(host.optimizers.SGD(0.3))
    assert float(module.LossScaleOptimizer.from_config(theirs.get_config()).learning_rate) == np.float32(0.3)


# --- bad input -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"initial_scale": 0.5}, ValueError, r"initial_scale must be a number in \[1, inf\), got 0.5"),
        ({"initial_scale": True}, TypeError, "initial_scale must be a number in"),
        ({"dynamic_growth_steps": 1.5}, ValueError, "dynamic_growth_steps must be a whole number >= 1, got 1.5"),
        ({"clipnorm": 1.0}, ValueError, "clipnorm must be None, got 1.0; set `clipnorm` on the `inner_optimizer`"),
        ({"dynamic": False}, ValueError, ".*for a fixed factor set `loss_scale_factor` on the `inner_optimizer`"),
        ({"initial_scael": 2.0}, TypeError, "unknown argument initial_scael, did you mean initial_scale?"),
        ({"inner_optimizer": "adam"}, TypeError, "inner_optimizer must be an optimizer of the same Keras"),
        ({"inner_optimizer": None}, TypeError, "inner_optimizer must be an optimizer of the same Keras"),
    ],
)
def test_bad_arguments(generation, arguments, error, message):
    module, _ = generation
    with pytest.raises(error, match=f"LossScaleOptimizer: {message}"):
        module.LossScaleOptimizer(**{"inner_optimizer": module.SGD(), **arguments})


def test_other_generations_and_other_scales_do_not_go_inside(generation):
    module, host = generation
    other = pyadam if host is tf_keras else pyadam.tf_keras
    for inner in (other.SGD(), module.LossScaleOptimizer(module.SGD()), module.SGD):
        with pytest.raises(
            TypeError, match="inner_optimizer must be an optimizer of the same Keras that is not itself a loss-scale"
        ):
            module.LossScaleOptimizer(inner)
    with pytest.raises(TypeError, match=r"missing .*required .*argument: 'inner_optimizer'"):
        module.LossScaleOptimizer()


def test_a_scale_inside_is_turned_off_with_a_warning(generation):
    module, _ = generation
    with pytest.warns(UserWarning, match="loss_scale_factor=100.0 of the inner optimizer is set to None"):
        optimizer = module.LossScaleOptimizer(module.SGD(loss_scale_factor=100))
    assert optimizer.inner_optimizer.loss_scale_factor is None


def test_the_function_is_the_class():
    optimizer = pyadam.optimizer_loss_scale(pyadam.optimizer_adam(0.3), initial_scale=4)
    assert type(optimizer) is pyadam.LossScaleOptimizer
    assert repr(optimizer) == "pyadam.LossScaleOptimizer(pyadam.Adam(learning_rate=0.3, name='Adam'))"


def test_exclusions_and_averages_are_those_of_the_inner_optimizer(generation):
    """Keras' wrapper takes the exclusion and decays all the same: 0.5 for 1."""
    module, host = generation
    variable = keras.Variable if host is keras else tf.Variable
    kernel, bias = (variable([1.0], name=name) for name in ("kernel", "bias"))
    optimizer = module.LossScaleOptimizer(module.AdamW(1.0, weight_decay=0.5, use_ema=True))
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    for _ in range(2):
        step(optimizer, [tf.zeros(1), tf.zeros(1)], [kernel, bias])
    assert (kernel.numpy()[0], bias.numpy()[0]) == (0.25, 1.0)
    with optimizer.averaged_weights():
        np.testing.assert_allclose(kernel.numpy(), [0.4975])
    assert kernel.numpy()[0] == 0.25


# --- what the fuzzers found ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8"])
def test_gradients_of_whole_numbers(generation, dtype):
    """Asked whether they were finite, in tf_keras they were a TypeError that named nothing."""
    module, host = generation
    (v,) = variables(host, [1.0, 2.0])
    optimizer = module.LossScaleOptimizer(module.SGD(0.5), initial_scale=1.0)
    optimizer.apply_gradients([(tf.ones([2], dtype), v)])
    assert v.numpy().tolist() == [0.5, 1.5]


def test_gradients_that_raise_in_a_graph():
    """AutoGraph converted the step, and the object's error came through; it is refused by name, and nothing moves."""
    v = tf.Variable([1.0], name="v")
    optimizer = pyadam.tf_keras.LossScaleOptimizer(pyadam.tf_keras.SGD(0.5))
    with pytest.raises(TypeError, match="LossScaleOptimizer: the gradient of v:0 must be a tensor, got"):
        tf.function(lambda: optimizer.apply_gradients([(Raising(), v)]))()
    assert v.numpy().tolist() == [1.0]


class Raising:
    def __getattribute__(self, name):
        raise RuntimeError(f"{name} is not for you")


def test_an_inner_optimizer_that_cannot_be_copied():
    deep = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(ValueError, match="LossScaleOptimizer: inner_optimizer can't be copied"):
        pyadam.tf_keras.LossScaleOptimizer.from_config({"inner_optimizer": deep})


def test_an_overflow_in_a_frozen_variable_skips_no_step(generation):
    """In one process nothing was ever trained then; on replicas it was."""
    module, host = generation
    frozen, trained = variables(host, [1.0], [1.0])
    inner = module.SGD(1.0, groups=[{"variables": [frozen], "frozen": True}])
    optimizer = module.LossScaleOptimizer(inner, **({"initial_scale": 4.0} if host is keras else {}))
    before = float(trained.numpy()[0])
    step(optimizer, [[INF], [4.0]], [frozen, trained])
    assert float(frozen.numpy()[0]) == 1.0
    assert float(trained.numpy()[0]) < before
    step(optimizer, [[4.0], [INF]], [frozen, trained])
    assert np.isfinite(trained.numpy()).all()


def test_an_overflow_in_the_first_step_leaves_the_averages_alone():
    """tf_keras' own loss scale counted it, so the average started at 0: at a learning rate of 0 a weight of 5 became 0.05."""
    (w,) = variables(tf_keras, [5.0])
    inner = pyadam.tf_keras.SGD(0.0, use_ema=True, ema_overwrite_frequency=2)
    optimizer = tf_keras.mixed_precision.LossScaleOptimizer(inner, initial_scale=2.0)
    step(optimizer, [[INF]], [w])
    assert int(optimizer.iterations) == 0
    for _ in range(2):
        step(optimizer, [[0.0]], [w])
    assert int(optimizer.iterations) == 2
    np.testing.assert_array_equal(w.numpy(), [5.0])


def test_an_overflow_in_fit_leaves_the_averages_alone():
    ends = []
    for module in (pyadam.tf_keras, tf_keras.optimizers):
        tf_keras.mixed_precision.set_global_policy("mixed_float16")
        model = make_model(module.SGD(0.0, use_ema=True, ema_momentum=0.5), tf_keras)
        before = model.get_weights()
        model.fit(X, 1e4 * Y, batch_size=4, verbose=0)
        ends.append([np.abs(a - b).max() for a, b in zip(before, model.get_weights(), strict=True)])
    np.testing.assert_allclose(ends[0], 0, atol=1e-6)
