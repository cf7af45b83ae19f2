"""Keras' own tests of models, training and the scikit-learn wrappers pass with pyadam's, except those listed with a reason."""

import pytest
from suite import ASSIGNS, Suite

pytestmark = pytest.mark.long

OF_TRAINERS = {
    f"trainers/trainer_test.py::TestTrainer::test_fit_sparse_{kind}_{mode}": ASSIGNS
    for kind in ("jax", "scipy", "tf")
    for mode in ("eager", "graph")
}


class TestModels(Suite):
    folders = ("models",)
    at_least = 57


class TestTrainers(Suite):
    folders = ("trainers",)
    exceptions = OF_TRAINERS
    at_least = 145
    needs = "jax"


class TestWrappers(Suite):
    folders = ("wrappers",)
    at_least = 66
