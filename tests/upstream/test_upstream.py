"""Keras' own tests of its optimizers, from the installed wheel, on pyadam's classes in the place of Keras'."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras.src.optimizers
import pytest

WHEEL = Path(keras.src.optimizers.__file__).parent
FILES = sorted(str(path.relative_to(WHEEL)) for path in WHEEL.rglob("*_test.py"))

_ASSIGNS = (
    "asserts how: one `assign` a variable through mocked methods, and none on the variable itself; pyadam's step assigns "
    "all variables from one compiled program"
)

_WORDS = (
    "wants Keras' words: pyadam refuses the value, too, with an error that names argument, value and what is allowed"
)
_INSIDE = "calls a method inside Keras' class; what the step computes is tested against the paper, in tests/oracle"

# Test id -> why it can't pass. One that passes all the same is a failure, too.
EXCEPTIONS = {
    "optimizer_test.py::OptimizerTest::test_optimizer_auto_naming": (
        "wants adam, adam_1, ... as the names; the signature of Keras 3's documentation has name='adam'"
    ),
    "adafactor_test.py::AdafactorTest::test_correctness_with_golden": (
        "its numbers limit the learning rate to 1 / sqrt(t) with relative_step=False, against Keras' own documentation"
    ),
    **dict.fromkeys(
        (
            "adamw_test.py::AdamWTest::test_weight_decay_is_none",
            "lion_test.py::LionTest::test_invalid_beta_1",
            "loss_scale_optimizer_test.py::LossScaleOptimizerTest::test_init_unsupported_arg",
            "optimizer_test.py::OptimizerTest::test_clip_args",
            "sgd_test.py::SGDTest::test_invalid_momentum",
        ),
        _WORDS,
    ),
    **{
        f"ftrl_test.py::FtrlTest::test_invalid_{name}": _WORDS
        for name in (
            "initial_accumulator_value",
            "l1_regularization_strength",
            "l2_regularization_strength",
            "l2_shrinkage_regularization_strength",
            "learning_rate_power",
        )
    },
    **{
        f"muon_test.py::MuonTest::test_{name}": _INSIDE
        for name in (
            "Newton_Schulz",
            "adamw_single_step",
            "adamw_weight_decay",
            "lr_adjust_2d",
            "lr_adjust_none",
            "muon_single_step",
            "should_use_adamw",
        )
    },
    **{
        f"optimizer_sparse_test.py::OptimizerSparseTest::test_sparse_gradients_{name}": _ASSIGNS
        for name in (
            "adadelta",
            "adafactor",
            "adagrad",
            "adam",
            "adam_amsgrad",
            "adamax",
            "adamw",
            "adamw_amsgrad",
            "ftrl",
            "lion",
            "loss_scale_optimizer_sgd",
            "nadam",
            "rmsprop",
            "rmsprop_momentum",
            "rmsprop_momentum_centered",
            "sgd",
            "sgd_momentum",
            "sgd_momentum_nesterov",
        )
    },
}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Outcome of every test, by id: (outcome, whether one of pyadam's optimizers took part, what went wrong)."""
    folder = tmp_path_factory.mktemp("upstream")
    options = ["-q", "-c", str(folder / "pytest.ini"), "--rootdir", str(WHEEL), "-p", "no:cacheprovider", "-p", "swap"]
    (folder / "pytest.ini").write_text("[pytest]\n")
    environment = {
        **os.environ,
        "PYADAM_UPSTREAM_RESULTS": str(folder / "results.json"),
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]),
    }
    command = [sys.executable, "-m", "pytest", *options, *(str(WHEEL / name) for name in FILES)]
    run = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    if not (folder / "results.json").exists():
        pytest.fail(f"Keras' tests did not run:\n{run.stdout[-3000:]}{run.stderr[-3000:]}")
    return {test: tuple(rest) for test, *rest in json.loads((folder / "results.json").read_text())}


def test_keras_tests_pass_on_our_classes(results, capsys):
    failed = {
        test: why for test, (outcome, _, why) in results.items() if outcome == "failed" and test not in EXCEPTIONS
    }
    ours = [outcome for outcome, involved, _ in results.values() if involved]
    with capsys.disabled():
        print(
            f"\n{len(results)} tests of Keras, {len(ours)} with pyadam's classes: {ours.count('passed')} passed, "
            f"{len(EXCEPTIONS)} listed exceptions, {len(failed)} other failures, {ours.count('skipped')} skipped"
        )
    assert ours.count("passed") >= 176
    assert not failed, "\n\n".join(f"{test}\n{why}" for test, why in failed.items())


def test_exceptions_are_needed(results):
    outcomes = {test: results[test][0] if test in results else "not found" for test in EXCEPTIONS}
    assert set(outcomes.values()) <= {"failed"}, outcomes


def test_every_file_took_part(results):
    assert {test.split("::")[0] for test in results} == set(FILES)
