"""Two workers train one model.

Each has half of every batch. Started without `TF_CONFIG`, this script is the first worker, and starts the second. The gradients
are added up at each step, so both end with the same bits. `on_workers()` makes Keras 3's `fit()` work there.

python examples/gallery/two_workers.py [PICTURE]
"""

import contextlib
import json
import os
import socket
import subprocess
import sys

import keras
import picture
import tensorflow as tf
from keras import layers
from sklearn.datasets import load_digits

from pyadam import Adam
from pyadam.distribute import on_workers

is_first = "TF_CONFIG" not in os.environ
if is_first:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        cluster = {"worker": [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]}
    first, second = (json.dumps({"cluster": cluster, "task": {"type": "worker", "index": i}}) for i in range(2))
    os.environ["TF_CONFIG"] = second
    other = subprocess.Popen([sys.executable, __file__], stdout=subprocess.PIPE, text=True)
    os.environ["TF_CONFIG"] = first

strategy = tf.distribute.MultiWorkerMirroredStrategy()  # before anything else of TensorFlow
keras.utils.set_random_seed(1)
with strategy.scope():
    model = keras.Sequential(
        [keras.Input([64]), layers.Dense(64, activation="relu"), layers.Dense(10, activation="softmax")]
    )
    model.compile(optimizer=Adam(2e-3), loss="sparse_categorical_crossentropy")

digits = load_digits()
data = tf.data.Dataset.from_tensor_slices((digits.data / 16, digits.target))
known, unseen = data.take(1408).shuffle(1408, seed=1).batch(64), data.skip(1408).batch(64)


def progress(epoch, logs):
    if is_first:
        print(f"epoch {epoch + 1:2}: loss {logs['loss']:.4f}, unseen digits {logs['val_loss']:.4f}", flush=True)


model = on_workers(model)
losses = model.fit(
    known,
    validation_data=unseen,
    epochs=12,
    verbose=0,
    callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=progress)],
).history

result = "loss {:.9g}, unseen digits {:.9g}".format(losses["loss"][-1], losses["val_loss"][-1])
if not is_first:
    print(result)
    sys.exit()
print(f"\nthe first worker:  {result}")
print(f"the second worker: {other.communicate()[0].strip()}")

if len(sys.argv) > 1:
    lines = {"training": losses["loss"], "unseen digits": losses["val_loss"]}
    picture.draw(sys.argv[1], {"lines": lines, "title": "loss", "xlabel": "epoch"})
