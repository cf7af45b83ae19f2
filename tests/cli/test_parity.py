"""`pyadam parity` finds the same bits in R and Python, through Rscript and rpy2, and on several replicas.

It reports every kind of failure.
"""

import dataclasses
import itertools
import subprocess
import sys
from pathlib import Path

import pytest

from pyadam import cli
from pyadam.optimizers import SPECS
from pyadam.parity import papers, rscript, run_r

COMMAND = [sys.executable, "-m", "pyadam", "parity"]


def lines_of(*arguments: str) -> list[str]:
    run = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr[-3000:]
    return run.stdout.splitlines()


@pytest.mark.long
@pytest.mark.needs_r
def test_r_and_python_come_to_the_same_bits():
    patterns = ["nadam sparse float32", "nadam beta_*function*32", "random"]
    printed = lines_of("--all", "--cases", "2", "--seed", "4", "--only", *patterns)
    assert printed[0] == "5 cases, 50 steps each"
    summary = {line.split()[0]: line for line in printed if " cases ok" in line}
    assert summary["Nadam"].split()[1] == "0"
    assert summary["Nadam"].endswith(
        (" 3 cases ok", " 4 cases ok", " 5 cases ok")
    )  # some of the random ones may be Nadam's


@pytest.mark.long
@pytest.mark.needs_r
def test_the_table_and_random_cases():
    assert not [line for line in lines_of("--cases", "20", "--seed", "7") if "FAILED" in line]


@pytest.mark.long
@pytest.mark.needs_r
def test_replicas_in_r_and_python_and_one_process_come_to_the_same_bits():
    printed = lines_of("--replicas", "2", "--all", "--only", "nadam sparse float32")
    assert printed[0] == "1 cases, 50 steps each on 2 replicas"
    assert printed[-1].split()[1:] == ["0", "0", "0", "all", "1", "cases", "ok"]


@pytest.mark.long
@pytest.mark.needs_r
@pytest.mark.parametrize("replicas", ["2", "3", "4"])
def test_the_table_and_random_cases_on_replicas(replicas):
    printed = lines_of("--replicas", replicas, "--cases", "3", "--seed", replicas)
    assert not [line for line in printed if "FAILED" in line]
    assert len([line for line in printed if " cases ok" in line]) == len(SPECS)


@pytest.mark.needs_r
def test_r_inside_python(r, tmp_path):
    patterns = ["nadam some none float32", "adamw amsgrad=true float64", "nadam learning_rate=function*float32"]
    command = [sys.executable, str(Path(__file__).with_name("in_one_process.py")), str(tmp_path), *patterns]
    run = subprocess.run(command, env=r, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr[-3000:]
    found = sorted(line.split()[:2] for line in run.stdout.splitlines()[-3:])
    assert found == [["0.0", "AdamW"], ["0.0", "Nadam"], ["0.0", "Nadam"]]


# --- failures ------------------------------------------------------------------------------------------------------------


def test_a_wrong_number_is_a_failure(monkeypatch, capsys):
    wrong = dataclasses.replace(papers.PAPERS["Adam"], step=lambda h, t, lr, w, g, s: w - lr * 1.001 * g)
    monkeypatch.setitem(papers.PAPERS, "Adam", wrong)
    assert cli.main(["parity", "--no-r", "--all", "--only", "adam one variable float64"]) == 1
    printed = capsys.readouterr().out
    assert "the oracle differs" in printed
    assert "1 of 1 cases FAILED" in printed


def test_another_result_in_r_is_a_failure(monkeypatch, capsys):
    class OtherR:
        """A fake R that returns the weights of the first step and no state."""

        def __init__(self, cases, inputs, folder, own=None):
            self.inputs = inputs

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def result(self, index):
            return self.inputs[index][0].weights, []

    monkeypatch.setattr(rscript, "unavailable", lambda: "")
    monkeypatch.setattr(run_r, "RRun", OtherR)
    assert cli.main(["parity", "--all", "--only", "adam one variable float64"]) == 1
    assert "R and Python differ" in capsys.readouterr().out


@pytest.mark.long
@pytest.mark.needs_r
def test_an_error_in_r_is_told_and_the_next_case_goes_on(monkeypatch, capsys):
    wrong_then_right = itertools.chain(["optimizer_adam(beta_1 = 2)"], itertools.repeat("optimizer_adam()"))
    monkeypatch.setattr(run_r, "r_call", lambda case: next(wrong_then_right))
    assert cli.main(["parity", "--only", "adam*defaults"]) == 1
    printed = capsys.readouterr().out
    assert "R: RuntimeError" in printed
    assert "beta_1 must be" in printed
    assert "1 of 1 cases FAILED" in printed


@pytest.mark.parametrize("number", ["0", "1", "5", "two"])
def test_only_two_to_four_replicas(number, capsys):
    with pytest.raises(SystemExit) as exit:
        cli.main(["parity", "--replicas", number])
    assert exit.value.code == 2
    assert "--replicas" in capsys.readouterr().err


def test_what_is_missing_is_said_in_one_line(monkeypatch, capsys):
    monkeypatch.setenv("PATH", "")
    assert cli.main(["parity"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("pyadam parity: Rscript is not on the PATH")
    assert error.count("\n") == 1


def test_a_pattern_that_no_case_fits(capsys):
    assert cli.main(["parity", "--only", "no such case"]) == 2
    assert "'no such case'" in capsys.readouterr().err


# --- custom optimizers ---------------------------------------------------------------------------------------------------

SIGNUM = [str(Path(__file__).parents[2] / "examples" / f"signum.{language}") for language in ("py", "R")]


@pytest.mark.needs_r
@pytest.mark.parametrize("options", [[], pytest.param(["--replicas", "2"], marks=pytest.mark.long)])
def test_a_rule_of_ones_own_has_the_same_bits_in_r(options):
    printed = lines_of("--own", *SIGNUM, *options)
    summary = next(line for line in printed if " cases ok" in line)
    assert summary.split()[:2] == ["Signum", "0"]
    assert len([line for line in printed if line.startswith("Signum")]) > 4


@pytest.mark.long
@pytest.mark.needs_r
def test_another_rule_in_r_is_found_out(tmp_path):
    other = tmp_path / "other.R"
    other.write_text(Path(SIGNUM[1]).read_text().replace("sign(m)", "sign(m) * 1.0001"))
    run = subprocess.run([*COMMAND, "--own", SIGNUM[0], str(other)], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "R and Python differ" in run.stdout


@pytest.mark.parametrize(
    ("text", "words"),
    [("x = 1", "makes no optimizer with new_optimizer_class()"), (None, "No such file or directory")],
)
def test_a_file_without_optimizers(text, words, tmp_path):
    file = tmp_path / "mine.py"
    if text:
        file.write_text(text)
    run = subprocess.run([*COMMAND, "--own", str(file)], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert words in run.stderr
    assert "Traceback" not in run.stderr
