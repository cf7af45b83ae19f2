"""Steps scaled by accumulated squares of the gradient, without bias correction: Adagrad and what came of it."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import tensorflow as tf

from pyadam.arguments import is_off
from pyadam.numerics import scalar
from pyadam.rules.rule import Scalars, Slot, Slots, Tensor

__all__ = ["adadelta", "adagrad", "ftrl", "ftrl_scalars", "mean_scalars", "plain_scalars", "rmsprop"]


def plain_scalars(h: Any, t: Tensor, lr: Tensor, shared: SimpleNamespace) -> tuple[Scalars, Scalars]:
    """the learning rate lr as it is."""
    return {"lr": lr}, {}


def mean_scalars(h: Any, t: Tensor, lr: Tensor, shared: SimpleNamespace) -> tuple[Scalars, Scalars]:
    """the learning rate, and the share 1 - rho of the new value in a running mean."""
    return {"lr": lr, "gain": 1.0 - h.rho}, {}


def adagrad(h: Any, c: SimpleNamespace, w: Tensor, g: Tensor, s: SimpleNamespace) -> tuple[Tensor, Slots]:
    """Adagrad: each element's steps shrink with the squares of all its gradients so far.

    a <- a + g^2;  w <- w - lr g / sqrt(a + epsilon)

    Source: Duchi, Hazan and Singer (2011), figure 1 with the diagonal matrix.
    """
    a = s.accumulator + c.rounded(g * g)
    return w - c.lr * g / c.root(a + h.epsilon), {"accumulator": a}


def adagrad_slots(h: Any, shape: Sequence[int], path: str) -> tuple[tuple[Slot, ...], ...]:
    """The accumulator, from its initial value."""
    return ((Slot("accumulator", h.initial_accumulator_value),),)


def adadelta(h: Any, c: SimpleNamespace, w: Tensor, g: Tensor, s: SimpleNamespace) -> tuple[Tensor, Slots]:
    """Adadelta: steps in the unit of the weight, from running means of squared gradients and squared steps.

    a <- rho a + (1 - rho) g^2;  d = -g sqrt(b + epsilon) / sqrt(a + epsilon);  b <- rho b + (1 - rho) d^2;  w <- w + lr d

    Source: Zeiler (2012), algorithm 1, with a learning rate.
    """
    a = s.accumulated_grad + c.rounded(c.gain * (c.rounded(g * g) - s.accumulated_grad))
    d = -tf.sqrt(s.accumulated_delta_var + h.epsilon) * g / c.root(a + h.epsilon)
    b = s.accumulated_delta_var + c.rounded(c.gain * (c.rounded(d * d) - s.accumulated_delta_var))
    return w + c.rounded(c.lr * d), {"accumulated_grad": a, "accumulated_delta_var": b}


def rmsprop(h: Any, c: SimpleNamespace, w: Tensor, g: Tensor, s: SimpleNamespace) -> tuple[Tensor, Slots]:
    """RMSprop: the gradient over the root of a running mean of its square; with momentum and centring if asked for.

    v <- rho v + (1 - rho) g^2;  d = lr g / sqrt(v + epsilon);  with momentum p: d <- p d_before + d;  w <- w - d

    Centred, the square of a running mean m of g is taken off v under the root: a variance in the place of the second moment.

    Source: Tieleman and Hinton (2012), lecture 6.5; centred: Graves (2013), equations 38 to 45.
    """
    v = s.velocity + c.rounded(c.gain * (c.rounded(g * g) - s.velocity))
    new, spread = {"velocity": v}, v
    if hasattr(s, "average_gradient"):
        # The variance is had as rho ((v - m^2) + (1 - rho) (g - m)^2) from the old v and m, the same number: where m^2 is most
        # of v, the difference of the new ones would be little but the rounding of both. The minimum of m^2 and v, which is m^2
        # but for rounding, keeps the root real.
        mean, apart = s.average_gradient, g - s.average_gradient
        new["average_gradient"] = mean + c.rounded(c.gain * apart)
        old = s.velocity - tf.minimum(c.rounded(mean * mean), s.velocity)
        spread = c.rounded(h.rho * (old + c.rounded(c.gain * c.rounded(apart * apart))))
    d = c.lr * g / c.root(spread + h.epsilon)
    if hasattr(s, "momentum"):
        d = new["momentum"] = c.rounded(h.momentum * s.momentum) + d
    return w - d, new


def rmsprop_slots(h: Any, shape: Sequence[int], path: str) -> tuple[tuple[Slot, ...], ...]:
    """The second moment; momentum and mean gradient where they are asked for."""
    momentum = ((Slot("momentum"),),) if not is_off(h.momentum) else ()
    centred = ((Slot("average_gradient"),),) if h.centered else ()
    return ((Slot("velocity"),), *momentum, *centred)


def ftrl_scalars(h: Any, t: Tensor, lr: Tensor, shared: SimpleNamespace) -> tuple[Scalars, Scalars]:
    """1 / lr, which the leader's problem is as steep as."""
    return {"steepness": 1.0 / lr}, {}


def ftrl(h: Any, c: SimpleNamespace, w: Tensor, g: Tensor, s: SimpleNamespace) -> tuple[Tensor, Slots]:
    """Follow the regularized leader, per coordinate.

    n' = n + g^2;  z <- z + g + 2 l2_shrinkage w - (n'^-p - n^-p) / lr w, with p the (negative) learning-rate power;
    w <- (clip(z, -l1, l1) - z) / (n'^-p / lr + 2 l2 + beta / lr);  n <- n'

    Source: McMahan et al. (2013), algorithm 1, with shrinkage-type L2 and any power.
    """
    n, power = s.accumulator + c.rounded(g * g), -h.learning_rate_power
    # the difference n'^-p - n^-p itself would cancel where g is small
    is_root = not tf.is_tensor(power) and power == 0.5
    if is_root:  # it is g^2 over the sum of both roots, which all processors round alike
        root = tf.sqrt(n)
        both = root + tf.sqrt(s.accumulator)
        grown = g * g / tf.where(both > 0.0, both, tf.ones_like(n))
    else:  # n'^-p (1 - (n / n')^-p)
        root = tf.pow(n, power)
        seen = s.accumulator > 0.0
        growth = tf.math.log1p(g * g / tf.where(seen, s.accumulator, tf.ones_like(n)))
        grown = tf.where(seen, -root * tf.math.expm1(-power * growth), root - 0.0**power)
    shrunk = g + c.rounded(2.0 * h.l2_shrinkage_regularization_strength * w)
    z = s.linear + (shrunk - c.rounded(c.steepness * grown * w))
    quadratic = c.rounded(c.steepness * (root + h.beta)) + 2.0 * h.l2_regularization_strength
    l1 = scalar(h.l1_regularization_strength, z.dtype)
    return (tf.clip_by_value(z, -l1, l1) - z) / quadratic, {"accumulator": n, "linear": z}


def ftrl_slots(h: Any, shape: Sequence[int], path: str) -> tuple[tuple[Slot, ...], ...]:
    """n, from its initial value, and z."""
    return ((Slot("accumulator", h.initial_accumulator_value), Slot("linear")),)
