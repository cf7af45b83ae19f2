r"""Adan: Adam with Nesterov momentum computed from differences of gradients.

$$
\begin{aligned}
m &\leftarrow m + (1 - \beta_1)(g - m) \\
d &\leftarrow d + (1 - \beta_2)(g - g' - d) \\
v &\leftarrow v + (1 - \beta_3)\left((g + \beta_2 (g - g'))^2 - v\right) \\
w &\leftarrow w - \eta \, \frac{m / (1 - \beta_1^t) + \beta_2 \, d / (1 - \beta_2^t)}{\sqrt{v / (1 - \beta_3^t)} + \epsilon}
\end{aligned}
$$

$g'$ is the gradient of the step before; at the first step it is $g$.

The differences of gradients stand for Nesterov's look-ahead, which no second evaluation of the loss is needed for.
"""

from dataclasses import dataclass
from types import MappingProxyType, SimpleNamespace
from typing import Any

from pyadam.optimizers.rule import Rule, Scalars, Slots, Tensor, same_slots
from pyadam.optimizers.shared import DECAY_RATE, learning_rate_field, mean_of_squares, running_mean
from pyadam.optimizers.spec import NON_NEGATIVE, Spec, argument
from pyadam.optimizers.tensorflow import tf

__all__ = ["RULE", "Adan"]


@dataclass(frozen=True, kw_only=True)
class Adan(Spec):
    """Adan: Nesterov momentum from the differences of successive gradients, scaled as in Adam."""

    title = "Adan"
    r_name = "optimizer_adan"
    reference = (
        "Xie et al. (2022), Adan: Adaptive Nesterov Momentum Algorithm for Faster Optimizing Deep Models, "
        "https://arxiv.org/abs/2208.06677, algorithm 1. Decay rates are one minus the paper's, and means are corrected for "
        "their start at zero, as in its authors' program; decay as in AdamW (there: no_prox=True)."
    )
    example = MappingProxyType({"learning_rate": 0.001})
    in_keras = False

    learning_rate: Any = learning_rate_field(0.001)
    beta_1: Any = argument(0.98, DECAY_RATE, "Decay rate of the mean of gradients, m.")
    beta_2: Any = argument(0.92, DECAY_RATE, "Decay rate of the mean of gradients' differences, d, and their weight.")
    beta_3: Any = argument(0.99, DECAY_RATE, "Decay rate of the second moment, v.")
    epsilon: float = argument(1e-8, NON_NEGATIVE, "Added to the root of the corrected v.")


def scalars(h: Any, t: Tensor, lr: Tensor, shared: SimpleNamespace) -> tuple[Scalars, Scalars]:
    """The learning rate, decay rates, and bias corrections."""
    c = {
        "lr": lr,
        "later": tf.minimum(t - 1.0, 1.0),
        "gain_1": 1.0 - h.beta_1,
        "gain_2": 1.0 - h.beta_2,
        "gain_3": 1.0 - h.beta_3,
        "ahead": h.beta_2 / (1.0 - h.beta_2**t),
        "correction_1": 1.0 / (1.0 - h.beta_1**t),
        "correction_3": 1.0 / (1.0 - h.beta_3**t),
    }
    return c, {}


def update(h: Any, c: SimpleNamespace, w: Tensor, g: Tensor, s: SimpleNamespace) -> tuple[Tensor, Slots]:
    """Adan, with the difference g - g' from the previous gradient g', which is zero at the first update.

    m <- m + (1 - beta_1)(g - m);  d <- d + (1 - beta_2)(g - g' - d);
    v <- v + (1 - beta_3)((g + beta_2 (g - g'))^2 - v);
    w <- w - lr (m / (1 - beta_1^t) + beta_2 d / (1 - beta_2^t)) / (sqrt(v / (1 - beta_3^t)) + epsilon)

    Source: Xie et al. (2022), algorithm 1.
    """
    change = tf.where(c.later > 0.0, g - s.previous_gradient, tf.zeros_like(g))
    ahead = g + c.rounded(h.beta_2 * change)
    m = running_mean(c, c.gain_1, s.momentum, g)
    d = running_mean(c, c.gain_2, s.difference, change)
    v = mean_of_squares(c, c.gain_3, s.velocity, c.rounded(ahead * ahead))
    direction = c.rounded(c.correction_1 * m) + c.rounded(c.ahead * d)
    step = c.lr * direction / (tf.sqrt(v * c.correction_3) + h.epsilon)
    return w - step, {"previous_gradient": g, "momentum": m, "difference": d, "velocity": v}


RULE = Rule(
    Adan,
    "adan",
    scalars,
    update,
    same_slots(("previous_gradient", "momentum", "difference", "velocity")),
    slots_read_slots=True,
)
