"""Damages saved files in every region and loads them; prints how each kind of damage ended.

Arguments: the host, the format, the size of a region in bytes, a folder. Each damaged file is loaded in a fork that has ten
seconds. The endings: "refused", an error, and the optimizer is as it was or, if only the weights of the model are damaged, as
it was saved; "whole", loaded with the state that was saved; "other", loaded with another state; "half", an error, and the
optimizer has another state; "hang"; "hang of Keras", which hangs without an optimizer, too; "crash".
"""

import collections
import json
import logging
import os
import random
import shutil
import signal
import sys
import time
import warnings
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
import tf_keras

import pyadam
import pyadam.tf_keras

HOSTS = {"keras": (keras, pyadam), "tf_keras": (tf_keras, pyadam.tf_keras)}
ENDINGS = ["refused", "whole", "other", "half"]
SECONDS = 10


def made(host, seed=0):
    """A model after two steps; the gradients, and so the state, depend on the seed."""
    k, p = HOSTS[host]
    k.utils.set_random_seed(seed)
    model = k.Sequential([k.layers.InputLayer((3,)), *(k.layers.Dense(3) for _ in range(6)), k.layers.Dense(2)])
    model.compile(p.Adam(0.1, jit_compile=False), k.losses.MeanSquaredError())
    model.fit(np.full((8, 3), seed + 1.0), np.ones((8, 2)), batch_size=4, verbose=0)
    return model


def save(model, kind, path):
    if kind == "checkpoint":
        tf.train.Checkpoint(optimizer=model.optimizer).write(str(path))
    elif "weights" in kind:
        model.save_weights(str(path))
    else:
        model.save(str(path), **({"save_format": "tf"} if kind == "saved_model" else {}))


def loaded(model, host, kind, path):
    """The model with the saved state; that of whole models is another one, whose optimizer takes its state when it is built."""
    if kind == "checkpoint":
        tf.train.Checkpoint(optimizer=model.optimizer).read(str(path)).assert_existing_objects_matched()
    elif "weights" in kind:
        model.load_weights(str(path))
    else:
        model = HOSTS[host][0].models.load_model(str(path))
        model.optimizer.build(model.trainable_variables)
    return model


def state(model):
    return [np.array(v.numpy()).tobytes() for v in model.optimizer.variables]


def damages(raw, region, draw):
    """(kind of damage, damaged bytes), for every region of a file."""
    for at in range(0, len(raw), region):
        yield "zeros", raw[:at] + bytes(len(raw[at : at + region])) + raw[at + region :]
        bit = draw.randrange(at * 8, min(at + region, len(raw)) * 8)
        flipped = bytearray(raw)
        flipped[bit // 8] ^= 1 << bit % 8
        yield "one bit", bytes(flipped)
        yield "cut off", raw[:at]
    yield "another file", b"This is a text.\n" * 99
    yield "longer", raw + bytes(region)


def ending(load, model, wanted):
    """How loading a file ends, in a fork."""
    pid = os.fork()
    if pid == 0:
        before = state(model)
        try:
            after = state(load())
            result = "whole" if after == wanted else "other"
        except Exception:
            result = "refused" if state(model) in (before, wanted) else "half"
        os._exit(ENDINGS.index(result))
    deadline = time.monotonic() + SECONDS
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return ENDINGS[os.WEXITSTATUS(status)] if os.WIFEXITED(status) else "crash"
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return "hang"
        time.sleep(0.002)


def main(host, kind, region, folder):
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    path = Path(folder) / ("c" if kind == "checkpoint" else f"m.{kind}")
    saved, model = made(host), made(host, seed=1)
    save(saved, kind, path)
    wanted = state(saved)
    files = sorted(path.parent.glob("c.*")) if kind == "checkpoint" else [path]
    found = collections.defaultdict(collections.Counter)
    for file in files:
        whole = file.with_name("whole")
        shutil.copy(file, whole)
        for damage, content in damages(whole.read_bytes(), region, random.Random(0)):
            file.write_bytes(content)
            found[damage][ended := ending(lambda: loaded(model, host, kind, path), model, wanted)] += 1
            if ended == "hang" and kind == "h5":  # whose config Keras reads before any of our code runs
                bare = ending(lambda: HOSTS[host][0].models.load_model(str(path), compile=False), model, wanted)
                if bare == "hang":
                    found[damage] += collections.Counter({"hang of Keras": 1})
                    found[damage][ended] -= 1
        shutil.copy(whole, file)
    print(json.dumps({damage: {name: n for name, n in endings.items() if n} for damage, endings in found.items()}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
