"""What `pyadam bench` measures: which cells, with how many threads and rounds, and what can't be combined."""

import argparse
import importlib.util
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from pyadam.bench.columns import COLUMNS
from pyadam.bench.fit import LANGUAGES, NETWORKS, measure_fit
from pyadam.bench.growth import AXES, PEERS_SHOWN, points
from pyadam.bench.measure import Plan, measure
from pyadam.bench.models import MODELS, find
from pyadam.bench.peers import PEERS
from pyadam.bench.process import cores
from pyadam.parity.rscript import unavailable

__all__ = ["cells", "wrong"]


def wrong(args: argparse.Namespace) -> str:
    """What is wrong with the options, in one line; empty if nothing is."""
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
        return f"--threads: {args.threads} is not between 1 and {cores()}, the number of cores here"
    if args.r and not args.fit:
        return "--r needs --fit"
    if (args.fit or args.growth) and (args.models or args.columns):
        return "--models and --columns can't be combined with --fit or --growth, which have their own"
    if args.fit and args.peers:
        return "--peers can't be combined with --fit, which has its own"
    if args.r and (reason := unavailable()):
        return reason
    if args.plot and args.fit:
        return "--plot can't be combined with --fit"
    if args.plot and importlib.util.find_spec("matplotlib") is None:
        return "--plot needs matplotlib: pip install '.[bench]' in a checkout"
    return ""


def cells(args: argparse.Namespace, progress: Callable[[int], Any]) -> Iterator[tuple[str, Any]]:
    """Each cell as soon as it is measured, with the name of its section.

    Args:
        args: the options of the command.
        progress: takes the number of steps; a context manager that yields a function to call with each step's label.
    """
    all_threads = args.threads or cores()
    rounds = args.rounds or (3 if args.quick else 9)
    turn = 0.1 if args.quick else 0.4
    todo: list[tuple[str, int, Callable[..., Any], tuple[Any, ...]]] = []  # section, threads, function and arguments
    if args.fit:
        for language in [*LANGUAGES][: 1 + args.r]:
            names = [*NETWORKS][: 2 if args.quick else None]
            todo += [(f"fit, {language}", all_threads, measure_fit, (name, language)) for name in names]
    else:
        peers = args.peers or (PEERS_SHOWN if args.growth else list(PEERS))
        if args.growth:
            wanted = [(axis, name, n, ["adam"]) for axis in AXES for name, n in points(axis, all_threads, args.quick)]
        else:
            models = args.models or (["small", "mobilenet"] if args.quick else list(MODELS))
            wanted = [("bench", name, all_threads, _columns(find(name), args.columns)) for name in models]
        for section, name, threads, columns in wanted:
            todo += [(section, threads, measure, (find(name), COLUMNS[column], peers)) for column in columns]
    with progress(sum(2 if args.fit else len(given[2]) for *_, given in todo) + rounds * len(todo)) as say:
        for section, threads, function, given in todo:
            yield section, function(*given, Plan(threads, rounds, turn), say)


def _columns(model: Any, asked: Sequence[str] | None) -> Iterable[str]:
    """The columns for a model: those that work row by row only if its gradients are sparse."""
    if asked is None:
        return [name for name, column in COLUMNS.items() if name == "adam" or (column.by_row and model.rows)]
    if "all" in asked:
        return [name for name, column in COLUMNS.items() if model.rows or not column.by_row]
    return asked
