"""Runs cases in both languages, side by side, and judges them one by one."""

import contextlib
import functools
import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pyadam.parity import run_r
from pyadam.parity.cases import Case
from pyadam.parity.inputs import draw

__all__ = ["one_thread", "reporting", "verdicts"]


def one_thread() -> None:
    """Makes TensorFlow use one thread in both languages, unless the environment says otherwise. Call it before importing it."""
    for name, value in {
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_NUM_INTRAOP_THREADS": "1",
        "TF_NUM_INTEROP_THREADS": "1",
    }.items():
        os.environ.setdefault(name, value)


def reporting(replicas: int) -> Any:
    """The module that judges cases on so many replicas. It imports TensorFlow."""
    if replicas > 1:
        from pyadam.parity import report_replicas

        return report_replicas
    from pyadam.parity import report

    return report


def verdicts(cases: list[Case], with_r: bool, replicas: int = 1, own: Path | None = None) -> Iterator[Any]:
    """The verdict on each case, in order. R works on the cases at the same time, in its own process.

    ``own`` is a file of R that makes custom optimizers.
    """
    inputs = [[draw(case, replica) for replica in range(replicas)] for case in cases]
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pyadam-parity-")))
        r = stack.enter_context(run_r.RRun(cases, inputs, folder, own)) if with_r else None
        judge = reporting(replicas).judge  # imports TensorFlow, while R does
        if replicas > 1:
            from pyadam.parity.run_replicas import split_cpu

            split_cpu(replicas)
        logging.getLogger("tensorflow").setLevel(logging.ERROR)  # TensorFlow warns about retracing, once per case
        for index, (case, given) in enumerate(zip(cases, inputs, strict=True)):
            yield judge(case, given if replicas > 1 else given[0], r and functools.partial(r.result, index))
