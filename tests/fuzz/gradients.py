"""Gives optimizers gradients and variables that nobody should pass, and counts how the steps ended.

python gradients.py --cases 20000 --seed 0

Allowed are a step, and a TypeError or ValueError that speaks of the gradient or names the variable (in a graph, TensorFlow's
InvalidArgumentError where the values of indices are wrong), after which weights and state have the bits that they had before;
anything else is printed with its case, and the exit status is 1.
"""

import os
import sys
import traceback
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tf_keras
from hostile import OBJECTS
from hypothesis import strategies as st
from loop import Endings, fuzz

import pyadam.tf_keras

SHAPES = {"kernel": (4, 3), "bias": (3,)}
DTYPES = ["float16", "bfloat16", "float32", "float64", "int32", "int64", "uint8", "bool", "complex64", "string"]
WORDS = ["gradient", "grads", "variable", *SHAPES]


def tensor(shape: Any, dtype: str) -> Any:
    return tf.cast(tf.ones(shape), dtype) if dtype != "string" else tf.fill(shape, "a")


DENSE = {
    f"{dtype} of shape {shape}": (lambda shape=shape, dtype=dtype: tensor(shape, dtype))
    for dtype in DTYPES
    for shape in [(4, 3), (3,), (), (1,), (3, 4), (12,), (0, 3), (4, 3, 1), (1, 3), (2, 2, 2, 2)]
}
INDICES = {
    "fit": [0, 2],
    "twice": [1, 1],
    "too large": [0, 4],
    "much too large": [0, 2**31 - 1],
    "negative": [-1, 0],
    "too many": [0, 1, 2],
    "none": [],
    "two-dimensional": [[0, 1]],
    "a scalar": 1,
}
INDEX_TYPES = ["int32", "int64", "int8", "uint8", "float32", "bool"]
FULL = {"fits": [4, 3], "is another": [5, 3], "is short": [4], "is negative": [-1, 3], "is not there": None}


def slices(dtype: str, rows: Any, indices: str, index_type: str, full: str) -> Any:
    wanted = INDICES[indices]
    if index_type == "bool":
        index = tf.cast(tf.cast(tf.constant(wanted), "int32") > 0, "bool")
    else:
        index = tf.cast(tf.constant(wanted, "int64" if wanted != [] else "float32"), index_type)
    return tf.IndexedSlices(tensor(rows, dtype), index, None if FULL[full] is None else tf.constant(FULL[full]))


SPARSE = st.builds(
    lambda *drawn: (f"slices {drawn}", lambda: slices(*drawn)),
    st.sampled_from(DTYPES),
    st.sampled_from([(2, 3), (2, 2), (3, 3), (0, 3), (2,), (2, 3, 1), ()]),
    st.sampled_from(sorted(INDICES)),
    st.sampled_from(INDEX_TYPES),
    st.sampled_from(sorted(FULL)),
)
GRADIENT = st.one_of(
    st.sampled_from([(f"dense {kind}", make) for kind, make in DENSE.items()]),
    SPARSE,
    # TensorFlow itself ends the process for a float that can't be compared
    st.sampled_from(sorted(OBJECTS.keys() - {"own float"})).map(lambda kind: (kind, OBJECTS[kind])),
)
HOSTS = {"keras": pyadam, "tf_keras": pyadam.tf_keras}
OPTIMIZERS = ["Adam", "SGD", "LazyAdam", "Muon", "Adafactor"]
WAYS = ["eager", "eager", "function", "another list"]


def variables(host: str) -> list[Any]:
    made = []
    for name, shape in SHAPES.items():
        start = np.full(shape, 0.5, "float32")
        made.append(tf.Variable(start, name=name) if host == "tf_keras" else keras.Variable(start, name=name))
    return made


def lists(kind: str, gradient: Any, vs: list[Any]) -> Any:
    """Pairs that are none, or too few or too many."""
    pairs = [(gradient, vs[0]), (tf.ones(3), vs[1])]
    return {
        "no pairs": [gradient, gradient],
        "not a list": gradient,
        "triples": [(*pair, 1) for pair in pairs],
        "twice": [pairs[0], pairs[0]],
        "turned": [(v, g) for g, v in pairs],
        "of another": [(gradient, tf.Variable(tf.ones((4, 3)), name="kernel"))],
        "empty": [],
        "generator": (pair for pair in pairs),
    }[kind]


LISTS = ["no pairs", "not a list", "triples", "twice", "turned", "of another", "empty", "generator"]


def ending(host: str, name: str, scaled: bool, way: str, make: Any, kind: str, jit: bool) -> str:
    """How a step ended; a word, or what is wrong."""
    ours, vs = HOSTS[host], variables(host)
    optimizer = getattr(ours, name)(0.1, jit_compile=jit)
    optimizer = ours.LossScaleOptimizer(optimizer) if scaled else optimizer
    optimizer.apply_gradients([(tf.ones(v.shape), v) for v in vs])
    known = [*vs, *optimizer.variables]

    def bits() -> list[bytes]:
        return [np.array(tf.convert_to_tensor(v)).tobytes() for v in known]

    gradient = make()
    before = bits()
    given_values = lists(kind, gradient, vs) if way == "another list" else [(gradient, vs[0]), (tf.ones(3), vs[1])]
    try:
        step = tf.function(lambda: optimizer.apply_gradients(given_values)) if way == "function" else None
        step() if step else optimizer.apply_gradients(given_values)
    except (TypeError, ValueError) as error:
        text = str(error)
        if bits() != before:
            return f"half a step, then {text[:150]}"
        return "refused" if any(word in text for word in WORDS) else f"{type(error).__name__} of nothing: {text[:200]}"
    except tf.errors.InvalidArgumentError as error:  # a graph finds rows that are none only when it runs
        if bits() != before:
            return f"half a step, then {str(error)[:150]}"
        named = "the indices of the gradient of" in str(error) or "is not in [0" in str(error)
        return "refused" if named and way == "function" else f"InvalidArgumentError: {str(error)[:200]}"
    except Exception as error:
        if os.environ.get("TRACEBACK"):
            traceback.print_exc()
        return f"{type(error).__name__}: {str(error)[:200]}"
    return "works"


def main() -> int:
    endings = Endings("works", "refused")

    def case(host: str, name: str, scaled: bool, way: str, gradient: Any, kind: str) -> None:
        jit = endings.counts["cases"] % 10 == 0
        around = ", scaled" * scaled + ", compiled" * jit + f", {kind}" * (way == "another list")
        result = ending(host, name, scaled, way, gradient[1], kind, jit)
        endings.add(result, f"{host} {name}, {way}{around}: {gradient[0]}")

    chosen = [st.sampled_from(sorted(HOSTS)), st.sampled_from(OPTIMIZERS), st.booleans(), st.sampled_from(WAYS)]
    return fuzz(endings, case, *chosen, GRADIENT, st.sampled_from(LISTS))


if __name__ == "__main__":
    tf_keras.utils.disable_interactive_logging()
    sys.exit(main())
