r"""Nadam: Adam with Nesterov momentum on Dozat's schedule.

$$
\begin{aligned}
\mu_t &= \beta_1 \left(1 - \tfrac{1}{2} \, 0.96^t\right), \qquad u_t = \mu_1 \cdots \mu_t \\
m &\leftarrow m + (1 - \beta_1)(g - m) \\
v &\leftarrow v + (1 - \beta_2)(g^2 - v) \\
\hat{m} &= \frac{\mu_{t+1} \, m}{1 - u_{t+1}} + \frac{(1 - \mu_t) \, g}{1 - u_t} \\
w &\leftarrow w - \eta \, \frac{\hat{m}}{\sqrt{v / (1 - \beta_2^t)} + \epsilon}
\end{aligned}
$$

The momentum $\mu_t$ grows from about half of $\beta_1$ to all of it, at a pace that is fixed in the number of steps.

Adam with momentum that looks ahead, as Nesterov's does. Because of the schedule inside, a training that is resumed
needs its step count and the product of momenta; files and checkpoints have both.
"""

from dataclasses import dataclass
from types import MappingProxyType, SimpleNamespace
from typing import Any

from pyadam.optimizers.numerics import rounded
from pyadam.optimizers.rule import Rule, Scalars, Slots, Tensor
from pyadam.optimizers.shared import MOMENTS, beta_1_field, beta_2_field, epsilon_field, learning_rate_field, moments
from pyadam.optimizers.spec import Spec
from pyadam.optimizers.tensorflow import tf

__all__ = ["RULE", "Nadam"]


@dataclass(frozen=True, kw_only=True)
class Nadam(Spec):
    """Nadam: Adam with Nesterov momentum on Dozat's schedule."""

    title = "Nadam"
    r_name = "optimizer_nadam"
    reference = (
        "Dozat (2016), Incorporating Nesterov Momentum into Adam, https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ, "
        "algorithm 2, with the momentum schedule of section 2."
    )
    example = MappingProxyType({"learning_rate": 0.001})

    alike = {"beta_1": "because the product of momenta is one number for all variables"}  # noqa: RUF012

    learning_rate: Any = learning_rate_field(0.001)
    beta_1: Any = beta_1_field()
    beta_2: Any = beta_2_field()
    epsilon: float = epsilon_field()


def scalars(h: Any, t: Tensor, lr: Tensor, shared: SimpleNamespace) -> tuple[Scalars, Scalars]:
    """mu_t = beta_1 (1 - 0.96^t / 2), Dozat's momentum schedule, and u_t = mu_1 ... mu_t, its running product."""

    def mu(k: Tensor) -> Tensor:
        return rounded(h.beta_1 * (1.0 - 0.5 * 0.96**k), t)

    product = rounded(shared.u_product * mu(t), t)
    following = rounded(product * mu(t + 1.0), t)
    now = (1.0 - mu(t)) / (1.0 - product)
    c = {
        "gain_1": 1.0 - h.beta_1,
        "gain_2": 1.0 - h.beta_2,
        "alpha": lr * now,
        "ahead": mu(t + 1.0) / (1.0 - following) / now,
        "correction": 1.0 / (1.0 - h.beta_2**t),
    }
    return c, {"u_product": product}


def update(h: Any, c: SimpleNamespace, w: Tensor, g: Tensor, s: SimpleNamespace) -> tuple[Tensor, Slots]:
    """Nadam: Adam with a one-step look-ahead in the momentum.

    m and v as in Adam;  m_hat = mu_{t+1} m / (1 - u_{t+1}) + (1 - mu_t) g / (1 - u_t);  v_hat = v / (1 - beta_2^t);
    w <- w - lr m_hat / (sqrt(v_hat) + epsilon)

    Source: Dozat (2016), algorithm 2.
    """
    m, v = moments(c, g, s)
    step = c.alpha * (g + c.rounded(c.ahead * m)) / (tf.sqrt(v * c.correction) + h.epsilon)
    return w - step, {"momentum": m, "velocity": v}


RULE = Rule(
    Nadam,
    "nadam",
    scalars,
    update,
    MOMENTS,
    shared={"u_product": 1.0},
    lists={"_momentums": "momentum", "_velocities": "velocity"},
)
