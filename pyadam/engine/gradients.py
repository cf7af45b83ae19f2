"""Gradients as users pass them: checked, converted to the dtype of the arithmetic, unscaled, and their mean over calls."""

from typing import Any

import tensorflow as tf

from pyadam.engine.rows import few_or_whole, merged
from pyadam.optimizers.numerics import quotient
from pyadam.optimizers.sparse import Way

__all__ = [
    "as_real",
    "checked_rows",
    "compute_dtype",
    "from_real",
    "gradient_dtype",
    "has_plain_values",
    "mean_gradient",
    "prepare",
    "typed",
    "unscaled",
]


def compute_dtype(dtype: Any) -> Any:
    """The dtype in which a variable is updated: float64 for float64, float32 for float32 and for 16-bit weights.

    Complex numbers are updated as their real and imaginary parts.
    """
    return tf.float64 if tf.as_dtype(dtype) in (tf.float64, tf.complex128) else tf.float32


def gradient_dtype(dtype: Any) -> Any:
    """The dtype in which a variable's gradients are added: that of its update, or its own if it is complex."""
    return dtype if dtype.is_complex else compute_dtype(dtype)


def has_plain_values(variable: Any) -> bool:
    """Whether a tf.Variable can have state: its values are floating-point numbers, and as many as its shape says."""
    return bool(variable.dtype.is_floating and variable.shape.is_fully_defined())


def as_real(value: Any, dtype: Any) -> Any:
    """The value in a real dtype: complex numbers as pairs of real and imaginary part, along a last axis of their own."""
    if not tf.as_dtype(value.dtype).is_complex:
        return tf.cast(value, dtype)
    return tf.cast(tf.stack([tf.math.real(value), tf.math.imag(value)], axis=-1), dtype)


def from_real(value: Any, dtype: Any) -> Any:
    """What `as_real` was given, in any dtype."""
    if not dtype.is_complex:
        return tf.cast(value, dtype)
    return tf.cast(tf.complex(value[..., 0], value[..., 1]), dtype)


def typed(owner: str, path: str, weight: Any, gradient: Any) -> Any:
    """A gradient as a tensor or IndexedSlices of tensors, whose type and static shape fit the weight.

    The values of a sparse one get the dtype in which they are summed.

    Raises:
        TypeError: the gradient is not numeric.
        ValueError: its shape is not the weight's.
    """
    if isinstance(gradient, tf.IndexedSlices):
        values = _numbers(owner, path, weight, gradient.values)
        values = tf.cast(values, gradient_dtype(weight.dtype))  # so that rows are not summed in 16 bits
        if gradient.dense_shape is not None:
            shape = tf.convert_to_tensor(gradient.dense_shape)
            _check_shape(owner, path, weight, tf.IndexedSlices(gradient.values, gradient.indices, shape))
        indices = tf.convert_to_tensor(gradient.indices)
        if indices.dtype.is_integer and indices.dtype not in (tf.int32, tf.int64):
            indices = tf.cast(indices, tf.int64)
        gradient = tf.IndexedSlices(values, indices, tf.shape(weight))
        _check_rows(owner, path, weight, gradient)
        return gradient
    dense = _numbers(owner, path, weight, gradient)
    _check_shape(owner, path, weight, dense)
    if not weight.shape.is_fully_defined():
        return _of_the_shape_now(owner, path, weight, dense)
    return dense if dense.shape.is_fully_defined() else tf.ensure_shape(dense, weight.shape)


def _numbers(owner: str, path: str, weight: Any, values: Any) -> Any:
    """The values as a tensor of numbers that the weight can have: complex ones if it is complex, else real ones."""
    try:
        tensor = tf.convert_to_tensor(values)
    except Exception as error:  # of the values' own methods, too
        raise TypeError(f"{owner}: the gradient of {path} must be a tensor, got {type(values).__name__}") from error
    kind = tensor.dtype
    if weight.dtype.is_complex and (kind.is_floating or kind.is_integer):
        tensor = tf.cast(tensor, weight.dtype)
    if not (kind.is_floating or kind.is_integer or (kind.is_complex and weight.dtype.is_complex)):
        raise TypeError(f"{owner}: the gradient of {path} must hold real numbers, got {kind.name}")
    return tensor


def _check_rows(owner: str, path: str, weight: Any, gradient: Any) -> None:
    """Refuses a sparse gradient that is no list of rows of the weight."""
    indices, values = gradient.indices, gradient.values
    if weight.shape.rank == 0:
        raise ValueError(f"{owner}: the gradient of {path}, a scalar, must be a tensor, got IndexedSlices of rows")
    if not indices.dtype.is_integer:
        raise TypeError(
            f"{owner}: the indices of the gradient of {path} must be whole numbers, got {indices.dtype.name}"
        )
    if not indices.shape.is_compatible_with([None]):
        raise ValueError(
            f"{owner}: the indices of the gradient of {path} must be a list, got the shape {tuple(indices.shape)}"
        )
    rows = tf.TensorShape([indices.shape[0] if indices.shape.rank else None]).concatenate(weight.shape[1:])
    if not values.shape.is_compatible_with(rows):
        raise ValueError(
            f"{owner}: the gradient of {path} must have one row of shape {tuple(weight.shape[1:])} for each index, got values "
            f"of the shape {tuple(values.shape)} for indices of the shape {tuple(indices.shape)}"
        )


def prepare(owner: str, path: str, weight: Any, gradient: Any, way: Way) -> Any:
    """A gradient as a dense tensor of the weight's shape; the rows of a sparse one that name the same index are summed.

    A sparse one that goes by its rows becomes `Rows`.

    Raises:
        TypeError: the gradient is not numeric.
        ValueError: its shape is not the weight's, or a row is none of the weight's (see `checked_rows`).
    """
    gradient = typed(owner, path, weight, gradient)
    if not isinstance(gradient, tf.IndexedSlices):
        return gradient
    indices = checked_rows(owner, path, weight, gradient.indices, way)
    gradient = tf.IndexedSlices(gradient.values, indices, gradient.dense_shape)
    if way is not Way.DENSE and gradient.values.shape[1:].is_compatible_with(weight.shape[1:]):
        return (few_or_whole if way is Way.ALL_ROWS else merged)(gradient, weight.shape)
    return typed(owner, path, weight, tf.convert_to_tensor(gradient))


def _of_the_shape_now(owner: str, path: str, weight: Any, gradient: Any) -> Any:
    """The gradient of a weight whose static shape is unknown, checked against its value: gradients are never broadcast.

    In a graph TensorFlow's own assertion does it and reports both shapes.
    """
    if tf.executing_eagerly():
        _check_shape(owner, path, weight.read_value(), gradient)
        return gradient
    words = f"{owner}: the gradient of {path} must have the shape of the variable's value"
    same = tf.debugging.assert_equal(tf.shape(gradient), tf.shape(weight), message=words)
    with tf.control_dependencies([same]):
        return tf.identity(gradient)


def _check_shape(owner: str, path: str, weight: Any, gradient: Any) -> None:
    if not gradient.shape.is_compatible_with(weight.shape):
        raise ValueError(
            f"{owner}: the gradient of {path} must have the variable's shape {tuple(weight.shape)}, "
            f"got {tuple(gradient.shape)}"
        )


def checked_rows(owner: str, path: str, weight: Any, indices: Any, way: Way = Way.DENSE) -> Any:
    """The indices, checked to be rows of the weight: with a ValueError if their values are known, else with an assertion.

    When a step touches only those rows, TensorFlow's gather refuses bad indices in a graph, and a second check would cost time.
    Off the CPU a check would make the host wait for the device; there, and in a train step that is compiled as a whole, which
    has no assertions, TensorFlow skips indices that are out of range.
    """
    if "CPU" not in weight.device or not weight.shape.is_fully_defined():
        return indices
    rows = weight.shape[0]
    allowed = f"must be in [0, {rows - 1}]" if rows else "must be none, because the variable has no rows"
    words = f"{owner}: the indices of the gradient of {path} {allowed}, got some from"
    if hasattr(indices, "numpy"):
        found = indices.numpy()
        if found.size and (found.min() < 0 or found.max() >= rows):
            raise ValueError(f"{words} {found.min()} to {found.max()}")
        return indices
    if way is Way.ROWS:
        return indices
    low, high = tf.reduce_min(indices), tf.reduce_max(indices)
    with tf.control_dependencies([tf.debugging.Assert((low >= 0) & (high < rows), [words, low, "to", high])]):
        return tf.identity(indices)


def unscaled(spec: Any, gradient: Any, number: Any) -> Any:
    """The gradient divided by the ``loss_scale_factor`` of a spec, if it has one, in the step of this number."""
    return gradient if spec.loss_scale_factor is None else quotient(gradient, spec.loss_scale_factor, number)


def mean_gradient(spec: Any, gradient: Any, summed: Any, number: Any) -> Any:
    """The gradient of an update: unscaled, the mean over the calls since the last one.

    Args:
        spec: the hyperparameters.
        gradient: that of the last call, or None.
        summed: the accumulator, the unscaled sum of those before; without accumulation anything.
        number: as in `quotient`.
    """
    own = None if gradient is None else unscaled(spec, gradient, number)
    if spec.calls_per_update == 1:
        return own
    return quotient(summed if own is None else summed + own, spec.calls_per_update, number)
