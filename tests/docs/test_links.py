"""Every link between pages has a target: the file is there, and the heading."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "r-package").glob("*.md"), *(ROOT / "docs").rglob("*.md")]
PAGES = sorted(page.relative_to(ROOT) for page in PAGES if "_build" not in page.parts)
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)


def anchors(page):
    """The anchors of a page's headings, as GitHub and MyST make them."""
    found = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in found}


def links(text):
    """The targets of a page's links and pictures."""
    return re.findall(r"\]\(<?([^)>\s]+)", CODE.sub("", text))


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_have_a_target(page):
    dead = []
    for target in links((ROOT / page).read_text()):
        if target.startswith(("http", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors(file)):
            dead.append(target)
    assert not dead


def test_links_are_found():
    assert links("[a](b.md#c), ![d](e.svg) and [`f`](<g h.md>), not `[i](j)`") == ["b.md#c", "e.svg", "g"]
    assert sum(len(links((ROOT / page).read_text())) for page in PAGES) > 200
