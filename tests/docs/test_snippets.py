"""Every snippet of the README and the documentation runs: each page from its top to its end, in both languages.

A comment before a snippet says what is special about it: ``<!-- not run: the reason -->``, or ``<!-- its own session -->`` for
one with which a new session begins.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from pyadam import specs
from pyadam.parity import peers
from pyadam.parity.rscript import environment, quoted

ROOT = Path(__file__).parents[2]
LEFT_OUT = ("_build", "reference")  # what Sphinx made, and generated pages, whose calls are signatures
PAGES = [
    "README.md",
    *sorted(
        str(page.relative_to(ROOT))
        for page in (ROOT / "docs").rglob("*.md")
        if page.relative_to(ROOT / "docs").parts[0] not in LEFT_OUT
    ),
]
SNIPPET = re.compile(
    r"^(?:<!-- (?P<mark>.*?) -->\n+)?```(?P<language>python|r)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)

# What readers have that the pages don't show: data, and the training script that a worker is started with.
BEFORE = {
    "python": "import numpy as np\nx = np.random.default_rng(1).normal(size=(64, 4))\ny = x[:, :1] + 1\n",
    "r": (
        "library(pyadam)\n"
        "x <- matrix(rnorm(256), ncol = 4)\n"
        "y <- x[, 1, drop = FALSE] + 1\n"
        'keras <- reticulate::import("keras", delay_load = TRUE)\n'
    ),
}
TOLD = {
    "python": "print({}, flush=True)\n",
    "r": "cat({}, '\\n')\n",
}


def sessions(page, language):
    """The programs of a page: before each snippet, its heading is printed."""
    text = (ROOT / page).read_text()
    found = [BEFORE[language]]
    for snippet in SNIPPET.finditer(text):
        mark = snippet["mark"] or ""
        if snippet["language"] != language or mark.startswith("not run: "):
            continue
        heading = re.findall(r"^#+ (.*)$", text[: snippet.start()], re.MULTILINE)[-1]
        code = TOLD[language].format(quoted(f"in {heading}")) + snippet["code"]
        if mark == "its own session":
            found.append(BEFORE[language] + code)
        else:
            found[-1] += code
    return [program for program in found if program != BEFORE[language]]


def run(command, folder):
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment() | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, f"{done.stdout[-300:]}\n{done.stderr[-1500:]}"


@pytest.mark.parametrize(
    ("page", "number"),
    [(page, number) for page in PAGES for number in range(len(sessions(page, "python")))],
)
def test_python(page, number, tmp_path):
    (tmp_path / "page.py").write_text(sessions(page, "python")[number])
    run([sys.executable, "page.py"], tmp_path)


@pytest.mark.needs_r
@pytest.mark.parametrize(
    ("page", "number"),
    [(page, number) for page in PAGES for number in range(len(sessions(page, "r")))],
)
def test_r(page, number, tmp_path):
    (tmp_path / "page.R").write_text(sessions(page, "r")[number])
    run(["Rscript", "page.R"], tmp_path)


def test_the_counts_and_the_table_of_the_family_are_those_of_today():
    listed = re.findall(r"^\| ([A-Z]\w+)[ ,|]", (ROOT / "docs" / "family.md").read_text(), re.MULTILINE)
    assert listed == list(specs.SPECS)
    assert len(specs.SPECS) == 19
    assert "\nNineteen of them" in (ROOT / "README.md").read_text()
    asked = {opinion.optimizer for opinion in peers.OPINIONS}
    numerics = " ".join((ROOT / "docs" / "numerics.md").read_text().split())
    assert f"{len(asked)} of pyadam's optimizers, {len(peers.OPINIONS)} pairs" in numerics


def test_every_snippet_is_found():
    """Those that are not run say why."""
    for page in PAGES:
        text = (ROOT / page).read_text()
        assert len(SNIPPET.findall(text)) == len(re.findall(r"^```(python|r)$", text, re.MULTILINE)), page
        for mark in re.findall(r"^<!-- (.*?) -->$", text, re.MULTILINE):
            assert re.fullmatch(r"not run: .{10,}|its own session|bench: .*|end", mark), (page, mark)
