r"""RMSprop: the gradient divided by the root of a running mean of its square.

$$
\begin{aligned}
v &\leftarrow \rho v + (1 - \rho) g^2 \\
d &= \eta \, \frac{g}{\sqrt{v + \epsilon}} \qquad \text{centered: } \eta \, \frac{g}{\sqrt{v - m^2 + \epsilon}}
\text{ with } m \leftarrow \rho m + (1 - \rho) g \\
w &\leftarrow w - d \qquad \text{with momentum } \mu: \ p \leftarrow \mu p + d, \quad w \leftarrow w - p
\end{aligned}
$$

$\epsilon$ is under the root, as in Keras; torch and optax add it to the root.

Adam without bias corrections and, by default, without momentum: the first steps are about three times as long as
later ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType, SimpleNamespace
from typing import Any

from pyadam.optimizers.kinds import Flag
from pyadam.optimizers.rule import Rule, Slot, Slots, Tensor
from pyadam.optimizers.shared import (
    epsilon_in_root_field,
    learning_rate_field,
    mean_of_squares,
    mean_scalars,
    momentum_field,
    momentum_slot,
    rho_field,
)
from pyadam.optimizers.spec import Spec, argument
from pyadam.optimizers.tensorflow import tf

__all__ = ["RULE", "RMSprop"]


@dataclass(frozen=True, kw_only=True)
class RMSprop(Spec):
    """RMSprop: the gradient divided by the root of a running mean of its square."""

    title = "RMSprop"
    r_name = "optimizer_rmsprop"
    reference = (
        "Tieleman and Hinton (2012), Neural Networks for Machine Learning, lecture 6.5. Centered: Graves (2013), "
        "https://arxiv.org/abs/1308.0850, equations 38 to 45."
    )
    example = MappingProxyType({"learning_rate": 0.001, "momentum": 0.9})
    function_defaults = MappingProxyType({"ema_overwrite_frequency": 100})

    learning_rate: Any = learning_rate_field(0.001)
    rho: float = rho_field(0.9)
    momentum: float = momentum_field()
    epsilon: float = epsilon_in_root_field()
    centered: bool = argument(
        False, Flag(), "Whether to divide by the estimated variance instead of the second moment."
    )


def update(h: Any, c: SimpleNamespace, w: Tensor, g: Tensor, s: SimpleNamespace) -> tuple[Tensor, Slots]:
    """RMSprop: the gradient divided by the root of a running mean of its square; optionally centered, with momentum.

    v <- rho v + (1 - rho) g^2;  d = lr g / sqrt(v + epsilon);  with momentum p: d <- p d_before + d;  w <- w - d

    If centered, v - m^2 replaces v under the root, where m is a running mean of g: a variance instead of the second moment.

    Source: Tieleman and Hinton (2012), lecture 6.5; centered: Graves (2013), equations 38 to 45.
    """
    v = mean_of_squares(c, c.gain, s.velocity, c.rounded(g * g))
    new, spread = {"velocity": v}, v
    if hasattr(s, "average_gradient"):
        # The variance is computed from the old v and m as rho ((v - m^2) + (1 - rho) (g - m)^2), which is equivalent: where
        # m^2 makes up most of v, the difference of the new ones would be mostly rounding error. The minimum of m^2 and v,
        # which is m^2 up to rounding, keeps the root real, and that of the largest number keeps an infinite v.
        mean, apart = s.average_gradient, g - s.average_gradient
        new["average_gradient"] = mean + c.rounded(c.gain * apart)
        old = s.velocity - tf.minimum(tf.minimum(c.rounded(mean * mean), s.velocity), s.velocity.dtype.max)
        spread = c.rounded(h.rho * (old + c.rounded(c.gain * c.rounded(apart * apart))))
    d = c.lr * g / c.root(spread + h.epsilon)
    if hasattr(s, "momentum"):
        d = new["momentum"] = c.rounded(h.momentum * s.momentum) + d
    return w - d, new


def slots(h: Any, shape: Sequence[int], path: str) -> tuple[tuple[Slot, ...], ...]:
    """The second moment, plus momentum and mean gradient if enabled."""
    centered = ((Slot("average_gradient"),),) if h.centered else ()
    return ((Slot("velocity"),), *momentum_slot(h), *centered)


RULE = Rule(
    RMSprop,
    "rmsprop",
    mean_scalars,
    update,
    slots,
    weight_first=lambda h: h.centered,
    lists={"_momentums": "momentum", "_velocities": "velocity", "_average_gradients": "average_gradient"},
)
