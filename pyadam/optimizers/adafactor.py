r"""Adafactor: a factored second moment for matrices.

$$
\begin{aligned}
\beta_t &= 1 - t^{\text{beta\_2\_decay}}, \qquad \rho_t = \min\left(\eta, \tfrac{1}{\sqrt{t}}\right),
\qquad q = g^2 + \epsilon_1 \\
r &\leftarrow \beta_t r + (1 - \beta_t) \operatorname{mean}_{\text{row}}(q), \qquad
c \leftarrow \beta_t c + (1 - \beta_t) \operatorname{mean}_{\text{column}}(q), \qquad
v = \frac{r \, c^{\top}}{\operatorname{mean}(r)} \\
u &= \frac{g}{\sqrt{v}}, \qquad w \leftarrow w - \rho_t \max(\epsilon_2, \operatorname{rms}(w)) \,
\frac{u}{\max(1, \operatorname{rms}(u) / \text{clip\_threshold})}
\end{aligned}
$$

Vectors keep $v$ itself. With `relative_step=False` or a schedule, $\rho_t$ is the learning rate.

Steps are relative to the size of each variable, and there is no momentum. In the paper a matrix of $n \times m$
weights needs $n + m$ numbers of state; here, and in Keras, $v$ is stored in full beside them, because Keras' files
have it, so it saves half of Adam's state and not more. The update needs means over the whole variable, so it takes
several passes over memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType, SimpleNamespace
from typing import Any

from pyadam.optimizers.kinds import DynamicNumber, Flag
from pyadam.optimizers.numerics import mean, root, scalar, sum_of_squares
from pyadam.optimizers.rule import Rule, Scalars, Slot, Slots, Tensor
from pyadam.optimizers.shared import NON_POSITIVE, learning_rate_field
from pyadam.optimizers.spec import NON_NEGATIVE, Spec, argument
from pyadam.optimizers.tensorflow import tf

__all__ = ["RULE", "Adafactor"]


@dataclass(frozen=True, kw_only=True)
class Adafactor(Spec):
    """Adafactor: steps scaled by row and column means of the second moment of a matrix."""

    title = "Adafactor"
    r_name = "optimizer_adafactor"
    reference = (
        "Shazeer and Stern (2018), Adafactor: Adaptive Learning Rates with Sublinear Memory Cost, "
        "https://arxiv.org/abs/1804.04235, algorithms 4 and 5."
    )
    example = MappingProxyType({"learning_rate": 0.01, "relative_step": False})

    learning_rate: Any = learning_rate_field(0.001)
    beta_2_decay: float = argument(-0.8, NON_POSITIVE, "Exponent in the decay rate beta_t = 1 - t^beta_2_decay.")
    epsilon_1: float = argument(1e-30, NON_NEGATIVE, "Added to the squared gradient.")
    epsilon_2: float = argument(1e-3, NON_NEGATIVE, "Lower bound on the weight's root mean square in the step size.")
    clip_threshold: float = argument(
        1.0, DynamicNumber(low=0.0, low_open=True), "Updates with a larger root mean square are scaled down to it."
    )
    relative_step: bool = argument(
        True, Flag(), "Whether to cap a constant learning rate at 1 / sqrt(t), where t counts updates."
    )


def scalars(h: Any, t: Tensor, lr: Tensor, shared: SimpleNamespace) -> tuple[Scalars, Scalars]:
    """rho_t = min(lr, 1 / sqrt(t)), or just lr with ``relative_step=False`` or a schedule, and beta_t = 1 - t^beta_2_decay."""
    relative = h.relative_step and h.learning_rate_is_constant
    rho = tf.minimum(lr, 1.0 / root(t, t)) if relative else lr
    gain = t**h.beta_2_decay
    return {"rho": rho, "gain": gain, "keep": 1.0 - gain}, {}


def update(h: Any, c: SimpleNamespace, w: Tensor, g: Tensor, s: SimpleNamespace) -> tuple[Tensor, Slots]:
    """Adafactor: a factored second moment for matrices, the full one for vectors.

    q = g^2 + epsilon_1;  r <- beta_t r + (1 - beta_t) mean of q's rows, c of its columns;  v = r c^T / mean(r);
    u = g / sqrt(v);  w <- w - rho_t max(epsilon_2, rms(w)) u / max(1, rms(u) / clip_threshold)

    Source: Shazeer and Stern (2018), algorithms 4 and 5.
    """

    def rms(x: Tensor) -> Tensor:
        return tf.sqrt(sum_of_squares(x) / x.shape.num_elements())

    if 0 in w.shape:
        return w, {}  # an empty tensor has no mean
    q = c.rounded(g * g) + h.epsilon_1
    new: Slots = {}
    if len(w.shape) > 1:
        row = new["row"] = c.rounded(c.keep * s.row) + c.rounded(c.gain * mean(q, -1))
        column = new["column"] = c.rounded(c.keep * s.column) + c.rounded(c.gain * mean(q, -2))
        whole = mean(row, -1, keepdims=True)
        new["velocity"] = (row / whole)[..., None] * column[..., None, :]
        # root by root, as v is 0 in float32 where neither row nor column ever had a gradient
        u = c.rounded(g / (c.root(row) / c.root(whole))[..., None]) / c.root(column)[..., None, :]
    else:
        new["velocity"] = c.rounded(c.keep * s.velocity) + c.rounded(c.gain * q)
        u = g / c.root(new["velocity"])
    shrunk = tf.maximum(tf.ones([], w.dtype), rms(u) / h.clip_threshold)
    size = tf.maximum(scalar(h.epsilon_2, w.dtype), rms(w))
    return w - c.rounded(c.rho * size / shrunk * u), new


def slots(h: Any, shape: Sequence[int], path: str) -> tuple[tuple[Slot, ...], ...]:
    """Row and column means of the last two dimensions, and v.

    A matrix needs only the means and a vector only v; the other slots exist because Keras saves them too.
    """
    shape = tuple(shape)
    if len(shape) > 1:
        means = Slot("row", shape=shape[:-1]), Slot("column", shape=shape[:-2] + shape[-1:])
    else:
        row = Slot("row", 0, (), "int32", is_placeholder=True)
        means = row, row._replace(name="column")
    return ((*means, Slot("velocity")),)


RULE = Rule(
    Adafactor,
    "adafactor",
    scalars,
    update,
    slots,
    magnified=lambda h: 5.0,  # means over rows, columns and the row means, and two root mean squares
    elementwise=False,
    lists={"_r": "row", "_c": "column", "_v": "velocity"},
)
