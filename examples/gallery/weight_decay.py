"""Fine-tuning with weight decay, but not of biases and scales.

A network learns from most of scikit-learn's table of breast tumors. AdamW then trains it further at a lower rate, once with
decay on all weights and once with the usual exclusions. Without them the scales of the normalization shrink, too.

python examples/gallery/weight_decay.py [PICTURE]
"""

import sys

import keras
import picture
from keras import layers
from sklearn.datasets import load_breast_cancer

from pyadam import Adam, AdamW

x, y = load_breast_cancer(return_X_y=True)
known, unseen = slice(0, 400), slice(400, None)

keras.utils.set_random_seed(1)
normalization = layers.BatchNormalization(momentum=0.9)
model = keras.Sequential(
    [
        keras.Input([30]),
        layers.BatchNormalization(momentum=0.9, scale=False, center=False),
        layers.Dense(32, use_bias=False),
        normalization,
        layers.Activation("relu"),
        layers.Dense(1, activation="sigmoid"),
    ]
)
model.compile(optimizer=Adam(2e-3), loss="binary_crossentropy")
model.fit(x[known], y[known], epochs=10, verbose=0)
before = model.get_weights()


def fine_tune(*excluded):
    """The losses on unseen tumors, and the mean scale of the normalization after each epoch."""
    keras.utils.set_random_seed(2)
    model.set_weights(before)
    optimizer = AdamW(1e-3, weight_decay=1.0)
    optimizer.exclude_from_weight_decay(var_names=list(excluded))
    model.compile(optimizer=optimizer, loss="binary_crossentropy")
    scales = []

    def progress(epoch, logs):
        scales.append(float(keras.ops.mean(normalization.gamma)))
        print(f"epoch {epoch + 1:2}: unseen {logs['val_loss']:.4f}, mean scale {scales[-1]:.4f}", flush=True)

    callback = keras.callbacks.LambdaCallback(on_epoch_end=progress)
    losses = model.fit(
        x[known], y[known], epochs=15, validation_data=(x[unseen], y[unseen]), verbose=0, callbacks=[callback]
    ).history
    return losses["val_loss"], scales


print("decay on all weights")
everything, shrunk = fine_tune()
print("decay without biases and scales")
excluding, kept = fine_tune("bias", "gamma", "beta")

print(f"\ndecay on all       unseen {everything[-1]:.9g}, mean scale {shrunk[-1]:.9g}")
print(f"with exclusions    unseen {excluding[-1]:.9g}, mean scale {kept[-1]:.9g}")

if len(sys.argv) > 1:
    picture.draw(
        sys.argv[1],
        {"lines": {"all": everything, "exclusions": excluding}, "title": "loss, unseen tumors", "xlabel": "epoch"},
        {"lines": {"all": shrunk, "exclusions": kept}, "title": "mean scale", "xlabel": "epoch"},
    )
