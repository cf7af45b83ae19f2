"""``pyadam bench``: the time of a step, pyadam and what else there is to use, in turn, in one run.

Every peer has a process of its own, and the same number of threads; while one measures, the others sleep. Weights and
gradients are the same for all, and so are the weights after the steps (`tests/bench/test_bench.py` compares them).
"""

import argparse
import importlib.util
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["add_arguments", "main"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of the command."""
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument("--fit", action="store_true", help="whole training steps of model.fit instead, pyadam and Keras")
    kinds.add_argument(
        "--growth", action="store_true", help="the cost of a step against parameters, tensors and threads"
    )
    parser.add_argument("--r", action="store_true", help="with --fit: from R as well")
    parser.add_argument("--models", nargs="+", metavar="NAME", help="models, or COUNTxSIZE (default: all; see --list)")
    parser.add_argument("--columns", nargs="+", metavar="NAME", help="optimizers, or 'all' (default: adam)")
    parser.add_argument("--peers", nargs="+", metavar="NAME", help="who takes part (default: all that is installed)")
    parser.add_argument("--rounds", type=int, metavar="N", help="how often each peer has its turn (default: 9)")
    parser.add_argument("--threads", type=int, metavar="N", help="of each peer (default: all cores)")
    parser.add_argument(
        "--quick", action="store_true", help="3 short rounds, and small models unless --models names some"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all results")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the picture (.png or .svg)")
    parser.add_argument("--list", action="store_true", help="the names of models, columns and peers")


def main(args: argparse.Namespace) -> int:
    """Measures and prints; 0 if all went well, 1 if a peer failed, 2 if the arguments or something needed are wrong."""
    if args.list:
        print(_names())
        return 0
    if reason := _wrong(args):
        print(f"pyadam bench: {reason}", file=sys.stderr)
        return 2
    from pyadam.bench.results import facts, save
    from pyadam.bench.table import HEADER, heading, lines

    where = facts()
    if float(where["load"]) > 0.25 * int(where["cores"]):
        busy = f"load {where['load']} on {where['cores']} cores"
        print(f"pyadam bench: other programs are running ({busy}), the numbers will be off", file=sys.stderr)
    sections: dict[str, list[Any]] = {}
    print(HEADER)
    try:
        for section, cell in _measured(args):
            sections.setdefault(section, []).append(cell)
            print("", heading(cell), *lines(cell), sep="\n", flush=True)
            if args.json:  # after each cell, so that nothing is lost
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
        found.append(f"  {column.name:<15} {column.title}: {column.bytes_per_parameter} bytes a parameter")
    found.append("peers:")
    for peer in PEERS.values():
        found.append(f"  {peer.name:<15} {peer.title}{f' ({peer.missing()})' if peer.missing() else ''}")
    return "\n".join(found)


def _wrong(args: argparse.Namespace) -> str:
    """What can't be done as asked, in one line; empty where everything can."""
    from pyadam.bench.columns import COLUMNS
    from pyadam.bench.models import find
    from pyadam.bench.peers import PEERS
    from pyadam.bench.process import cores
    from pyadam.parity.rscript import unavailable

    for name in args.models or ():
        try:
            find(name)
        except ValueError as error:
            return str(error)
    for option, given, known in (("columns", args.columns, {"all", *COLUMNS}), ("peers", args.peers, PEERS)):
        for name in given or ():
            if name not in known:
                return f"--{option}: no {option[:-1]} {name!r}; there are {', '.join(sorted(known))}"
    if args.rounds is not None and args.rounds < 1:
        return f"--rounds: {args.rounds} is not 1 or more"
    if args.threads is not None and not 1 <= args.threads <= cores():
        return f"--threads: {args.threads} is not from 1 to {cores()}, the cores here"
    if args.r and not args.fit:
        return "--r goes with --fit"
    if (args.fit or args.growth) and (args.models or args.columns):
        return "--models and --columns don't go with --fit and --growth, which have their own"
    if args.fit and args.peers:
        return "--peers doesn't go with --fit, which has its own"
    if args.r and (reason := unavailable()):
        return reason
    if args.plot and args.fit:
        return "--plot doesn't go with --fit"
    if args.plot and importlib.util.find_spec("matplotlib") is None:
        return "--plot needs matplotlib: pip install '.[bench]' in a checkout"
    return ""


def _measured(args: argparse.Namespace) -> Iterator[tuple[str, Any]]:
    """Each cell as soon as it is measured, under the section that it belongs to."""
    from pyadam.bench.fit import LANGUAGES, NETWORKS, measure_fit
    from pyadam.bench.growth import AXES, PEERS_SHOWN, points
    from pyadam.bench.measure import Plan, measure
    from pyadam.bench.models import find
    from pyadam.bench.peers import PEERS
    from pyadam.bench.process import cores

    all_threads = args.threads or cores()
    rounds = args.rounds or (3 if args.quick else 9)
    turn = 0.1 if args.quick else 0.4
    todo: list[tuple[str, int, Callable[..., Any], tuple[Any, ...]]] = []  # section, threads, function and arguments
    if args.fit:
        for language in [*LANGUAGES][: 1 + args.r]:
            names = [*NETWORKS][: 2 if args.quick else None]
            todo += [(f"fit, {language}", all_threads, measure_fit, (name, language)) for name in names]
    else:
        from pyadam.bench.columns import COLUMNS

        if args.growth:
            peers = args.peers or PEERS_SHOWN
            wanted = [(axis, name, n, ["adam"]) for axis in AXES for name, n in points(axis, all_threads, args.quick)]
        else:
            from pyadam.bench.models import MODELS

            peers = args.peers or list(PEERS)
            models = args.models or (["small", "mobilenet"] if args.quick else list(MODELS))
            wanted = [("bench", name, all_threads, _columns(find(name), args.columns)) for name in models]
        for section, name, threads, columns in wanted:
            todo += [(section, threads, measure, (find(name), COLUMNS[column], peers)) for column in columns]
    with _progress(sum(2 if args.fit else len(given[2]) for *_, given in todo) + rounds * len(todo)) as progress:
        for section, threads, function, given in todo:
            yield section, function(*given, Plan(threads, rounds, turn), progress)


def _columns(model: Any, asked: Sequence[str] | None) -> Iterable[str]:
    """The columns for a model: those that are exact row by row only where gradients have rows."""
    from pyadam.bench.columns import COLUMNS

    if asked is None:
        return [name for name, column in COLUMNS.items() if name == "adam" or (column.by_row and model.rows)]
    if "all" in asked:
        return [name for name, column in COLUMNS.items() if model.rows or not column.by_row]
    return asked


@contextmanager
def _progress(total: int) -> Iterator[Callable[[str], None]]:
    """A bar on the terminal; the function moves it and says what comes next."""
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
