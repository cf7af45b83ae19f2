"""A step gives the same bits on every vector unit that the machine has.

Each unit has one run, with the same values in a table with a sparse gradient, in one with a dense gradient, and in many small
variables: XLA makes different loops for each, and none for an uncompiled step. All must end with the same bits.
"""

import json

import pytest
from family import EVERY
from helpers import run_python

from pyadam.optimizers import RULES, SPECS

LAYOUTS = ["rows", "dense", "small", "uncompiled"]
UNITS = ["SSE4_2", "AVX2", ""]  # "" is the machine's own
ALL = {"weight_decay": 0.013, "use_ema": True, "clipvalue": 0.7, "loss_scale_factor": 3.0}
OTHERS = [("Adagrad", {"epsilon": 0.1}), ("Adam", {}), ("RMSprop", {"momentum": 0.9})]
LONG = {name: ALL for name in EVERY if RULES[SPECS[name]].elementwise and name != "LazyAdam"}
WHOLE = {"Adafactor": {}, "Lamb": {}}  # per variable; their loops are the same in all layouts
POWERS = {"learning_rate_power": -0.7}

STEPS = """
import hashlib, json
import keras, numpy as np, tensorflow as tf, pyadam
ROWS, WIDTH, SIZES = 683, 13, [3, 5, 1, 17, 4001, 4096, 756]

def ends(name, arguments, dtype, lay, jit_compile):
    rng = np.random.default_rng(5)
    start = rng.standard_normal(ROWS * WIDTH)
    parts = np.split(start, np.cumsum(SIZES)[:-1]) if lay == "small" else [start.reshape(ROWS, WIDTH)]
    vs = [keras.Variable(part, dtype=dtype, name=f"v{i}") for i, part in enumerate(parts)]
    optimizer = getattr(pyadam, name)(0.03, jit_compile=jit_compile, **arguments)
    for step in range(3):
        rows = rng.integers(0, ROWS, 90) if step else np.arange(ROWS)  # all of them first, so that no 0 / 0 is compared
        values = rng.standard_normal((len(rows), WIDTH)) * 10.0 ** rng.uniform(-3, 1, (len(rows), WIDTH))
        g = tf.IndexedSlices(tf.constant(values, dtype), rows, tf.constant([ROWS, WIDTH]))
        if lay != "rows":  # summed in float32 at least, as the others are
            wide = "float64" if dtype == "float64" else "float32"
            g = tf.convert_to_tensor(tf.IndexedSlices(tf.cast(g.values, wide), rows, g.dense_shape))
        optimizer.apply(tf.split(tf.reshape(g, [-1]), SIZES) if lay == "small" else [g], vs)
    kinds = {}
    for v in optimizer.variables[2:]:
        kinds.setdefault(v.name.partition("_")[2] or v.name, []).append(v)
    arrays = [np.concatenate([keras.ops.convert_to_numpy(v).ravel() for v in some]) for some in [vs, *kinds.values()]]
    assert all(np.isfinite(array.astype("float64")).all() for array in arrays)
    return hashlib.md5(b"".join(array.tobytes() for array in arrays)).hexdigest()

for name, arguments, dtype, lays in json.loads(CASES):
    found = [ends(name, arguments, dtype, lay, jit_compile=lay != "uncompiled") for lay in lays]
    print(json.dumps(found), flush=True)
"""


def outcomes(cases, units):
    """For each case the bits of all its layouts, on each vector unit."""
    code = f"CASES = {json.dumps(cases)!r}\n{STEPS}"
    runs = [run_python(code, XLA_FLAGS=f"--xla_cpu_max_isa={unit}" if unit else "") for unit in units]
    for done in runs:
        assert done.returncode == 0, done.stderr
    return list(zip(*([json.loads(line) for line in done.stdout.splitlines()] for done in runs), strict=True))


def table(given, dtypes, layouts=LAYOUTS):
    return [(name, arguments, dtype, layouts) for name, arguments in given for dtype in dtypes]


def assert_one_outcome(cases, units=UNITS):
    for case, found in zip(cases, outcomes(cases, units), strict=True):
        assert len(set().union(*found)) == 1, (case, found)


@pytest.mark.long
def test_loops_and_vector_units_make_no_difference():
    assert_one_outcome(table([("Adam", ALL)], ["float32"], ["rows", "small"]), [UNITS[0], UNITS[-1]])


@pytest.mark.long
def test_loops_and_vector_units_make_no_difference_to_any():
    cases = table([*LONG.items(), *OTHERS], ["float32", "float64", "bfloat16"])
    cases += [(name, given, "float32", ["dense", "uncompiled"]) for name, given in WHOLE.items()]
    # uncompiled, TensorFlow reorders the sums of this one
    cases += [("RMSprop", {"centered": True}, "float32", ["rows", "dense", "small"])]
    # nor has TensorFlow's power of 0.96 the last bit of XLA's
    cases = [
        (*case[:3], [lay for lay in case[3] if case[:3:2] != ("Nadam", "float64") or lay != "uncompiled"])
        for case in cases
    ]
    assert_one_outcome(cases)


@pytest.mark.long
def test_powers_of_ftrl_are_the_machines_and_the_same_in_all_loops():
    cases = [("Ftrl", POWERS, "float32", ["dense", "small"])]
    (found,) = outcomes(cases, UNITS)
    assert all(len(set(lays)) == 1 for lays in found)
