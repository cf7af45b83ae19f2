"""Variables that can't be trained are skipped unless they get a gradient; plain SGD moves complex ones and any shape."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import pyadam
import pyadam.tf_keras

pytestmark = pytest.mark.filterwarnings("ignore:.*Gradients do not exist for variables")

MODULES = {"Keras 3": pyadam, "tf_keras": pyadam.tf_keras}
UNKNOWN = {"shape": tf.TensorShape(None)}
LEFT_OUT = {
    "integers": lambda: tf.Variable([1, 2], name="v"),
    "booleans": lambda: tf.Variable([True], name="v"),
    "strings": lambda: tf.Variable("a", name="v"),
    "complex": lambda: tf.Variable(1 + 2j, name="v"),
    "any shape": lambda: tf.Variable([1.0], name="v", **UNKNOWN),
    "any rows": lambda: tf.Variable([[1.0]], name="v", shape=[None, 1]),
}


@pytest.mark.sample(2)
@pytest.mark.parametrize("kind", LEFT_OUT)
@pytest.mark.parametrize("host", MODULES)
def test_without_gradient_they_are_left_out_without_state(host, kind):
    w, v = tf.Variable([1.0]), LEFT_OUT[kind]()
    for built in (False, True):
        optimizer = MODULES[host].Adam(0.1, use_ema=True)
        plain = MODULES[host].Adam(0.1, use_ema=True)
        for o, vs in ((optimizer, [w, v]), (plain, [w])) if built else ():
            o.build(vs)
        before = v.numpy()
        for _ in range(2):
            optimizer.apply_gradients([(tf.ones(1), w), (None, v)])
        plain.apply_gradients([(tf.ones(1), w)])
        optimizer.finalize_variable_values([w, v])
        assert len(optimizer.variables) == len(plain.variables)
        assert np.all(v.numpy() == before)


def test_gradients_without_variables_are_those_of_the_build():
    vs = [tf.Variable([1.0]), tf.Variable(0), tf.Variable([2.0])]
    optimizer = pyadam.SGD(1.0)
    optimizer.build(vs)
    optimizer.apply([tf.ones(1), None, tf.ones(1)])
    assert [v.numpy().tolist() for v in vs] == [[0.0], 0, [1.0]]


WORDS = {
    "integers": "v.* has a gradient but holds int32 values; steps move float16, bfloat16, float32, float64. Give it",
    "complex": "v.* has a gradient but holds complex128 values, which only SGD without momentum, .* can move; use that, or",
    "any shape": "v.* has a gradient but its shape is <unknown>, .*; create it with tf.Variable.value.*, or use SGD",
    "any rows": r"v.* has a gradient but its shape is \(None, 1\), .*; create it with tf.Variable.value.*, or use SGD",
}


@pytest.mark.parametrize("kind", WORDS)
@pytest.mark.parametrize("host", MODULES)
@pytest.mark.parametrize("built", [False, True])
def test_with_one_the_error_names_optimizer_and_variable_and_nothing_is_changed(built, host, kind):
    w, v = tf.Variable([1.0]), LEFT_OUT[kind]()
    optimizer = MODULES[host].Adam(0.1)
    if built:
        optimizer.build([w, v])
    before = w.numpy()
    with pytest.raises(TypeError, match=f"^Adam: {WORDS[kind]}"):
        optimizer.apply_gradients([(tf.ones(1), w), (tf.ones_like(v), v)])
    np.testing.assert_array_equal(w.numpy(), before)
    assert int(optimizer.iterations) == 0


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("host", MODULES)
def test_sgd_moves_complex_numbers(host, dtype):
    """Like Keras."""
    v = tf.Variable([[3 + 2j, 1j]], dtype=dtype)
    MODULES[host].SGD(0.01).apply_gradients([(tf.constant([[6 + 4j, 1.0]], dtype), v)])
    np.testing.assert_allclose(v.numpy(), [[2.94 + 1.96j, -0.01 + 1j]], rtol=1e-6)
    clipped = tf.Variable(3 + 4j, dtype=dtype)
    MODULES[host].SGD(1.0, global_clipnorm=5.0).apply_gradients([(tf.constant(6 + 8j, dtype), clipped)])
    np.testing.assert_allclose(clipped.numpy(), 0, atol=1e-6)
    sparse = tf.IndexedSlices(tf.constant([[1j], [1.0]], dtype), tf.constant([1, 1]), tf.constant([3, 1]))
    rows = tf.Variable(np.ones((3, 1)), dtype=dtype)
    MODULES[host].SGD(1.0).apply_gradients([(sparse, rows)])
    np.testing.assert_allclose(rows.numpy().ravel(), [1, -1j, 1], atol=1e-6)


@pytest.mark.parametrize("host", MODULES)
@pytest.mark.parametrize("graph", [False, True])
def test_sgd_moves_variables_of_any_shape(graph, host):
    v = tf.Variable([1.0, 2.0], **UNKNOWN)
    optimizer = MODULES[host].SGD(1.0)
    apply = lambda g: optimizer.apply_gradients([(g, v)])  # noqa: E731
    apply = tf.function(apply, input_signature=[tf.TensorSpec(None)]) if graph else apply
    apply(tf.constant([1.0, 0.5]))
    np.testing.assert_array_equal(v.numpy(), [0.0, 1.5])
    v.assign([[5.0]])
    apply(tf.constant([[1.0]]))
    np.testing.assert_array_equal(v.numpy(), [[4.0]])
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match=r"SGD: the gradient of .* must have"):
        apply(tf.constant([1.0, 2.0]))
    np.testing.assert_array_equal(v.numpy(), [[4.0]])


@pytest.mark.parametrize("host", MODULES)
@pytest.mark.parametrize("whole", [False, True])
def test_a_table_with_any_number_of_rows_takes_sparse_gradients(whole, host):
    v, w = tf.Variable([[1.0], [2.0]], shape=[None, 1]), tf.Variable([1.0])
    optimizer = MODULES[host].SGD(1.0)
    for there in (1, 1, 0, 1, 2, 0):  # w, v, then both, so the program with masks runs too
        shape = tf.shape(v, tf.int64) if whole else None
        sparse = tf.IndexedSlices(tf.constant([[1.0], [1.0]]), tf.constant([1, 1]), shape)
        optimizer.apply_gradients([(sparse if there else None, v), (None if there == 1 else tf.ones(1), w)])
    np.testing.assert_array_equal(v.numpy(), [[1.0], [-6.0]])
    np.testing.assert_array_equal(w.numpy(), [-2.0])


class Counting:
    """A layer that counts its calls in a trainable integer variable."""

    def build(self, shape):
        self.w = self.add_weight(shape=(shape[-1],), initializer="ones", name="w")
        self.calls = self.add_weight(shape=(), dtype="int32", initializer="zeros", name="calls")

    def call(self, x):
        return x * self.w


@pytest.mark.parametrize(("host", "module"), [(keras, pyadam), (tf_keras, pyadam.tf_keras)], ids=MODULES)
def test_a_counter_among_the_weights_in_fit(host, module):
    layer = type("Counted", (Counting, host.layers.Layer), {})()
    model = host.Sequential([host.Input((2,)), layer])
    model.compile(optimizer=module.LossScaleOptimizer(module.Adam(0.1, use_ema=True)), loss="mse")
    model.fit(np.ones((4, 2)), np.zeros((4, 2)), epochs=2, verbose=0)
    assert len(model.trainable_variables) == 2
    assert np.all(layer.w.numpy() < 1.0)


def test_rows_of_what_has_none_are_refused_in_words():
    """A scalar ended in an IndexError."""
    scalar, empty = keras.Variable(1.0, name="s"), keras.Variable(np.zeros((0, 3), "float32"), name="e")
    rows = tf.IndexedSlices(tf.ones([1]), tf.constant([0]), tf.constant([1]))
    with pytest.raises(ValueError, match="Adam: the gradient of s, a scalar, must be a tensor, got IndexedSlices"):
        pyadam.Adam().apply([tf.IndexedSlices(tf.ones([1]), tf.constant([0]))], [scalar])
    with pytest.raises(ValueError, match="Adam: the gradient of s must have the variable's shape"):
        pyadam.Adam().apply([rows], [scalar])
    with pytest.raises(
        ValueError, match="of the gradient of e must be none, because the variable has no rows, got some"
    ):
        pyadam.Adam().apply([tf.IndexedSlices(tf.ones([1, 3]), tf.constant([0]))], [empty])
