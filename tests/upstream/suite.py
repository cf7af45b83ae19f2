"""Runs Keras' tests, from the installed wheel, with pyadam's classes in place of Keras' own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import keras.src
import pytest

WHEEL = Path(keras.src.__file__).parent

# Why several tests of Keras can't pass.
ASSIGNS = (
    "asserts how: one `assign` a variable through mocked methods, and none on the variable itself; pyadam's step assigns "
    "all variables from one compiled program"
)
INSIDE = "calls a method inside Keras' class; what the step computes is tested against the paper, in tests/optimizers"
WORDS = "wants Keras' words: pyadam refuses the same, with an error that names argument, value and what is allowed"


class Suite:
    """The tests in some folders of the wheel, which a subclass names; it runs the three tests here."""

    host: ClassVar[str] = "keras"
    folders: ClassVar[tuple[str, ...]]
    exceptions: ClassVar[dict[str, str]] = {}  # test id -> why it can't pass; passing anyway is a failure, too
    left_out: ClassVar[str] = ""  # part of the names of tests that can't run this way at all
    at_least: ClassVar[int]  # so many tests used one of pyadam's optimizers and passed
    needs: ClassVar[str | None] = None  # a package that they need to be imported

    @classmethod
    def root(cls) -> Path:
        """The folder that the tests are below."""
        return WHEEL

    @classmethod
    def files(cls) -> list[str]:
        """The files of tests, below ``root``."""
        root = cls.root()
        return sorted(
            str(path.relative_to(root)) for folder in cls.folders for path in (root / folder).rglob("*_test.py")
        )

    @pytest.fixture(scope="class")
    @classmethod
    def results(cls, tmp_path_factory):
        """The result of each test, by id: outcome, whether it used one of pyadam's optimizers, what went wrong."""
        if cls.needs:
            pytest.importorskip(cls.needs)
        folder = tmp_path_factory.mktemp("upstream")
        (folder / "pytest.ini").write_text("[pytest]\n")
        environment = {
            **os.environ,
            "PYADAM_UPSTREAM_HOST": cls.host,
            "PYADAM_UPSTREAM_RESULTS": str(folder / "results.json"),
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]),
        }
        options = [
            "-q",
            "-c",
            str(folder / "pytest.ini"),
            "--rootdir",
            str(cls.root()),
            "--continue-on-collection-errors",
        ]
        plugins = ["-p", "no:cacheprovider", "-p", "swap"]
        files = [str(cls.root() / name) for name in cls.files()]
        options += ["-k", f"not {cls.left_out}"] if cls.left_out else []
        command = [sys.executable, "-m", "pytest", *options, *plugins, *files]
        run = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
        if not (folder / "results.json").exists():
            pytest.fail(f"Keras' tests did not run:\n{run.stdout[-3000:]}{run.stderr[-3000:]}")
        return {test: tuple(rest) for test, *rest in json.loads((folder / "results.json").read_text())}

    def test_keras_tests_pass_on_our_classes(self, results, capsys):
        failed = {
            test: why
            for test, (outcome, _, why) in results.items()
            if outcome == "failed" and test not in self.exceptions
        }
        run = [outcome for outcome, _, _ in results.values() if outcome != "left out"]
        ours = [outcome for outcome, involved, _ in results.values() if involved]
        with capsys.disabled():
            print(
                f"\n{', '.join(self.folders)}: {len(results)} tests of Keras, {len(run)} run, "
                f"{len(ours)} with pyadam's classes: {ours.count('passed')} passed, "
                f"{len(self.exceptions)} listed exceptions, {len(failed)} other failures, {ours.count('skipped')} skipped"
            )
        assert not failed, "\n\n".join(f"{test}\n{why}" for test, why in failed.items())
        assert ours.count("passed") >= self.at_least

    def test_exceptions_are_needed(self, results):
        outcomes = {test: results[test][0] if test in results else "not found" for test in self.exceptions}
        assert set(outcomes.values()) <= {"failed"}, outcomes

    def test_every_file_took_part(self, results):
        assert {test.split("::")[0] for test in results} == set(self.files())
