"""``pyadam parity``: trains the same cases in Python, in R, with Keras' own classes and with a float64 oracle.

docs/numerics.md, "How equal is the same?", gives the limits: R and Python may not differ at all; compiled and uncompiled
steps by 4 ULP; Keras and the oracle by one ULP a step plus a small share of the weight's total change (see
`compare.limits`).
"""

import argparse
import sys

__all__ = ["add_arguments", "main"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("--all", action="store_true", help="the whole table: every value, each in float32 and float64")
    parser.add_argument("--cases", type=int, default=0, metavar="N", help="add N random cases")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random cases (default: 0)")
    only = "only cases whose name contains one of these, such as 'nadam*sparse'"
    parser.add_argument("--only", nargs="+", default=["*"], metavar="PATTERN", help=only)
    parser.add_argument("--no-r", action="store_true", help="leave R out")


def main(args: argparse.Namespace) -> int:
    """Runs the cases and prints the table; 0 if all pass, 1 if one fails, 2 if something needed is missing."""
    from pyadam.parity.cases import random_cases, select, table
    from pyadam.parity.rscript import unavailable
    from pyadam.parity.run import one_thread, verdicts

    one_thread()
    cases = select(table(args.all) + random_cases(args.cases, args.seed), args.only)
    if not cases:
        print(f"pyadam parity: no case has {' or '.join(map(repr, args.only))} in its name", file=sys.stderr)
        return 2
    if not args.no_r and (reason := unavailable()):
        print(f"pyadam parity: {reason}; or leave R out with --no-r", file=sys.stderr)
        return 2
    print(f"{len(cases)} cases, {cases[0].steps} steps each\n", flush=True)
    found = []
    for verdict in verdicts(cases, with_r=not args.no_r):
        from pyadam.parity.report import HEADER, summary  # imports TensorFlow

        if not found:
            print(HEADER)
        found.append(verdict)
        print(verdict, flush=True)
    print(f"\n{summary(found)}")
    reasons = sorted({verdict.without_keras for verdict in found if verdict.without_keras})
    if reasons:
        print("\n-: not compared with Keras, because", *reasons, sep="\n   ")
    return int(any(verdict.faults for verdict in found))
