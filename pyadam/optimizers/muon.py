r"""Muon: orthogonalized momentum for matrices, Adam for everything else.

$$
\begin{aligned}
m &\leftarrow \mu m + g, \qquad x = g + \mu m \ \text{(Nesterov) or } m, \qquad
x \leftarrow \frac{x}{\lVert x \rVert + 10^{-7}} \\
x &\leftarrow a x + (b A + c A^2) \, x \ \text{ with } A = x x^{\top}, \qquad \text{ns\_steps times} \\
w &\leftarrow w - \eta \, \text{rms\_rate} \, \sqrt{\max(\text{rows}, \text{columns})} \; x
\end{aligned}
$$

The iteration drives all singular values of the momentum towards 1. Biases, embeddings, tensors of other ranks and
what `exclude_layers` names are updated by Adam.

It is for the matrices of hidden layers: dense kernels and the projections of attention. Exclude the output layer by
`exclude_layers`, as its authors advise. Kernels of convolutions have rank 4 and are left to Adam. A step costs
several matrix products, 15 with the defaults; a product of large matrices is far more work than Adam's update.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType, SimpleNamespace
from typing import Any

from pyadam.optimizers import adam
from pyadam.optimizers.kinds import Count, Flag, Patterns
from pyadam.optimizers.numerics import sum_of_squares
from pyadam.optimizers.rule import Rule, Scalars, Slot, Slots, Tensor
from pyadam.optimizers.shared import ANY_NUMBER, DECAY_RATE, learning_rate_field, nesterov_field
from pyadam.optimizers.spec import NON_NEGATIVE, UNIT_INTERVAL, Spec, argument, optional, weight_decay_field
from pyadam.optimizers.tensorflow import tf

__all__ = ["RULE", "Muon"]


@dataclass(frozen=True, kw_only=True)
class Muon(Spec):
    """Muon: orthogonalized momentum for matrices, Adam for everything else."""

    title = "Muon"
    r_name = "optimizer_muon"
    reference = (
        "Jordan et al. (2024), Muon: An optimizer for hidden layers, https://kellerjordan.github.io/posts/muon. "
        "Step size: Liu et al. (2025), Muon is Scalable for LLM Training, https://arxiv.org/abs/2502.16982, equation 4."
    )
    example = MappingProxyType({"learning_rate": 0.001, "exclude_layers": ["logits"]})
    last = (
        "exclude_layers",
        "exclude_embeddings",
        "muon_a",
        "muon_b",
        "muon_c",
        "adam_lr_ratio",
        "momentum",
        "ns_steps",
        "nesterov",
        "rms_rate",
    )

    learning_rate: Any = learning_rate_field(0.001)
    adam_beta_1: Any = argument(0.9, DECAY_RATE, "Adam's beta_1, for the variables it updates.")
    adam_beta_2: Any = argument(0.999, DECAY_RATE, "Adam's beta_2.")
    adam_weight_decay: float | None = argument(
        0.004, optional(NON_NEGATIVE), "Decoupled weight decay of the variables that Adam updates."
    )
    epsilon: float = argument(1e-7, NON_NEGATIVE, "Adam's epsilon.")
    weight_decay: float | None = weight_decay_field(0.004)
    exclude_layers: list[str] | None = argument(
        None, optional(Patterns()), "Matrices whose path matches one of these are left to Adam."
    )
    exclude_embeddings: bool = argument(
        True, Flag(), 'Whether matrices with "embedding" in their path are left to Adam.'
    )
    muon_a: float = argument(3.4445, ANY_NUMBER, "First coefficient of the Newton-Schulz polynomial.")
    muon_b: float = argument(-4.7750, ANY_NUMBER, "Second coefficient of the Newton-Schulz polynomial.")
    muon_c: float = argument(2.0315, ANY_NUMBER, "Third coefficient of the Newton-Schulz polynomial.")
    adam_lr_ratio: float = argument(1.0, NON_NEGATIVE, "Adam's learning rate, as a multiple of learning_rate.")
    momentum: float = argument(0.95, UNIT_INTERVAL, "Decay rate of the momentum.")
    ns_steps: int = argument(5, Count(at_most=100), "Number of Newton-Schulz iterations.")
    nesterov: bool = nesterov_field(True)
    rms_rate: float | None = argument(
        0.2, optional(NON_NEGATIVE), "Steps are scaled by rms_rate * sqrt(max(rows, columns)); None turns this off."
    )


def scalars(h: Any, t: Tensor, lr: Tensor, shared: SimpleNamespace) -> tuple[Scalars, Scalars]:
    """alpha_t = lr * adam_lr_ratio * sqrt(1 - adam_beta_2^t) / (1 - adam_beta_1^t), the step size of Adam's updates."""
    alpha = lr * h.adam_lr_ratio * tf.sqrt(1.0 - h.adam_beta_2**t) / (1.0 - h.adam_beta_1**t)
    return {"lr": lr, "alpha": alpha, "gain_1": 1.0 - h.adam_beta_1, "gain_2": 1.0 - h.adam_beta_2}, {}


def update(h: Any, c: SimpleNamespace, w: Tensor, g: Tensor, s: SimpleNamespace) -> tuple[Tensor, Slots]:
    """Muon for matrices: momentum, approximately orthogonalized; Adam for everything else.

    m <- momentum m + g;  x = g + momentum m (Nesterov) or m;  x / (|x| + 1e-7), then ns_steps times
    x <- a x + (b A + c A^2) x with A = x x^T;  w <- w - lr rms_rate sqrt(max(rows, columns)) x

    Source: Jordan et al. (2024), https://kellerjordan.github.io/posts/muon; the scale: Liu et al. (2025), equation 4.
    """
    if hasattr(s, "velocity"):
        return adam.update(h, c, w, g, s)
    m = c.rounded(h.momentum * s.momentum) + g
    x = _orthogonal(h, c, g + c.rounded(h.momentum * m) if h.nesterov else m)
    if h.rms_rate is not None:
        x = x * (h.rms_rate * max(w.shape[0], w.shape[1]) ** 0.5)
    return w - c.rounded(c.lr * x), {"momentum": m}


def _orthogonal(h: Any, c: SimpleNamespace, x: Tensor) -> Tensor:
    """Approximates the nearest orthogonal matrix by the quintic Newton-Schulz iteration on the shorter side."""
    tall = x.shape[0] > x.shape[1]
    x = tf.transpose(x) if tall else x
    x = x / (tf.sqrt(sum_of_squares(x)) + 1e-7)
    for _ in range(h.ns_steps):
        a = tf.matmul(x, x, transpose_b=True)
        polynomial = c.rounded(h.muon_b * a) + c.rounded(h.muon_c * tf.matmul(a, a))
        x = c.rounded(h.muon_a * x) + tf.matmul(polynomial, x)
    return tf.transpose(x) if tall else x


def slots(h: Any, shape: Sequence[int], path: str) -> tuple[tuple[Slot, ...], ...]:
    """The momentum; for the variables that Adam updates, also the second moment."""
    embedding = h.exclude_embeddings and "embedding" in path.lower()
    adam_updates = len(shape) != 2 or embedding or any(re.search(name, path) for name in h.exclude_layers or ())
    return ((Slot("momentum"), Slot("velocity")) if adam_updates else (Slot("momentum"),),)


def decay(h: Any, s: SimpleNamespace) -> float | None:
    """The weight decay, which is separate for the variables that Adam updates."""
    return h.adam_weight_decay if hasattr(s, "velocity") else h.weight_decay


def magnified(h: Any) -> float:
    """Each iteration rounds, and amplifies earlier rounding errors by at most the polynomial's steepest slope, a at 0."""
    return sum(abs(h.muon_a) ** k for k in range(h.ns_steps + 1))


RULE = Rule(
    Muon,
    "muon",
    scalars,
    update,
    slots,
    decay=decay,
    magnified=magnified,
    elementwise=False,
    lists={"momentums": "momentum", "adam_velocities": "velocity"},
)
