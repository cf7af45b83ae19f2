"""The tables of results, for the terminal and for the documentation."""

import statistics
from collections.abc import Callable, Iterable, Sequence

from pyadam.bench.columns import COLUMNS
from pyadam.bench.measure import Cell, Result
from pyadam.bench.models import find
from pyadam.bench.peers import FLOOR, PEERS, REFERENCE

__all__ = ["HEADER", "VALUES", "details", "heading", "lines", "moved", "overview", "spread", "subject"]

HEADER = (
    f"{'':<34}{'ms':>9} {'spread':>15} {'GB/s':>7} {'of floor':>8} {'ratio':>6} {'spread':>11} {'first s':>8} {'MB':>7}"
)


def moved(cell: Cell) -> int | None:
    """Bytes that a step of a cell has to read and write; None for whole training steps."""
    return find(cell.model).bytes(COLUMNS[cell.column]) if cell.column in COLUMNS else None


def spread(values: Sequence[float]) -> tuple[float, float]:
    """The first and third quartile of the values."""
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


def heading(cell: Cell) -> str:
    """What a cell measures, in one line."""
    total = moved(cell)
    if total is None:
        return f"{cell.column}: {cell.model}; {_counted(cell.threads, 'thread')}"
    return f"{COLUMNS[cell.column].title} on {subject(cell)}; {total / 1e6:,.2f} MB to move a step"


def subject(cell: Cell) -> str:
    """The model and the number of threads of a cell."""
    model = find(cell.model)
    size = f"{_counted(len(model.shapes), 'tensor')}, {_counted(model.parameters, 'parameter')}"
    return f"{model.title}: {size}; {_counted(cell.threads, 'thread')}"


def lines(cell: Cell) -> list[str]:
    """A line for each peer, and one for each that is missing."""
    found = []
    for name, result in cell.results.items():
        low, high = (1e3 * seconds for seconds in spread(result.turns))
        ratio = (
            f"{statistics.median(result.ratios):6.2f} {_range(spread(result.ratios)):>11}"
            if result.ratios
            else f"{'-':>6} {'-':>11}"
        )
        found.append(
            f"{_title(name):<34}{1e3 * result.seconds:9.3f} {_range((low, high), 3):>15} {VALUES['GB/s'](cell, result):>7}"
            f" {VALUES['share of the floor'](cell, result):>8} {ratio} {result.first:8.2f} {result.bytes / 1e6:7.0f}"
        )
    return found + [f"{_title(name):<34}{'-':>9} {reason}" for name, reason in cell.missing.items()]


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}" + "s" * (count != 1)


def _title(name: str) -> str:
    return PEERS[name].title


def _range(ends: tuple[float, float], digits: int = 2) -> str:
    return "-".join(f"{end:.{digits}f}" for end in ends)


def _share(cell: Cell, result: Result) -> str:
    floor = cell.results.get(FLOOR)
    if floor is None:
        return "-"
    both = floor.ratios and result.ratios  # comparable even if the two had their turns in different groups
    share = (
        statistics.median(floor.ratios) / statistics.median(result.ratios) if both else floor.seconds / result.seconds
    )
    return f"{100 * share:.0f} %"


def _rate(cell: Cell, result: Result) -> str:
    total = moved(cell)
    return "-" if total is None else f"{total / result.seconds / 1e9:.1f}"


VALUES: dict[str, Callable[[Cell, Result], str]] = {  # the values that tables in the documentation can show
    "ms": lambda cell, result: f"{1e3 * result.seconds:.{2 if result.seconds < 0.0995 else 0}f}",
    "ratio": lambda cell, result: f"{statistics.median(result.ratios):.2f}" if result.ratios else "-",
    "spread of the ratio": lambda cell, result: _range(spread(result.ratios)) if result.ratios else "-",
    "GB/s": _rate,
    "share of the floor": _share,
    "first step, s": lambda cell, result: f"{result.first:.1f}",
    "memory, MB": lambda cell, result: f"{result.bytes / 1e6:.0f}",
}


def overview(cells: Iterable[Cell], value: str) -> str:
    """A Markdown table of one value: a row for each peer, a column for each cell."""
    cells = list(cells)
    one_column = len({cell.column for cell in cells}) == 1
    titles = [_model(cell) if one_column else COLUMNS[cell.column].title for cell in cells]
    rows = [
        [PEERS[name].title, *(VALUES[value](c, c.results[name]) if name in c.results else "n/a" for c in cells)]
        for name in PEERS
        if any(name in cell.results for cell in cells)
    ]
    return _markdown([value, *titles], rows)


def _model(cell: Cell) -> str:
    return cell.model if moved(cell) is None else find(cell.model).title


def details(cells: Iterable[Cell], peer: str) -> str:
    """A Markdown table of all values of a peer and the reference: a row for each cell."""
    both = [cell for cell in cells if {peer, REFERENCE} <= set(cell.results)]
    shown = [(name, value) for value in ("ms", "first step, s") for name in (peer, REFERENCE)]
    shown[2:2] = [(peer, "ratio"), (peer, "spread of the ratio")]
    header = [f"{value}: {PEERS[name].title}" if value in ("ms", "first step, s") else value for name, value in shown]
    rows = [[_model(cell), *(VALUES[value](cell, cell.results[name]) for name, value in shown)] for cell in both]
    return _markdown(["", *header], rows)


def _markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table."""
    every = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in every)
