"""Gradients that are missing in any pattern: few programs, memory that stays flat, and the bits of a program of one's own."""

import math
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from family import EVERY
from helpers import WIDTH, assert_same, values

import pyadam
import pyadam.tf_keras
from pyadam.engine import step
from pyadam.engine.lanes import SMALL
from pyadam.rules import RULES
from pyadam.specs import SPECS, arguments

pytestmark = pytest.mark.filterwarnings("ignore:.*Gradients do not exist for variables")

ROWS = 2 * SMALL
SHAPES = [(3, 4), (5,), (), (0,), (70, 80), (SMALL + 1,), (2, 2), (16, 3)]
ALL = [
    {},
    {"weight_decay": 0.1, "global_clipnorm": 1.0, "use_ema": True, "ema_overwrite_frequency": 3},
    {"clipnorm": 0.5, "gradient_accumulation_steps": 2, "loss_scale_factor": 8.0},
    {"clipvalue": 0.5, "gradient_accumulation_steps": 3, "use_ema": True},
]
OWN = [{"amsgrad": True}, {"momentum": 0.9, "nesterov": True}, {"momentum": 0.9, "centered": True}]
TAKEN = [(name, own) for name in EVERY for own in OWN if own.keys() <= arguments(SPECS[name]).keys()]
CASES = [(name, given) for name in EVERY for given in ALL] + TAKEN
CASES += [("Adam", {"slot_dtype": "bfloat16", "use_ema": True}), ("SGD", {"momentum": 0.9, "slot_dtype": "bfloat16"})]
CASES += [("Adam", {"jit_compile": False, "global_clipnorm": 1.0})]


def run(monkeypatch, masks, name, given, dtype="float32", steps=7, shapes=SHAPES):
    """Weights and state after steps in which gradients are missing by lot."""
    monkeypatch.setattr(step, "_FIRST", 0 if masks else 1000)
    monkeypatch.setattr(step, "_OWN", 0 if masks else 1000)
    rng = np.random.default_rng(3)
    dtypes = [dtype if dtype != "mixed" else ("float32", "float64")[i % 2] for i in range(len(shapes))]
    vs = [keras.Variable(rng.standard_normal(s), dtype=d, name=f"v{i}") for i, (s, d) in enumerate(zip(shapes, dtypes))]
    vs[1].constraint = vs[4].constraint = keras.constraints.MaxNorm(1.5)
    vs[-1].overwrite_with_gradient = True
    optimizer = getattr(pyadam, name)(0.1, **given)
    optimizer.build(vs)
    for _ in range(steps):
        there = rng.random(len(vs)) < 0.6
        there[rng.integers(len(vs))] = True
        gs = [tf.constant(rng.standard_normal(v.shape), v.dtype) for v in vs]
        optimizer.apply([g if on else None for g, on in zip(gs, there, strict=True)], vs)
    return optimizer, values([*vs, *optimizer.variables])


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "mixed"])
@pytest.mark.parametrize(("name", "given"), CASES, ids=str)
def test_masks_have_the_bits_of_the_patterns_own_program(monkeypatch, name, given, dtype):
    if "slot_dtype" in given and dtype in ("float64", "mixed"):
        pytest.skip("refused")
    masked, found = run(monkeypatch, True, name, given, dtype)
    own, right = run(monkeypatch, False, name, given, dtype)
    assert len(masked._engine._common) == 1 and not masked._engine._own
    assert len(own._engine._own) > 4 and not own._engine._common
    assert_same(found, right)
