"""What the fuzzers share: cases drawn from a seed, endings counted, and those that are not allowed printed."""

import argparse
import collections
import json
import logging
import sys
import warnings
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis import strategies as st

__all__ = ["Endings", "fuzz"]


class Endings:
    """How cases ended.

    Args:
        allowed: the endings that are.
    """

    def __init__(self, *allowed: str) -> None:
        self.allowed = allowed
        self.counts: collections.Counter[str] = collections.Counter()
        self.wrong: dict[str, list[str]] = collections.defaultdict(list)

    def add(self, ending: str, case: str) -> None:
        """Counts an ending; the words for the case are kept if it is not allowed."""
        self.counts[ending if ending in self.allowed else "other"] += 1
        if ending not in self.allowed:
            if ending not in self.wrong:  # at once: the process may not come to its end
                print(f"{ending}: {case}", file=sys.stderr, flush=True)
            self.wrong[ending].append(case)


def fuzz(endings: Endings, case: Callable[..., None], *drawn: st.SearchStrategy[Any]) -> int:
    """Runs as many cases as the command line asks for, and prints the endings; returns the exit status.

    Args:
        endings: what ``case`` counts in.
        case: takes what was drawn.
        drawn: what each of its arguments is drawn from.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)

    @seed(options.seed)
    @settings(
        max_examples=options.cases,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
    )
    @given(st.tuples(*drawn))
    def run(values: tuple[Any, ...]) -> None:
        endings.counts["cases"] += 1
        case(*values)

    run()
    for ending, found in sorted(endings.wrong.items(), key=lambda each: -len(each[1])):
        print(f"{len(found):6d}  {ending}\n        " + "\n        ".join(sorted(set(found), key=len)[:4]))
    print(json.dumps(endings.counts), flush=True)
    sys.stdout.flush()
    return 1 if endings.wrong else 0
