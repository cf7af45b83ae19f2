"""``pyadam parity``: the same cases trained in Python and in R, and against Keras' own classes and a float64 oracle.

What may differ by how much stands in docs/numerics.md, "How equal is the same?": R and Python not at all; a compiled step from
an uncompiled one by 4 ULP; Keras and the oracle by one ULP a step plus a small share of the weight's total change (see
`compare.limits`).
"""

import argparse
import contextlib
import functools
import logging
import os
import sys
import tempfile
from pathlib import Path

__all__ = ["add_arguments", "main"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of the command."""
    parser.add_argument("--all", action="store_true", help="the whole table: every value, each in float32 and float64")
    parser.add_argument("--cases", type=int, default=0, metavar="N", help="add N random cases")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random cases (default: 0)")
    only = "only cases with one of these in their name, such as 'nadam*sparse'"
    parser.add_argument("--only", nargs="+", default=["*"], metavar="PATTERN", help=only)
    parser.add_argument("--no-r", action="store_true", help="leave R out")


def main(args: argparse.Namespace) -> int:
    """Runs the cases and prints the table; 0 if all is well, 1 if a case is not, 2 if something needed is missing."""
    # Before TensorFlow is imported; R inherits them, so that both languages compute with the same threads.
    for name, value in {
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_NUM_INTRAOP_THREADS": "1",
        "TF_NUM_INTEROP_THREADS": "1",
    }.items():
        os.environ.setdefault(name, value)
    from pyadam.parity.cases import random_cases, select, table
    from pyadam.parity.inputs import draw
    from pyadam.parity.rscript import unavailable
    from pyadam.parity.run_r import RRun

    cases = select(table(args.all) + random_cases(args.cases, args.seed), args.only)
    if not cases:
        print(f"pyadam parity: no case has {' or '.join(map(repr, args.only))} in its name", file=sys.stderr)
        return 2
    if not args.no_r and (reason := unavailable()):
        print(f"pyadam parity: {reason}; or leave R out with --no-r", file=sys.stderr)
        return 2

    inputs = [draw(case) for case in cases]
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pyadam-parity-")))
        r = None if args.no_r else stack.enter_context(RRun(cases, inputs, folder))
        from pyadam.parity.report import HEADER, judge, summary  # TensorFlow starts here and in R at the same time

        logging.getLogger("tensorflow").setLevel(logging.ERROR)  # each case traces anew, which TensorFlow warns of
        print(f"{len(cases)} cases, {cases[0].steps} steps each\n\n{HEADER}", flush=True)
        verdicts = []
        for index, (case, given) in enumerate(zip(cases, inputs, strict=True)):
            verdicts.append(judge(case, given, r and functools.partial(r.result, index)))
            print(verdicts[-1], flush=True)
    print(f"\n{summary(verdicts)}")
    reasons = sorted({v.without_keras for v in verdicts if v.without_keras})
    if reasons:
        print("\n-: not compared with Keras, because", *reasons, sep="\n   ")
    return int(any(verdict.faults for verdict in verdicts))
