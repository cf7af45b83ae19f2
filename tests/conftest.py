"""What all tests share: a quiet TensorFlow, a fixed number of threads, and R if it is installed."""

import collections
import hashlib
import itertools
import os
import sys
from collections.abc import Callable

import pytest
from hypothesis import settings

settings.register_profile("lean", max_examples=5, deadline=None)
settings.register_profile("thorough", max_examples=40, deadline=None)
settings.load_profile("lean")

# Before TensorFlow is imported.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")


COUNTED = "counted"
LONGEST = (
    "upstream",
    "test_snippets",
    "test_workers",
    "test_replicas",
    "test_resume",
    "test_convert",
    "test_fuzz",
)  # they start first


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Implements the marker sample: cases outside the sample are marked long."""
    if addresses := [item.nodeid for item in items if " at 0x" in item.nodeid]:
        raise pytest.UsageError(f"names of tests differ from process to process: {addresses[0]}")

    def chance(item: pytest.Item) -> str:
        return hashlib.md5(item.nodeid.encode()).hexdigest()

    sampled = [item for item in items if item.get_closest_marker("sample")]
    for _, cases in itertools.groupby(sampled, key=lambda item: item.nodeid.partition("[")[0]):
        quick = sorted((item for item in cases if not item.get_closest_marker("long")), key=chance)
        for item in quick[quick[0].get_closest_marker("sample").args[0] :] if quick else ():
            item.add_marker("long")
    items.sort(key=lambda item: not any(part in item.nodeid for part in LONGEST))


@pytest.fixture
def count(record_property: Callable[[str, object], None]) -> Callable[[str, str, int], None]:
    """Adds to a row of a table: ``count(table, row, 1)``. The tables of all tests are printed at the end."""
    return lambda table, row, number=1: record_property(COUNTED, (table, row, number))


@pytest.hookimpl(tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints what tests counted."""
    tables: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for report in itertools.chain.from_iterable(terminalreporter.stats.values()):
        for name, (table, row, number) in getattr(report, "user_properties", ()):
            if name == COUNTED and report.when == "call":
                tables[table][row] += number
    for table, rows in sorted(tables.items()):
        terminalreporter.section(table)
        for row, number in sorted(rows.items()):
            terminalreporter.line(f"{number:7d}  {row}")


@pytest.fixture(scope="session")
def r() -> dict[str, str]:
    """The environment in which to start R with the R package.

    If something is missing the test is skipped, or fails under PYADAM_REQUIRE_R=1, as in `make test`.
    """
    from pyadam.parity.rscript import environment, unavailable

    if reason := unavailable():
        if os.environ.get("PYADAM_REQUIRE_R") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return environment()


@pytest.fixture(autouse=True)
def _same_numbers_in_any_order() -> None:
    """Every test draws the same random numbers, whichever tests run before it."""
    if "helpers" in sys.modules:
        sys.modules["helpers"].restart()


@pytest.fixture(autouse=True)
def _needs_r(request: pytest.FixtureRequest) -> None:
    """Implements the marker needs_r."""
    if request.node.get_closest_marker("needs_r"):
        request.getfixturevalue("r")
