r"""Adagrad: steps that shrink with the sum of all squared gradients so far.

$$
\begin{aligned}
a &\leftarrow a + g^2 \\
w &\leftarrow w - \eta \, \frac{g}{\sqrt{a + \epsilon}}
\end{aligned}
$$

Steps become shorter with every gradient and never longer, so rare features, such as the rows of an embedding that few
batches touch, keep long steps. Long trainings of dense weights come to a standstill. A sparse gradient costs its own
rows only, and the result is that of the dense one. The default rate of 0.001 is Keras'; torch's is 0.01.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from pyadam.optimizers.rule import Rule, Slot, Slots, Tensor
from pyadam.optimizers.shared import accumulator_field, epsilon_in_root_field, learning_rate_field, rate_alone
from pyadam.optimizers.spec import Spec

__all__ = ["RULE", "Adagrad"]


@dataclass(frozen=True, kw_only=True)
class Adagrad(Spec):
    """Adagrad: each element's steps shrink with the sum of its squared gradients so far."""

    title = "Adagrad"
    r_name = "optimizer_adagrad"
    reference = (
        "Duchi, Hazan and Singer (2011), Adaptive Subgradient Methods for Online Learning and Stochastic Optimization, "
        "https://jmlr.org/papers/v12/duchi11a.html, figure 1."
    )

    learning_rate: Any = learning_rate_field(0.001)
    initial_accumulator_value: float = accumulator_field()
    epsilon: float = epsilon_in_root_field()


def update(h: Any, c: SimpleNamespace, w: Tensor, g: Tensor, s: SimpleNamespace) -> tuple[Tensor, Slots]:
    """Adagrad: each element's steps shrink with the sum of its squared gradients so far.

    a <- a + g^2;  w <- w - lr g / sqrt(a + epsilon)

    Source: Duchi, Hazan and Singer (2011), figure 1, diagonal version.
    """
    a = s.accumulator + c.rounded(g * g)
    return w - c.lr * g / c.root(a + h.epsilon), {"accumulator": a}


def slots(h: Any, shape: Sequence[int], path: str) -> tuple[tuple[Slot, ...], ...]:
    """The accumulator, starting from its initial value."""
    return ((Slot("accumulator", h.initial_accumulator_value),),)


RULE = Rule(
    Adagrad,
    "adagrad",
    rate_alone,
    update,
    slots,
    idle=lambda h: True,
    lists={"_accumulators": "accumulator"},
)
