r"""Adadelta: step sizes from running means of squared gradients and squared steps.

$$
\begin{aligned}
a &\leftarrow \rho a + (1 - \rho) g^2 \\
d &= -\frac{\sqrt{b + \epsilon}}{\sqrt{a + \epsilon}} \, g \\
b &\leftarrow \rho b + (1 - \rho) d^2 \\
w &\leftarrow w + \eta d
\end{aligned}
$$

The paper has no learning rate: $\eta = 1$.

Steps have the unit of the weight, so that the paper needs no rate. The default of 0.001 is Keras' and makes very
small steps: give `learning_rate=1.0` for the paper's. The first steps are $\sqrt{\epsilon / (1 - \rho)}$ long, 0.0014
with the defaults, times the learning rate; they grow from there.
"""

from dataclasses import dataclass
from types import MappingProxyType, SimpleNamespace
from typing import Any

from pyadam.optimizers.rule import Rule, Slots, Tensor, same_slots
from pyadam.optimizers.shared import learning_rate_field, mean_of_squares, mean_scalars, rho_field
from pyadam.optimizers.spec import NON_NEGATIVE, Spec, argument
from pyadam.optimizers.tensorflow import tf

__all__ = ["RULE", "Adadelta"]


@dataclass(frozen=True, kw_only=True)
class Adadelta(Spec):
    """Adadelta: step sizes from running means of squared gradients and squared steps."""

    title = "Adadelta"
    r_name = "optimizer_adadelta"
    reference = (
        "Zeiler (2012), ADADELTA: An Adaptive Learning Rate Method, https://arxiv.org/abs/1212.5701, algorithm 1."
    )
    example = MappingProxyType({"learning_rate": 1.0})

    learning_rate: Any = learning_rate_field(0.001)
    rho: float = rho_field(0.95)
    epsilon: float = argument(1e-7, NON_NEGATIVE, "Added to both means of squares, inside the roots.")


def update(h: Any, c: SimpleNamespace, w: Tensor, g: Tensor, s: SimpleNamespace) -> tuple[Tensor, Slots]:
    """Adadelta: steps in the units of the weight, from running means of squared gradients and squared steps.

    a <- rho a + (1 - rho) g^2;  d = -g sqrt(b + epsilon) / sqrt(a + epsilon);  b <- rho b + (1 - rho) d^2;  w <- w + lr d

    Source: Zeiler (2012), algorithm 1, plus a learning rate.
    """
    a = mean_of_squares(c, c.gain, s.accumulated_grad, c.rounded(g * g))
    d = -tf.sqrt(s.accumulated_delta_var + h.epsilon) * g / c.root(a + h.epsilon)
    b = mean_of_squares(c, c.gain, s.accumulated_delta_var, c.rounded(d * d))
    return w + c.rounded(c.lr * d), {"accumulated_grad": a, "accumulated_delta_var": b}


RULE = Rule(
    Adadelta,
    "adadelta",
    mean_scalars,
    update,
    same_slots(("accumulated_grad", "accumulated_delta_var")),
    lists={"_accumulated_grads": "accumulated_grad", "_accumulated_delta_vars": "accumulated_delta_var"},
)
