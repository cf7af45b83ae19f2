r"""Ftrl: follow the regularized leader, per coordinate.

$$
\begin{aligned}
n' &= n + g^2 \\
z &\leftarrow z + g + 2 \lambda_s w - \frac{n'^{-p} - n^{-p}}{\eta} \, w \\
w &\leftarrow \frac{\operatorname{clip}(z, -\lambda_1, \lambda_1) - z}{n'^{-p} / \eta + 2 \lambda_2 + \beta / \eta}, \qquad
n \leftarrow n'
\end{aligned}
$$

$p$ is `learning_rate_power`, $\lambda_1$, $\lambda_2$ and $\lambda_s$ are the strengths of L1, L2 and shrinkage.

It is for sparse linear models, such as the prediction of clicks from millions of features: a weight is exactly 0
while $|z| \le \lambda_1$. It is computed anew from $z$ and $n$ at every step: where gradients are small, most of its
initial value is gone after the first one, so it is no choice for deep networks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType, SimpleNamespace
from typing import Any

from pyadam.optimizers.kinds import SMALLEST
from pyadam.optimizers.numerics import scalar
from pyadam.optimizers.rule import Rule, Scalars, Slot, Slots, Tensor
from pyadam.optimizers.shared import NON_POSITIVE, accumulator_field, learning_rate_field
from pyadam.optimizers.spec import NON_NEGATIVE, Spec, argument
from pyadam.optimizers.tensorflow import tf

__all__ = ["RULE", "Ftrl"]


@dataclass(frozen=True, kw_only=True)
class Ftrl(Spec):
    """Ftrl: follow the regularized leader; its L1 term sets weights to exactly zero."""

    title = "Ftrl"
    r_name = "optimizer_ftrl"
    reference = (
        "McMahan et al. (2013), Ad Click Prediction: a View from the Trenches, "
        "https://research.google.com/pubs/archive/41159.pdf, algorithm 1."
    )
    example = MappingProxyType({"learning_rate": 0.1, "l1_regularization_strength": 0.01})

    learning_rate: Any = learning_rate_field(0.001)
    learning_rate_power: float = argument(
        -0.5, NON_POSITIVE, "Exponent of the sum of squares in the step size; 0 for no scaling."
    )
    initial_accumulator_value: float = accumulator_field()
    l1_regularization_strength: float = argument(0.0, NON_NEGATIVE, "Strength of the L1 penalty.")
    l2_regularization_strength: float = argument(0.0, NON_NEGATIVE, "Strength of the L2 penalty.")
    l2_shrinkage_regularization_strength: float = argument(
        0.0, NON_NEGATIVE, "Strength of an L2 penalty added to the gradient, which shrinks the weights."
    )
    beta: float = argument(0.0, NON_NEGATIVE, "The paper's beta; beta / learning_rate is added to the L2 term.")


def scalars(h: Any, t: Tensor, lr: Tensor, shared: SimpleNamespace) -> tuple[Scalars, Scalars]:
    """The inverse learning rate, and whether there is one: a rate of 0, where a schedule ends, moves nothing."""
    moves = lr >= SMALLEST
    return {"steepness": 1.0 / tf.where(moves, lr, tf.ones_like(lr)), "moves": tf.cast(moves, tf.float64)}, {}


def update(h: Any, c: SimpleNamespace, w: Tensor, g: Tensor, s: SimpleNamespace) -> tuple[Tensor, Slots]:
    """Follow the regularized leader, per coordinate.

    n' = n + g^2;  z <- z + g + 2 l2_shrinkage w - (n'^-p - n^-p) / lr w, where p is learning_rate_power;
    w <- (clip(z, -l1, l1) - z) / (n'^-p / lr + 2 l2 + beta / lr);  n <- n'

    Source: McMahan et al. (2013), algorithm 1, generalized to shrinkage-type L2 and any power.
    """
    moves = c.moves > 0.0
    g = tf.where(moves, g, tf.zeros_like(g))
    n, power = s.accumulator + c.rounded(g * g), -h.learning_rate_power
    # computing n'^-p - n^-p directly would cancel for small g
    is_root = not tf.is_tensor(power) and power == 0.5
    if is_root:  # g^2 over the sum of both roots, rounded the same on every processor
        root = tf.sqrt(n)
        both = root + tf.sqrt(s.accumulator)
        grown = g * g / tf.where(both > 0.0, both, tf.ones_like(n))
    else:  # n'^-p (1 - (n / n')^-p)
        root = tf.pow(n, power)
        seen = s.accumulator > 0.0
        growth = tf.math.log1p(g * g / tf.where(seen, s.accumulator, tf.ones_like(n)))
        grown = tf.where(seen, -root * tf.math.expm1(-power * growth), root - 0.0**power)
    shrunk = g + c.rounded(2.0 * h.l2_shrinkage_regularization_strength * w)
    shrunk = tf.where(moves, shrunk, tf.zeros_like(g))
    z = s.linear + (shrunk - c.rounded(c.steepness * grown * w))
    quadratic = c.rounded(c.steepness * (root + h.beta)) + 2.0 * h.l2_regularization_strength
    l1 = scalar(h.l1_regularization_strength, z.dtype)
    new = (tf.clip_by_value(z, -l1, l1) - z) / quadratic
    return tf.where(moves, new, w), {"accumulator": n, "linear": z}


def slots(h: Any, shape: Sequence[int], path: str) -> tuple[tuple[Slot, ...], ...]:
    """n, starting from its initial value, and z."""
    return ((Slot("accumulator", h.initial_accumulator_value), Slot("linear")),)


RULE = Rule(
    Ftrl,
    "ftrl",
    scalars,
    update,
    slots,
    single_pass=False,
    weight_first=lambda h: True,
    lists={"_accumulators": "accumulator", "_linears": "linear"},
)
