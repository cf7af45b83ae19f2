"""Loops whose number of elements can't be divided evenly are scalar in XLA; where pyadam chooses the number it is another."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from family import ONE_OF_EACH_KIND
from helpers import assert_same, values

import pyadam
from pyadam.engine import arena, lanes

pytestmark = pytest.mark.filterwarnings("ignore:.*Gradients do not exist")

NUMBER, SHAPE = 7, (61, 61)  # 26,047 elements, which two threads can't halve
EVEN = 26880

ARGUMENTS = {
    "plain": {},
    "clipnorm": {"clipnorm": 0.1},
    "global": {"global_clipnorm": 0.1, "loss_scale_factor": 4.0},
    "accumulation": {"gradient_accumulation_steps": 2, "use_ema": True, "ema_overwrite_frequency": 3},
    "rounded slots": {"slot_dtype": "bfloat16"},
}


def trained(name="Adam", **arguments):
    rng = np.random.default_rng(5)
    vs = [keras.Variable(rng.normal(size=SHAPE), dtype="float32") for _ in range(NUMBER)]
    optimizer = getattr(pyadam, name)(0.01, **arguments)
    for k in range(5):
        gs = [tf.constant(rng.normal(size=v.shape), "float32") for v in vs]
        gs[1] = None if k in (1, 2) else gs[1]
        optimizer.apply(gs, vs)
    return optimizer, vs


def test_small_variables_share_loops_that_can_be_divided():
    """A step of 101 such variables takes 1.4 ms, and took 1.9; in a single pass 1.2 and 2.6 ms."""
    optimizer, _ = trained()
    hlo = optimizer._engine.programs[0].hlo()
    loops = re.findall(r"f32\[(\d+)\]\S* fusion\(", hlo[hlo.index("\nENTRY") :])
    assert loops
    assert set(loops) == {str(EVEN)}


@pytest.mark.sample(4)
@pytest.mark.parametrize("arguments", ARGUMENTS)
@pytest.mark.parametrize("name", ONE_OF_EACH_KIND)
def test_what_fills_them_up_changes_no_bit(name, arguments, monkeypatch):
    def all_values():
        optimizer, vs = trained(name, **ARGUMENTS[arguments])
        return values([*vs, *optimizer.variables])

    filled = all_values()
    for module in (arena, lanes):
        monkeypatch.setattr(module, "padding", lambda size: 0)
    assert_same(filled, all_values())


def test_the_vector_of_a_tables_rows_can_be_divided_too():
    """In a compiled step with rows of a 1 M x 64 table SGD takes 1.7 times as long as Keras' own, and took 2.2 times."""
    table, optimizer = tf.Variable(tf.zeros([20001, 2])), pyadam.SGD()
    optimizer.build([table])

    @tf.function(jit_compile=True)
    def step(index, rows):
        optimizer.apply([tf.IndexedSlices(rows, index, tf.constant([20001, 2]))], [table])

    given = tf.constant([3, 20000, 3], tf.int64), tf.ones([3, 2])
    hlo = step.experimental_get_compiler_ir(*given)(stage="optimized_hlo")
    assert set(re.findall(r"s32\[(\d{5,})\]", hlo)) == {"20160"}
