"""TensorFlow's debugging tools raise no false alarm in a step, name the variable in a true one, and change no number."""

import json

import pytest
from family import EVERY
from helpers import run_python

NAMES = [name for name in EVERY if name != "LazyAdam"]  # Adam for dense gradients
STEPS = (
    f"NAMES = {NAMES!r}\n"
    """
import json
import keras, numpy as np, tensorflow as tf
import pyadam, pyadam.tf_keras, tf_keras

def steps(optimizer, sparse=False):
    vs = [tf.Variable(np.linspace(-1.0, 1.0, n).reshape(shape), dtype=tf.float32) for n, shape in ((90, (30, 3)), (3, (3,)))]
    optimizer.build(vs)
    for step in range(1, 5):
        gs = [tf.ones(v.shape) * 0.1 * step * v for v in vs]
        if sparse:
            gs[0] = tf.IndexedSlices(tf.gather(gs[0], [4, 2, 4]), tf.constant([4, 2, 4]), tf.constant([30, 3]))
        optimizer.apply_gradients(list(zip(gs, vs)))
    return np.concatenate([v.numpy().ravel() for v in vs])

def fitted(module, host, optimizer, **arguments):
    host.utils.set_random_seed(1)
    model = host.Sequential([host.layers.Dense(4, activation="relu"), host.layers.Dense(1)])
    model.compile(optimizer, "mse", **arguments)
    model.fit(np.ones((8, 3)), np.ones((8, 1)), epochs=2, verbose=0)
    return np.concatenate([w.ravel() for w in model.get_weights()])

MODULES = ((pyadam, keras), (pyadam.tf_keras, tf_keras))
WAYS = [
    {"clipnorm": 0.5, "weight_decay": 0.1},  # its limit is over norms of which some may be 0
    {"global_clipnorm": 0.5, "use_ema": True},
    {"gradient_accumulation_steps": 2, "clipvalue": 0.1, "loss_scale_factor": 8.0},
    {"slot_dtype": "bfloat16"},
]
def outcomes():
    ends = []
    for i, name in enumerate(NAMES):
        for j, (module, host) in enumerate(MODULES):
            make = getattr(module, name)
            for arguments in ({}, WAYS[(i + 2 * j) % 3]):
                ends.append(steps(make(0.01, jit_compile=(i + j) % 2 == 0, **arguments)))
    for (module, host), jit_compile in zip(MODULES, (True, False), strict=True):
        given = {"jit_compile": jit_compile}
        ends += [steps(module.Adam(0.01, **given, **WAYS[3])), steps(module.Adam(0.01, **given, clipnorm=0.5), sparse=True)]
        ends += [steps(module.Adagrad(0.01, **given), sparse=True)]
        ends.append(steps(module.LossScaleOptimizer(module.SGD(0.01, **given), initial_scale=4.0)))
        ends.append(fitted(module, host, module.Adam(0.01, **given)))
        ends.append(fitted(module, host, module.RMSprop(0.01, use_ema=True, clipnorm=0.1, **given), run_eagerly=True))
    return ends
"""
)
SWITCHES = {
    "enable_check_numerics": "tf.debugging.enable_check_numerics()",
    "run_functions_eagerly": "tf.config.run_functions_eagerly(True)",
    "enable_op_determinism": "keras.utils.set_random_seed(0); tf.config.experimental.enable_op_determinism()",
}
COMPARED = """
usual = outcomes()
{switch}
changed = outcomes()
for a, b in zip(usual, changed, strict=True):
    assert np.isfinite(a).all()
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
print(len(usual))
"""


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("switch", SWITCHES)
def test_the_numbers_are_those_without_the_tool(switch):
    """With the optimizer made before or after, compiled or not, in both generations, in `fit` and alone."""
    done = run_python(f"{STEPS}\n{COMPARED.format(switch=SWITCHES[switch])}")
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout) == 4 * len(NAMES) + 12


NAN = """
tf.debugging.enable_check_numerics()
found = {}
for jit_compile in (True, False):
    for graph in (True, False):
        w = tf.Variable([1.0, 2.0], name="w")
        optimizer = pyadam.tf_keras.Adam(0.1, jit_compile=jit_compile)
        optimizer.build([w])
        def step(g):
            optimizer.apply_gradients([(g, w)])
        step = tf.function(step) if graph else step
        step(tf.constant([1.0, 1.0]))
        for kind, g in (("gradient", [1.0, np.nan]), ("velocity", [1.0, 3e38])):
            before = w.numpy()
            try:
                step(tf.constant(g))
            except tf.errors.InvalidArgumentError as error:
                found[f"{jit_compile} {graph} {kind}"] = str(error)
                assert kind != "gradient" or (w.numpy() == before).all()
tf.debugging.disable_check_numerics()
optimizer.apply_gradients([(tf.constant([1.0, np.nan]), w)])
assert np.isnan(w.numpy()[1])
print(json.dumps(found))
"""


def test_what_is_not_finite_is_named():
    """A gradient is reported before anything has changed, state as soon as it is computed."""
    done = run_python(STEPS + NAN)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert len(found) == 8
    for case, words in found.items():
        of = "the gradient" if case.endswith("gradient") else "the new velocity"
        assert f"Adam: {of} of w" in words, (case, words)
        assert ("NaN" if case.endswith("gradient") else "Inf") in words
