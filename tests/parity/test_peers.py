"""Second opinions: the steps of optax and torch, asked for with ``pyadam parity --peers``."""

import numpy as np
import pytest
from helpers import run_python

from pyadam.parity import peers
from pyadam.parity.compare import excess

HERE = not peers.missing()


@pytest.mark.skipif(HERE, reason="optax and torch are installed")
def test_what_is_missing_is_said():
    done = run_python("import sys; from pyadam.cli import main; sys.exit(main(['parity', '--peers']))")
    assert done.returncode == 2
    assert "not installed: pip install '.[bench]' in a checkout" in done.stderr


@pytest.mark.skipif(not HERE, reason="needs optax and torch: make bench")
def test_others_take_the_same_steps_or_known_other_ones():
    verdicts = {opinion.case.name: peers.judged(opinion, found) for opinion, found in peers.asked(peers.OPINIONS)}
    assert not {name: words for name, words in verdicts.items() if words.startswith(("FAILED", "not in"))}


@pytest.mark.parametrize(
    ("differs", "found", "words"),
    [
        ("", 1e-12, "ok"),
        ("", 1e-3, "FAILED"),
        ("it rounds", 1e-3, "it rounds"),
        ("it rounds", 1e-12, "FAILED: no longer differs"),
        ("", "AttributeError: no such optimizer", "not in this version of optax"),
    ],
)
def test_verdicts(differs, found, words):
    assert peers.judged(peers.Opinion("Adam", "optax", ("adam", {}), differs=differs), found) == words


def test_no_number_is_no_agreement():
    one = np.ones(2)
    assert excess([one, one], [one, np.array([1.0, np.nan])], [one, one]) == np.inf
    assert excess([one, one], [one, one + 0.5], [one, np.array([1.0, 0.0])]) == np.inf
    assert excess([one, one], [one, one], [one, np.zeros(2)]) == 0.0


def test_every_optimizer_is_asked_about_or_named():
    assert {opinion.optimizer for opinion in peers.OPINIONS} | set(peers.unasked()) == set(peers.SPECS)
    assert set(peers.unasked()) <= {"Ftrl", "LazyAdam"}
