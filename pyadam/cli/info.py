"""``pyadam info``: what a bug report needs."""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pyadam
from pyadam.parity import rscript

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
    answer = rscript.run(_R)
    return answer.stdout.split() if answer.returncode == 0 else [f"Rscript failed: {answer.stderr.strip()}"] * 3


def _devices() -> str:
    # the first place where Python looks would be the current folder
    code = "import sys; del sys.path[0]; import tensorflow as tf; print(*(d.name for d in tf.config.list_physical_devices()))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if run.returncode != 0:
        return f"unknown, TensorFlow does not load: {run.stderr.strip().splitlines()[-1]}"
    return ", ".join(name.removeprefix("/physical_device:") for name in run.stdout.split())
