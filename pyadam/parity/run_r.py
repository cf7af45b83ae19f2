"""Runs cases in R as a user would: writes a script of plain calls and starts it with Rscript."""

import subprocess
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from pyadam.parity.cases import Case, r_call
from pyadam.parity.compare import Values
from pyadam.parity.inputs import Inputs, save
from pyadam.parity.rscript import environment, quoted

__all__ = ["RRun", "prepare", "result"]

RUNNER = Path(__file__).with_name("run_r.R")


def script(cases: Iterable[Case], replicas: int, folder: Path, own: Path | None = None) -> str:
    """The R script that runs the cases on the inputs ``in<index>.npz`` of a folder and writes ``out<index>.npz``.

    ``own`` is a file of R that makes custom optimizers.
    """
    lines = [
        "library(pyadam)",
        f"source({quoted(RUNNER)})",
        *([f"use_replicas({replicas})"] if replicas > 1 else []),
        *([f"source({quoted(own.resolve())})"] if own else []),
        "",
    ]
    for index, case in enumerate(cases):
        dtypes = ", ".join(f'"{case.dtype(j)}"' for j in range(len(case.shapes)))
        files = f"{quoted(folder / f'in{index}.npz')}, {quoted(folder / f'out{index}.npz')}"
        lines.append(f"# {case.name}\ntry_case(function() {r_call(case)}, {files}, c({dtypes}), {case.steps})")
    return "\n".join(lines) + "\n"


def prepare(cases: list[Case], inputs: Sequence[Sequence[Inputs]], folder: Path, own: Path | None = None) -> Path:
    """Writes the inputs of the cases and the script into an empty folder; returns the script."""
    for index, each in enumerate(inputs):
        save(each, folder / f"in{index}.npz")
    program = folder / "cases.R"
    program.write_text(script(cases, len(inputs[0]), folder, own))
    return program


def result(folder: Path, index: int) -> Values | None:
    """Weights and state after the last step of a case, or None if it is not done yet.

    Those of several replicas are stacked, along a first axis.

    Raises:
        RuntimeError: the case failed in R; the message is R's.
    """
    done, failed = folder / f"out{index}.npz", folder / f"out{index}.error"
    if failed.exists():
        raise RuntimeError(" ".join(failed.read_text().split()))
    if not done.exists():
        return None
    with np.load(done) as arrays:
        weights, state = ([arrays[k] for k in arrays.files if k[0] == kind] for kind in "ws")
    return weights, state


class RRun:
    """Runs cases in an R process; a context manager that ends it.

    Args:
        cases: what to run, in this order.
        inputs: the inputs of each case, for each replica.
        folder: an empty folder for the script, the inputs and the results.
        own: as for `script`.
    """

    def __init__(
        self, cases: list[Case], inputs: Sequence[Sequence[Inputs]], folder: Path, own: Path | None = None
    ) -> None:
        self.folder = folder
        command = ["Rscript", str(prepare(cases, inputs, folder, own))]
        with (folder / "log").open("w") as log:
            self.process = subprocess.Popen(
                command, env=environment(), cwd=folder, stdout=log, stderr=subprocess.STDOUT
            )

    def __enter__(self) -> "RRun":
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.wait()

    def result(self, index: int) -> Values:
        """Waits for the weights and state after the last step of a case.

        Raises:
            RuntimeError: the case failed in R, or R ended without running it; the message is R's.
        """
        while True:
            ended = self.process.poll() is not None
            if (values := result(self.folder, index)) is not None:
                return values
            if ended:
                log = (self.folder / "log").read_text().strip().splitlines()[-5:]
                raise RuntimeError(f"R ended with status {self.process.returncode}: {' / '.join(log)}")
            time.sleep(0.02)
