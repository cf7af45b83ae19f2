"""``pyadam differences``: measures where Keras' optimizers contradict their documentation, and what pyadam gives there."""

import argparse
import importlib.util
from importlib.metadata import version
from typing import Any

import pyadam

__all__ = ["add_arguments", "main"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds no options."""


def main(args: argparse.Namespace) -> int:
    """Measures and prints every row; 0 if pyadam is right in all of them."""
    versions = [
        f"{name} {version(name)}" for name in ("keras", "tf_keras", "tensorflow") if importlib.util.find_spec(name)
    ]
    print(", ".join([*versions, f"pyadam {pyadam.__version__}"]))
    print(f"{'row':>3}  {'what':62} {'Keras':>22} {'pyadam':>12} {'right':>12}", flush=True)
    from pyadam.parity.differences import DIFFERENCES  # imports TensorFlow

    wrong = 0
    for row in DIFFERENCES:
        if importlib.util.find_spec(row.keras) is None:
            print(f"{row.number:3}  {row.what:62} {row.keras + ' is not installed':>22}")
            continue
        theirs, ours = map(row.outcome, row.modules())
        verdict = "" if row.is_right(ours) else "  WRONG"
        wrong += bool(verdict)
        shown = [_shown(outcome, row.digits) for outcome in (theirs, ours, row.right)]
        print(f"{row.number:3}  {row.what:62} {shown[0]:>22} {shown[1]:>12} {shown[2]:>12}{verdict}", flush=True)
    return 1 if wrong else 0


def _shown(outcome: Any, digits: int) -> str:
    return f"{outcome:.{digits}g}" if isinstance(outcome, float) else str(outcome)
