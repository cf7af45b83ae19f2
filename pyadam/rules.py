"""The mathematics of every optimizer: pure functions of one tensor.

A rule has two parts. ``scalars`` holds what is the same for all variables and is computed once a step, in float64.
``update`` takes one weight ``w``, its gradient ``g`` and its slots ``s``, all of one shape and dtype (float32, or float64 for
float64 weights), and returns the new weight and slots. Neither knows of variables, clipping, averages or compilation.

Notation: ``h`` the hyperparameters of the spec, ``t`` the number of the update (from 1), ``lr`` the learning rate, ``c`` what
``scalars`` returned, in the dtype of ``w``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import tensorflow as tf

from pyadam import specs

__all__ = ["RULES", "Rule"]

Tensor = Any  # tf.Tensor; TensorFlow ships no types that a checker could use
Scalars = dict[str, Tensor]
Slots = dict[str, Tensor]


@dataclass(frozen=True)
class Rule:
    """An optimizer's mathematics.

    Attributes:
        layout: name of the state layout; optimizers with the same layout can load each other's state.
        scalars: ``(h, t, lr, shared) -> (c, shared)``, float64 scalars; once a step.
        update: ``(c, w, g, s) -> (w, slots)``; once a variable.
        slots: the names of the slots that a spec asks for, each starting from zeros; those of one inner tuple are stored
            side by side for each variable, one tuple after the other.
        shared: names and first values of the scalar variables that belong to the optimizer as a whole.
        elementwise: whether each element's update depends on that element alone; then variables may be laid end to end.
    """

    layout: str
    scalars: Callable[[Any, Tensor, Tensor, SimpleNamespace], tuple[Scalars, Scalars]]
    update: Callable[[SimpleNamespace, Tensor, Tensor, SimpleNamespace], tuple[Tensor, Slots]]
    slots: Callable[[Any], tuple[tuple[str, ...], ...]]
    shared: Mapping[str, float] = field(default_factory=dict)
    elementwise: bool = True


def adam_scalars(h: Any, t: Tensor, lr: Tensor, shared: SimpleNamespace) -> tuple[Scalars, Scalars]:
    """alpha_t = lr * sqrt(1 - beta_2^t) / (1 - beta_1^t): the step size with both bias corrections in it."""
    alpha = lr * tf.sqrt(1.0 - h.beta_2**t) / (1.0 - h.beta_1**t)
    return {"alpha": alpha, "gain_1": 1.0 - h.beta_1, "gain_2": 1.0 - h.beta_2, "epsilon": h.epsilon}, {}


def adam(c: SimpleNamespace, w: Tensor, g: Tensor, s: SimpleNamespace) -> tuple[Tensor, Slots]:
    """Adam in its efficient form; AMSGrad where the slot ``velocity_hat`` is there.

    m <- m + (1 - beta_1)(g - m);  v <- v + (1 - beta_2)(g^2 - v);  w <- w - alpha_t m / (sqrt(v) + epsilon)

    AMSGrad divides by the root of v_hat <- max(v_hat, v) instead.

    Source: Kingma and Ba (2014), end of section 2 (epsilon is "epsilon hat"); Reddi et al. (2018), algorithm 2.
    """
    m = s.momentum + c.gain_1 * (g - s.momentum)
    v = s.velocity + c.gain_2 * (g * g - s.velocity)
    slots = {"momentum": m, "velocity": v}
    if hasattr(s, "velocity_hat"):
        v = slots["velocity_hat"] = tf.maximum(s.velocity_hat, v)
    return w - c.alpha * m / (tf.sqrt(v) + c.epsilon), slots


def adam_slots(h: Any) -> tuple[tuple[str, ...], ...]:
    """m and v; with AMSGrad the largest v too."""
    return (("momentum", "velocity"), ("velocity_hat",)) if h.amsgrad else (("momentum", "velocity"),)


def nadam_scalars(h: Any, t: Tensor, lr: Tensor, shared: SimpleNamespace) -> tuple[Scalars, Scalars]:
    """Dozat's momentum schedule mu_t = beta_1 (1 - 0.96^t / 2), and its running product u_t = mu_1 ... mu_t."""

    def mu(k: Tensor) -> Tensor:
        return h.beta_1 * (1.0 - 0.5 * 0.96**k)

    product = shared.u_product * mu(t)
    c = {
        "lr": lr,
        "gain_1": 1.0 - h.beta_1,
        "gain_2": 1.0 - h.beta_2,
        "ahead": mu(t + 1.0) / (1.0 - product * mu(t + 1.0)),
        "now": (1.0 - mu(t)) / (1.0 - product),
        "correction": 1.0 / (1.0 - h.beta_2**t),
        "epsilon": h.epsilon,
    }
    return c, {"u_product": product}


def nadam(c: SimpleNamespace, w: Tensor, g: Tensor, s: SimpleNamespace) -> tuple[Tensor, Slots]:
    """Nadam: Adam whose step looks one momentum step ahead.

    m and v as in Adam;  m_hat = mu_{t+1} m / (1 - u_{t+1}) + (1 - mu_t) g / (1 - u_t);  v_hat = v / (1 - beta_2^t);
    w <- w - lr m_hat / (sqrt(v_hat) + epsilon)

    Source: Dozat (2016), algorithm 2.
    """
    m = s.momentum + c.gain_1 * (g - s.momentum)
    v = s.velocity + c.gain_2 * (g * g - s.velocity)
    m_hat = c.ahead * m + c.now * g
    return w - c.lr * m_hat / (tf.sqrt(v * c.correction) + c.epsilon), {"momentum": m, "velocity": v}


def moments(h: Any) -> tuple[tuple[str, ...], ...]:
    """m and v."""
    return (("momentum", "velocity"),)


RULES: dict[type[specs.Spec], Rule] = {
    specs.Adam: Rule("adam", adam_scalars, adam, adam_slots),
    specs.AdamW: Rule("adam", adam_scalars, adam, adam_slots),
    specs.Nadam: Rule("nadam", nadam_scalars, nadam, moments, {"u_product": 1.0}),
}
