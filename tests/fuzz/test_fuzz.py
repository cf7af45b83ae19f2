"""Hostile arguments, gradients and files end with something that works or with an error that names what is wrong."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

CASES = {"arguments": (200, 100_000), "gradients": (15, 5_000), "files": (30, 10_000)}


@pytest.mark.parametrize("many", [False, pytest.param(True, marks=pytest.mark.long)])
@pytest.mark.parametrize("program", CASES)
def test_hostile_input(program, many, count):
    cases = CASES[program][many]
    command = [sys.executable, str(Path(__file__).with_name(f"{program}.py")), "--cases", str(cases), "--seed", "0"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr[-2000:]
    endings = json.loads(run.stdout.splitlines()[-1])
    assert endings.pop("cases") >= cases
    for ending, number in endings.items():
        count("how hostile input ends", f"{program}: {ending}", number)
