"""Adam and those that derive from it: steps scaled by running moments of the gradient."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import tensorflow as tf

from pyadam.numerics import sum_of_squares
from pyadam.rules.rule import Scalars, Slot, Slots, Tensor, slots

__all__ = ["adam", "adam_scalars", "adamax", "lamb", "moments", "nadam"]

moments = slots(("momentum", "velocity"))


def adam_scalars(h: Any, t: Tensor, lr: Tensor, shared: SimpleNamespace) -> tuple[Scalars, Scalars]:
    """alpha_t = lr * sqrt(1 - beta_2^t) / (1 - beta_1^t): the step size with both bias corrections in it."""
    alpha = lr * tf.sqrt(1.0 - h.beta_2**t) / (1.0 - h.beta_1**t)
    return {"alpha": alpha, "gain_1": 1.0 - h.beta_1, "gain_2": 1.0 - h.beta_2}, {}


def adam(h: Any, c: SimpleNamespace, w: Tensor, g: Tensor, s: SimpleNamespace) -> tuple[Tensor, Slots]:
    """Adam in its efficient form; AMSGrad where the slot ``velocity_hat`` is there.

    m <- m + (1 - beta_1)(g - m);  v <- v + (1 - beta_2)(g^2 - v);  w <- w - alpha_t m / (sqrt(v) + epsilon)

    AMSGrad divides by the root of v_hat <- max(v_hat, v) instead.

    Source: Kingma and Ba (2014), end of section 2 (epsilon is "epsilon hat"); Reddi et al. (2018), algorithm 2.
    """
    m = s.momentum + c.rounded(c.gain_1 * (g - s.momentum))
    v = s.velocity + c.rounded(c.gain_2 * (c.rounded(g * g) - s.velocity))
    new = {"momentum": m, "velocity": v}
    if hasattr(s, "velocity_hat"):
        v = new["velocity_hat"] = tf.maximum(s.velocity_hat, v)
    return w - c.alpha * m / (tf.sqrt(v) + h.epsilon), new


def adam_slots(h: Any, shape: Sequence[int], path: str) -> tuple[tuple[Slot, ...], ...]:
    """m and v; with AMSGrad the largest v too."""
    groups = moments(h, shape, path)
    return (*groups, (Slot("velocity_hat"),)) if h.amsgrad else groups


def nadam_scalars(h: Any, t: Tensor, lr: Tensor, shared: SimpleNamespace) -> tuple[Scalars, Scalars]:
    """Dozat's momentum schedule mu_t = beta_1 (1 - 0.96^t / 2), and its running product u_t = mu_1 ... mu_t."""

    def mu(k: Tensor) -> Tensor:
        return h.beta_1 * (1.0 - 0.5 * 0.96**k)

    product = shared.u_product * mu(t)
    now = (1.0 - mu(t)) / (1.0 - product)
    c = {
        "gain_1": 1.0 - h.beta_1,
        "gain_2": 1.0 - h.beta_2,
        "alpha": lr * now,
        "ahead": mu(t + 1.0) / (1.0 - product * mu(t + 1.0)) / now,
        "correction": 1.0 / (1.0 - h.beta_2**t),
    }
    return c, {"u_product": product}


def nadam(h: Any, c: SimpleNamespace, w: Tensor, g: Tensor, s: SimpleNamespace) -> tuple[Tensor, Slots]:
    """Nadam: Adam whose step looks one momentum step ahead.

    m and v as in Adam;  m_hat = mu_{t+1} m / (1 - u_{t+1}) + (1 - mu_t) g / (1 - u_t);  v_hat = v / (1 - beta_2^t);
    w <- w - lr m_hat / (sqrt(v_hat) + epsilon)

    Source: Dozat (2016), algorithm 2.
    """
    m = s.momentum + c.rounded(c.gain_1 * (g - s.momentum))
    v = s.velocity + c.rounded(c.gain_2 * (c.rounded(g * g) - s.velocity))
    step = c.alpha * (g + c.rounded(c.ahead * m)) / (tf.sqrt(v * c.correction) + h.epsilon)
    return w - step, {"momentum": m, "velocity": v}


def adamax_scalars(h: Any, t: Tensor, lr: Tensor, shared: SimpleNamespace) -> tuple[Scalars, Scalars]:
    """alpha_t = lr / (1 - beta_1^t): the step size with the bias correction of the first moment in it."""
    return {"alpha": lr / (1.0 - h.beta_1**t), "gain_1": 1.0 - h.beta_1, "beta_2": h.beta_2}, {}


def adamax(h: Any, c: SimpleNamespace, w: Tensor, g: Tensor, s: SimpleNamespace) -> tuple[Tensor, Slots]:
    """Adamax: Adam with the infinity norm in the place of the second moment.

    m <- m + (1 - beta_1)(g - m);  u <- max(beta_2 u, |g|);  w <- w - alpha_t m / (u + epsilon)

    Source: Kingma and Ba (2014), algorithm 2; epsilon, which the paper leaves out, keeps 0 / 0 away.
    """
    m = s.momentum + c.rounded(c.gain_1 * (g - s.momentum))
    u = tf.maximum(c.beta_2 * s.norm, tf.abs(g))
    return w - c.alpha * m / (u + h.epsilon), {"momentum": m, "norm": u}


def lamb_scalars(h: Any, t: Tensor, lr: Tensor, shared: SimpleNamespace) -> tuple[Scalars, Scalars]:
    """the bias corrections 1 / (1 - beta_1^t) and 1 / (1 - beta_2^t)."""
    c = {
        "lr": lr,
        "gain_1": 1.0 - h.beta_1,
        "gain_2": 1.0 - h.beta_2,
        "correction_1": 1.0 / (1.0 - h.beta_1**t),
        "correction_2": 1.0 / (1.0 - h.beta_2**t),
    }
    return c, {}


def lamb(h: Any, c: SimpleNamespace, w: Tensor, g: Tensor, s: SimpleNamespace) -> tuple[Tensor, Slots]:
    """Lamb: Adam's direction, as long as the variable's own norm.

    m and v as in Adam;  r = m_hat / (sqrt(v_hat) + epsilon);  w <- w - lr (|w| / |r|) r, with 1 for the ratio where a norm is 0

    Source: You et al. (2019), algorithm 2, with the decay taken off the weight beforehand.
    """
    m = s.momentum + c.rounded(c.gain_1 * (g - s.momentum))
    v = s.velocity + c.rounded(c.gain_2 * (c.rounded(g * g) - s.velocity))
    r = m * c.correction_1 / (tf.sqrt(v * c.correction_2) + h.epsilon)
    w_norm, r_norm = tf.sqrt(sum_of_squares(w)), tf.sqrt(sum_of_squares(r))
    usable = (w_norm > 0.0) & (r_norm > 0.0)
    ratio = tf.where(usable, w_norm / tf.where(usable, r_norm, tf.ones_like(r_norm)), tf.ones_like(w_norm))
    return w - c.rounded(ratio * c.lr * r), {"momentum": m, "velocity": v}
