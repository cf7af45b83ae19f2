"""How the commands start R."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pyadam

__all__ = ["environment", "quoted", "run", "unavailable"]

ROOT = Path(pyadam.__file__).parents[1]
LIBRARY = ROOT / ".r-lib"  # where a checkout keeps the R package for its own tests


def environment() -> dict[str, str]:
    """The environment for R: this Python with this pyadam, and the checkout's R library, if this is one, first."""
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    found = {**os.environ, "RETICULATE_PYTHON": sys.executable, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    if LIBRARY.is_dir():
        found["R_LIBS"] = os.pathsep.join(filter(None, [str(LIBRARY), os.environ.get("R_LIBS", "")]))
    return found


def quoted(text: object) -> str:
    """A string as R reads it."""
    escaped = str(text).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def run(program: str) -> "subprocess.CompletedProcess[str]":
    """Runs a line of R in an empty folder, so that no .Rprofile of the current one takes part."""
    with tempfile.TemporaryDirectory(prefix="pyadam-") as folder:
        command = ["Rscript", "-e", program]
        return subprocess.run(command, env=environment(), cwd=folder, capture_output=True, text=True, check=False)


def unavailable() -> str:
    """What R needs but is missing, in one line; empty if nothing is missing."""
    if shutil.which("Rscript") is None:
        return "Rscript is not on the PATH: install R 4.1 or newer"
    check = 'for (p in c("reticulate", "pyadam")) if (!requireNamespace(p, quietly = TRUE)) cat(p, "")'
    answer = run(check)
    if absent := answer.stdout.split():
        remedy = "run R CMD INSTALL r-package in a checkout, or make test, which installs everything"
        return f"R package {' and '.join(absent)} not found: {remedy}"
    return "" if answer.returncode == 0 else f"Rscript fails: {' '.join(answer.stderr.split())}"
