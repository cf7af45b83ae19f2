"""The weights and gradients of a case: drawn once, rounded to the case's dtypes, and passed to all languages as a file."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import ml_dtypes
import numpy as np

from pyadam.parity.cases import Case

__all__ = ["Gradient", "Inputs", "Slices", "draw", "representable", "save", "sum_dtype", "summed", "typed"]


MOST_ROWS = 50  # of a sparse gradient


@dataclass(frozen=True)
class Slices:
    """A sparse gradient: one slice of `values` per row index; an index may occur twice."""

    values: np.ndarray
    indices: np.ndarray
    shape: tuple[int, ...]

    def dense(self) -> np.ndarray:
        """The same gradient as a dense array, in the dtype of `values`: slices of the same row are summed."""
        full = np.zeros(self.shape, self.values.dtype)
        np.add.at(full, self.indices, self.values)
        return full


Gradient = np.ndarray | Slices | None


@dataclass(frozen=True)
class Inputs:
    """Float64 arrays that the case's dtypes can represent exactly: weights, and a list of gradients for every step."""

    weights: list[np.ndarray]
    gradients: list[list[Gradient]]

    def only(self, variables: list[int]) -> "Inputs":
        """The same for some of the variables."""
        return Inputs([self.weights[j] for j in variables], [[step[j] for j in variables] for step in self.gradients])


def save(replicas: Sequence[Inputs], path: Path) -> None:
    """Writes the inputs of one or several replicas into an .npz file.

    It has the first one's weights as ``w<variable>``, and ``g<replica>_<step>_<variable>``, with
    ``i<replica>_<step>_<variable>`` if it is sparse.
    """
    arrays = {f"w{j}": weight for j, weight in enumerate(replicas[0].weights)}
    for replica, inputs in enumerate(replicas):
        for step, gradients in enumerate(inputs.gradients, start=1):
            for j, gradient in enumerate(gradients):
                key = f"{replica}_{step}_{j}"
                if isinstance(gradient, Slices):
                    arrays[f"g{key}"] = gradient.values
                    arrays[f"i{key}"] = gradient.indices
                elif gradient is not None:
                    arrays[f"g{key}"] = gradient
    np.savez(path, **arrays)


def typed(values: np.ndarray, dtype: str) -> np.ndarray:
    """The values in the dtype of that name."""
    return np.asarray(values).astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)


def representable(values: np.ndarray, dtype: str) -> np.ndarray:
    """The values rounded to those the dtype can represent, as float64."""
    return typed(values, dtype).astype(np.float64)


def draw(case: Case, replica: int = 0) -> Inputs:
    """The inputs of a case, seeded by its name: weights near 1, gradients of both signs over four orders of magnitude.

    Each replica draws its own numbers, and sparse gradients with one row less than the replica before it. The same gradients
    are None on all of them.
    """
    rng = np.random.default_rng(zlib.crc32(case.name.encode(), replica))
    variables = range(len(case.shapes))
    scales = [10.0 ** rng.uniform(-3, 1, shape) for shape in case.shapes]

    def gradient(step: int, j: int) -> Gradient:
        shape, dtype = case.shapes[j], case.dtype(j)
        if case.gradients == "some none" and j > 0 and (step + j) % 3 == 0:
            return None
        if case.gradients == "sparse" and len(shape) > 1 and shape[0] > 0:
            indices = rng.integers(shape[0], size=max(min(shape[0] + 1, MOST_ROWS) - replica, 1))
            indices[-1] = indices[0]  # at least one occurs twice
            values = scales[j][indices] * rng.normal(0.3, 1.0, (len(indices), *shape[1:]))
            return Slices(representable(values, dtype), indices, shape)
        return representable(scales[j] * rng.normal(0.3, 1.0, shape), dtype)

    return Inputs(
        weights=[representable(rng.normal(0.0, 1.0, case.shapes[j]), case.dtype(j)) for j in variables],
        gradients=[[gradient(step, j) for j in variables] for step in range(1, case.steps + 1)],
    )


def sum_dtype(dtype: str) -> str:
    """The dtype in which the gradients of a weight are added."""
    return "float64" if dtype == "float64" else "float32"


def summed(case: Case, replicas: Sequence[Inputs]) -> Inputs:
    """What one process is given instead of several replicas: the first one's weights, and the sums of all gradients.

    Dense ones are added from the first replica to the last, in `sum_dtype`; of sparse ones all rows are kept, in that order.
    """

    def total(j: int, gradients: Sequence[Gradient]) -> Gradient:
        first, *others = gradients
        if first is None:
            return None
        if isinstance(first, Slices):
            values, indices = zip(*((g.values, g.indices) for g in gradients), strict=True)
            return Slices(np.concatenate(values), np.concatenate(indices), first.shape)
        found = typed(first, sum_dtype(case.dtype(j)))
        for other in others:
            found = found + typed(other, found.dtype.name)
        return found.astype(np.float64)

    steps = zip(*(inputs.gradients for inputs in replicas), strict=True)
    gradients = [[total(j, each) for j, each in enumerate(zip(*step, strict=True))] for step in steps]
    return Inputs(replicas[0].weights, gradients)
