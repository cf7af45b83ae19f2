"""Hostile arguments, gradients and files end with something that works or with an error that names what is wrong."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

CASES = {"arguments": (200, 100_000), "gradients": (40, 5_000), "files": (60, 10_000)}


@pytest.mark.parametrize("many", [False, pytest.param(True, marks=pytest.mark.long)])
@pytest.mark.parametrize("program", CASES)
def test_hostile_input(program, many):
    cases = CASES[program][many]
    command = [sys.executable, str(Path(__file__).with_name(f"{program}.py")), "--cases", str(cases), "--seed", "0"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    print(run.stdout)
    assert run.returncode == 0, run.stdout + run.stderr[-2000:]
    assert json.loads(run.stdout.splitlines()[-1])["cases"] >= cases
