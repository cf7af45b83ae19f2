"""The ``pyadam`` command. Each subcommand is a module here with ``add_arguments(parser)`` and ``main(args) -> int``.

A module imports TensorFlow only when its ``main`` needs it, so that ``--help`` is quick.
"""

import argparse
import importlib
import os
import select
import signal
import sys
from collections.abc import Sequence
from typing import IO

from pyadam._version import __version__

COMMANDS = {
    "bench": "measure the time of a step, pyadam and its alternatives in turn",
    "convert": "carry weights and state of the optimizer from one file into another: Keras 3, tf_keras, torch",
    "differences": "measure where Keras' optimizers are wrong, and what pyadam gives",
    "info": "what a bug report needs: the versions of everything involved, and the devices",
    "parity": "train the same cases in Python and in R, and compare them bit by bit",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one subcommand; its exit status says whether it succeeded.

    If nobody reads its output any more, as in ``pyadam info | head -1``, it ends silently with the status of SIGPIPE.
    """
    try:
        try:
            return _run(sys.argv[1:] if argv is None else list(argv))
        finally:
            print(end="", flush=True)
    except BrokenPipeError:
        if not _nobody_reads(sys.stdout):
            raise  # another pipe, to one of our processes
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more when it ends
        return 128 + signal.SIGPIPE


def _run(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="pyadam", description="Optimizers for Keras, the same in Python and in R.")
    parser.add_argument("--version", action="version", version=f"pyadam {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command", required=True)
    for name, purpose in COMMANDS.items():
        command = commands.add_parser(name, help=purpose, description=purpose)
        if argv[:1] == [name]:  # only the requested module is imported
            module = importlib.import_module(f"pyadam.cli.{name}")
            module.add_arguments(command)
            command.set_defaults(run=module.main)
    args = parser.parse_args(argv)
    return int(args.run(args))


def _nobody_reads(pipe: IO[str]) -> bool:
    """Whether the other end of a pipe is closed."""
    poll = select.poll()
    poll.register(pipe, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))
