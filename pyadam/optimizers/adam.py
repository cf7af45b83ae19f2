r"""Adam, with AMSGrad as an option.

$$
\begin{aligned}
m &\leftarrow m + (1 - \beta_1)(g - m) \\
v &\leftarrow v + (1 - \beta_2)(g^2 - v) \\
w &\leftarrow w - \eta \, \frac{\sqrt{1 - \beta_2^t}}{1 - \beta_1^t} \, \frac{m}{\sqrt{v} + \epsilon}
\end{aligned}
$$

With `amsgrad`, the root is that of $\hat{v} \leftarrow \max(\hat{v}, v)$, so that no element's step grows again when
its gradients become small.

A step is at most about as long as the learning rate, whatever the scale of the gradients, so 0.001 is a usable start
for models of many kinds; a tenth of it and ten times as much are worth a try. Where embeddings are large and batches
touch few of their rows, LazyAdam costs less; where memory is short, see Adafactor, Lion and `slot_dtype`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType, SimpleNamespace
from typing import Any

from pyadam.optimizers.rule import Rule, Scalars, Slot, Slots, Tensor
from pyadam.optimizers.shared import (
    KINGMA_BA,
    MOMENTS,
    amsgrad_field,
    beta_1_field,
    beta_2_field,
    epsilon_field,
    learning_rate_field,
    moments,
)
from pyadam.optimizers.spec import Spec
from pyadam.optimizers.tensorflow import tf

__all__ = ["RULE", "Adam"]


@dataclass(frozen=True, kw_only=True)
class Adam(Spec):
    """Adam: steps scaled by bias-corrected running means of the gradient and of its square."""

    title = "Adam"
    r_name = "optimizer_adam"
    reference = (
        KINGMA_BA + "section 2, the efficient form before 2.1. AMSGrad: Reddi, Kale and Kumar (2018), "
        "https://arxiv.org/abs/1904.09237, algorithm 2."
    )
    example = MappingProxyType({"learning_rate": 0.001})

    learning_rate: Any = learning_rate_field(0.001)
    beta_1: Any = beta_1_field()
    beta_2: Any = beta_2_field()
    epsilon: float = epsilon_field()
    amsgrad: bool = amsgrad_field()


def scalars(h: Any, t: Tensor, lr: Tensor, shared: SimpleNamespace) -> tuple[Scalars, Scalars]:
    """alpha_t = lr * sqrt(1 - beta_2^t) / (1 - beta_1^t), the step size with both bias corrections."""
    alpha = lr * tf.sqrt(1.0 - h.beta_2**t) / (1.0 - h.beta_1**t)
    return {"alpha": alpha, "gain_1": 1.0 - h.beta_1, "gain_2": 1.0 - h.beta_2}, {}


def update(h: Any, c: SimpleNamespace, w: Tensor, g: Tensor, s: SimpleNamespace) -> tuple[Tensor, Slots]:
    """Adam in its efficient form; AMSGrad if there is a ``velocity_hat`` slot.

    m <- m + (1 - beta_1)(g - m);  v <- v + (1 - beta_2)(g^2 - v);  w <- w - alpha_t m / (sqrt(v) + epsilon)

    AMSGrad divides by the root of v_hat <- max(v_hat, v) instead.

    Source: Kingma and Ba (2014), end of section 2 (epsilon is "epsilon hat"); Reddi et al. (2018), algorithm 2.
    """
    m, v = moments(c, g, s)
    new = {"momentum": m, "velocity": v}
    if hasattr(s, "velocity_hat"):
        v = new["velocity_hat"] = tf.maximum(s.velocity_hat, v)
    return w - c.alpha * m / (tf.sqrt(v) + h.epsilon), new


def slots(h: Any, shape: Sequence[int], path: str) -> tuple[tuple[Slot, ...], ...]:
    """m and v; with AMSGrad also the largest v."""
    groups = MOMENTS(h, shape, path)
    return (*groups, (Slot("velocity_hat"),)) if h.amsgrad else groups


RULE = Rule(
    Adam,
    "adam",
    scalars,
    update,
    slots,
    lists={"_momentums": "momentum", "_velocities": "velocity", "_velocity_hats": "velocity_hat"},
)
