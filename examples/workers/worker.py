"""One of several workers that train a small network together. worker.R is the same in R; run.py starts either.

TF_CONFIG='{"cluster": {"worker": ["127.0.0.1:2222", "127.0.0.1:2223"]}, "task": {"type": "worker", "index": 0}}' \
    python examples/workers/worker.py FOLDER [divided]

prints the loss of each step, and saves checkpoints in FOLDER/0, FOLDER/1 and so on, a folder for each worker. Started again,
all workers continue from the last checkpoint of the first one. With "divided" each worker keeps only its part of the state.
"""

import sys
from pathlib import Path

import keras
import tensorflow as tf
from sklearn.datasets import load_digits

from pyadam import optimizer_adam

STEPS, SAVE_EVERY, BATCH = 200, 25, 32  # the batch is that of one worker

strategy = tf.distribute.MultiWorkerMirroredStrategy()  # before anything else of TensorFlow
workers = strategy.num_replicas_in_sync
worker = strategy.cluster_resolver.task_id

with strategy.scope():
    keras.utils.set_random_seed(7)
    model = keras.Sequential(
        [
            keras.layers.Input([64]),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    optimizer = optimizer_adam(1e-3, shard_state="divided" in sys.argv)
    optimizer.build(model.trainable_variables)

digits = load_digits()


def batch(step):
    """This worker's part of the batch of a step: by the number of the step, so that training resumes with the same batches."""
    first = (step * workers + worker) * BATCH
    rows = [row % len(digits.target) for row in range(first, first + BATCH)]
    return tf.constant(digits.data[rows] / 16, tf.float32), tf.constant(digits.target[rows])


@tf.function
def train_step(images, labels):
    def replica_step(images, labels):
        with tf.GradientTape() as tape:
            losses = keras.losses.sparse_categorical_crossentropy(labels, model(images, training=True))
            loss = tf.reduce_sum(losses) / (BATCH * workers)  # the optimizer adds up the gradients of all workers
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        return loss

    return strategy.reduce("SUM", strategy.run(replica_step, args=(images, labels)), axis=None)


checkpoint = tf.train.Checkpoint(model=model, optimizer=optimizer)
folder = Path(sys.argv[1])
checkpoint.restore(tf.train.latest_checkpoint(folder / "0"))  # of the first worker, for all; if there is none, we begin
manager = tf.train.CheckpointManager(checkpoint, folder / str(worker), max_to_keep=2)

for step in range(int(optimizer.iterations), STEPS):
    loss = train_step(*batch(step))
    print(f"{step + 1} {loss:.9g}", flush=True)
    if (step + 1) % SAVE_EVERY == 0:
        manager.save(checkpoint_number=step + 1)
