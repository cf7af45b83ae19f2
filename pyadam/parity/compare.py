"""How far apart numbers are, in units in the last place, and how far they may be (docs/numerics.md)."""

from dataclasses import dataclass

import numpy as np

__all__ = ["History", "Values", "apart", "excess", "limits", "oracle_share", "size", "ulp", "total_change"]

Values = tuple[list[np.ndarray], list[np.ndarray]]
"""All weights and all state variables at one moment."""

# dtype: (bits after the leading one, smallest normal exponent)
PRECISION = {"float16": (10, -14), "bfloat16": (7, -126), "float32": (23, -126), "float64": (52, -1022)}

# Keras and pyadam may differ by one ULP a step plus this share of the total change. Keras rounds coefficients to float32, for
# float64 weights too.
KERAS_SHARE = 2e-5

# Largest difference between the compiled and the uncompiled step, in ULP of the weight.
COMPILED_ULP = 4.0


def oracle_share(dtype: str) -> float:
    """The share of the total change by which the oracle and pyadam may differ, in addition to one ULP a step."""
    return 1e-9 if dtype == "float64" else KERAS_SHARE


def ulp(values: np.ndarray, dtype: str) -> np.ndarray:
    """The unit in the last place: distance from each value to the next larger one of the dtype; 0 for whole numbers."""
    if dtype not in PRECISION:
        return np.zeros(np.shape(values))
    bits, smallest = PRECISION[dtype]
    exponent = np.where(np.equal(values, 0), smallest, np.frexp(values)[1] - 1)
    return np.ldexp(1.0, np.maximum(exponent, smallest) - bits)


def apart(a: np.ndarray, b: np.ndarray, dtype: str, scale: np.ndarray | None = None) -> float:
    """The largest difference of two arrays in ULP of the larger value (or of `scale`, if that is larger still).

    0 means the same bits: signs of zeros count, NaN equals NaN. A NaN on one side or a different shape is infinitely far.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.shape != b.shape:
        return np.inf
    same = (a == b) & (np.signbit(a) == np.signbit(b)) | (np.isnan(a) & np.isnan(b))
    if same.all():
        return 0.0
    size = np.maximum(np.abs(a), np.abs(b))
    size = size if scale is None else np.maximum(size, scale)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        distance = np.abs(a - b) / ulp(np.where(np.isfinite(size), size, 0.0), dtype)
    distance = np.where(np.isnan(distance), np.inf, np.maximum(distance, 1.0 * (a == b)))  # 0.0 and -0.0 are one apart
    return float(np.max(np.where(same, 0.0, distance)))


@dataclass
class History:
    """The values of a variable, from before the first step to after the last."""

    dtype: str
    values: list[np.ndarray]


def total_change(history: History) -> list[np.ndarray]:
    """The total change up to each value: the length of its path, so a value that returns to its start has changed."""
    moves = [np.zeros_like(history.values[0])]
    moves += [np.abs(new - old) for old, new in zip(history.values, history.values[1:], strict=False)]
    return list(np.cumsum(moves, axis=0))


def size(old: np.ndarray, new: np.ndarray, magnified: float = 0.0) -> np.ndarray:
    """The size of the numbers in a step: the old value, the new one, the move, and `magnified` times the largest move."""
    move = np.abs(new - old)
    inner = magnified * np.max(move, initial=0.0)
    return np.maximum.reduce([np.abs(old), np.abs(new), move, np.full_like(move, inner if np.isfinite(inner) else 0.0)])


def limits(history: History, total_changes: list[np.ndarray], share: float, magnified: float = 0.0) -> list[np.ndarray]:
    """How far a second computation may be off at each value: one ULP a step, plus a share of the total change so far."""
    rounding = [np.zeros_like(history.values[0])]
    for old, new in zip(history.values, history.values[1:], strict=False):
        rounding.append(rounding[-1] + ulp(size(old, new, magnified), history.dtype))
    return [r + share * change for r, change in zip(rounding, total_changes, strict=True)]


def excess(expected: list[np.ndarray], found: list[np.ndarray], allowed: list[np.ndarray]) -> float:
    """The largest difference after any step, as a fraction of what is allowed there: fine up to 1."""
    worst = 0.0
    for a, b, limit in list(zip(expected, found, allowed, strict=True))[1:]:
        if a.shape != b.shape:
            return np.inf
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            part = np.abs(a - b) / limit
        part = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, part)
        worst = max(worst, float(np.max(np.where(np.isnan(part), np.inf, part), initial=0.0)))
    return worst
