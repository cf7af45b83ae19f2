"""Keras' own tests of saving and loading pass with pyadam's optimizers."""

import pytest
from suite import Suite

pytestmark = pytest.mark.long

EXCEPTIONS = {
    "saving/saving_lib_test.py::SavingBattleTest::test_legacy_load_skips_missing_nested_containers": (
        "reads a file that is not in the wheel; fails with Keras' own classes, too"
    ),
}


class TestSaving(Suite):
    folders = ("saving", "legacy/saving")
    exceptions = EXCEPTIONS
    at_least = 29
