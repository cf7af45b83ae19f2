"""The plots: how fast each peer is, and how the cost of a step grows.

They have no background and gray text, so that they can be read on white pages and on black ones, and lines and bars have their
names beside them.
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from pyadam.bench.columns import COLUMNS
from pyadam.bench.growth import AXES
from pyadam.bench.measure import Cell
from pyadam.bench.models import find
from pyadam.bench.peers import FLOOR, PEERS, REFERENCE
from pyadam.bench.table import spread

__all__ = ["SHORT", "draw_bench", "draw_growth"]

_GRAY, _OURS, _OTHERS = "#808080", "#d7301f", "#4c8fbf"
_STYLE: dict[str, Any] = {
    "axes.edgecolor": _GRAY,
    "axes.grid": True,
    "axes.labelcolor": _GRAY,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": _GRAY,
    "axes.titlesize": 9,
    "axes.axisbelow": True,
    "font.size": 8,
    "grid.alpha": 0.25,
    "savefig.transparent": True,
    "svg.fonttype": "none",
    "svg.hashsalt": "pyadam",
    "text.color": _GRAY,
    "xtick.color": _GRAY,
    "ytick.color": _GRAY,
}
_OF_OURS = (REFERENCE, "single-pass", "pyadam-jit")
SHORT = (REFERENCE, "single-pass", "keras", "keras-jit", "torch-fused", "optax")  # the peers of a picture at a glance


def draw_bench(cells: Iterable[Cell], file: Path, peers: Iterable[str] = PEERS, columns: int = 4) -> None:
    """Bars of the time of a step as a multiple of pyadam's, to both sides of 1: a panel for each model or optimizer."""
    shown = [cell for cell in cells if any(result.ratios for result in cell.results.values())]
    names = [name for name in peers if any(name in cell.results for cell in shown)]
    rows, across = -(-len(shown) // columns), min(columns, len(shown))
    with plt.rc_context(_STYLE):
        size = (1.8 + 2.1 * across, 0.5 + rows * (0.55 + 0.17 * len(names)))
        figure, grid = plt.subplots(
            rows, across, figsize=size, sharey=True, sharex=True, squeeze=False, layout="constrained"
        )
        for panel in grid.flat[len(shown) :]:
            panel.set_axis_off()
        for panel, cell in zip(grid.flat, shown, strict=False):
            _bars(panel, cell, names)
            panel.set_title(_label(cell, shown))
        figure.supxlabel(
            "time of a step as a multiple of pyadam's: left of 1 is faster, right slower", fontsize=8, color=_GRAY
        )
        _save(figure, file, shown)


def _bars(panel: Any, cell: Cell, names: list[str]) -> None:
    """The median of each peer's ratios, and its interquartile range; what was not measured has no bar."""
    for y, name in enumerate(names):
        ratios = cell.results[name].ratios if name in cell.results else []
        ratios = ratios or ([1.0] if name == REFERENCE else [])
        if not ratios:
            continue
        middle, (low, high) = sorted(ratios)[len(ratios) // 2], spread(ratios)
        color = _OURS if name in _OF_OURS else _GRAY if name == FLOOR else _OTHERS
        panel.barh(y, middle - 1, left=1, color=color, alpha=0.9, height=0.7)
        panel.plot([low, high], [y, y], color=_GRAY, linewidth=2)
        side, at = ("right", min(middle, low)) if middle < 1 else ("left", max(middle, high))
        offset = {"textcoords": "offset points", "xytext": (-4 if side == "right" else 4, 0)}
        panel.annotate(f"{middle:.2f}", (at, y), ha=side, va="center", **offset)
    panel.axvline(1, color=_OURS, linewidth=0.8)
    panel.set_yticks(range(len(names)), [PEERS[name].title for name in names])
    panel.set_ylim(len(names) - 0.4, -0.6)
    panel.set_xscale("log")
    panel.margins(x=0.3)
    panel.xaxis.set_major_locator(LogLocator(subs=(1.0,)))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.grid(axis="y", visible=False)


def _label(cell: Cell, shown: list[Cell]) -> str:
    """What tells a panel from the others."""
    model, column = find(cell.model).title, COLUMNS[cell.column].title
    if len({c.column for c in shown}) == 1:
        return model
    return column if len({c.model for c in shown}) == 1 else f"{model}\n{column}"


def draw_growth(sections: Mapping[str, list[Cell]], file: Path) -> None:
    """Milliseconds against parameters, tensors and threads; each line is named at its end, ours in red."""
    with plt.rc_context(_STYLE):
        figure, panels = plt.subplots(
            1, len(sections), figsize=(4.2 * len(sections), 4), squeeze=False, layout="constrained"
        )
        for panel, (title, cells) in zip(panels[0], sections.items(), strict=True):
            ends = {}
            for name in PEERS:
                points = [(AXES[title].place(c), 1e3 * c.results[name].seconds) for c in cells if name in c.results]
                if points:
                    color = _OURS if name in _OF_OURS else _GRAY if name == FLOOR else _OTHERS
                    panel.plot(*zip(*points, strict=True), "o-", color=color, ms=3, linewidth=1.2)
                    ends[name] = (*points[-1], color)
            panel.set_xscale("log", base=2)
            panel.set_yscale("log")
            panel.set_xlabel(AXES[title].label)
            _name_lines(panel, ends)
        panels[0][0].set_ylabel("ms a step, Adam")
        _save(figure, file, [cell for cells in sections.values() for cell in cells])


def _name_lines(panel: Any, ends: Mapping[str, tuple[float, float, str]]) -> None:
    """Puts the names of lines right of their ends, one above the other where they are close."""
    if not ends:
        return
    low, high = panel.get_ylim()
    step = (high / low) ** 0.05
    at = 0.0
    for name, (x, y, color) in sorted(ends.items(), key=lambda item: item[1][1]):
        at = max(y, at * step)
        place = {"textcoords": "data", "xytext": (x * 1.5, at), "va": "center", "annotation_clip": False}
        panel.annotate(PEERS[name].title, (x, y), color=color, fontsize=7, **place)


def digest(cells: Iterable[Cell]) -> str:
    """What a picture says it was drawn from."""
    return hashlib.sha256(repr(list(cells)).encode()).hexdigest()[:16]


def _save(figure: Any, file: Path, cells: Iterable[Cell]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"Date": None, "Description": f"drawn from {digest(cells)}"} if file.suffix == ".svg" else None
    figure.savefig(file, metadata=metadata, bbox_inches="tight")
    plt.close(figure)
