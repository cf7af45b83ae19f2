"""`convert` and torch: the tests of `in_torch.py`, in a process that imports torch first."""

import importlib.util
from pathlib import Path

import pytest
from helpers import run_python

TESTS = str(Path(__file__).with_name("in_torch.py"))
RUN = "import sys, torch._dynamo, pytest; sys.exit(pytest.main([sys.argv[1], '-q', '-p', 'no:cacheprovider', '-W', 'ignore']))"


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed; make bench installs it")
def test_in_a_process_of_its_own():
    run = run_python(RUN, TESTS)
    assert run.returncode == 0, run.stdout[-3000:]
    assert "17 passed" in run.stdout


def test_torch_after_tensorflow_is_refused(tmp_path):
    """It ended the process: a segmentation fault in torch's compiler."""
    code = (
        "import sys, tensorflow; from pyadam import convert\n"
        "open(sys.argv[1], 'wb').close(); convert(sys.argv[1], sys.argv[1] + '.keras', weights={'a': 'b'})"
    )
    run = run_python(code, str(tmp_path / "a.pt"))
    assert (
        "RuntimeError: convert: torch must be imported before TensorFlow, or its compiler ends the process"
        in run.stderr
    )
