"""What a TensorFlow is told that has not all that pyadam can use."""

import os

import pytest
import tensorflow as tf

import pyadam.xla


def test_a_single_pass_needs_a_newer_one(monkeypatch):
    """TensorFlow 2.20 and older ignore the option of XLA."""
    monkeypatch.setattr(tf, "__version__", "2.20.1")
    before = os.environ.get("XLA_FLAGS")
    with pytest.raises(
        RuntimeError, match=r"needs TensorFlow 2\.21, whose XLA first had it; here is TensorFlow 2\.20\.1"
    ):
        pyadam.xla.single_pass()
    assert os.environ.get("XLA_FLAGS") == before
