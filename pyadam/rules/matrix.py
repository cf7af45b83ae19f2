"""Rules that see a weight as a matrix: Adafactor, whose state is its margins, and Muon, whose step is orthogonal."""

import re
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import tensorflow as tf

from pyadam.numerics import mean, root, scalar, sum_of_squares
from pyadam.rules.adam import adam
from pyadam.rules.rule import Scalars, Slot, Slots, Tensor

__all__ = ["adafactor", "muon", "muon_decay", "muon_magnified"]


def adafactor_scalars(h: Any, t: Tensor, lr: Tensor, shared: SimpleNamespace) -> tuple[Scalars, Scalars]:
    """rho_t = min(lr, 1 / sqrt(t)), or lr with ``relative_step=False`` or a schedule, and beta_t = 1 - t^beta_2_decay."""
    relative = h.relative_step and h.learning_rate_is_constant
    rho = tf.minimum(lr, 1.0 / root(t, t)) if relative else lr
    gain = t**h.beta_2_decay
    return {"rho": rho, "gain": gain, "keep": 1.0 - gain}, {}


def adafactor(h: Any, c: SimpleNamespace, w: Tensor, g: Tensor, s: SimpleNamespace) -> tuple[Tensor, Slots]:
    """Adafactor: the second moment of a matrix from the means of its rows and columns; of a vector as it is.

    q = g^2 + epsilon_1;  r <- beta_t r + (1 - beta_t) mean of q's rows, c of its columns;  v = r c^T / mean(r);
    u = g / sqrt(v);  w <- w - rho_t max(epsilon_2, rms(w)) u / max(1, rms(u) / clip_threshold)

    Source: Shazeer and Stern (2018), algorithms 4 and 5.
    """

    def rms(x: Tensor) -> Tensor:
        return tf.sqrt(sum_of_squares(x) / x.shape.num_elements())

    if 0 in w.shape:
        return w, {}  # nothing has no mean
    q = c.rounded(g * g) + h.epsilon_1
    new: Slots = {}
    if len(w.shape) > 1:
        row = new["row"] = c.rounded(c.keep * s.row) + c.rounded(c.gain * mean(q, -1))
        column = new["column"] = c.rounded(c.keep * s.column) + c.rounded(c.gain * mean(q, -2))
        v = (row / mean(row, -1, keepdims=True))[..., None] * column[..., None, :]
    else:
        v = c.rounded(c.keep * s.velocity) + c.rounded(c.gain * q)
    new["velocity"] = v
    u = g / c.root(v)
    shrunk = tf.maximum(tf.ones([], w.dtype), rms(u) / h.clip_threshold)
    size = tf.maximum(scalar(h.epsilon_2, w.dtype), rms(w))
    return w - c.rounded(c.rho * size / shrunk * u), new


def adafactor_slots(h: Any, shape: Sequence[int], path: str) -> tuple[tuple[Slot, ...], ...]:
    """Row and column means of the last two dimensions, and v.

    A matrix needs the means alone and a vector v alone: what is there beside them is there because Keras' files hold it.
    """
    shape = tuple(shape)
    if len(shape) > 1:
        means = Slot("row", shape=shape[:-1]), Slot("column", shape=shape[:-2] + shape[-1:])
    else:
        means = Slot("row", 0, (), "int32"), Slot("column", 0, (), "int32")
    return ((*means, Slot("velocity")),)


def muon_scalars(h: Any, t: Tensor, lr: Tensor, shared: SimpleNamespace) -> tuple[Scalars, Scalars]:
    """the learning rate, and alpha_t of Adam for the variables that Adam updates, times adam_lr_ratio."""
    alpha = lr * h.adam_lr_ratio * tf.sqrt(1.0 - h.adam_beta_2**t) / (1.0 - h.adam_beta_1**t)
    return {"lr": lr, "alpha": alpha, "gain_1": 1.0 - h.adam_beta_1, "gain_2": 1.0 - h.adam_beta_2}, {}


def muon(h: Any, c: SimpleNamespace, w: Tensor, g: Tensor, s: SimpleNamespace) -> tuple[Tensor, Slots]:
    """Muon for matrices: momentum, made nearly orthogonal; Adam for everything else.

    m <- momentum m + g;  x = g + momentum m (Nesterov) or m;  x / (|x| + 1e-7), then ns_steps times
    x <- a x + (b A + c A^2) x with A = x x^T;  w <- w - lr rms_rate sqrt(max(rows, columns)) x

    Source: Jordan et al. (2024), https://kellerjordan.github.io/posts/muon; the scale: Liu et al. (2025), equation 4.
    """
    if hasattr(s, "velocity"):
        return adam(h, c, w, g, s)
    m = c.rounded(h.momentum * s.momentum) + g
    x = _orthogonal(h, c, g + c.rounded(h.momentum * m) if h.nesterov else m)
    if h.rms_rate is not None:
        x = x * (h.rms_rate * max(w.shape[0], w.shape[1]) ** 0.5)
    return w - c.rounded(c.lr * x), {"momentum": m}


def _orthogonal(h: Any, c: SimpleNamespace, x: Tensor) -> Tensor:
    """The nearest orthogonal matrix, approximately: the quintic Newton-Schulz iteration on the shorter side."""
    tall = x.shape[0] > x.shape[1]
    x = tf.transpose(x) if tall else x
    x = x / (tf.sqrt(sum_of_squares(x)) + 1e-7)
    for _ in range(h.ns_steps):
        a = tf.matmul(x, x, transpose_b=True)
        polynomial = c.rounded(h.muon_b * a) + c.rounded(h.muon_c * tf.matmul(a, a))
        x = c.rounded(h.muon_a * x) + tf.matmul(polynomial, x)
    return tf.transpose(x) if tall else x


def muon_slots(h: Any, shape: Sequence[int], path: str) -> tuple[tuple[Slot, ...], ...]:
    """The momentum; for the variables that Adam updates its second moment as well."""
    embedding = h.exclude_embeddings and "embedding" in path.lower()
    adam_updates = len(shape) != 2 or embedding or any(re.search(name, path) for name in h.exclude_layers or ())
    return ((Slot("momentum"), Slot("velocity")) if adam_updates else (Slot("momentum"),),)


def muon_magnified(h: Any) -> float:
    """Each iteration rounds, and multiplies what was rounded before by its polynomial's slope: a at 0, where it is steepest."""
    return sum(abs(h.muon_a) ** k for k in range(h.ns_steps + 1))


def muon_decay(h: Any, s: SimpleNamespace) -> float | None:
    """Adam's variables have their own weight decay."""
    return h.adam_weight_decay if hasattr(s, "velocity") else h.weight_decay
