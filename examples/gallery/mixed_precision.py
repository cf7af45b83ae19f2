"""Mixed precision with a scaled loss.

The same network twice: with layers in float32, and with the policy `mixed_float16`. There the weights stay in float32, and
`LossScaleOptimizer` keeps small gradients from vanishing: it multiplies the loss by a factor that it adjusts itself. If the
factor is too large, the step is skipped and the factor halved.

python examples/gallery/mixed_precision.py [PICTURE]
"""

import sys

import keras
import picture
from keras import layers
from sklearn.datasets import load_digits

from pyadam import Adam, LossScaleOptimizer

digits = load_digits()
x, y = digits.data / 16, digits.target


def train(policy, optimizer):
    """The losses of a network whose layers have this policy, and the scale after each epoch."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input([64]),
            layers.Dense(64, activation="relu", dtype=policy),
            layers.Dense(64, activation="relu", dtype=policy),
            layers.Dense(10, activation="softmax", dtype="float32"),  # a softmax needs more digits
        ]
    )
    model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy")
    scales = []

    def progress(epoch, logs):
        scales.append(float(getattr(optimizer, "dynamic_scale", 1)))
        print(f"{policy}, epoch {epoch + 1:2}: loss {logs['loss']:.4f}, scale {scales[-1]:.0f}", flush=True)

    losses = model.fit(
        x,
        y,
        epochs=12,
        validation_split=0.2,
        verbose=0,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=progress)],
    ).history
    return losses, scales


inner = Adam(2e-3)
single, _ = train("float32", Adam(2e-3))
mixed, scales = train("mixed_float16", LossScaleOptimizer(inner, initial_scale=2**20, dynamic_growth_steps=100))

for name, losses in {"float32": single, "mixed_float16": mixed}.items():
    print(f"\n{name}: loss {losses['loss'][-1]:.9g}, unseen digits {losses['val_loss'][-1]:.9g}", end="")
print(f"\nsteps that were taken: {int(inner.iterations)} of {12 * 45}; the scale at the end: {scales[-1]:.9g}")

if len(sys.argv) > 1:
    lines = {"float32": single["val_loss"], "mixed_float16": mixed["val_loss"]}
    picture.draw(
        sys.argv[1],
        {"lines": lines, "title": "loss, unseen digits", "xlabel": "epoch"},
        {"lines": {"scale": scales}, "title": "scale of the loss", "xlabel": "epoch"},
    )
