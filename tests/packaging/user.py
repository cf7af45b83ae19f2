"""A typical user script: it runs, and both type checkers accept it."""

from collections.abc import Callable
from typing import Literal

import keras
import numpy as np
import tensorflow as tf
import tf_keras

import pyadam
import pyadam.tf_keras
from pyadam import AdamW
from pyadam.keras3 import Nadam, Optimizer
from pyadam.tf_keras import Optimizer as Older
from pyadam.xla import is_single_pass

versions: dict[str, str] = pyadam.info()
version: str = pyadam.__version__
pyadam.xla.single_pass()
assert is_single_pass()

# --- optimizers -----------------------------------------------------------------------------------------------------------

optimizer = pyadam.Adam(1e-3, 0.9, beta_2=0.99, global_clipnorm=1, name="mine", jit_compile=True, slot_dtype=None)
rates = [
    pyadam.Adam(learning_rate=np.float32(0.1), beta_1=np.float64(0.9), gradient_accumulation_steps=np.int64(2)),
    pyadam.Adam(tf.constant(0.1)),
    pyadam.Adam(lambda: 0.1, beta_1=lambda: 0.9),
    pyadam.Adam(keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)),
    pyadam.Adam(pyadam.learning_rate_schedule_cosine_decay(0.1, 10, alpha=0.1, name="cosine")),
]


class Warmup(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        return tf.minimum(0.1, 0.01 * tf.cast(step, tf.float32))

    def get_config(self) -> dict[str, float]:
        return {}


class Slower(pyadam.Adam):
    def __init__(self, rate: float) -> None:
        super().__init__(rate / 2, beta_1=0.5)


def rate_of(optimizer: Optimizer | Older) -> float:
    return float(optimizer.learning_rate)


slower: float = rate_of(Slower(0.1)) + rate_of(pyadam.tf_keras.SGD(0.1, momentum=tf.Variable(tf.constant(0.5))))
made: dict[str, Callable[[], keras.optimizers.Optimizer]] = {"adam": pyadam.Adam, "r": pyadam.optimizer_adam}
muon = pyadam.Muon(Warmup(), exclude_layers=["head"], muon_a=3, rms_rate=None)
sgd = pyadam.optimizer_sgd(0.1, momentum=0.9, nesterov=True, clipvalue=1.0)
dtype: Literal["bfloat16"] = "bfloat16"
lion = pyadam.optimizer_lion(slot_dtype=dtype)
others = [AdamW(weight_decay=0.01), Nadam(1), pyadam.LazyAdam()]
pieces = pyadam.learning_rate_schedule_piecewise_constant_decay(boundaries=(10, 20), values=[1, 0.5, 0.25])
scaled = pyadam.LossScaleOptimizer(pyadam.RMSprop(pieces), initial_scale=2.0**10, dynamic_growth_steps=100)
keras_inside = pyadam.optimizer_loss_scale(keras.optimizers.Adam(0.1))

# --- attributes -----------------------------------------------------------------------------------------------------------

again: pyadam.Adam = pyadam.Adam.from_config(optimizer.get_config())
beta: float = optimizer.beta_1
optimizer.beta_1 = beta / 2
optimizer.beta_2 = lambda: 0.9
optimizer.epsilon *= 2
optimizer.epsilon = np.float32(1e-7)
optimizer.global_clipnorm = 2
norm: float | None = optimizer.global_clipnorm
momentum: float = sgd.momentum
nesterov: bool = sgd.nesterov
optimizer.learning_rate = 0.01
optimizer.learning_rate = keras.optimizers.schedules.CosineDecay(0.1, 10)
optimizer.learning_rate = lambda: 0.5
rate = float(optimizer.learning_rate)
optimizer.exclude_from_weight_decay(var_names=["bias"])
kind: str = pyadam.Adam.__name__
name: str = optimizer.name

# --- training -------------------------------------------------------------------------------------------------------------

x, y = np.ones((8, 4), "float32"), np.ones((8, 1), "float32")
averaging = pyadam.Adam(0.01, use_ema=True)
model = keras.Sequential([keras.layers.Dense(1)])
model.compile(averaging, loss="mse")
model.fit(x, y)
with averaging.averaged_weights():
    model.evaluate(x, y)
model.compile(optimizer=scaled, loss="mse", metrics=["mae"])

weight = tf.Variable(tf.ones([2]))
steps = pyadam.Adam(0.1)
steps.build([weight])
steps.apply([tf.ones([2])])
steps.apply_gradients([(tf.ones([2]), weight)])
count = int(steps.iterations)
states = [variable.name for variable in steps.variables]

older = pyadam.tf_keras.Adam(0.1, beta_1=0.8, use_ema=True)
older.beta_1 = 0.9
older.learning_rate = 0.2
old_model = tf_keras.Sequential([tf_keras.layers.Dense(1)])
old_model.compile(optimizer=older, loss="mse")
old_model.fit(x, y)
with older.averaged_weights():
    averages: object = old_model.get_weights()
old_scaled = pyadam.tf_keras.LossScaleOptimizer(pyadam.tf_keras.SGD(0.1), dynamic_growth_steps=10)
