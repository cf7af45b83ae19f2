"""Arguments, slots and formulas shared by several optimizers."""

import math
from types import SimpleNamespace
from typing import Any

from pyadam.optimizers.kinds import DynamicNumber, Flag, LearningRate, Number, is_off
from pyadam.optimizers.rule import Scalars, Slot, Tensor, same_slots
from pyadam.optimizers.spec import NON_NEGATIVE, UNIT_INTERVAL, argument
from pyadam.optimizers.tensorflow import tf

__all__ = [
    "ANY_NUMBER",
    "DECAY_RATE",
    "KINGMA_BA",
    "MOMENTS",
    "NON_POSITIVE",
    "accumulator_field",
    "amsgrad_field",
    "beta_1_field",
    "beta_2_field",
    "epsilon_field",
    "epsilon_in_root_field",
    "learning_rate_field",
    "mean_scalars",
    "moments",
    "momentum_field",
    "momentum_slot",
    "nesterov_field",
    "rate_alone",
    "rho_field",
    "mean_of_squares",
    "running_mean",
    "weight_slot",
]

ANY_NUMBER = DynamicNumber()
DECAY_RATE = DynamicNumber(low=0.0, high=1.0, high_open=True)
NON_POSITIVE = DynamicNumber(high=0.0)

KINGMA_BA = "Kingma and Ba (2014), Adam: A Method for Stochastic Optimization, https://arxiv.org/abs/1412.6980, "

# --- arguments -----------------------------------------------------------------------------------------------------------


def learning_rate_field(default: float) -> Any:
    """The field ``learning_rate``."""
    kind = LearningRate(low=0.0)
    return argument(default, kind, "Step size. Variables are read and functions are called at every step.")


def beta_1_field() -> Any:
    """The field ``beta_1``."""
    return argument(0.9, DECAY_RATE, "Decay rate of the first moment m.")


def beta_2_field() -> Any:
    """The field ``beta_2``."""
    return argument(0.999, DECAY_RATE, "Decay rate of the second moment v.")


def epsilon_field() -> Any:
    """The field ``epsilon`` of rules that divide by sqrt(v) + epsilon."""
    doc = 'Added to the root of v, outside the bias correction ("epsilon hat" in the paper).'
    return argument(1e-7, NON_NEGATIVE, doc)


def epsilon_in_root_field() -> Any:
    """The field ``epsilon`` of rules that divide by sqrt(v + epsilon)."""
    return argument(1e-7, NON_NEGATIVE, "Added to the mean of squares, inside the root.")


def amsgrad_field() -> Any:
    """The field ``amsgrad``."""
    return argument(False, Flag(), "Whether to divide by the largest v seen so far (Reddi et al., 2018).")


def momentum_field() -> Any:
    """The field ``momentum`` of rules that add a fraction of the previous step."""
    return argument(0.0, UNIT_INTERVAL, "Fraction of the previous step that is added to the current one.")


def nesterov_field(default: bool) -> Any:
    """The field ``nesterov``."""
    return argument(default, Flag(), "Whether to use Nesterov momentum.")


def rho_field(default: float) -> Any:
    """The field ``rho``."""
    return argument(default, UNIT_INTERVAL, "Decay rate of the running mean of squared gradients.")


def accumulator_field() -> Any:
    """The field ``initial_accumulator_value``."""
    return argument(0.1, Number(low=0.0), "Initial value of the sums of squared gradients.")


# --- slots and mathematics -----------------------------------------------------------------------------------------------

MOMENTS = same_slots(("momentum", "velocity"))


def momentum_slot(h: Any) -> tuple[tuple[Slot, ...], ...]:
    """The group of slots that holds the previous step, if a fraction of it is added."""
    return ((Slot("momentum"),),) if not is_off(h.momentum) else ()


def weight_slot(h: Any, name: str) -> Slot:
    """A slot that holds a weight: it starts as the variable's own, and is never rounded to bfloat16."""
    return Slot(name, start=None, dtype="float32" if h.slot_dtype else None)


def running_mean(c: SimpleNamespace, gain: Tensor, mean: Tensor, value: Tensor) -> Tensor:
    """A running mean with one more value, which weighs ``gain``."""
    return mean + c.rounded(gain * (value - mean))


def mean_of_squares(c: SimpleNamespace, gain: Tensor, mean: Tensor, square: Tensor) -> Tensor:
    """A running mean of squares. Once a square was too large for the dtype it stays infinite, as in Keras: inf - inf is NaN."""
    return tf.where(tf.equal(mean, math.inf), mean, running_mean(c, gain, mean, square))


def moments(c: SimpleNamespace, g: Tensor, s: SimpleNamespace) -> tuple[Tensor, Tensor]:
    """The running means of the gradient and of its square: m + (1 - beta_1)(g - m) and v + (1 - beta_2)(g^2 - v)."""
    m = running_mean(c, c.gain_1, s.momentum, g)
    v = running_mean(c, c.gain_2, s.velocity, c.rounded(g * g))
    return m, v


def rate_alone(h: Any, t: Tensor, lr: Tensor, shared: SimpleNamespace) -> tuple[Scalars, Scalars]:
    """The learning rate, for rules that need nothing else."""
    return {"lr": lr}, {}


def mean_scalars(h: Any, t: Tensor, lr: Tensor, shared: SimpleNamespace) -> tuple[Scalars, Scalars]:
    """The learning rate, and the weight 1 - rho of the new value in a running mean."""
    return {"lr": lr, "gain": 1.0 - h.rho}, {}
