"""Whole training steps of ``model.fit`` with default settings, pyadam against Keras, from Python and from R."""

import functools
from pathlib import Path

from pyadam.bench.measure import Cell, Entrant, Plan, Progress, take_turns
from pyadam.bench.process import Worker, python

__all__ = ["LANGUAGES", "NETWORKS", "measure_fit"]

NETWORKS = {  # widths of the dense layers; number of rows of an embedding below them
    "9 k: 64-64-64-10": {"widths": (64, 64, 64, 10)},
    "1.3 M: 22 layers of 240": {"widths": (240,) * 23},
    "7.4 M: 3072-2048-512-10": {"widths": (3072, 2048, 512, 10)},
    "7.4 M: 784-2048-2048-800": {"widths": (784, 2048, 2048, 800)},
    "64 M: embedding, 64-10": {"widths": (64, 10), "rows": 1_000_000},
}
LANGUAGES = {  # the program that trains in each
    "Python": python("fit_worker"),
    "R": ["Rscript", str(Path(__file__).with_name("fit.R"))],
}
PEERS = {"pyadam": "pyadam", "keras": "Keras 3"}


def measure_fit(network: str, language: str, plan: Plan, progress: Progress) -> Cell:
    """Both optimizers on one network; the ratio is Keras' time against pyadam's."""
    cell = Cell(network, f"fit, {language}", plan.threads)
    start = functools.partial(Worker, LANGUAGES[language], plan.threads)
    take_turns(
        cell,
        {
            name: Entrant(f"{title} in fit, {language}", start, {"optimizer": name, "network": NETWORKS[network]})
            for name, title in PEERS.items()
        },
        plan,
        progress,
    )
    return cell
