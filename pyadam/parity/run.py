"""Runs cases in both languages, side by side, and judges them one by one."""

import contextlib
import functools
import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pyadam.parity import run_r
from pyadam.parity.cases import Case
from pyadam.parity.inputs import draw

if TYPE_CHECKING:
    from pyadam.parity.report import Verdict

__all__ = ["one_thread", "verdicts"]


def one_thread() -> None:
    """Makes TensorFlow use one thread in both languages, unless the environment says otherwise. Call it before importing it."""
    for name, value in {
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_NUM_INTRAOP_THREADS": "1",
        "TF_NUM_INTEROP_THREADS": "1",
    }.items():
        os.environ.setdefault(name, value)


def verdicts(cases: list[Case], with_r: bool) -> "Iterator[Verdict]":
    """The verdict on each case, in order. R works on the cases at the same time, in its own process."""
    inputs = [draw(case) for case in cases]
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pyadam-parity-")))
        r = stack.enter_context(run_r.RRun(cases, inputs, folder)) if with_r else None
        from pyadam.parity.report import judge  # imports TensorFlow, while R does

        logging.getLogger("tensorflow").setLevel(logging.ERROR)  # TensorFlow warns about retracing, once per case
        for index, (case, given) in enumerate(zip(cases, inputs, strict=True)):
            yield judge(case, given, r and functools.partial(r.result, index))
