"""Gradients kept within limits: of their elements, of each one's norm, or of the norm of all."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from pyadam.optimizers.numerics import scalar, sum_of_squares

__all__ = ["clip", "clipped", "global_factor", "norm_factors", "squares"]


def norm_factors(gradients: Sequence[Any], clipnorm: float | None, global_clipnorm: float | None) -> list[Any]:
    """What each gradient is multiplied by, so that its own Euclidean norm or the global one keeps its limit; None without one.

    A NaN stays where it is under ``clipnorm``; under ``global_clipnorm`` it reaches every element.
    """
    if clipnorm is not None:
        return [_shrink(_finite_norm(g), clipnorm) for g in gradients]
    if global_clipnorm is not None and gradients:
        wide = any(g.dtype == tf.float64 for g in gradients)
        return [global_factor([*map(squares, gradients)], wide, global_clipnorm)] * len(gradients)
    return [None] * len(gradients)


def squares(gradient: Any) -> Any:
    """The part of a gradient in the square of the global norm, a float64 scalar."""
    return sum_of_squares(tf.cast(gradient, tf.float64))


def global_factor(squares: Sequence[Any], wide: bool, global_clipnorm: float, other_squares: Any = 0.0) -> Any:
    """As `norm_factors`, from the squares of all gradients and those elsewhere; in float64 if wide, else in float32."""
    norm = tf.cast(tf.sqrt(tf.add_n(squares) + other_squares), tf.float64 if wide else tf.float32)
    norm += norm - norm  # an infinite norm becomes NaN; it would silently turn finite gradients into zeros
    return _shrink(norm, global_clipnorm)


def clipped(g: Any, clipvalue: float | None, factor: Any) -> Any:
    """A gradient, clipped by value or a factor of `norm_factors`, or as it is. A NaN stays where it is under ``clipvalue``."""
    if clipvalue is not None:
        limit = scalar(clipvalue, g.dtype)
        return tf.where(g > limit, limit, tf.where(g < -limit, -limit, g))  # NaN stays NaN, in every version of XLA
    return g if factor is None else g * tf.cast(factor, g.dtype)


def clip(
    gradients: Sequence[Any], clipnorm: float | None, clipvalue: float | None, global_clipnorm: float | None
) -> list[Any]:
    """The gradients, clipped by whichever limit is given."""
    factors = norm_factors(gradients, clipnorm, global_clipnorm)
    return [clipped(g, clipvalue, factor) for g, factor in zip(gradients, factors, strict=True)]


def _finite_norm(g: Any) -> Any:
    """The norm of the finite elements. Its square may be beyond the range of the dtype."""
    return tf.cast(tf.sqrt(squares(tf.where(tf.math.is_finite(g), g, tf.zeros_like(g)))), g.dtype)


def _shrink(norm: Any, limit: float) -> Any:
    limit = scalar(limit, norm.dtype)
    return limit / tf.where(norm <= limit, limit, norm)  # NaN stays NaN
