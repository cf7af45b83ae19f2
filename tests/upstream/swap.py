"""A pytest plugin: puts pyadam's classes in the place of Keras' own, and notes how the tests went that meet one.

Loaded with ``-p swap`` before tests are collected. Results go to the file that PYADAM_UPSTREAM_RESULTS names, one JSON list
a test: its id, its outcome, whether it made one of pyadam's optimizers, and what went wrong.
"""

import json
import os
import sys

import keras

import pyadam
import pyadam.keras3

_made = 0
_reports: dict[str, list] = {}


def _swap(name: str) -> None:
    """In every module of Keras that holds the class of that name, and in Keras' table of names."""
    ours, original = getattr(pyadam, name), getattr(keras.optimizers, name)
    for module_name, module in list(sys.modules.items()):
        if module_name.split(".")[0] == "keras" and getattr(module, name, None) is original:
            setattr(module, name, ours)
    keras.src.optimizers.ALL_OBJECTS_DICT[name.lower()] = ours
    keras.src.optimizers.ALL_OBJECTS.discard(original)
    keras.src.optimizers.ALL_OBJECTS.add(ours)


def _count(optimizer: type) -> None:
    initialize = optimizer.__init__

    def counting(self, *args, **kwargs):
        global _made
        _made += 1
        initialize(self, *args, **kwargs)

    optimizer.__init__ = counting


for name in (*(name for name, spec in pyadam.specs.SPECS.items() if spec.in_keras), "LossScaleOptimizer"):
    _swap(name)
for optimizer in (pyadam.keras3.Optimizer, pyadam.keras3.LossScaleOptimizer):
    _count(optimizer)


def pytest_runtest_logstart(nodeid: str) -> None:
    global _made
    _made = 0


def pytest_runtest_logreport(report) -> None:
    entry = _reports.setdefault(report.nodeid, [report.nodeid, "passed", False, ""])
    if report.outcome != "passed":
        entry[1], entry[3] = report.outcome, str(report.longrepr)[-3000:]
    entry[2] = entry[2] or _made > 0


def pytest_sessionfinish() -> None:
    with open(os.environ["PYADAM_UPSTREAM_RESULTS"], "w") as file:
        json.dump(list(_reports.values()), file)
