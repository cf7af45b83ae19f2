"""`pyadam info` finds the R package of a checkout, and a missing package is reported with the command that installs it."""

import pytest

from pyadam.cli.info import table
from pyadam.parity import rscript
from pyadam.parity.rscript import unavailable


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout with a library of its own, and an Rscript that prints where R is told to look for packages."""
    (tmp_path / ".r-lib").mkdir()
    program = tmp_path / "Rscript"
    program.write_text('#!/bin/sh\necho "4.2.2 1.28 $R_LIBS"\n')
    program.chmod(0o755)
    monkeypatch.setattr(rscript, "LIBRARY", tmp_path / ".r-lib")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("R_LIBS", raising=False)
    return tmp_path


def test_info_finds_the_r_package_of_a_checkout(checkout):
    found = dict(table())
    assert (found["R"], found["reticulate"]) == ("4.2.2", "1.28")
    assert found["pyadam in R"] == str(checkout / ".r-lib")


def test_what_is_missing_names_a_command(checkout):
    (checkout / "Rscript").write_text("#!/bin/sh\necho pyadam\n")
    assert unavailable().startswith("R package pyadam not found: run R CMD INSTALL r-package")
