"""How the cost of a step grows with parameters, tensors and threads, one of them at a time."""

from collections.abc import Callable
from dataclasses import dataclass

from pyadam.bench.measure import Cell
from pyadam.bench.models import find

__all__ = ["AXES", "PEERS_SHOWN", "Axis", "points"]

PEERS_SHOWN = ("pyadam", "single-pass", "keras", "keras-jit", "tf-fused", "torch-fused", "floor")


@dataclass(frozen=True)
class Axis:
    """One quantity that grows: ``models`` names the models measured, ``place`` gives a cell's position on the axis."""

    label: str
    models: tuple[str, ...]
    place: Callable[[Cell], int]


AXES = {
    "parameters": Axis(
        "parameters, in one tensor",
        tuple(f"1x{2**power}" for power in range(10, 27, 2)),
        lambda cell: find(cell.model).parameters,
    ),
    "tensors": Axis(
        "tensors, 1 M parameters in all",
        tuple(f"{2**power}x{2 ** (20 - power)}" for power in range(0, 12, 2)),
        lambda cell: len(find(cell.model).shapes),
    ),
    "threads": Axis("threads, 16 tensors of 1 M", ("16x1048576",), lambda cell: cell.threads),
}


def points(axis: str, threads: int, quick: bool) -> list[tuple[str, int]]:
    """Model and threads of each measurement on an axis; fewer with ``quick``."""
    models = AXES[axis].models
    if axis != "threads":
        return [(model, threads) for model in (models[:5:2] if quick else models)]
    counts = sorted({1, threads, *(2**power for power in range(threads.bit_length()) if 2**power < threads)})
    return [(model, count) for model in models for count in counts]
