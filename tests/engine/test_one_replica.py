"""tf.distribute with one replica changes no bit, whatever is trained, saved and loaded inside or outside a scope."""

import contextlib
import functools
import itertools
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from helpers import assert_same, run_python

import pyadam
import pyadam.tf_keras

RNG = np.random.default_rng(0)
X, Y = RNG.integers(0, 50, (32, 3)), RNG.normal(size=(32, 2)).astype("float32")
HOSTS = {"keras": (keras, pyadam), "tf_keras": (tf_keras, pyadam.tf_keras)}

host = pytest.mark.parametrize("host", HOSTS)


@functools.cache
def strategy(name):
    return {
        "none": lambda: None,
        "default": tf.distribute.get_strategy,
        "one device": lambda: tf.distribute.OneDeviceStrategy("/cpu:0"),
        "mirrored": lambda: tf.distribute.MirroredStrategy(["/cpu:0"]),
        "workers": tf.distribute.MultiWorkerMirroredStrategy,
    }[name]()


def scope(name):
    return contextlib.nullcontext() if name in ("none", "default") else strategy(name).scope()


def state(*owners):
    """The values of all variables of these models and optimizers."""
    found = itertools.chain(*(owner.variables() if callable(owner.variables) else owner.variables for owner in owners))
    return [np.array(tf.cast(v.numpy(), tf.float64)) for v in found]


def test_importing_does_not_start_tensorflow():
    """Devices can be divided, and a strategy of several workers made, only before TensorFlow has run anything."""
    code = """
        import pyadam.tf_keras
        import tensorflow as tf

        pyadam.Adam, pyadam.optimizer_adam, pyadam.distribute
        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
        )
    """
    done = run_python(code)
    assert done.returncode == 0, done.stderr


# --- steps ---------------------------------------------------------------------------------------------------------------

PROPERTIES = {
    "compiled, some rows": lambda p: p.Adam(0.1),
    "averages and accumulation": lambda p: p.AdamW(
        0.1,
        use_ema=True,
        ema_overwrite_frequency=2,
        gradient_accumulation_steps=2,
        global_clipnorm=0.5,
        jit_compile=False,
    ),
    "clipping": lambda p: p.SGD(0.1, momentum=0.9, clipnorm=0.5, jit_compile=False),
    "rows alone": lambda p: p.SGD(0.1, jit_compile=False),
    "a scalar of the rule": lambda p: p.Nadam(0.1, jit_compile=False),
    "no arenas": lambda p: p.Muon(0.1, jit_compile=False),
    "a function": lambda p: p.Adam(lambda: 0.1, jit_compile=False),
    "loss scale": lambda p: p.LossScaleOptimizer(
        p.Adam(0.1, jit_compile=False), initial_scale=8.0, dynamic_growth_steps=2
    ),
}
WAYS = ("run", "eager run", "function in the scope", "eager in the scope", "eager")


def variables(module):
    shapes = {"table": (2000, 4), "kernel": (4, 3), "bias": (3,), "scale": (3,)}
    rng = np.random.default_rng(1)
    made = [(rng.normal(size=shape).astype("float32"), name) for name, shape in shapes.items()]
    if module is keras:
        return [keras.Variable(value, name=name) for value, name in made]
    return [tf.Variable(value, name=name) for value, name in made]


def gradients(k):
    """Rows for the table, one of them twice; for the kernel an infinity in the second step; none for the last variable."""
    rng = np.random.default_rng(1)
    rows, kernel = (tf.constant(rng.normal(size=shape), tf.float32) for shape in ((3, 4), (4, 3)))
    table = tf.IndexedSlices(rows * tf.cast(k, tf.float32), tf.stack([5, k, 5]), [2000, 4])
    return [table, tf.where(k == 1, np.inf, kernel), tf.constant([1.0, -2.0, 3.0]), None]


def steps(name, host, made, way, outside=False):
    """The state after some steps, by an optimizer made inside or outside the scope."""
    module, classes = HOSTS[host]
    optimizer = made(classes) if outside else None
    with scope(name):
        vs = variables(module)
        optimizer = optimizer or made(classes)
    if hasattr(optimizer, "exclude_from_weight_decay"):
        optimizer.exclude_from_weight_decay(var_names=["bias"])

    def step(k):
        optimizer.apply_gradients(zip(gradients(k), vs, strict=True))

    run = step if name == "none" else lambda k: strategy(name).run(step, (k,))
    run = {"run": tf.function(run), "eager run": run, "function in the scope": tf.function(step)}.get(way, step)
    with warnings.catch_warnings(), scope(name if "scope" in way else "none"):
        warnings.filterwarnings("ignore", ".*Gradients do not exist")
        for k in range(3):
            run(tf.constant(k))
    return [v.numpy() for v in vs] + state(optimizer)


@functools.cache
def right(host, label):
    return steps("none", host, PROPERTIES[label], "eager")


@pytest.mark.sample(3)
@pytest.mark.parametrize(
    ("host", "label"),
    [
        *(("keras", label) for label in PROPERTIES),
        *(("tf_keras", label) for label in ("a scalar of the rule", "loss scale")),
    ],
)
def test_a_step_within_run(host, label):
    assert_same(steps("mirrored", host, PROPERTIES[label], "run"), right(host, label))


@pytest.mark.sample(3)
@host
@pytest.mark.parametrize(
    ("name", "way", "outside"),
    [
        *(("mirrored", way, i % 2 == 0) for i, way in enumerate(WAYS)),
        *((name, "run", False) for name in ("default", "one device", "workers")),
    ],
)
def test_ways_of_a_step(host, name, way, outside):
    label = "averages and accumulation"
    assert_same(steps(name, host, PROPERTIES[label], way, outside), right(host, label))


@host
def test_update_step(host):
    module, classes = HOSTS[host]
    found = []
    for name in ("none", "mirrored"):
        with scope(name):
            (v, *_), optimizer = variables(module), classes.Adam(0.1, jit_compile=False)
        optimizer.build([v])
        optimizer.update_step(tf.ones(v.shape), v)
        with scope(name):
            optimizer.update_step(tf.ones(v.shape), v)
        found.append([v.numpy(), *state(optimizer)])
    assert_same(*found)


# --- models --------------------------------------------------------------------------------------------------------------


def model(host, name, optimizer=None, **compiling):
    module, classes = HOSTS[host]
    module.utils.set_random_seed(3)
    with scope(name):
        given = module.Input((3,), dtype="int32")
        x = module.layers.Flatten()(module.layers.Embedding(50, 4, name="table")(given))
        x = module.layers.Dense(8, activation="relu", kernel_constraint=module.constraints.MaxNorm(1.0), name="a")(x)
        made = module.Model(given, module.layers.Dense(2, name="b")(x))
        optimizer = optimizer or classes.Adam(0.1, use_ema=True, jit_compile=False)
        made.compile(optimizer=optimizer, loss="mse", **compiling)
    return made


def fit(made, epochs=1, callbacks=()):
    made.fit(X, Y, batch_size=8, epochs=epochs, shuffle=False, verbose=0, callbacks=list(callbacks))
    return made


@pytest.mark.sample(1)
@host
@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=pytest.mark.long)])
def test_fit(host, compiled):
    names = ["none", "mirrored"] if compiled else ["none", "mirrored", "workers"]
    found = [state(made, made.optimizer) for made in (fit(model(host, name, jit_compile=compiled)) for name in names)]
    for each in found[1:]:
        assert_same(each, found[0])


@pytest.mark.sample(1)
@host
@pytest.mark.parametrize(("source", "target"), [("none", "mirrored"), ("mirrored", "none")])
def test_files(host, source, target, tmp_path):
    module, _ = HOSTS[host]
    made = fit(model(host, source))
    with scope(source):
        made.save(tmp_path / "m.keras")
        made.save_weights(tmp_path / "m.weights.h5")
        saved = tf.train.Checkpoint(model=made, optimizer=made.optimizer).save(str(tmp_path / "checkpoint"))
    with scope(target):
        loaded = module.models.load_model(tmp_path / "m.keras")
        read, restored = model(host, target), model(host, target)
        read.optimizer.build(read.trainable_variables)
        read.load_weights(tmp_path / "m.weights.h5")
        tf.train.Checkpoint(model=restored, optimizer=restored.optimizer).restore(saved)
        restored.optimizer.build(restored.trainable_variables)
    for each in (loaded, read, restored):
        assert_same(state(each, each.optimizer), state(made, made.optimizer))
    step = [tf.ones(v.shape) for v in made.trainable_variables]
    for each in (loaded, made):
        each.optimizer.apply_gradients(zip(step, each.trainable_variables, strict=True))
    assert_same(state(loaded, loaded.optimizer), state(made, made.optimizer))


@pytest.mark.sample(1)
@host
def test_a_saved_model_of_a_model_that_was_trained_in_a_scope(host, tmp_path):
    made = fit(model(host, "mirrored"))
    made.export(str(tmp_path / "exported"))
    loaded = tf.saved_model.load(str(tmp_path / "exported"))
    np.testing.assert_allclose(loaded.serve(tf.constant(X, tf.int32)), made.predict(X, verbose=0), rtol=1e-5)
    with scope("mirrored"):
        tf.saved_model.save(made, str(tmp_path / "saved"))  # with its optimizer
    tf.saved_model.load(str(tmp_path / "saved"))


@pytest.mark.parametrize("host", ["keras", pytest.param("tf_keras", marks=pytest.mark.long)])
def test_callbacks(host, tmp_path):
    module, _ = HOSTS[host]
    found = []
    for name in ("none", "mirrored"):
        folder = tmp_path / name
        backup = functools.partial(module.callbacks.BackupAndRestore, str(folder / "backup"))
        checkpoint = module.callbacks.ModelCheckpoint(str(folder / "{epoch}.keras"))
        rate = module.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.9)
        fit(model(host, name), 1, [checkpoint, backup(delete_checkpoint=False), rate])
        went_on = fit(model(host, name), 2, [backup()])
        with scope(name):
            loaded = module.models.load_model(folder / "1.keras")
        found.append([*state(went_on, went_on.optimizer), *state(loaded, loaded.optimizer)])
    assert_same(*found)


def test_averages_as_weights():
    found = []
    for name in ("none", "mirrored"):
        optimizer = pyadam.Adam(0.1, use_ema=True, jit_compile=False)
        made = fit(model("keras", name, optimizer), callbacks=[keras.callbacks.SwapEMAWeights()])
        swapped = state(made)
        with scope(name), made.optimizer.averaged_weights():
            averaged = state(made)
        made.optimizer.finalize_variable_values(made.trainable_variables)
        found.append([*swapped, *averaged, *state(made, made.optimizer)])
    assert_same(*found)
