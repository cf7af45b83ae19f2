"""The optimizers that a property is tested on: all if it depends on the mathematics, else one of each kind."""

from typing import Any

import keras
import pytest

from pyadam.optimizers import RULES, SPECS

EVERY = list(SPECS)
AS_IN_KERAS = [name for name in EVERY if name != "ScheduleFreeAdamW"]  # docs/differences.md, 27

KERAS_315 = tuple(map(int, keras.__version__.split(".")[:2])) >= (3, 15)
"""Whether Keras is the one whose signatures pyadam's classes have; the oldest that pyadam takes has a few less."""


def theirs(module: Any, name: str) -> Any:
    """The Keras class that does the same on dense gradients; the test is skipped where Keras has none."""
    twins = [name, *(other for other in EVERY if RULES[SPECS[other]].update is RULES[SPECS[name]].update)]
    known = [each for each in twins if SPECS[each].in_keras]
    if not known or (name in ("Muon", "ScheduleFreeAdamW") and not KERAS_315):
        pytest.skip(f"Keras has nothing like {name}")
    return getattr(module, known[0])


def _kind(name: str) -> tuple:
    """What the engine and the files see of an optimizer."""
    spec = SPECS[name]
    rule = RULES[spec]
    matrix, vector = (sum(rule.slots(spec(), shape, ""), ()) for shape in ((2, 3), (3,)))
    shaped = any(slot.shape is not None for slot in matrix)
    started = any(slot.start for slot in matrix)
    return rule.elementwise, rule.lazy, bool(rule.shared), bool(matrix), len(matrix) == len(vector), shaped, started


_FIRST = {_kind(name): name for name in reversed(["Adam", *EVERY])}

# Adam, and one of each other kind; the rest of the family with `-m long`.
ONE_OF_EACH_KIND = [name if name in _FIRST.values() else pytest.param(name, marks=pytest.mark.long) for name in EVERY]
