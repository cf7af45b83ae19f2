"""``pyadam bench``: times a step of pyadam and its alternatives, in turn, in one run.

Every peer runs in its own process with the same number of threads; while one measures, the others sleep. All start from the
same weights and gradients and reach the same weights (`tests/bench/test_bench.py` compares them).
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["add_arguments", "main"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument("--fit", action="store_true", help="whole training steps of model.fit instead, pyadam and Keras")
    kinds.add_argument(
        "--growth", action="store_true", help="the cost of a step against parameters, tensors and threads"
    )
    parser.add_argument("--r", action="store_true", help="with --fit: from R as well")
    parser.add_argument("--models", nargs="+", metavar="NAME", help="models, or COUNTxSIZE (default: all; see --list)")
    parser.add_argument("--columns", nargs="+", metavar="NAME", help="optimizers, or 'all' (default: adam)")
    parser.add_argument("--peers", nargs="+", metavar="NAME", help="peers to measure (default: all that are installed)")
    parser.add_argument("--rounds", type=int, metavar="N", help="number of turns for each peer (default: 9)")
    parser.add_argument("--threads", type=int, metavar="N", help="threads of each peer (default: all cores)")
    parser.add_argument(
        "--quick", action="store_true", help="3 short rounds, and small models unless --models names some"
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write the results to a file, or a file a model to a folder"
    )
    parser.add_argument("--plot", type=Path, metavar="FILE", help="save a plot (.png or .svg)")
    parser.add_argument("--list", action="store_true", help="list the names of models, columns and peers")


def main(args: argparse.Namespace) -> int:
    """Measures and prints; 0 if all went well, 1 if a peer failed, 2 if an argument is wrong or something is missing."""
    if args.list:
        print(_names())
        return 0
    from pyadam.bench.plan import cells, wrong

    if reason := wrong(args):
        print(f"pyadam bench: {reason}", file=sys.stderr)
        return 2
    from pyadam.bench.results import facts, save
    from pyadam.bench.table import HEADER, heading, lines

    where = facts()
    if float(where["load"]) > 0.25 * int(where["cores"]):
        busy = f"load {where['load']} on {where['cores']} cores"
        print(f"pyadam bench: other programs are running ({busy}); the numbers will be off", file=sys.stderr)
    sections: dict[str, list[Any]] = {}
    print(HEADER)
    try:
        for section, cell in cells(args, _progress):
            sections.setdefault(section, []).append(cell)
            print("", heading(cell), *lines(cell), sep="\n", flush=True)
            if args.json:  # after each cell, so an interruption loses nothing
                save(args.json, sections, where)
    except KeyboardInterrupt:
        print("\npyadam bench: interrupted; what was measured so far is kept", file=sys.stderr)
    if args.plot and sections:
        from pyadam.bench.plots import draw_bench, draw_growth

        if args.growth:
            draw_growth(sections, args.plot)
        else:
            draw_bench([cell for cells in sections.values() for cell in cells], args.plot)
    failed = [reason for cells in sections.values() for c in cells for reason in c.missing.values()]
    return int(any(reason.startswith("failed") for reason in failed))


def _names() -> str:
    from pyadam.bench.columns import COLUMNS
    from pyadam.bench.models import MODELS
    from pyadam.bench.peers import PEERS

    found = ["models:"]
    for model in MODELS.values():
        found.append(f"  {model.name:<15} {model.title}: {len(model.shapes)} tensors, {model.parameters:,} parameters")
    found.append("columns:")
    for column in COLUMNS.values():
        found.append(f"  {column.name:<15} {column.title}: {column.bytes_per_parameter} bytes per parameter")
    found.append("peers:")
    for peer in PEERS.values():
        found.append(f"  {peer.name:<15} {peer.title}{f' ({peer.missing()})' if peer.missing() else ''}")
    return "\n".join(found)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[str], None]]:
    """A progress bar on the terminal; the function it yields advances the bar and shows what comes next."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description:<44}"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda label: bar.update(task, description=label, advance=1)
