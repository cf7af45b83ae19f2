"""AdamW: Adam with decoupled weight decay on by default."""

from dataclasses import dataclass, replace
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

    learning_rate: Any = learning_rate_field(0.001)
    weight_decay: float = weight_decay_field(0.004, NON_NEGATIVE)
    beta_1: Any = beta_1_field()
    beta_2: Any = beta_2_field()
    epsilon: float = epsilon_field()
    amsgrad: bool = amsgrad_field()


RULE = replace(adam.RULE, spec=AdamW)
