"""Steps of the gradient's own direction or sign: SGD and Lion."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import tensorflow as tf

from pyadam.arguments import is_off
from pyadam.rules.rule import Scalars, Slot, Slots, Tensor

__all__ = ["lion", "sgd"]


def sgd(h: Any, c: SimpleNamespace, w: Tensor, g: Tensor, s: SimpleNamespace) -> tuple[Tensor, Slots]:
    """Gradient descent, with momentum p if asked for.

    w <- w - lr g;  with momentum: m <- p m - lr g, w <- w + m;  Nesterov's form: w <- w + p m - lr g with the new m

    Source: Sutskever et al. (2013), equations 1 to 4, the lookahead taken into the weight.
    """
    move = c.rounded(c.lr * g)
    if not hasattr(s, "momentum"):
        return w - move, {}

    def onward(m: Tensor) -> Tensor:
        return c.rounded(h.momentum * m) - move

    m = onward(s.momentum)
    return w + (onward(m) if h.nesterov else m), {"momentum": m}


def sgd_slots(h: Any, shape: Sequence[int], path: str) -> tuple[tuple[Slot, ...], ...]:
    """The momentum, if it is not 0."""
    return ((Slot("momentum"),),) if not is_off(h.momentum) else ()


def lion_scalars(h: Any, t: Tensor, lr: Tensor, shared: SimpleNamespace) -> tuple[Scalars, Scalars]:
    """the learning rate and both decay rates."""
    return {"lr": lr, "gain_1": 1.0 - h.beta_1, "gain_2": 1.0 - h.beta_2}, {}


def lion(h: Any, c: SimpleNamespace, w: Tensor, g: Tensor, s: SimpleNamespace) -> tuple[Tensor, Slots]:
    """Lion: the sign of an interpolation between momentum and gradient.

    w <- w - lr sign(beta_1 m + (1 - beta_1) g);  m <- beta_2 m + (1 - beta_2) g

    Source: Chen et al. (2023), algorithm 2.
    """
    direction = tf.sign(s.momentum + c.rounded(c.gain_1 * (g - s.momentum)))
    return w - c.lr * direction, {"momentum": s.momentum + c.rounded(c.gain_2 * (g - s.momentum))}
