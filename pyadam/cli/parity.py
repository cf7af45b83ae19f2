"""``pyadam parity``: trains the same cases in Python, in R, with Keras' own classes and with a float64 oracle.

docs/numerics.md, "How equal is the same?", gives the limits: R and Python may not differ at all; compiled and uncompiled
steps by 4 ULP; Keras and the oracle by one ULP a step plus a small share of the weight's total change (see
`compare.limits`). With ``--replicas`` nothing may differ at all.
"""

import argparse
import sys
from pathlib import Path

__all__ = ["add_arguments", "main"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("--all", action="store_true", help="the whole table: every value, each in float32 and float64")
    parser.add_argument("--cases", type=int, default=0, metavar="N", help="add N random cases")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random cases (default: 0)")
    only = "only cases whose name contains one of these, such as 'nadam*sparse'"
    parser.add_argument("--only", nargs="+", default=["*"], metavar="PATTERN", help=only)
    replicas = (
        "instead train on N replicas of tf.distribute.MirroredStrategy, 2 to 4, in a graph (tf.function), each with its "
        "own gradients, in Python and in R, and in one eager process on the sums of the gradients; all must have the same bits"
    )
    parser.add_argument("--replicas", type=int, choices=range(2, 5), default=1, metavar="N", help=replicas)
    parser.add_argument("--no-r", action="store_true", help="leave R out")
    own = (
        "instead the optimizers that FILE.py makes with new_optimizer_class(), compiled and uncompiled, and those of the same "
        "names in FILE.R (optimizer_signum for Signum)"
    )
    parser.add_argument("--own", type=Path, nargs="+", metavar="FILE", help=own)
    peers = "instead take the same steps with the optimizers of optax and torch, where they have them"
    parser.add_argument("--peers", action="store_true", help=peers)


def main(args: argparse.Namespace) -> int:
    """Runs the cases and prints the table; 0 if all pass, 1 if one fails, 2 if something needed is missing."""
    if args.peers and (args.own or args.replicas > 1 or args.all or args.cases):
        print("pyadam parity: --peers goes with --only alone", file=sys.stderr)
        return 2
    if args.peers:
        return _peers(args.only)
    from pyadam.parity.cases import random_cases, select, table
    from pyadam.parity.rscript import unavailable
    from pyadam.parity.run import one_thread, reporting, verdicts

    one_thread()
    with_r, r_file, names = not args.no_r, None, None
    if args.own:
        from pyadam.parity.own import take_up

        by_language = {file.suffix.lower(): file for file in args.own}
        r_file = by_language.pop(".r", None)
        with_r &= r_file is not None
        try:
            if len(by_language) != 1 or len(args.own) > 2:
                raise ValueError("--own takes a file of Python and, perhaps, one of R (.R)")
            names = take_up(*by_language.values(), args.replicas)
        except (OSError, ValueError) as error:
            print(f"pyadam parity: {error}", file=sys.stderr)
            return 2
    every = table(args.all) + random_cases(args.cases, args.seed)
    cases = select([case for case in every if names is None or case.optimizer in names], args.only)
    if not cases:
        print(f"pyadam parity: no case has {' or '.join(map(repr, args.only))} in its name", file=sys.stderr)
        return 2
    if with_r and (reason := unavailable()):
        print(f"pyadam parity: {reason}; or leave R out with --no-r", file=sys.stderr)
        return 2
    where = f" on {args.replicas} replicas" if args.replicas > 1 else ""
    print(f"{len(cases)} cases, {cases[0].steps} steps each{where}\n", flush=True)
    found = []
    for verdict in verdicts(cases, with_r, args.replicas, r_file):
        if not found:
            print(reporting(args.replicas).HEADER)
        found.append(verdict)
        print(verdict, flush=True)
    print(f"\n{reporting(args.replicas).summary(found)}")
    return int(any(verdict.faults for verdict in found))


def _peers(only: list[str]) -> int:
    """Asks the other libraries and prints what they say."""
    from pyadam.parity import peers
    from pyadam.parity.run import one_thread

    one_thread()
    chosen = peers.opinions(only)
    reason = ""
    if absent := peers.missing():
        names = " and ".join(absent) + (" is" if len(absent) == 1 else " are")
        reason = f"{names} not installed: pip install '.[bench]' in a checkout"
    elif not chosen:
        reason = f"no other library has {' or '.join(map(repr, only))}"
    if reason:
        print(f"pyadam parity: {reason}", file=sys.stderr)
        return 2
    print(peers.header(), flush=True)
    failed = 0
    for opinion, found in peers.asked(chosen):
        words = peers.judged(opinion, found)
        failed += words.startswith("FAILED")
        shown = found if isinstance(found, str) else f"{found:.1e}"
        print(f"{opinion.optimizer:<20}{opinion.library:<8}{opinion.call[0]:<34}{shown:>20}  {words}", flush=True)
    print(f"\nwithout a comparable optimizer in either library: {', '.join(peers.unasked())}")
    return int(failed > 0)
