r"""Prodigy: Adam that estimates its own learning rate.

$$
\begin{aligned}
d &\leftarrow \max\left(d, \text{d\_coef} \, \frac{r}{{\lVert s \rVert}_1}\right) \\
m &\leftarrow \beta_1 m + (1 - \beta_1) \, d g, \qquad v \leftarrow \beta_2 v + (1 - \beta_2) \, d^2 g^2 \\
s &\leftarrow \beta_3 s + d^2 \gamma_t g, \qquad r \leftarrow \beta_3 r + d^2 \gamma_t \langle g, w_0 - w \rangle \\
w &\leftarrow w - d \gamma_t \, \frac{m}{\sqrt{v} + d \epsilon}
\end{aligned}
$$

$w_0$ is what the weights were at the first step, $\gamma_t$ the learning rate, times Adam's bias
corrections if they are used. $r$ and ${\lVert s \rVert}_1$ are sums over all variables.

It needs no learning rate: leave it at 1, or give a schedule of factors. $d$, the estimate of the distance to go, only
grows. Weights in 16 bits are too coarse for the first steps of about $10^{-6}$: give a `d0` of 0.001 or more there.
"""

from dataclasses import dataclass
from types import MappingProxyType, SimpleNamespace
from typing import Any

from pyadam.optimizers.kinds import Flag
from pyadam.optimizers.numerics import settled
from pyadam.optimizers.rule import Rule, Scalars, Slot, Slots, Tensor
from pyadam.optimizers.shared import (
    DECAY_RATE,
    beta_1_field,
    beta_2_field,
    learning_rate_field,
    mean_of_squares,
    running_mean,
    weight_slot,
)
from pyadam.optimizers.spec import NON_NEGATIVE, POSITIVE, Spec, argument, optional
from pyadam.optimizers.tensorflow import tf

__all__ = ["RULE", "Prodigy"]


@dataclass(frozen=True, kw_only=True)
class Prodigy(Spec):
    """Prodigy: Adam whose step size is an estimate of the distance to the solution, made while it trains.

    Leave ``learning_rate`` at 1, or give a schedule that starts or ends there: it multiplies the estimate.
    """

    title = "Prodigy"
    r_name = "optimizer_prodigy"
    reference = (
        "Mishchenko and Defazio (2023), Prodigy: An Expeditiously Adaptive Parameter-Free Learner, "
        "https://arxiv.org/abs/2306.06101, algorithm 4 (Adam). As in its authors' package, prodigyopt, decay is decoupled, "
        "and r and s lack the factor 1 - beta_3, which cancels."
    )
    example = MappingProxyType({"weight_decay": 0.01})
    in_keras = False
    alike = dict.fromkeys(
        ("beta_2", "beta_3", "d0", "d_coef"), "because the estimate of the distance is one number for all variables"
    )

    learning_rate: Any = learning_rate_field(1.0)
    beta_1: Any = beta_1_field()
    beta_2: Any = beta_2_field()
    beta_3: Any = argument(None, optional(DECAY_RATE), "Decay rate of r and s; None for the root of beta_2.")
    epsilon: float = argument(1e-8, NON_NEGATIVE, "Added to the root of v, times d.")
    d0: float = argument(
        1e-6,
        POSITIVE,
        "The first estimate of the distance. A small one costs a few steps; 16-bit weights don't move by less than 0.001.",
    )
    d_coef: float = argument(1.0, POSITIVE, "Factor of each estimate. Smaller ones are more careful.")
    use_bias_correction: bool = argument(False, Flag(), "Whether Adam's bias corrections multiply the step size.")
    safeguard_warmup: bool = argument(
        False, Flag(), "Whether s leaves out the learning rate, so that estimates stay small while it warms up."
    )


def scalars(h: Any, t: Tensor, lr: Tensor, shared: SimpleNamespace) -> tuple[Scalars, Scalars]:
    """gamma_t = lr, times Adam's bias corrections if they are used; d <- max(d, d_coef r / |s|_1) before each update.

    All is kept in units of d0: growth is d / d0, and so on; slots are then of the size of gradients, at first.
    """
    kept = tf.sqrt(tf.convert_to_tensor(h.beta_2, tf.float64)) if h.beta_3 is None else h.beta_3
    r = settled(kept * shared.r + shared.growth**2 * shared.approach)
    growth = tf.maximum(shared.growth, tf.math.divide_no_nan(h.d_coef * r, h.d0 * shared.extent))
    share = tf.sqrt(1.0 - h.beta_2**t) / (1.0 - h.beta_1**t) if h.use_bias_correction else tf.ones_like(t)
    c = {
        "gain_1": 1.0 - h.beta_1,
        "gain_2": 1.0 - h.beta_2,
        "kept": kept,
        "growth": growth,
        "step": h.d0 * growth * share * lr,
        "shrink": h.d0 * growth * share,
        "gamma": share * lr,
        "gain_of_sum": growth**2 * (1.0 if h.safeguard_warmup else share * lr),
    }
    return c, {"growth": growth, "r": r}


def update(h: Any, c: SimpleNamespace, w: Tensor, g: Tensor, s: SimpleNamespace) -> tuple[Tensor, Slots]:
    """Prodigy: x is the weight, x_0 what it was at the first update.

    m <- beta_1 m + (1 - beta_1) d g;  v <- beta_2 v + (1 - beta_2) d^2 g^2;  s <- beta_3 s + d^2 gamma_t g;
    r <- beta_3 r + d^2 gamma_t <g, x_0 - x>, a sum over all variables;  x <- x - d gamma_t m / (sqrt(v) + d epsilon)

    Source: Mishchenko and Defazio (2023), algorithm 4.
    """
    grown = c.rounded(c.growth * g)
    m = running_mean(c, c.gain_1, s.momentum, grown)
    v = mean_of_squares(c, c.gain_2, s.velocity, c.rounded(grown * grown))
    total = c.rounded(c.kept * s.total) + c.rounded(c.gain_of_sum * g)
    step = c.step * m / (tf.sqrt(v) + c.growth * h.epsilon)
    new = w if s.decay is None else w - c.rounded(c.shrink * s.decay * w)
    slots = {"momentum": m, "velocity": v, "total": total}
    return new - step, slots | {"approach": c.gamma * g * (s.start - w), "extent": tf.abs(total)}


def slots(h: Any, shape: Any, path: str) -> tuple[tuple[Slot, ...], ...]:
    """m, v, s, and x_0, which is a weight and never rounded to bfloat16."""
    return ((Slot("momentum"), Slot("velocity"), Slot("total"), weight_slot(h, "start")),)


RULE = Rule(
    Prodigy,
    "prodigy",
    scalars,
    update,
    slots,
    shared={"growth": 1.0, "r": 0.0, "approach": 0.0, "extent": 0.0},
    applies_decay=True,
    sums={"approach": None, "extent": lambda s: tf.abs(s.total)},
    magnified=lambda h: 2.0,  # r and |s|
    single_pass=False,
    weight_first=lambda h: True,
)
