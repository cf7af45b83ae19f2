"""A training that is killed, and resumed.

A first process is killed in the middle of its fifth epoch. The same training with the same folder, started again, resumes from
the last snapshot, dropout and shuffle included. A third one, which nobody kills, ends with the same numbers.

python examples/gallery/resume.py [PICTURE]
"""

import os
import signal
import subprocess
import sys
import tempfile

import keras
import picture
from keras import layers
from sklearn.datasets import load_digits

from pyadam import Adam, Resume

digits = load_digits()
x, y = digits.data / 16, digits.target


def train(folder, *callbacks):
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input([64]),
            layers.Dense(64, activation="relu"),
            layers.Dropout(0.3),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(optimizer=Adam(2e-3), loss="sparse_categorical_crossentropy")

    def progress(epoch, logs):
        print(f"epoch {epoch + 1}: loss {logs['loss']:.6f}", flush=True)

    callbacks = [Resume(folder, every=10), keras.callbacks.LambdaCallback(on_epoch_end=progress), *callbacks]
    return model.fit(x, y, epochs=8, validation_split=0.2, verbose=0, callbacks=callbacks).history


def kill(batch, logs):
    """Ends this process in the middle of its fifth epoch, as a power cut would."""
    kill.batches += 1
    if kill.batches == 4 * 45 + 25:
        os.kill(os.getpid(), signal.SIGKILL)


kill.batches = 0
if sys.argv[1:2] == ["killed"]:
    train(sys.argv[2], keras.callbacks.LambdaCallback(on_train_batch_end=kill))

with tempfile.TemporaryDirectory() as folder:
    print("until it is killed", flush=True)
    subprocess.run([sys.executable, __file__, "killed", f"{folder}/killed"], check=False)
    print("started again", flush=True)
    resumed = train(f"{folder}/killed")
    print("without a kill", flush=True)
    whole = train(f"{folder}/whole")

print(f"\nresumed        {resumed['loss'][-1]:.9g}, unseen digits {resumed['val_loss'][-1]:.9g}")
print(f"without a kill {whole['loss'][-1]:.9g}, unseen digits {whole['val_loss'][-1]:.9g}")

if len(sys.argv) > 1:
    lines = {"without a kill": whole["loss"], "resumed": (range(5, 9), resumed["loss"][4:])}
    marks = {4 + 25 / 45: "killed"}
    picture.draw(sys.argv[1], {"lines": lines, "marks": marks, "title": "loss", "xlabel": "epoch"})
