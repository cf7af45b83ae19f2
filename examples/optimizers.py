"""All optimizers on scikit-learn's digits: the training loss against the step, each at the best of four learning rates.

python examples/optimizers.py [FILE]    writes the picture, demo-out/optimizers.svg unless FILE is given
"""

import sys
from pathlib import Path

import numpy as np
from digits import train
from gallery.picture import COLORS, GRAY
from matplotlib.figure import Figure

import pyadam
from pyadam import specs

STEPS = 45  # in an epoch
RATES = (0.001, 0.01, 0.1, 1.0)


def best(name):
    """The losses of an optimizer at its best learning rate, that rate, and how many unseen digits it reads correctly."""
    runs = []
    for rate in RATES:
        optimizer = getattr(pyadam, name)(rate)
        _, losses = train(optimizer)
        runs.append((losses["loss"], rate, losses["val_accuracy"][-1]))
    return min(runs, key=lambda run: run[0][-1] if np.isfinite(run[0][-1]) else np.inf)


def main(file):
    file.parent.mkdir(exist_ok=True)
    found = {}
    print(f"{'':<20}{'learning rate':>14}{'loss at the end':>17}{'unseen digits':>15}")
    for name in specs.SPECS:
        losses, rate, right = found[name] = best(name)
        print(f"{name:<20}{rate:>14g}{losses[-1]:>17.4f}{right:>15.2%}", flush=True)
    draw(found, file)
    print(f"the curves are in {file}")


def draw(found, file):
    """A panel for each optimizer, with Adam's curve behind it."""
    columns = 5
    figure = Figure(figsize=(11, 8), layout="constrained", facecolor="none")
    panels = figure.subplots(-(-len(found) // columns), columns, sharex=True, sharey=True).ravel()
    for panel in panels[len(found) :]:
        panel.set_axis_off()
    for panel, (name, (losses, rate, _)) in zip(panels, found.items(), strict=False):
        steps = STEPS * np.arange(1, len(losses) + 1)
        panel.plot(steps, found["Adam"][0], GRAY, alpha=0.5, linewidth=4)
        panel.plot(steps, losses, COLORS[0])
        panel.set_title(f"{name}, {rate:g}", fontsize=9, pad=4)
        panel.set(yscale="log", facecolor="none")
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(color=GRAY, alpha=0.2)
    figure.supxlabel("step")
    figure.supylabel("training loss")
    figure.suptitle("scikit-learn's digits: each optimizer at its best learning rate of four; gray: Adam")
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)


if __name__ == "__main__":
    main(Path(*sys.argv[1:] or ["demo-out", "optimizers.svg"]))
