r"""SGD: gradient descent with optional momentum.

$$
\begin{aligned}
w &\leftarrow w - \eta g \qquad \text{without momentum} \\
m &\leftarrow \mu m - \eta g, \qquad w \leftarrow w + m \qquad \text{with momentum } \mu \\
m &\leftarrow \mu m - \eta g, \qquad w \leftarrow w + \mu m - \eta g \qquad \text{with Nesterov's}
\end{aligned}
$$

The learning rate is part of the momentum, as in Keras: after a change of the rate, earlier gradients keep theirs. In
torch it is not.

Steps are as long as the gradients, so the learning rate depends on the model and the loss. It is the only one that
updates complex weights, if it has no momentum, averages or accumulation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType, SimpleNamespace
from typing import Any

from pyadam.optimizers.kinds import is_off
from pyadam.optimizers.rule import Rule, Slot, Slots, Tensor
from pyadam.optimizers.shared import learning_rate_field, momentum_field, momentum_slot, nesterov_field, rate_alone
from pyadam.optimizers.spec import Spec

__all__ = ["RULE", "SGD"]


@dataclass(frozen=True, kw_only=True)
class SGD(Spec):
    """SGD: gradient descent with optional momentum."""

    title = "SGD"
    r_name = "optimizer_sgd"
    reference = (
        "Robbins and Monro (1951), A Stochastic Approximation Method; momentum: Sutskever et al. (2013), "
        "https://proceedings.mlr.press/v28/sutskever13.html, equations 1 to 4."
    )
    example = MappingProxyType({"learning_rate": 0.01, "momentum": 0.9, "nesterov": True})
    ignored = MappingProxyType({"amsgrad": False})
    ignored_after = "nesterov"

    learning_rate: Any = learning_rate_field(0.01)
    momentum: float = momentum_field()
    nesterov: bool = nesterov_field(False)


def update(h: Any, c: SimpleNamespace, w: Tensor, g: Tensor, s: SimpleNamespace) -> tuple[Tensor, Slots]:
    """Gradient descent, with optional momentum p.

    w <- w - lr g;  with momentum: m <- p m - lr g, w <- w + m;  Nesterov's form: w <- w + p m - lr g with the new m

    Source: Sutskever et al. (2013), equations 1 to 4, with the look-ahead folded into the weight.
    """
    move = c.rounded(c.lr * g)
    if not hasattr(s, "momentum"):
        return w - move, {}

    def onward(m: Tensor) -> Tensor:
        return c.rounded(h.momentum * m) - move

    m = onward(s.momentum)
    return w + (onward(m) if h.nesterov else m), {"momentum": m}


def slots(h: Any, shape: Sequence[int], path: str) -> tuple[tuple[Slot, ...], ...]:
    """The momentum, if it is not 0."""
    return momentum_slot(h)


RULE = Rule(
    SGD,
    "sgd",
    rate_alone,
    update,
    slots,
    idle=lambda h: is_off(h.momentum),
    lists={"momentums": "momentum"},
)
