"""What the pictures of the gallery have in common: SVG for light and for dark pages, the same from run to run."""

import itertools
from pathlib import Path

import numpy as np
from matplotlib import rcParams
from matplotlib.figure import Figure

GRAY = "#808080"
COLORS = ["#3d85c6", "#d9730d", "#2e9c62", "#c2579b"]  # all of them as far from white as from black

rcParams |= {
    "svg.fonttype": "none",
    "svg.hashsalt": "gallery",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.titlepad": 18,
}
rcParams |= dict.fromkeys(["text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"], GRAY)


def draw(file, *panels):
    """Writes a picture of panels side by side.

    A panel is a dictionary. "lines" and "points" have values by label: a list, which is drawn against 1, 2, 3 and so on, or a
    pair of x and y. "marks" has labels of vertical lines by x. The rest is what matplotlib's axes.set() takes.
    """
    figure = Figure(figsize=(4 * len(panels), 3), layout="constrained", facecolor="none")
    for axes, panel in zip(np.ravel(figure.subplots(1, len(panels))), panels, strict=True):
        fill(axes, **panel)
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, metadata={"Date": None} if str(file).endswith(".svg") else None)


def fill(axes, lines=(), points=(), marks=(), **settings):
    axes.set(facecolor="none", **settings)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color=GRAY, alpha=0.2)
    for x in marks:
        axes.axvline(x, color=GRAY, linewidth=0.8, linestyle=":")
        axes.annotate(marks[x], (x, 1), xycoords=("data", "axes fraction"), xytext=(0, 3), textcoords="offset points")
    ends = {}
    for kind, styles in ((lines, ["-", "--", ":"]), (points, ["."])):  # dashes show what is below them
        for label, style in zip(kind, itertools.cycle(styles), strict=False):
            x, y = kind[label] if isinstance(kind[label], tuple) else (range(1, len(kind[label]) + 1), kind[label])
            color = COLORS[len(ends)]
            axes.plot(x, y, style, color=color)
            ends[label] = (x[-1], y[-1], color)
    axes.autoscale_view()
    axes.locator_params(axis="x", integer=True)
    below = -np.inf
    for label, (x, y, color) in sorted(ends.items(), key=lambda end: end[1][1]):
        height = axes.transAxes.inverted().transform(axes.transData.transform((x, y)))[1]
        below = max(height, below + 0.08)  # in heights of the panel: labels don't touch
        axes.annotate(
            label,
            (1, below),
            xycoords="axes fraction",
            xytext=(4, 0),
            textcoords="offset points",
            color=color,
            va="center",
        )
