"""Run by test_resume.py, one process for each worker: `fit` with `Resume` on several workers, one of which is killed.

python on_workers.py HOST FOLDER [EPOCH BATCH]  prints what came out as JSON; the second worker is killed after that batch
"""

import hashlib
import json
import logging
import os
import signal
import sys
import warnings
from typing import Any

import numpy as np
import tensorflow as tf

tf.get_logger().setLevel(logging.ERROR)
warnings.simplefilter("ignore")
WORKER = int(json.loads(os.environ["TF_CONFIG"])["task"]["index"])
STRATEGY = tf.distribute.MultiWorkerMirroredStrategy()

import keras  # noqa: E402
import tf_keras  # noqa: E402

import pyadam.distribute  # noqa: E402
import pyadam.tf_keras  # noqa: E402

HOSTS = {"keras": (keras, pyadam), "tf_keras": (tf_keras, pyadam.tf_keras)}
X = np.random.default_rng(0).normal(size=(48, 4)).astype("float32")
Y = X.sum(1, keepdims=True)


def killed_after(host: Any, epoch: int, batch: int) -> Any:
    class Kill(host.callbacks.Callback):  # type: ignore[misc]
        _supports_tf_logs = True

        def on_epoch_begin(self, number: int, logs: Any = None) -> None:
            self.now = number

        def on_train_batch_end(self, number: int, logs: Any = None) -> None:
            if WORKER == 1 and (self.now, number) == (epoch, batch):
                os.kill(os.getpid(), signal.SIGKILL)

    return Kill()


def main(name: str, folder: str, *stop: str) -> Any:
    host, ours = HOSTS[name]
    host.utils.set_random_seed(1)
    with STRATEGY.scope():
        inputs = host.Input((4,))
        hidden = host.layers.Dropout(0.5)(host.layers.Dense(8, activation="relu")(inputs))
        model = host.Model(inputs, host.layers.Dense(1)(hidden))
        model.compile(ours.Adam(0.01, clipnorm=1.0, use_ema=True), "mse", metrics=["mae"])
    if host is keras:
        pyadam.distribute.on_workers(model)
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    data = tf.data.Dataset.from_tensor_slices((X, Y)).shuffle(48, seed=5).batch(12).with_options(options)
    callbacks = [pyadam.Resume(folder, every=1)]
    if stop:
        callbacks.append(killed_after(host, *map(int, stop)))
    history = model.fit(data, epochs=3, verbose=0, callbacks=callbacks)
    values = [*(np.array(v.numpy()) for v in model.weights), *(np.array(v.numpy()) for v in model.optimizer.variables)]
    digest = hashlib.sha256(b"".join(np.ascontiguousarray(v).tobytes() for v in values)).hexdigest()[:16]
    return [digest, {key: [float(v) for v in each] for key, each in history.history.items()}, history.epoch]


if __name__ == "__main__":
    try:
        print(json.dumps(main(*sys.argv[1:])), flush=True)
    except Exception as error:
        if os.environ.get("TRACEBACK"):
            raise
        print(json.dumps(f"{type(error).__name__}: {str(error)[:300]}"), flush=True)
    os._exit(0)
