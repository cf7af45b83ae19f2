r"""Lamb: Adam with steps scaled to each variable's norm.

$$
\begin{aligned}
m &\leftarrow m + (1 - \beta_1)(g - m) \\
v &\leftarrow v + (1 - \beta_2)(g^2 - v) \\
r &= \frac{m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + \epsilon} \\
w &\leftarrow w - \eta \, \frac{\lVert w \rVert}{\lVert r \rVert} \, r
\end{aligned}
$$

The norms are those of each variable; where one is 0, the ratio is 1.

Each variable moves by the same share $\eta$ of its own norm. It was made for batches of thousands, where one learning
rate for all layers makes some diverge. Variables that start at zero take Adam's steps first.
"""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from pyadam.optimizers.numerics import sum_of_squares
from pyadam.optimizers.rule import Rule, Scalars, Slots, Tensor
from pyadam.optimizers.shared import MOMENTS, beta_1_field, beta_2_field, learning_rate_field, moments
from pyadam.optimizers.spec import NON_NEGATIVE, Spec, argument
from pyadam.optimizers.tensorflow import tf

__all__ = ["RULE", "Lamb"]


@dataclass(frozen=True, kw_only=True)
class Lamb(Spec):
    """Lamb: Adam's direction, scaled to the norm of each variable's weights."""

    title = "Lamb"
    r_name = "optimizer_lamb"
    reference = (
        "You et al. (2019), Large Batch Optimization for Deep Learning: Training BERT in 76 minutes, "
        "https://arxiv.org/abs/1904.00962, algorithm 2."
    )

    learning_rate: Any = learning_rate_field(0.001)
    beta_1: Any = beta_1_field()
    beta_2: Any = beta_2_field()
    epsilon: float = argument(1e-7, NON_NEGATIVE, "Added to the root of the bias-corrected v.")


def scalars(h: Any, t: Tensor, lr: Tensor, shared: SimpleNamespace) -> tuple[Scalars, Scalars]:
    """m_hat = m / (1 - beta_1^t) and v_hat = v / (1 - beta_2^t), the bias-corrected moments."""
    c = {
        "lr": lr,
        "gain_1": 1.0 - h.beta_1,
        "gain_2": 1.0 - h.beta_2,
        "correction_1": 1.0 / (1.0 - h.beta_1**t),
        "correction_2": 1.0 / (1.0 - h.beta_2**t),
    }
    return c, {}


def update(h: Any, c: SimpleNamespace, w: Tensor, g: Tensor, s: SimpleNamespace) -> tuple[Tensor, Slots]:
    """Lamb: Adam's direction, scaled to the norm of the weights.

    m and v as in Adam;  r = m_hat / (sqrt(v_hat) + epsilon);  w <- w - lr (|w| / |r|) r, with a ratio of 1 if either norm is 0

    Source: You et al. (2019), algorithm 2, with weight decay applied beforehand.
    """
    m, v = moments(c, g, s)
    r = m * c.correction_1 / (tf.sqrt(v * c.correction_2) + h.epsilon)
    w_norm, r_norm = tf.sqrt(sum_of_squares(w)), tf.sqrt(sum_of_squares(r))
    usable = (w_norm > 0.0) & (r_norm > 0.0)
    ratio = tf.where(usable, w_norm / tf.where(usable, r_norm, tf.ones_like(r_norm)), tf.ones_like(w_norm))
    return w - c.rounded(ratio * c.lr * r), {"momentum": m, "velocity": v}


RULE = Rule(
    Lamb,
    "lamb",
    scalars,
    update,
    MOMENTS,
    magnified=lambda h: 2.0,
    elementwise=False,
    lists={"_momentums": "momentum", "_velocities": "velocity"},
)
