"""Any pattern of missing gradients takes few programs and constant memory, and gives the bits of its own program."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from family import EVERY
from helpers import WIDTH, assert_same, run_python, values, variables

import pyadam
import pyadam.tf_keras
from pyadam.engine import step
from pyadam.engine.lanes import SMALL

pytestmark = pytest.mark.filterwarnings("ignore:.*Gradients do not exist for variables")

ROWS = 4 * SMALL
MIXED = ["float32", "float64", "bfloat16"]
ALL = {"weight_decay": 0.1, "global_clipnorm": 1.0, "use_ema": True, "ema_overwrite_frequency": 3}
MICRO = {"clipnorm": 0.5, "gradient_accumulation_steps": 2, "loss_scale_factor": 8.0, "use_ema": True}
QUICK = [
    ("Adam", ALL, MIXED),
    ("Adam", MICRO, MIXED),
    ("Adam", {"amsgrad": True, "slot_dtype": "bfloat16"}, ["float32"]),
    ("RMSprop", {"momentum": 0.9, "centered": True}, ["float32"]),
    ("Muon", ALL, ["float32"]),
]
LONG = [(name, given, MIXED) for name in EVERY for given in ({}, ALL, MICRO)]
LONG += [("Adam", {"jit_compile": False, **ALL}, MIXED), ("SGD", {"momentum": 0.9, "nesterov": True}, ["float32"])]
CASES = QUICK + [pytest.param(*case, marks=pytest.mark.long) for case in LONG if case not in QUICK]


def only(monkeypatch, masks):
    """All patterns share one program with masks, or each has its own."""
    monkeypatch.setattr(step, "_FIRST", 0 if masks else 1000)
    monkeypatch.setattr(step, "_OWN", 0 if masks else 1000)


# --- the same bits -------------------------------------------------------------------------------------------------------


@pytest.mark.sample(1)
@pytest.mark.parametrize(("name", "given", "dtypes"), CASES, ids=str)
def test_masks_have_the_bits_of_a_patterns_own_program(monkeypatch, name, given, dtypes):
    """Small variables in an arena, a large one, two with constraints, and one that its gradient overwrites."""

    def trained(masks):
        only(monkeypatch, masks)
        rng = np.random.default_rng(3)
        shapes = [(3, 4), (5,), (), (SMALL + 4,), (2, 2), (0,)]
        vs = [
            keras.Variable(rng.standard_normal(shape), dtype=dtypes[i % len(dtypes)]) for i, shape in enumerate(shapes)
        ]
        vs[1].constraint = vs[3].constraint = keras.constraints.MaxNorm(1.5)
        vs[4].overwrite_with_gradient = True
        optimizer = getattr(pyadam, name)(0.1, **given)
        optimizer.build(vs)
        for there in 2 * ([0, 2, 3, 4], [1, 3, 5], [0, 1, 2]):
            gs = [tf.constant(rng.standard_normal(v.shape), v.dtype) for v in vs]
            optimizer.apply([g if i in there else None for i, g in enumerate(gs)], vs)
        return optimizer._engine, values([*vs, *optimizer.variables])

    (masked, found), (own, right) = trained(True), trained(False)
    assert not masked._own
    assert not own._common
    assert len(own._own) >= 3
    assert len(masked._common) <= 2  # with float64 variables in the norm, or without
    assert_same(found, right)


@pytest.mark.sample(1)
@pytest.mark.parametrize("name", ["LazyAdam", "Adam", "Adagrad"])
@pytest.mark.parametrize("host", ["Keras 3", "tf_keras"])
def test_masks_with_gradients_that_are_sparse_dense_or_missing_in_turn(monkeypatch, host, name):
    module, variable = (pyadam, keras.Variable) if host == "Keras 3" else (pyadam.tf_keras, tf.Variable)

    def trained(masks):
        only(monkeypatch, masks)
        rng = np.random.default_rng(3)
        vs = [variable(rng.standard_normal(s).astype("float32")) for s in ((ROWS, WIDTH), (8, WIDTH), (4,))]
        optimizer = getattr(module, name)(0.1)
        optimizer.build(vs)
        for there in ("sr-", "-sd", "dr-", "rd-", "r-d", "--d", "dsd"):
            gs = []
            for v, kind in zip(vs, there, strict=True):
                n = {"s": 3, "r": 20}.get(kind)
                values_, rows = rng.standard_normal((n or 1, WIDTH)), rng.integers(0, v.shape[0], n or 1)
                sparse = tf.IndexedSlices(tf.constant(values_, tf.float32), tf.constant(rows), tf.constant([*v.shape]))
                dense = tf.constant(rng.standard_normal(v.shape), tf.float32)
                gs.append(sparse if n else dense if kind == "d" else None)
            optimizer.apply_gradients(list(zip(gs, vs, strict=True)))
        return optimizer._engine, values([*vs, *optimizer.variables])

    (masked, found), (own, right) = trained(True), trained(False)
    assert not masked._own
    assert not own._common
    assert_same(found, right)


# --- few programs --------------------------------------------------------------------------------------------------------


def drawn(rng, n):
    on = rng.random(n) < 0.5
    on[0] = True
    return on


@pytest.mark.sample(1)
@pytest.mark.parametrize("host", ["Keras 3", "tf_keras"])
def test_few_programs_for_many_patterns_and_subsets_in_a_loop(host):
    module = pyadam if host == "Keras 3" else pyadam.tf_keras
    vs = [tf.Variable(tf.ones([3])) for _ in range(12)]
    optimizer, rng = module.Adam(0.01), np.random.default_rng(0)
    optimizer.build(vs)
    for i in range(40):
        pairs = [(tf.ones([3]) if on else None, v) for on, v in zip(drawn(rng, 12), vs, strict=True)]
        optimizer.apply_gradients(pairs if i % 2 else [pair for pair in reversed(pairs) if pair[0] is not None])
    assert len(optimizer._engine.programs) == step._FIRST + 1
    assert [program.traces for program in optimizer._engine.programs] == [1] * (step._FIRST + 1)


def test_few_programs_where_a_function_is_traced_for_each_pattern():
    vs = variables(*[(3,)] * 8)
    optimizer, rng = pyadam.Adam(0.01), np.random.default_rng(0)
    optimizer.build(vs)

    @tf.function(autograph=False)
    def run(there):
        optimizer.apply([tf.ones([3]) if on else None for on in there], vs)

    for _ in range(20):
        run(tuple(map(bool, drawn(rng, 8))))
    assert len(optimizer._engine.programs) == step._OWN + 1
    assert all(program.traces == 1 for program in optimizer._engine.programs)


def test_a_pattern_that_stays_gets_a_program_of_its_own():
    """As when layers are unfrozen one by one."""
    vs = variables(*[(3,)] * 6)
    optimizer = pyadam.SGD(0.01)
    for stage in range(1, 7):
        for _ in range(3):
            optimizer.apply([tf.ones([3]) if i < stage else None for i in range(6)], vs)
    assert len(optimizer._engine._own) == 6


@pytest.mark.long
def test_few_functions_for_many_numbers_of_rows_in_several_tables():
    vs = [keras.Variable(np.ones((512, WIDTH), "float32")) for _ in range(3)]
    optimizer, rng = pyadam.LazyAdam(0.01), np.random.default_rng(0)
    for _ in range(40):
        gs = [
            tf.IndexedSlices(tf.ones([n, WIDTH]), tf.constant(rng.integers(0, 512, n)))
            for n in 2 ** rng.integers(0, 9, 3)
        ]
        optimizer.apply(gs, vs)
    (program,) = optimizer._engine.programs
    assert program.traces <= 8 + 3 * 9  # all in order, then those larger than any before


MANY = """
import logging, re, sys, warnings
import keras, numpy as np, tensorflow as tf, pyadam
from pathlib import Path
warnings.simplefilter("ignore")
said = []
handler = logging.Handler()
handler.emit = lambda record: said.append(record.getMessage())
tf.get_logger().addHandler(handler)
def memory():
    return int(re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024
rng = np.random.default_rng(0)
vs = [keras.Variable(np.ones((3, 3), "float32")) for _ in range(12)]
optimizer = pyadam.LossScaleOptimizer(pyadam.Adam(0.001), 1.0)
optimizer.build(vs)
def steps(n):
    for _ in range(n):
        on = rng.random(12) < 0.5
        on[0] = True
        optimizer.apply([tf.ones((3, 3)) if k else None for k in on], vs)
steps(8)
before = memory()
steps(200)
grown = memory() - before
for _ in range(7):
    pyadam.SGD(0.1).apply([tf.ones((3, 3))], vs[:1])
table, lazy = keras.Variable(np.ones((64, 2), "float32")), pyadam.LazyAdam(0.1)
for n in (1, 2, 4, 8, 16, 32):
    lazy.apply([tf.IndexedSlices(tf.ones([n, 2]), tf.range(n))], [table])
print(grown, len(optimizer.inner_optimizer._engine.programs), sum("retracing" in words for words in said))
"""


@pytest.mark.long
def test_memory_is_flat_over_200_patterns_and_tensorflow_has_nothing_to_say():
    """It used to grow by 9 MB per pattern, and TensorFlow warned about retracing."""
    done = run_python(MANY)
    assert done.returncode == 0, done.stderr
    grown, programs, warned = map(int, done.stdout.split())
    assert programs == 4
    assert warned == 0
    assert grown < 64


def test_the_warning_names_each_variable_once():
    vs = variables((2,), (2,), (2,))
    optimizer, one = pyadam.Adam(), tf.ones(2)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for there in ("001", "001", "101", "100", "011"):
            optimizer.apply([one if on == "1" else None for on in there], vs)
    named = [str(w.message).split("variables ")[1].split(";")[0] for w in caught]
    assert named == ["v0, v1", "v2"]
