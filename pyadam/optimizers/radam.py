r"""RAdam: Adam that waits with its second moment until its variance is bounded.

$$
\begin{aligned}
\rho &= \frac{2}{1 - \beta_2} - 1, \qquad \rho_t = \rho - \frac{2 t \beta_2^t}{1 - \beta_2^t}, \qquad
r_t = \sqrt{\frac{(\rho_t - 4)(\rho_t - 2) \, \rho}{(\rho - 4)(\rho - 2) \, \rho_t}} \\
m &\leftarrow m + (1 - \beta_1)(g - m) \\
v &\leftarrow v + (1 - \beta_2)(g^2 - v) \\
w &\leftarrow w - \eta \, r_t \, \frac{\sqrt{1 - \beta_2^t}}{1 - \beta_1^t} \, \frac{m}{\sqrt{v} + \epsilon}
\qquad \text{if } \rho_t > \text{sma\_threshold} \\
w &\leftarrow w - \eta \, \frac{m}{1 - \beta_1^t} \qquad \text{otherwise}
\end{aligned}
$$

$\rho_t$ says how many gradients $v$ is a mean of. With the default $\beta_2$ the first five steps are taken without
it.

It replaces Adam's warm-up of the learning rate by a factor that follows from $\beta_2$. Later it is Adam: $r_t$ tends
to 1. The first steps are as long as SGD's with momentum, so gradients that are large at the start need clipping.
"""

from dataclasses import dataclass
from types import MappingProxyType, SimpleNamespace
from typing import Any

from pyadam.optimizers.numerics import scalar
from pyadam.optimizers.rule import Rule, Scalars, Slots, Tensor
from pyadam.optimizers.shared import MOMENTS, beta_1_field, beta_2_field, epsilon_field, learning_rate_field, moments
from pyadam.optimizers.spec import NON_NEGATIVE, Spec, argument
from pyadam.optimizers.tensorflow import tf

__all__ = ["RULE", "RAdam"]


@dataclass(frozen=True, kw_only=True)
class RAdam(Spec):
    """RAdam: Adam with a rectified step size, which needs no warm-up."""

    title = "RAdam"
    r_name = "optimizer_radam"
    reference = (
        "Liu et al. (2019), On the Variance of the Adaptive Learning Rate and Beyond, https://arxiv.org/abs/1908.03265, "
        "algorithm 2. Its authors' program and torch have a threshold of 5, the paper 4."
    )
    example = MappingProxyType({"learning_rate": 0.001})
    in_keras = False

    learning_rate: Any = learning_rate_field(0.001)
    beta_1: Any = beta_1_field()
    beta_2: Any = beta_2_field()
    epsilon: float = epsilon_field()
    sma_threshold: float = argument(
        5.0, NON_NEGATIVE, "Length of the simple moving average, rho_t, above which steps are divided by the root of v."
    )


def scalars(h: Any, t: Tensor, lr: Tensor, shared: SimpleNamespace) -> tuple[Scalars, Scalars]:
    """rho = 2 / (1 - beta_2) - 1, rho_t = rho - 2 t beta_2^t / (1 - beta_2^t).

    r_t = sqrt(((rho_t - 4)(rho_t - 2) rho) / ((rho - 4)(rho - 2) rho_t))
    """
    power = h.beta_2**t
    longest = 2.0 / (1.0 - h.beta_2) - 1.0
    length = longest - 2.0 * t * power / (1.0 - power)
    rectifies = (length > h.sma_threshold) & (length > 4.0)
    five = tf.constant(5.0, tf.float64)
    safe, most = tf.where(rectifies, length, five), tf.where(rectifies, scalar(longest, tf.float64), five)
    share = tf.sqrt((safe - 4.0) * (safe - 2.0) * most / ((most - 4.0) * (most - 2.0) * safe))
    plain = lr / (1.0 - h.beta_1**t)
    c = {
        "rectifies": tf.cast(rectifies, tf.float64),
        "alpha": plain * tf.where(rectifies, share * tf.sqrt(1.0 - power), tf.ones_like(power)),
        "gain_1": 1.0 - h.beta_1,
        "gain_2": 1.0 - h.beta_2,
    }
    return c, {}


def update(h: Any, c: SimpleNamespace, w: Tensor, g: Tensor, s: SimpleNamespace) -> tuple[Tensor, Slots]:
    """RAdam: Adam's step times r_t where rho_t is above the threshold, and a step of momentum alone before.

    m and v as in Adam;  w <- w - lr r_t sqrt(1 - beta_2^t) / (1 - beta_1^t) m / (sqrt(v) + epsilon)  if rho_t > sma_threshold,
    else  w <- w - lr m / (1 - beta_1^t)

    Source: Liu et al. (2019), algorithm 2; epsilon as in Adam's efficient form.
    """
    m, v = moments(c, g, s)
    divisor = tf.where(c.rectifies > 0.0, tf.sqrt(v) + h.epsilon, tf.ones_like(v))
    return w - c.rounded(c.alpha * m) / divisor, {"momentum": m, "velocity": v}  # the divisor may be 1


RULE = Rule(RAdam, "radam", scalars, update, MOMENTS)
