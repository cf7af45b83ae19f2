"""For every documented difference, Keras' measured result is wrong and ours is right."""

import pytest

from pyadam.parity.differences import DIFFERENCES


@pytest.mark.parametrize("row", DIFFERENCES, ids=lambda row: f"{row.number}-{row.what}")
def test_keras_is_wrong_and_pyadam_is_right(row):
    theirs, ours = map(row.outcome, row.modules())
    assert row.is_right(ours), f"pyadam gives {ours}, right is {row.right}"
    assert not row.is_right(theirs), f"Keras gives the right {theirs}: the row is out of date"
