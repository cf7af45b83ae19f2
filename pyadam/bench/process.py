"""A measuring process, seen from its parent."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

from pyadam.parity.rscript import environment

__all__ = ["Worker", "cores"]


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Worker:
    """A process that answers lines of JSON; a context manager that ends it. It sleeps between answers.

    Args:
        program: its command line; the number of threads is appended. It runs with this Python and this pyadam.
        threads: how many threads each of its libraries may use.
        extra: further environment variables.

    Raises:
        RuntimeError: it ended before it answered; the message quotes its last output.
    """

    def __init__(self, program: Sequence[str], threads: int, extra: Mapping[str, str] | None = None) -> None:
        count = str(threads)
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115, closed in __exit__
        self._process = subprocess.Popen(
            [*program, count],
            env={
                **{name: value for name, value in environment().items() if name != "PYADAM_SINGLE_PASS"},
                "CUDA_VISIBLE_DEVICES": "-1",
                "JAX_PLATFORMS": "cpu",
                "KERAS_BACKEND": "tensorflow",
                "OMP_NUM_THREADS": count,
                "PYTHONSAFEPATH": "1",  # modules come from where they are installed, and not from the current folder
                "TF_CPP_MIN_LOG_LEVEL": "3",
                "TF_NUM_INTEROP_THREADS": count,
                "TF_NUM_INTRAOP_THREADS": count,
                **(extra or {}),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )

    def ask(self, command: Any) -> dict[str, Any]:
        """Sends one command and returns the answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            print(json.dumps(command), file=self._process.stdin, flush=True)
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            status = self._process.wait()
            self._log.seek(0)
            printed = self._log.read().strip().splitlines()[-1:] or ["nothing printed"]
            raise RuntimeError(f"ended with status {status}: {printed[0]}")
        return json.loads(line)

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._log.close()


def python(module: str) -> list[str]:
    """The command line of a module of this package."""
    return [sys.executable, "-m", f"pyadam.bench.{module}"]
