r"""ScheduleFreeAdamW: AdamW without a schedule, whose averaged weights are those to evaluate.

$$
\begin{aligned}
\gamma_t &= \eta \min\left(1, \frac{t}{\text{warmup\_steps}}\right), \qquad
c_t = \frac{\gamma_t^2}{\gamma_1^2 + \cdots + \gamma_t^2} \\
v &\leftarrow v + (1 - \beta_2)(g^2 - v) \\
s &= \gamma_t \left(\frac{g}{\sqrt{v / (1 - \beta_2^t)} + \epsilon} + \lambda y\right) \\
y &\leftarrow y + c_t (z - y) - (1 - \beta_1 + \beta_1 c_t) \, s, \qquad z \leftarrow z - s
\end{aligned}
$$

$y$ are the weights in the model, $z$ is a slot, $\lambda$ is `weight_decay`. The weights to evaluate and to save are
$x = (y - (1 - \beta_1) z) / \beta_1$, a weighted mean of all $z$.

It replaces a schedule that needs to know the length of the training: whenever it stops, $x$ is averaged. Evaluate
within `optimizer.averaged_weights()`; the metrics of `fit` are those of $y$. Give it a constant rate. Layers with
running statistics, such as BatchNormalization, have seen activations at $y$; their statistics fit $x$ after some
forward passes in training mode at $x$.
"""

from dataclasses import dataclass
from types import MappingProxyType, SimpleNamespace
from typing import Any

from pyadam.optimizers.kinds import Count, DynamicNumber
from pyadam.optimizers.numerics import rounded
from pyadam.optimizers.rule import Rule, Scalars, Slot, Slots, Tensor
from pyadam.optimizers.shared import beta_2_field, learning_rate_field, mean_of_squares, weight_slot
from pyadam.optimizers.spec import NON_NEGATIVE, Spec, argument
from pyadam.optimizers.tensorflow import tf

__all__ = ["RULE", "ScheduleFreeAdamW"]

INTERPOLATION = DynamicNumber(low=0.0, low_open=True, high=1.0)


@dataclass(frozen=True, kw_only=True)
class ScheduleFreeAdamW(Spec):
    """ScheduleFreeAdamW: AdamW with averaging in place of a learning-rate schedule.

    The model holds y, at which gradients are taken; evaluate and save it within ``optimizer.averaged_weights()``, where it
    holds the average x.
    """

    title = "ScheduleFreeAdamW"
    r_name = "optimizer_schedule_free_adam_w"
    reference = (
        "Defazio et al. (2024), The Road Less Scheduled, https://arxiv.org/abs/2405.15682, algorithm 1; v is corrected as in "
        "its authors' package, schedulefree."
    )
    example = MappingProxyType({"learning_rate": 0.0025, "warmup_steps": 100})

    learning_rate: Any = learning_rate_field(0.0025)
    beta_1: Any = argument(0.9, INTERPOLATION, "Weight of the average x in y; the rest is z.")
    beta_2: Any = beta_2_field()
    epsilon: float = argument(1e-8, NON_NEGATIVE, "Added to the root of the corrected v.")
    warmup_steps: int = argument(
        0, Count(), "Number of updates in which the learning rate grows linearly to its full value."
    )


def scalars(h: Any, t: Tensor, lr: Tensor, shared: SimpleNamespace) -> tuple[Scalars, Scalars]:
    """gamma_t = lr min(1, t / warmup_steps) and c_t = gamma_t^2 / (gamma_1^2 + ... + gamma_t^2), at a constant lr.

    The sum of the first k squares is k (k + 1) (2 k + 1) / 6.
    """
    share, squares = 1.0, t
    if h.warmup_steps:
        warm = tf.minimum(t, float(h.warmup_steps))
        share = warm / h.warmup_steps
        squares = warm * (warm + 1.0) * (2.0 * warm + 1.0) / (6.0 * h.warmup_steps**2) + (t - warm)
    gain = share**2 / squares
    c = {
        "share": share,
        "lr": lr * share,
        "gain_2": 1.0 - h.beta_2,
        "correction": 1.0 / (1.0 - h.beta_2**t),
        "nearer": gain,
        "taken": 1.0 - h.beta_1 + rounded(h.beta_1 * gain, t),
    }
    return c, {}


def update(h: Any, c: SimpleNamespace, w: Tensor, g: Tensor, s: SimpleNamespace) -> tuple[Tensor, Slots]:
    """ScheduleFreeAdamW: y is the weight, z its momentum slot, which starts as the weight.

    v <- v + (1 - beta_2)(g^2 - v);  s = gamma_t (g / (sqrt(v / (1 - beta_2^t)) + epsilon) + weight_decay y);
    y <- y + c_t (z - y) - (1 - beta_1 + beta_1 c_t) s;  z <- z - s

    Source: Defazio et al. (2024), algorithm 1, where z' = z - s, x' = (1 - c) x + c z' and y' = (1 - beta_1) z' + beta_1 x';
    x is not kept, since beta_1 x = y - (1 - beta_1) z.
    """
    v = mean_of_squares(c, c.gain_2, s.velocity, c.rounded(g * g))
    step = c.lr * g / (tf.sqrt(v * c.correction) + h.epsilon)
    if s.decay is not None:
        step = step + c.rounded(c.share * s.decay * w)
    return w + c.rounded(c.nearer * (s.momentum - w)) - c.rounded(c.taken * step), {
        "velocity": v,
        "momentum": s.momentum - step,
    }


def slots(h: Any, shape: Any, path: str) -> tuple[tuple[Slot, ...], ...]:
    """z, which is a weight, and v."""
    return ((weight_slot(h, "momentum"), Slot("velocity")),)


def evaluated(h: Any, w: Tensor, s: SimpleNamespace) -> Tensor:
    """The average x = (y - (1 - beta_1) z) / beta_1."""
    return (w - (1.0 - h.beta_1) * s.momentum) / h.beta_1


RULE = Rule(
    ScheduleFreeAdamW,
    "schedulefreeadamw",
    scalars,
    update,
    slots,
    applies_decay=True,
    weight_first=lambda h: True,
    evaluated=evaluated,
    lists={"_momentums": "momentum", "_velocities": "velocity"},
)
