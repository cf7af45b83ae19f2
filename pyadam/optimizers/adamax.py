r"""Adamax: Adam with the infinity norm instead of the second moment.

$$
\begin{aligned}
m &\leftarrow m + (1 - \beta_1)(g - m) \\
u &\leftarrow \max(\beta_2 u, |g|) \\
w &\leftarrow w - \frac{\eta}{1 - \beta_1^t} \, \frac{m}{u + \epsilon}
\end{aligned}
$$

$u$ is the largest recent gradient, which fades by $\beta_2$ at each step.

One large gradient shortens an element's steps at once, where Adam averages it away; between such gradients $u$ only
fades.
"""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from pyadam.optimizers.rule import Rule, Scalars, Slots, Tensor, same_slots
from pyadam.optimizers.shared import DECAY_RATE, KINGMA_BA, beta_1_field, learning_rate_field, running_mean
from pyadam.optimizers.spec import NON_NEGATIVE, Spec, argument
from pyadam.optimizers.tensorflow import tf

__all__ = ["RULE", "Adamax"]


@dataclass(frozen=True, kw_only=True)
class Adamax(Spec):
    """Adamax: Adam with the infinity norm instead of the second moment."""

    title = "Adamax"
    r_name = "optimizer_adamax"
    reference = KINGMA_BA + "section 7.1 and algorithm 2."

    learning_rate: Any = learning_rate_field(0.001)
    beta_1: Any = beta_1_field()
    beta_2: Any = argument(0.999, DECAY_RATE, "Decay rate of the infinity norm u.")
    epsilon: float = argument(1e-7, NON_NEGATIVE, "Added to u.")


def scalars(h: Any, t: Tensor, lr: Tensor, shared: SimpleNamespace) -> tuple[Scalars, Scalars]:
    """alpha_t = lr / (1 - beta_1^t), the step size with the first moment's bias correction."""
    return {"alpha": lr / (1.0 - h.beta_1**t), "gain_1": 1.0 - h.beta_1, "beta_2": h.beta_2}, {}


def update(h: Any, c: SimpleNamespace, w: Tensor, g: Tensor, s: SimpleNamespace) -> tuple[Tensor, Slots]:
    """Adamax: Adam with the infinity norm instead of the second moment.

    m <- m + (1 - beta_1)(g - m);  u <- max(beta_2 u, |g|);  w <- w - alpha_t m / (u + epsilon)

    Source: Kingma and Ba (2014), algorithm 2; epsilon, which the paper omits, avoids 0 / 0.
    """
    m = running_mean(c, c.gain_1, s.momentum, g)
    u = tf.maximum(c.beta_2 * s.norm, tf.abs(g))
    return w - c.alpha * m / (u + h.epsilon), {"momentum": m, "norm": u}


RULE = Rule(
    Adamax,
    "adamax",
    scalars,
    update,
    same_slots(("momentum", "norm")),
    lists={"_m": "momentum", "_u": "norm"},
)
