"""The files around the code agree with it: one version everywhere, and CI runs the README's commands."""

import re
from pathlib import Path

import pytest

from pyadam._version import DISTRIBUTION, __version__

ROOT = Path(__file__).parents[2]
PAGES = ("CODE_OF_CONDUCT.md", "RELEASING.md", "SECURITY.md", ".github/PULL_REQUEST_TEMPLATE.md")
FORMS = (".github/ISSUE_TEMPLATE/bug.yml", ".github/ISSUE_TEMPLATE/wrong-number.yml")
WORKFLOW = ".github/workflows/ci.yml"
OTHERS = ("CITATION.cff", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", ".github/ISSUE_TEMPLATE/config.yml", WORKFLOW)


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def first(pattern, name):
    """The pattern's group in its first match in a file."""
    found = re.search(pattern, read(name), flags=re.M)
    assert found, f"{name} has no {pattern}"
    return found[1]


@pytest.mark.parametrize("name", [*PAGES, *FORMS, *OTHERS])
def test_it_is_there(name):
    assert read(name).strip()


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("r-package/DESCRIPTION", r"^Version: (\S+)$"),
        ("r-package/NEWS.md", r"^# pyadam (\S+)$"),
        ("CITATION.cff", r"^version: (\S+)$"),
        ("CHANGELOG.md", r"^## (\d[^\s,]*)"),
    ],
)
def test_there_is_one_version(name, pattern):
    assert first(pattern, name) == __version__


def test_a_release_has_a_date_in_both_places_or_in_none():
    heading = first(r"^## \d[^\s,]*, (.+)$", "CHANGELOG.md")
    dated = re.search(r"^date-released: (\S+)$", read("CITATION.cff"), flags=re.M)
    assert heading == (dated[1] if dated else "unreleased")


def test_the_licence_is_the_same_everywhere():
    licence = first(r'^license = "(\S+)"$', "pyproject.toml")
    assert first(r"^license: (\S+)$", "CITATION.cff") == licence
    assert first(r"^License: (\S+) ", "r-package/DESCRIPTION") == licence
    assert read("LICENSE").startswith(f"{licence} License")


def test_ci_runs_the_two_commands_of_the_readme():
    wanted = re.findall(r"^\$ (make [\w-]+)", read("README.md"), flags=re.M)
    assert wanted == ["make demo", "make test"]
    assert re.findall(r"^ +- run: (.+)$", read(WORKFLOW), flags=re.M) == wanted
    assert {"push", "pull_request"} <= set(re.findall(r"^  (\w+):$", read(WORKFLOW), flags=re.M))


def test_ci_runs_pythons_that_are_supported():
    pythons = re.findall(r'"(3\.\d+)"', first(r"python: \[(.+)\]$", WORKFLOW))
    named = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', read("pyproject.toml"))
    assert pythons
    assert set(pythons) <= set(named)


@pytest.mark.parametrize("name", FORMS)
def test_a_form_asks_for_the_versions(name):
    assert "pyadam info" in read(name)


@pytest.mark.parametrize("name", PAGES)
def test_what_a_page_names_is_there(name):
    text = read(name)
    targets = set(re.findall(r"^([a-z-]+):", read("Makefile"), flags=re.M))
    assert set(re.findall(r"(?:`|\$ )make ([a-z-]+)", text)) <= targets
    links = re.findall(r"\]\((?!https:|#)([^)#]+)", text)
    files = re.findall(r"`((?:[\w-]+/)*[\w-]+\.(?:cff|md|py|R|sh|toml|txt))`", text)
    assert [path for path in links + files if not (ROOT / path).exists()] == []


def test_releasing_names_the_distribution():
    assert f"`{DISTRIBUTION}`" in read("RELEASING.md")
