"""`pyadam bench`, without a clock: what is counted, and that everyone computes the same."""

import functools
import math
from pathlib import Path

import numpy as np
import pytest

from pyadam.cli.bench.columns import COLUMNS, RATE
from pyadam.cli.bench.measure import Cell, Plan, Result, batches, measure
from pyadam.cli.bench.models import MODELS, find
from pyadam.cli.bench.peers import PEERS, REFERENCE
from pyadam.cli.bench.worker import answers

DENSE, ROWS = "3x40+2x700", "300x8@160"
STEPS = 3


@functools.cache
def trained(peer, model, column, folder):
    """What a worker answers: the weights after three steps, or why the peer is left out."""
    file = Path(folder, f"{peer}-{model}-{column}.npz")
    said = list(answers(iter([{"peer": peer, "model": model, "column": column}, "first", 1, str(file)])))
    if "missing" in said[0]:
        return said[0]["missing"]
    with np.load(file) as arrays:
        return [arrays[name] for name in arrays.files]


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return str(tmp_path_factory.mktemp("bench"))


@pytest.mark.parametrize("model", [DENSE, ROWS])
@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("peer", [name for name in PEERS if name != REFERENCE])
def test_peers_compute_the_same(peer, column, model, folder):
    if reason := PEERS[peer].missing():
        pytest.skip(reason)
    theirs = trained(peer, model, column, folder)
    if isinstance(theirs, str):
        pytest.skip(theirs)
    ours = trained(REFERENCE, model, column, folder)
    start = list(find(model).weights())
    assert len(theirs) == len(ours)
    for mine, other, before in zip(ours, theirs, start * 2, strict=False):
        assert np.abs(mine - before).max() > 0.3 * RATE
        np.testing.assert_allclose(other, mine, rtol=0, atol=1e-3 * np.abs(mine - before).max() + 2e-7)
