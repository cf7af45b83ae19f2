"""``pyadam info``: what a bug report needs."""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pyadam
from pyadam.parity.rscript import environment

_R = """
version <- function(package) tryCatch(as.character(packageVersion(package)), error = function(e) "missing")
cat(as.character(getRversion()), version("reticulate"), version("pyadam"))
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds no options."""


def main(args: argparse.Namespace) -> int:
    """Prints a line for each fact, as soon as it is known."""
    for name, value in table():
        print(f"{name:<16} {value}", flush=True)
    return 0


def table() -> Iterator[tuple[str, str]]:
    """Name and value of each line, slow ones last."""
    yield from pyadam.info().items()
    yield from zip(("R", "reticulate", "pyadam in R"), _r_versions(), strict=True)
    yield "devices", _devices()


def _r_versions() -> list[str]:
    if not shutil.which("Rscript"):
        return ["missing"] * 3
    run = subprocess.run(["Rscript", "-e", _R], env=environment(), capture_output=True, text=True, check=False)
    return run.stdout.split() if run.returncode == 0 else [f"Rscript failed: {run.stderr.strip()}"] * 3


def _devices() -> str:
    code = "import tensorflow as tf; print(*(d.name for d in tf.config.list_physical_devices()))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if run.returncode != 0:
        return f"unknown, TensorFlow does not load: {run.stderr.strip().splitlines()[-1]}"
    return ", ".join(name.removeprefix("/physical_device:") for name in run.stdout.split())
