"""A small transformer guesses the next letter.

Two blocks of attention read scikit-learn's descriptions of six data sets; their last fifth is unseen. AdamW's learning rate
falls to 0 along a cosine, from one step to the next.

python examples/gallery/transformer.py [PICTURE]
"""

import sys

import keras
import numpy as np
import picture
from keras import layers
from sklearn import datasets

from pyadam import AdamW, learning_rate_schedule_cosine_decay

LENGTH, WIDTH, EPOCHS, BATCH = 32, 48, 12, 32
NAMES = ["breast_cancer", "diabetes", "digits", "iris", "linnerud", "wine"]

pages = [getattr(datasets, f"load_{name}")().DESCR for name in NAMES]
text = np.array([ord(letter) % 128 for letter in "".join(pages)])
rows = text[np.arange(0, len(text) - LENGTH, 12)[:, None] + np.arange(LENGTH + 1)]
known = len(rows) * 4 // 5


def block(x):
    """Attention to what came before, and a network for each letter; both are added to what they are given."""
    y = layers.LayerNormalization()(x)
    x = layers.add([x, layers.MultiHeadAttention(4, WIDTH // 4, dropout=0.1)(y, y, use_causal_mask=True)])
    y = layers.LayerNormalization()(x)
    y = layers.Dense(WIDTH)(layers.Dense(2 * WIDTH, activation="gelu")(y))
    return layers.add([x, layers.Dropout(0.1)(y)])


keras.utils.set_random_seed(1)
letters = keras.Input([LENGTH], dtype="int32")
places = keras.ops.cumsum(keras.ops.ones_like(letters), axis=1)  # 1, 2, 3, ...
x = layers.add([layers.Embedding(128, WIDTH)(letters), layers.Embedding(LENGTH + 1, WIDTH)(places)])
x = layers.LayerNormalization()(block(block(x)))
model = keras.Model(letters, layers.Dense(128, activation="softmax")(x))
rate = learning_rate_schedule_cosine_decay(5e-3, decay_steps=EPOCHS * -(-known // BATCH))
model.compile(optimizer=AdamW(rate, weight_decay=0.05), loss="sparse_categorical_crossentropy")


def progress(epoch, logs):
    print(f"epoch {epoch + 1:2}: loss {logs['loss']:.4f}, unseen text {logs['val_loss']:.4f}", flush=True)


losses = model.fit(
    rows[:known, :-1],
    rows[:known, 1:],
    batch_size=BATCH,
    epochs=EPOCHS,
    validation_data=(rows[known:, :-1], rows[known:, 1:]),
    verbose=0,
    callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=progress)],
).history

print(f"\nloss        {losses['loss'][-1]:.9g}")
print(f"unseen text {losses['val_loss'][-1]:.9g}")

if len(sys.argv) > 1:
    lines = {"training": losses["loss"], "unseen text": losses["val_loss"]}
    picture.draw(sys.argv[1], {"lines": lines, "title": "loss of a letter", "xlabel": "epoch"})
