"""Keras' own tests of its callbacks pass with pyadam's optimizers, except those listed with a reason."""

import pytest
from suite import WORDS, Suite

EXCEPTIONS = {
    "callbacks/learning_rate_scheduler_test.py::LearningRateSchedulerTest::test_throws_when_optimizer_has_schedule": WORDS,
    "callbacks/reduce_lr_on_plateau_test.py::ReduceLROnPlateauTest::test_throws_when_optimizer_has_schedule": WORDS,
}


@pytest.mark.long
class TestCallbacks(Suite):
    folders = ("callbacks",)
    exceptions = EXCEPTIONS
    at_least = 51
