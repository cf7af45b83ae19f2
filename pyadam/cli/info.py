"""``pyadam info``: what a bug report needs."""

import argparse
import os
import shutil
import subprocess
from collections.abc import Iterator

import pyadam

_R = """
version <- function(package) tryCatch(as.character(packageVersion(package)), error = function(e) "missing")
cat(as.character(getRversion()), version("reticulate"), version("pyadam"))
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """There are none."""


def main(args: argparse.Namespace) -> int:
    """Prints a line for each fact, as soon as it is known."""
    for name, value in table():
        print(f"{name:<16} {value}", flush=True)
    return 0


def table() -> Iterator[tuple[str, str]]:
    """Name and value of each line; the slow ones last."""
    yield from pyadam.info().items()
    yield from zip(("R", "reticulate", "pyadam in R"), _r_versions(), strict=True)
    yield "devices", _devices()


def _r_versions() -> list[str]:
    if not shutil.which("Rscript"):
        return ["missing"] * 3
    run = subprocess.run(["Rscript", "-e", _R], capture_output=True, text=True, check=False)
    return run.stdout.split() if run.returncode == 0 else [f"Rscript failed: {run.stderr.strip()}"] * 3


def _devices() -> str:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        import tensorflow as tf
    except ImportError as error:
        return f"unknown, TensorFlow does not load: {error}"
    return ", ".join(device.name.removeprefix("/physical_device:") for device in tf.config.list_physical_devices())
