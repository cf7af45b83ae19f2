"""The wheel and the sdist contain what they should, and their metadata is right."""

import email
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from pyadam import __version__
from pyadam._version import DISTRIBUTION

ROOT = Path(__file__).parents[2]
PYTHONS = ("3.10", "3.11", "3.12", "3.13")


@pytest.fixture(scope="module")
def metadata(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(archive.read(name))


def test_the_wheel_holds_all_files_of_the_package(wheel):
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    files = {path for path in (ROOT / "pyadam").rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert held == {str(path.relative_to(ROOT)) for path in files}
    assert {"pyadam/py.typed", "pyadam/__init__.pyi", "pyadam/parity/run_r.R"} <= held


def test_the_sdist_holds_all_files_of_the_repository(sdist):
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not in a checkout: git lists no files")
    with tarfile.open(sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    tracked = {name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()}
    assert tracked - held == set()


@pytest.mark.long
def test_the_sdist_passes_tests_that_need_more_than_the_package(sdist, tmp_path):
    with tarfile.open(sdist) as archive:
        safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # Python before 3.11.4 has none
        archive.extractall(tmp_path, **safely)
    (root,) = tmp_path.iterdir()
    tests = ["tests/bench/test_bench.py", "tests/hosts/test_signatures.py", "tests/packaging"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_name(metadata):
    """PyPI's pyadam is another project: neither the distribution nor an extra may use that name."""
    assert (metadata["Name"], metadata["Version"]) == (DISTRIBUTION, __version__)
    assert "pyadam" not in [Requirement(line).name for line in metadata.get_all("Requires-Dist")]


def test_every_supported_python_is_named(metadata):
    assert [python for python in PYTHONS if python in SpecifierSet(metadata["Requires-Python"])] == [*PYTHONS]
    named = re.findall(r"(?m)^Classifier: Programming Language :: Python :: (3\.\d+)$", metadata.as_string())
    assert named == [*PYTHONS]


@pytest.mark.parametrize("python", PYTHONS)
def test_the_pinned_versions_are_among_those_allowed(metadata, python):
    """The pinned versions are in the allowed ranges; each main package is pinned once, with a lower and an upper bound."""
    environment = {"python_version": python, "extra": ""}
    lines = [line.partition("#")[0].strip() for line in (ROOT / "constraints.txt").read_text().splitlines()]
    pins = [Requirement(line) for line in lines if line]
    pinned = {pin.name: pin.specifier for pin in pins if pin.marker is None or pin.marker.evaluate(environment)}
    for line in metadata.get_all("Requires-Dist"):
        wanted = Requirement(line)
        if wanted.name in ("keras", "numpy", "tensorflow", "tf_keras", "tf-keras"):
            assert re.fullmatch(r"(!=[\d.*]+,)*<[\d.]+,>=[\d.]+", str(wanted.specifier)), line
        for pin in pinned.get(wanted.name, ()):
            assert pin.version in wanted.specifier, line
