r"""AdaBelief: Adam that divides by how far gradients are from their running mean.

$$
\begin{aligned}
m &\leftarrow m + (1 - \beta_1)(g - m) \\
s &\leftarrow s + (1 - \beta_2)\left((g - m)^2 - s\right) + \epsilon \\
w &\leftarrow w - \eta \, \frac{m / (1 - \beta_1^t)}{\sqrt{s / (1 - \beta_2^t)} + \epsilon}
\end{aligned}
$$

$s$ is the variance of gradients around their mean, where Adam's $v$ is the mean of their squares.

Where gradients keep their size and sign, $s$ is small and the step long; where they alternate, it is Adam's.
$\epsilon$ matters more than in Adam: where gradients don't change at all, $s$ consists of it alone.
"""

from dataclasses import dataclass
from types import MappingProxyType, SimpleNamespace
from typing import Any

from pyadam.optimizers.rule import Rule, Scalars, Slots, Tensor, same_slots
from pyadam.optimizers.shared import DECAY_RATE, beta_1_field, learning_rate_field, mean_of_squares, running_mean
from pyadam.optimizers.spec import NON_NEGATIVE, Spec, argument
from pyadam.optimizers.tensorflow import tf

__all__ = ["RULE", "AdaBelief"]


@dataclass(frozen=True, kw_only=True)
class AdaBelief(Spec):
    """AdaBelief: steps scaled by the belief in the gradient, which is large where it is near its running mean."""

    title = "AdaBelief"
    r_name = "optimizer_adabelief"
    reference = (
        "Zhuang et al. (2020), AdaBelief Optimizer: Adapting Stepsizes by the Belief in Observed Gradients, "
        "https://arxiv.org/abs/2010.07468, algorithm 2."
    )
    example = MappingProxyType({"learning_rate": 0.001})
    in_keras = False

    learning_rate: Any = learning_rate_field(0.001)
    beta_1: Any = beta_1_field()
    beta_2: Any = argument(0.999, DECAY_RATE, "Decay rate of the belief s.")
    epsilon: float = argument(1e-16, NON_NEGATIVE, "Added to s at each update, and to the root of the corrected s.")


def scalars(h: Any, t: Tensor, lr: Tensor, shared: SimpleNamespace) -> tuple[Scalars, Scalars]:
    """The step size and both bias corrections."""
    c = {
        "alpha": lr / (1.0 - h.beta_1**t),
        "correction": 1.0 / (1.0 - h.beta_2**t),
        "surprised": h.beta_1,
        "gain_1": 1.0 - h.beta_1,
        "gain_2": 1.0 - h.beta_2,
    }
    return c, {}


def update(h: Any, c: SimpleNamespace, w: Tensor, g: Tensor, s: SimpleNamespace) -> tuple[Tensor, Slots]:
    """AdaBelief: Adam with the square of g - m in place of that of g.

    m <- m + (1 - beta_1)(g - m);  s <- s + (1 - beta_2)((g - m)^2 - s) + epsilon;
    w <- w - lr m / (1 - beta_1^t) / (sqrt(s / (1 - beta_2^t)) + epsilon)

    Source: Zhuang et al. (2020), algorithm 2.
    """
    m = running_mean(c, c.gain_1, s.momentum, g)
    surprise = c.surprised * (g - s.momentum)  # g - m, without what m loses to rounding
    belief = mean_of_squares(c, c.gain_2, s.belief, c.rounded(surprise * surprise)) + h.epsilon
    return w - c.alpha * m / (tf.sqrt(belief * c.correction) + h.epsilon), {"momentum": m, "belief": belief}


RULE = Rule(AdaBelief, "adabelief", scalars, update, same_slots(("momentum", "belief")), slots_read_slots=True)
