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
from pyadam.parity.rscript import environment, quoted

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", "r-package/README.md"]
PAGES += sorted(str(page.relative_to(ROOT)) for page in (ROOT / "docs").rglob("*.md") if "_build" not in page.parts)
PAGES.remove("docs/reference/r.md")  # calls, not programs
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
ONE_BY_ONE = {
    "python": """
import os
from pathlib import Path
for page in sorted(Path().resolve().glob("page-*"), key=lambda page: int(page.name[5:])):
    folder = page.with_name(f"folder-{page.name}")
    folder.mkdir()
    os.chdir(folder)
    exec(compile(page.read_text(), page, "exec"), {"__name__": "__main__"})
""",
    "r": """
root <- getwd()
for (page in seq_along(list.files(pattern = "^page-")) - 1) {
  dir.create(file.path(root, paste0("folder-", page)))
  setwd(file.path(root, paste0("folder-", page)))
  source(file.path(root, paste0("page-", page)), local = new.env())
}
""",
}
TOLD = {
    "python": "print({}, flush=True)\n",
    "r": "cat({}, '\\n')\n",
}


def sessions(page, language):
    """The programs of a page, by name. Before each snippet, its heading is printed."""
    text = (ROOT / page).read_text()
    found = [BEFORE[language]]
    for snippet in SNIPPET.finditer(text):
        mark = snippet["mark"] or ""
        if snippet["language"] != language or mark.startswith("not run: "):
            continue
        heading = re.findall(r"^#+ (.*)$", text[: snippet.start()], re.MULTILINE)[-1]
        code = TOLD[language].format(quoted(f"in {heading}, {page}")) + snippet["code"]
        if mark == "its own session":
            found.append(BEFORE[language] + code)
        else:
            found[-1] += code
    return {
        f"{page} {number or 'in common'}": program
        for number, program in enumerate(found)
        if program != BEFORE[language]
    }


def programs(language):
    """Every program of the pages by a name; those that need a session of their own apart from the others."""
    found = {name: program for page in PAGES for name, program in sessions(page, language).items()}
    alone = {name: program for name, program in found.items() if not name.endswith("in common")}
    return {name: program for name, program in found.items() if name not in alone}, alone


def alike(name):
    """Whether this is the page of a single optimizer: they are alike, so one of them is enough in `make test`."""
    return "/optimizers/" in name and "/adam.md" not in name


def run(language, folder, *found):
    """Runs programs one after the other in a process, each with names and a folder of its own."""
    for number, program in enumerate(found):
        (folder / f"page-{number}").write_text(program)
    (folder / "all").write_text(ONE_BY_ONE[language])
    done = subprocess.run(
        [sys.executable if language == "python" else "Rscript", "all"],
        cwd=folder,
        env=environment() | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        timeout=1800,
    )
    assert done.returncode == 0, f"{done.stdout[-300:]}\n{done.stderr[-1500:]}"


LANGUAGES = ["python", pytest.param("r", marks=pytest.mark.needs_r)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_pages_in_one_process(language, tmp_path):
    run(language, tmp_path, *(program for name, program in programs(language)[0].items() if not alike(name)))


@pytest.mark.parametrize("language", LANGUAGES)
def test_snippets_that_need_a_session_of_their_own(language, tmp_path):
    for number, program in enumerate(programs(language)[1].values()):
        folder = tmp_path / str(number)
        folder.mkdir()
        run(language, folder, program)


@pytest.mark.long
@pytest.mark.parametrize(
    ("language", "name"),
    [
        pytest.param(each, name, marks=[pytest.mark.needs_r] * (each == "r"))
        for each in ("python", "r")
        for name in programs(each)[0]
    ],
)
def test_a_page_by_itself(language, name, tmp_path):
    run(language, tmp_path, programs(language)[0][name])


def test_the_table_of_the_family_has_every_optimizer():
    listed = re.findall(r"^\| ([A-Z]\w+)[ ,|]", (ROOT / "docs" / "family.md").read_text(), re.MULTILINE)
    assert listed == list(specs.SPECS)


def test_every_snippet_is_found():
    """Those that are not run say why."""
    for page in PAGES:
        text = (ROOT / page).read_text()
        assert len(SNIPPET.findall(text)) == len(re.findall(r"^```(python|r)$", text, re.MULTILINE)), page
        for mark in re.findall(r"^<!-- (.*?) -->$", text, re.MULTILINE):
            assert re.fullmatch(r"not run: .{10,}|its own session|bench: .*|end|Generated by .*", mark), (page, mark)
