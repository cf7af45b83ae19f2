"""Compares versions with the known vulnerabilities in tools/vulnerabilities.toml, without a network.

    python tools/audit.py

Looks at what is installed, at the pins of constraints.txt, and at every version that pyproject.toml allows and that PyPI had
when the list was last changed. The exit status is 1 if one of them has a vulnerability that a release without it exists for.
"""

import importlib.metadata
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
LIST = ROOT / "tools/vulnerabilities.toml"


def known() -> dict[str, Any]:
    return tomllib.loads(LIST.read_text(encoding="utf-8"))


def is_affected(version: str, affected: list[str]) -> bool:
    return any(Version(version) in SpecifierSet(each) for each in affected)


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def installed(packages: set[str]) -> Iterator[tuple[str, str, str]]:
    for package in sorted(packages):
        try:
            yield "installed", package, importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue


def pinned(packages: set[str]) -> Iterator[tuple[str, str, str]]:
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if found := re.match(r"([\w.-]+)==([\w.]+)", line):
            name = next((each for each in packages if normal(each) == normal(found[1])), None)
            if name:
                yield "pinned", name, found[2]


def allowed(packages: set[str], releases: dict[str, list[str]]) -> Iterator[tuple[str, str, str]]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    every = [*project["dependencies"], *(each for some in project["optional-dependencies"].values() for each in some)]
    for requirement in map(Requirement, every):
        name = next((each for each in packages if normal(each) == normal(requirement.name)), None)
        for version in releases.get(name or "", []):
            if Version(version) in requirement.specifier:
                yield "allowed", str(name), version


def main() -> int:
    listed = known()
    packages = {each["package"] for each in listed["vulnerability"]}
    versions = [*installed(packages), *pinned(packages), *allowed(packages, listed["releases"])]
    bad = 0
    print(f"{'':10} {'package':<11} {'version':<9} {'known':>5}  vulnerabilities")
    for where, package, version in dict.fromkeys(versions):
        here = [each for each in listed["vulnerability"] if each["package"] == package]
        found = [each for each in here if is_affected(version, each["affected"])]
        closed = [each["id"] for each in found if "open" not in each]
        words = [*closed, *(f"{each['id']} (open: {each['open']})" for each in found if "open" in each)]
        print(f"{where:10} {package:<11} {version:<9} {len(here):>5}  {'; '.join(words) or 'none'}")
        bad += bool(closed)
    print(f"{bad} of {len(dict.fromkeys(versions))} have a vulnerability that another version does not have")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
