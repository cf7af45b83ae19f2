r"""AdamW: Adam with decoupled weight decay on by default.

$$
\begin{aligned}
w &\leftarrow w - \eta \lambda w \\
m &\leftarrow m + (1 - \beta_1)(g - m) \\
v &\leftarrow v + (1 - \beta_2)(g^2 - v) \\
w &\leftarrow w - \eta \, \frac{\sqrt{1 - \beta_2^t}}{1 - \beta_1^t} \, \frac{m}{\sqrt{v} + \epsilon}
\end{aligned}
$$

$\lambda$ is `weight_decay`. The decay does not pass through $m$ and $v$, as an L2 penalty in the loss does, so all
weights shrink at the same rate, also those with large gradients.

It is Adam with another default: `Adam(weight_decay=0.004)` takes the same steps, to the bit. Biases and the scales of
normalization layers are usually left out, by `exclude_from_weight_decay()` before the first step or by `groups`.
"""

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from pyadam.optimizers import adam
from pyadam.optimizers.shared import amsgrad_field, beta_1_field, beta_2_field, epsilon_field, learning_rate_field
from pyadam.optimizers.spec import NON_NEGATIVE, Spec, weight_decay_field

__all__ = ["RULE", "AdamW"]


@dataclass(frozen=True, kw_only=True)
class AdamW(Spec):
    """AdamW: Adam with weight decay applied to the weights instead of the gradient."""

    title = "AdamW"
    r_name = "optimizer_adam_w"
    reference = (
        "Loshchilov and Hutter (2019), Decoupled Weight Decay Regularization, https://arxiv.org/abs/1711.05101, "
        "algorithm 2, line 12."
    )
    example = MappingProxyType({"learning_rate": 0.001, "weight_decay": 0.01})

    learning_rate: Any = learning_rate_field(0.001)
    weight_decay: float = weight_decay_field(0.004, NON_NEGATIVE)
    beta_1: Any = beta_1_field()
    beta_2: Any = beta_2_field()
    epsilon: float = epsilon_field()
    amsgrad: bool = amsgrad_field()


RULE = replace(adam.RULE, spec=AdamW)
