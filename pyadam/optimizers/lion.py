r"""Lion: sign updates from an interpolation between momentum and gradient.

$$
\begin{aligned}
w &\leftarrow w - \eta \, \operatorname{sign}(\beta_1 m + (1 - \beta_1) g) \\
m &\leftarrow \beta_2 m + (1 - \beta_2) g
\end{aligned}
$$

Every element moves by exactly $\eta$, so the learning rate alone says how far a step goes: its authors take a third
to a tenth of AdamW's rate, and as many times its weight decay. Without decay, or a rate that falls, weights keep
moving to and fro.
"""

from dataclasses import dataclass
from types import MappingProxyType, SimpleNamespace
from typing import Any

from pyadam.optimizers.rule import Rule, Scalars, Slots, Tensor, same_slots
from pyadam.optimizers.shared import DECAY_RATE, learning_rate_field, running_mean
from pyadam.optimizers.spec import Spec, argument
from pyadam.optimizers.tensorflow import tf

__all__ = ["RULE", "Lion"]


@dataclass(frozen=True, kw_only=True)
class Lion(Spec):
    """Lion: steps of fixed size, along the sign of an interpolation between momentum and gradient."""

    title = "Lion"
    r_name = "optimizer_lion"
    reference = (
        "Chen et al. (2023), Symbolic Discovery of Optimization Algorithms, https://arxiv.org/abs/2302.06675, "
        "algorithm 2."
    )
    example = MappingProxyType({"learning_rate": 0.0001, "weight_decay": 0.1})

    learning_rate: Any = learning_rate_field(0.001)
    beta_1: Any = argument(0.9, DECAY_RATE, "Weight of the momentum in the step direction.")
    beta_2: Any = argument(0.99, DECAY_RATE, "Decay rate of the momentum.")


def scalars(h: Any, t: Tensor, lr: Tensor, shared: SimpleNamespace) -> tuple[Scalars, Scalars]:
    """The learning rate and both decay rates."""
    return {"lr": lr, "gain_1": 1.0 - h.beta_1, "gain_2": 1.0 - h.beta_2}, {}


def update(h: Any, c: SimpleNamespace, w: Tensor, g: Tensor, s: SimpleNamespace) -> tuple[Tensor, Slots]:
    """Lion: the sign of an interpolation between momentum and gradient.

    w <- w - lr sign(beta_1 m + (1 - beta_1) g);  m <- beta_2 m + (1 - beta_2) g

    Source: Chen et al. (2023), algorithm 2.
    """
    direction = tf.sign(running_mean(c, c.gain_1, s.momentum, g))
    return w - c.lr * direction, {"momentum": running_mean(c, c.gain_2, s.momentum, g)}


RULE = Rule(
    Lion,
    "lion",
    scalars,
    update,
    same_slots(("momentum",)),
    weight_first=lambda h: True,
    lists={"_momentums": "momentum", "momentums": "momentum"},
)
