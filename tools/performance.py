"""Writes what `pyadam bench` and examples/which.py measured into the documentation: `make performance` runs it.

    python tools/performance.py            # from benchmarks/results/*.json into docs/performance.md and README.md, and pictures
    python tools/performance.py --check    # fails if these have other numbers, or pictures were drawn from other ones

Measured parts are between the lines `<!-- bench: NAME -->` and `<!-- end -->`. Without results a part stays as it is.
"""

import functools
import json
import re
import sys
from pathlib import Path

from pyadam.bench import plots
from pyadam.bench.models import find
from pyadam.bench.results import code_of_steps, load, load_facts
from pyadam.bench.table import details, overview, subject

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
DOCS = ROOT / "docs"
PAGES = [DOCS / "performance.md", DOCS / "which.md", ROOT / "README.md"]
GLANCED_AT = ("small", "resnet", "bert", "embedding")

SHOWN = {  # value: the line above its table
    "ms": "Milliseconds a step:",
    "ratio": "Time of a step as a multiple of pyadam's, the median of the rounds (above 1: slower than pyadam):",
    "spread of the ratio": "The spread of these ratios over the rounds, which shows how sure they are:",
    "share of the floor": "How close a step is to the floor:",
    "first step, s": "Seconds of the first step:",
    "memory, MB": "Peak memory beyond the library itself:",
}


def cells(file, section="bench"):
    return load(RESULTS / file)[section]


def machine(file, peers=("torch", "jax", "optax")):
    """The days, versions and machines of results, and of which models, if they differ.

    Results of the engine are said to be of other code, where they are.
    """
    found = load_facts(RESULTS / file)
    titles = list(dict.fromkeys(find(cell.model).title for cell in dense(file))) if (RESULTS / file).is_dir() else []
    names = {"keras": "Keras", "tensorflow": "TensorFlow"} | {peer: peer for peer in peers}

    def where(facts):
        versions = [f"{name} {facts[key]}" for key, name in names.items() if facts[key] != "missing"]
        return f"with {', '.join(versions)}, on {facts['processor']} with {facts['cores']} cores and {facts['memory']}"

    sentences = []
    for place in dict.fromkeys(map(where, found)):
        here = [facts for facts in found if where(facts) == place]
        days = sorted({facts["day"] for facts in here})
        when = f"on {days[0]}" if len(days) == 1 else f"from {days[0]} to {days[-1]}"
        what = (
            [title for title, facts in zip(titles, found, strict=True) if facts in here]
            if len(here) < len(found)
            else []
        )
        sentences.append(f"Measured {when} {place}{': ' * bool(what)}{', '.join(what)}.")
        if peers and {facts.get("code") for facts in here} != {code_of_steps()}:
            sentences.append("The code of a step has changed since; `make performance` measures it anew.")
    return " ".join(sentences)


def tables(shown, values):
    return [part for value in values for part in (SHOWN[value], overview(shown, value))]


def dense(file):
    return [cell for cell in cells(file) if cell.column == "adam"]


def models(file):
    picture = "![Time of a step of each peer on each model](models.svg)"
    shown = dense(file)
    peers = max((cell.results for cell in shown), key=len)
    turns = [len(cell.results[name].turns) for cell in shown for name in cell.results]
    measured = f"Adam on {len(shown)} models with up to {len(peers)} peers, at least {min(turns)} rounds."
    return [measured, machine(file), picture, *tables(shown, SHOWN)]


def rows(file):
    shown = [cell for cell in cells(file) if cell.model == "embedding"]
    return [subject(shown[0]) + ".", *tables(shown, ["ms", "ratio"])]


def columns(file):
    shown = cells(file)
    picture = "![Time of a step of each peer with each optimizer](columns.svg)"
    return [subject(shown[0]) + ".", picture, *tables(shown, ["ms", "ratio", "share of the floor"])]


def growth(file):
    return [machine(file), "![Time of a step against parameters, tensors and threads](growth.svg)"]


def fit(file):
    found = ["From Python:", details(cells(file, "fit, Python"), "keras")]
    return [machine(file), *found, "From R:", details(cells(file, "fit, R"), "keras")]


def summary(file):
    picture = "![Time of a step of some peers on four models](docs/glance.svg)"
    return [machine(file), picture, *tables(dense(file), ["ratio"])]


def which(file):
    sys.path.insert(0, str(ROOT / "examples"))
    from which import sentences, table

    runs = json.loads((RESULTS / file).read_text())["runs"]
    return [machine(file, peers=()), "\n".join(table(runs)), "\n".join(sentences(runs))]


PARTS = {  # name: its sources, and the function that renders it
    "models": ("models", models),
    "rows": ("models", rows),
    "columns": ("columns.json", columns),
    "growth": ("growth.json", growth),
    "fit": ("fit.json", fit),
    "summary": ("models", summary),
    "which": ("which.json", which),
}


def written(text):
    """A page with its parts updated from the results."""

    def part(found):
        file, make = PARTS[found["name"]]
        made = "\n\n".join(["", *make(file), ""])[1:] if (RESULTS / file).exists() else found["now"]
        return f"{found['start']}{made}{found['end']}"

    return re.sub(
        r"(?P<start><!-- bench: (?P<name>\w+) -->\n)(?P<now>.*?)(?P<end><!-- end -->)", part, text, flags=re.S
    )


def pictures():
    """The cells that each picture shows, and what draws it."""
    at_a_glance = [cell for cell in dense("models") if cell.model in GLANCED_AT]
    growing = load(RESULTS / "growth.json")
    return {
        "models.svg": (dense("models"), plots.draw_bench),
        "glance.svg": (at_a_glance, functools.partial(plots.draw_bench, peers=plots.SHORT, columns=2)),
        "columns.svg": (cells("columns.json"), plots.draw_bench),
        "growth.svg": (
            [cell for some in growing.values() for cell in some],
            lambda _, file: plots.draw_growth(growing, file),
        ),
    }


def stale():
    """The pages whose numbers differ from the results, and the pictures of other results."""
    pages = [page.name for page in PAGES if written(page.read_text()) != page.read_text()]
    return pages + [name for name, (shown, _) in pictures().items() if plots.digest(shown) not in read(DOCS / name)]


def read(file):
    return file.read_text() if file.exists() else ""


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        if found := stale():
            sys.exit(f"other numbers than in benchmarks/results: {', '.join(found)}; run python tools/performance.py")
    else:
        for page in PAGES:
            page.write_text(written(page.read_text()))
        for name, (shown, draw) in pictures().items():
            draw(shown, DOCS / name)
