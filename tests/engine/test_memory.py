"""A step copies no weights, gradients or slots, neither in the compiled program nor in the memory of the process."""

import os
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from family import EVERY
from helpers import run_python

import pyadam
from pyadam import specs

OWN = [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}, {"amsgrad": True}, {"centered": True}]
TAKEN = [(name, own) for name in EVERY for own in OWN if own.keys() <= specs.arguments(specs.SPECS[name]).keys()]

DENSE = "gradient"
FORWARD = {"Keras 3": "keras.ops.take(v, [5, 7, 5], axis=0)", "tf_keras": "tf.nn.embedding_lookup(v.value, [5, 7, 5])"}
LOOKED_UP = {host: f"tf.IndexedSlices({rows}, [5, 7, 5], [4096, 4096])" for host, rows in FORWARD.items()}
CASES = {  # optimizer and gradient
    "Adam": ("Adam(1e-3)", DENSE),
    "AdamW, clip, average": ("AdamW(1e-3, global_clipnorm=1.0, use_ema=True)", DENSE),
    "SGD, momentum": ("SGD(1e-3, momentum=0.9)", DENSE),
    **{
        f"{name}, rows, {host}": (f"{name}(1e-3)", g)
        for name in ("SGD", "Adam", "LazyAdam")
        for host, g in LOOKED_UP.items()
    },
}
STEPS = """
import gc, re
from pathlib import Path
import keras, tensorflow as tf
import pyadam

def memory(name):
    return 1024 * int(re.search(rf"{{name}}:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

v = keras.Variable(tf.ones([4096, 4096]))  # 64 MiB
gradient = tf.ones([4096, 4096])
optimizer = pyadam.{optimizer}
step = tf.function(lambda gradient: optimizer.apply([{gradient}], [v]), autograph=False)
for _ in range(16):  # threads keep small blocks that they freed; 64 MiB go back to the system
    step(gradient)
gc.collect()
Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
before = memory("VmRSS")
for _ in range(3):
    step(gradient)
grown = memory("VmHWM") - before
print(grown, len(re.findall(r"\\[4096,4096\\]\\S* copy\\(", optimizer._engine.programs[0].hlo())))
"""


@pytest.mark.sample(1)
@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="the peak can only be read on Linux")
@pytest.mark.parametrize("single_pass", ["0", pytest.param("1", marks=pytest.mark.long)])
@pytest.mark.parametrize("case", CASES)
def test_steps_need_no_memory_beyond_the_state(case, single_pass):
    optimizer, gradient = CASES[case]
    done = run_python(STEPS.format(optimizer=optimizer, gradient=gradient), PYADAM_SINGLE_PASS=single_pass)
    assert done.returncode == 0, done.stderr
    grown, copies = map(int, done.stdout.split())
    assert copies == 0
    assert grown < 16 << 20, f"{grown / 2**20:.0f} MiB beyond what was in use after the first steps"


@pytest.mark.sample(2)
@pytest.mark.parametrize(("name", "own"), TAKEN)
def test_programs_copy_no_state(name, own):
    v = keras.Variable(np.ones((128, 128)), dtype="float32")
    optimizer = getattr(pyadam, name)(**own)
    optimizer.apply([tf.ones(v.shape)], [v])
    assert re.findall(r"\[128,128\]\S* copy\(", optimizer._engine.programs[0].hlo()) == []
