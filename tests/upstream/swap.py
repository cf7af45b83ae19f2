"""A pytest plugin: replaces Keras' classes with pyadam's, and records the results of the tests that use one.

Loaded with ``-p swap`` before tests are collected. Only tests that may make an optimizer run; the others are the same as
without pyadam. Results go to the file named by PYADAM_UPSTREAM_RESULTS, one JSON list per test: its id, its outcome, whether
it made one of pyadam's optimizers, and what went wrong. A test or file that needs a package which is not installed
counts as skipped.
"""

import importlib
import inspect
import json
import os
import sys
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType

import pytest

import pyadam

HOST = os.environ.get("PYADAM_UPSTREAM_HOST", "keras")
host = importlib.import_module(HOST)
ours = importlib.import_module({"keras": "pyadam.keras3", "tf_keras": "pyadam.tf_keras"}[HOST])

_WORDS = {"compile", "optimizer", "optimizers"}  # code with these words may make an optimizer
_ALL = ("optimizers/", "wrappers/")  # no test is left out there

_made = 0
_reports: dict[str, list] = {}


def _swap(name: str, original: type) -> None:
    """Replaces the class of that name in every Keras module, and in Keras 3's table of names."""
    replacement = getattr(ours, name)
    for module_name, module in list(sys.modules.items()):
        if module_name.split(".")[0] == HOST and getattr(module, name, None) is original:
            setattr(module, name, replacement)
    if HOST == "keras":
        host.src.optimizers.ALL_OBJECTS_DICT[name.lower()] = replacement
        host.src.optimizers.ALL_OBJECTS.discard(original)
        host.src.optimizers.ALL_OBJECTS.add(replacement)


def _count(optimizer: type) -> None:
    initialize = optimizer.__init__

    def counting(self, *args, **kwargs):
        global _made
        _made += 1
        initialize(self, *args, **kwargs)

    optimizer.__init__ = counting


for name in (*(name for name, spec in pyadam.specs.SPECS.items() if spec.in_keras), *pyadam.specs.WRAPPERS):
    theirs = host.mixed_precision if HOST == "tf_keras" and name == "LossScaleOptimizer" else host.optimizers
    if hasattr(theirs, name):
        _swap(name, getattr(theirs, name))
for optimizer in (ours.Optimizer, ours.LossScaleOptimizer):
    _count(optimizer)


# --- which tests run -----------------------------------------------------------------------------------------------------


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
        elif isinstance(constant, str | tuple):  # a tuple: the names of a call's arguments
            yield from [constant] if isinstance(constant, str) else filter(lambda x: isinstance(x, str), constant)


def _reaches_optimizer(function: Callable, own: type | None) -> bool:
    """Whether a function, or a test module that it names, contains one of the words."""
    seen, waiting = set(), [getattr(function, "__func__", function), getattr(own, "setUp", None)]
    while waiting:
        found = waiting.pop()
        if inspect.isclass(found):
            waiting.extend(vars(found).values())
        if (
            not isinstance(found, FunctionType)
            or found in seen
            or not found.__module__.endswith(("_test", "test_case"))
        ):
            continue
        seen.add(found)
        waiting.extend([cell.cell_contents for cell in found.__closure__ or ()])  # unwraps decorators
        names = set(_names(found.__code__))
        if names & _WORDS:
            return True
        waiting.extend(getattr(own, name, None) or found.__globals__.get(name) for name in names)
    return False


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    chosen = [item for item in items if item.nodeid.startswith(_ALL) or _reaches_optimizer(item.obj, item.cls)]
    left_out = [item for item in items if item not in chosen]
    for item in left_out:
        _note(item.nodeid, "left out", "")
    config.hook.pytest_deselected(items=left_out)
    items[:] = chosen


# --- results -------------------------------------------------------------------------------------------------------------


def _note(node: str, outcome: str, why: str) -> list:
    entry = _reports.setdefault(node, [node, "passed", False, ""])
    if outcome != "passed":
        entry[1], entry[3] = outcome, why[-3000:]
    return entry


def _lacks_package(error: BaseException | None) -> bool:
    return isinstance(error, ImportError) and not str(error.name).startswith("pyadam")


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report():
    report = yield
    if report.failed:
        _note(
            report.nodeid,
            "skipped" if "ModuleNotFoundError" in str(report.longrepr) else "failed",
            str(report.longrepr),
        )
    return report


def pytest_runtest_logstart(nodeid: str) -> None:
    global _made
    _made = 0


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(call):
    report = yield
    if report.failed and call.excinfo is not None and _lacks_package(call.excinfo.value):
        report.outcome = "skipped"
        report.longrepr = (str(report.fspath), 0, str(call.excinfo.value))
    return report


def pytest_runtest_logreport(report) -> None:
    entry = _note(report.nodeid, report.outcome, str(report.longrepr))
    entry[2] = entry[2] or _made > 0


def pytest_sessionfinish() -> None:
    with open(os.environ["PYADAM_UPSTREAM_RESULTS"], "w") as file:
        json.dump(list(_reports.values()), file)
