"""The command imports TensorFlow only when it needs to, and ends silently when nobody reads its output."""

import json
import os
import subprocess
import sys

import pytest
from helpers import run_python

from pyadam import cli

NONE_OF_THEM = ("tensorflow", "keras", "tf_keras", "jax", "torch", "matplotlib")


def test_help_and_info_load_no_tensorflow():
    """Not in their own process: ``info`` asks another process for the devices, after printing everything else."""
    calls = [
        ["--help"],
        *([command, "--help"] for command in cli.COMMANDS),
        ["--version"],
        ["bench", "--list"],
        ["info"],
    ]
    done = run_python(f"""
        import contextlib, io, json, sys
        from pyadam import cli

        loaded = {{}}
        for call in {calls}:
            with contextlib.redirect_stdout(io.StringIO()) as printed, contextlib.suppress(SystemExit):
                cli.main(call)
            assert printed.getvalue(), call
            loaded[" ".join(call)] = [name for name in {NONE_OF_THEM} if name in sys.modules]
        print(json.dumps(loaded))
    """)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {" ".join(call): [] for call in calls}


@pytest.mark.parametrize("call", ["--help", "parity --help", "bench --list", "info"])
def test_nobody_reads(call):
    """What ``| head -1`` does, at the worst moment: before the first line."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "pyadam", *call.split()]
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, env=buffered, text=True, check=False)
    os.close(writer)
    assert (done.stderr, done.returncode) == ("", 141)  # Python's own: a traceback or "Exception ignored", and 1 or 120


def test_another_broken_pipe_is_an_error(monkeypatch, capfd):
    def run(argv):
        raise BrokenPipeError("to a worker")

    monkeypatch.setattr(cli, "_run", run)
    with pytest.raises(BrokenPipeError, match="to a worker"):
        cli.main([])
