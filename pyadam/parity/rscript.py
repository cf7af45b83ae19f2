"""How the commands start R."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyadam

__all__ = ["environment", "unavailable"]

LIBRARY = Path(".r-lib")  # where the project keeps the R package for its own tests


def environment() -> dict[str, str]:
    """The environment for R: this Python with this pyadam, and the project's R library, if there is one, first."""
    paths = [str(Path(pyadam.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    found = {**os.environ, "RETICULATE_PYTHON": sys.executable, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    if LIBRARY.is_dir():
        found["R_LIBS"] = os.pathsep.join(filter(None, [str(LIBRARY.resolve()), os.environ.get("R_LIBS", "")]))
    return found


def unavailable() -> str:
    """What R needs but is missing, in one line; empty if nothing is missing."""
    if shutil.which("Rscript") is None:
        return "Rscript is not on the PATH: install R 4.1 or newer"
    check = 'for (p in c("reticulate", "pyadam")) if (!requireNamespace(p, quietly = TRUE)) cat(p, "")'
    answer = subprocess.run(["Rscript", "-e", check], env=environment(), capture_output=True, text=True, check=False)
    if absent := answer.stdout.split():
        remedy = "run R CMD INSTALL r-package in a checkout, or make test, which installs everything"
        return f"R package {' and '.join(absent)} not found: {remedy}"
    return "" if answer.returncode == 0 else f"Rscript fails: {' '.join(answer.stderr.split())}"
