"""The plots: how fast each peer is, and how the cost of a step grows."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from pyadam.bench.columns import COLUMNS
from pyadam.bench.growth import AXES
from pyadam.bench.measure import Cell
from pyadam.bench.models import find
from pyadam.bench.peers import FLOOR, PEERS, REFERENCE
from pyadam.bench.table import moved, spread

__all__ = ["draw_bench", "draw_growth"]

_STYLE: dict[str, Any] = {
    "figure.dpi": 150,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "axes.axisbelow": True,
    "font.size": 9,
}


_LOOKS: dict[
    str, dict[str, Any]
] = {  # ours red, Keras blue, TensorFlow orange, torch green, optax purple, the floor black
    REFERENCE: {"color": "#b2182b", "marker": "D"},
    "single-pass": {"color": "#ef3b2c", "marker": "*"},
    "pyadam-jit": {"color": "#fb9a99", "marker": "D"},
    "keras": {"color": "#08306b", "marker": "o"},
    "keras-jit": {"color": "#4292c6", "marker": "o"},
    "tf_keras": {"color": "#4292c6", "marker": "v"},
    "legacy": {"color": "#9ecae1", "marker": "v"},
    "tf-fused": {"color": "#f28e2b", "marker": "X"},
    "torch-fused": {"color": "#006d2c", "marker": "s"},
    "torch-foreach": {"color": "#74c476", "marker": "s"},
    "torch-sparse": {"color": "#41ab5d", "marker": "P"},
    "optax": {"color": "#6a51a3", "marker": "^"},
    FLOOR: {"color": "black", "marker": "|"},
}


def draw_bench(cells: Iterable[Cell], file: Path) -> None:
    """Plots bytes per second, and time as a multiple of pyadam's, with their spread; a row per model and optimizer."""
    rows = [cell for cell in cells if cell.results and moved(cell) is not None]
    names = [name for name in PEERS if any(name in cell.results for cell in rows)]
    with plt.rc_context(_STYLE):
        figure, (rate, ratio) = plt.subplots(
            1, 2, figsize=(11, 1.6 + 0.5 * len(rows)), sharey=True, layout="constrained"
        )
        for name in names:
            found = [(y, cell, cell.results[name]) for y, cell in enumerate(rows) if name in cell.results]
            size = {"ms": 16, "mew": 2.5} if name == FLOOR else {"ms": 6}
            style = {"linestyle": "", "label": PEERS[name].title} | _LOOKS[name] | size
            gigabytes = [[(moved(cell) or 0) / seconds / 1e9 for seconds in r.turns] for _, cell, r in found]
            _dots(rate, [y for y, *_ in found], gigabytes, style)
            with_ratio = [(y, r.ratios) for y, _, r in found if r.ratios]
            _dots(ratio, [y for y, _ in with_ratio], [values for _, values in with_ratio], style)
        rate.set_yticks(range(len(rows)), [_label(cell, rows) for cell in rows])
        rate.invert_yaxis()
        rate.set_xscale("log")
        rate.set_xlabel("GB/s that a step has to move, over its time (more is better)")
        ratio.set_xscale("log")
        ratio.axvline(1, color=_LOOKS[REFERENCE]["color"], linewidth=1)
        ratio.set_xlabel("time of a step, pyadam = 1 (to the right: slower than pyadam)")
        handles, labels = rate.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
        _save(figure, file)


def _dots(axes: Any, places: list[int], values: list[list[float]], style: dict[str, Any]) -> None:
    """Draws a mark at the median of each list of values, and a line over the interquartile range."""
    if values:
        middle = [sorted(each)[len(each) // 2] for each in values]
        ends = [spread(each) for each in values]
        errors = [[max(0.0, m - low) for m, (low, _) in zip(middle, ends, strict=True)]]
        errors.append([max(0.0, high - m) for m, (_, high) in zip(middle, ends, strict=True)])
        axes.errorbar(middle, places, xerr=errors, elinewidth=1, **style)


def _label(cell: Cell, rows: list[Cell]) -> str:
    model, column = find(cell.model).title, COLUMNS[cell.column].title
    return (
        model
        if len({c.column for c in rows}) == 1
        else column
        if len({c.model for c in rows}) == 1
        else f"{model}\n{column}"
    )


def draw_growth(sections: Mapping[str, list[Cell]], file: Path) -> None:
    """Plots milliseconds against parameters, tensors and threads."""
    with plt.rc_context(_STYLE):
        figure, panels = plt.subplots(
            1, len(sections), figsize=(4 * len(sections), 3.8), squeeze=False, layout="constrained"
        )
        for panel, (title, cells) in zip(panels[0], sections.items(), strict=True):
            for name in PEERS:
                points = [(AXES[title].place(c), 1e3 * c.results[name].seconds) for c in cells if name in c.results]
                if points:
                    mark = _LOOKS[name] | ({"marker": "_"} if name == FLOOR else {})
                    panel.plot(*zip(*points, strict=True), **mark, ms=4, linewidth=1.2, label=PEERS[name].title)
            panel.set_xscale("log", base=2)
            panel.set_yscale("log")
            panel.set_xlabel(AXES[title].label)
        panels[0][0].set_ylabel("ms a step, Adam")
        handles, labels = panels[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
        _save(figure, file)


def _save(figure: Any, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file)
    plt.close(figure)
