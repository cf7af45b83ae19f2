"""tf_keras' own tests pass with pyadam's classes, given a checkout of github.com/keras-team/tf-keras.

    TF_KERAS_SOURCE=../tf-keras python -m pytest -m "" tests/upstream/test_tf_keras_source.py

No wheel contains these tests; without TF_KERAS_SOURCE they are skipped.
"""

import functools
import os
import re
import tempfile
from pathlib import Path

import pytest
from suite import WORDS, Suite

pytestmark = pytest.mark.long

FILES = (
    "optimizers/optimizer_test.py",
    "optimizers/lion_test.py",
    "callbacks_test.py",
    "mixed_precision/loss_scale_optimizer_test.py",
    "saving/saving_lib_test.py",
    "saving/pickle_utils_test.py",
)


_STREAMS = "wants standard input or output to itself; fails under pytest with Keras' own classes, too"
_OPTIMIZER = "optimizers/optimizer_test.py::OptimizerFuntionalityTest::"
_SAVING = "saving/saving_lib_test.py::SavingV3Test::"

EXCEPTIONS = {
    **dict.fromkeys([f"{_OPTIMIZER}testPassingLegacyArgsRaiseError", f"{_OPTIMIZER}testSetLearningRate"], WORDS),
    f"{_OPTIMIZER}testPassingMissingWDError": "wants a ValueError; None is of the wrong type, a TypeError",
    f"{_OPTIMIZER}testApplyGradientsNameArg": "wants the argument name in the names of state; it changes nothing here",
    f"{_OPTIMIZER}testReturnAllOptimizerVariables": "wants Adam/m and Adam/v as names; pyadam's are momentum and velocity",
    f"{_OPTIMIZER}testCheckpointOptimizer": "reads _momentums._storage, a detail of TensorFlow's tracked lists",
    f"{_OPTIMIZER}testGetAndFromConfig": "wants tf_keras' serialization of a schedule without its module",
    f"{_OPTIMIZER}testMovingAverageOptimizer": "the first average is the weight after the first update, as in Keras 3",
    f"{_OPTIMIZER}testSetIterations": "sets iterations to an int32 variable; pyadam counts in int64",
    f"{_OPTIMIZER}testVariableConstraints": "its gradient has another shape than the variable, which pyadam refuses",
    f"{_OPTIMIZER}test_convert_to_legacy_optimizer": "converts Keras' own classes to its older ones, by their configs",
    **dict.fromkeys(
        [
            f"{_SAVING}{name}"
            for name in ("test_overwrite", "test_saving_after_compile_but_before_fit", "test_saving_after_fit")
        ],
        _STREAMS,
    ),
}


@functools.cache
def copied() -> Path:
    """A folder with these files, whose imports find the modules of the wheel, which has them under ``tf_keras.src``."""
    source = os.environ.get("TF_KERAS_SOURCE")
    if not source:
        pytest.skip("TF_KERAS_SOURCE names no checkout of tf-keras")
    folder = Path(tempfile.mkdtemp(prefix="pyadam-tf-keras-"))
    for name in FILES:
        (folder / name).parent.mkdir(exist_ok=True)
        text = (Path(source) / "tf_keras" / name).read_text()
        text = re.sub(r"(?m)^from tf_keras\b", "from tf_keras.src", text)
        (folder / name).write_text(text.replace("keras.utils.data_utils", "keras.src.utils.data_utils"))
    return folder


class TestTfKeras(Suite):
    host = "tf_keras"
    folders = (".",)
    exceptions = EXCEPTIONS
    at_least = 179
    left_out = "DistributedTrainingTest"  # needs TensorFlow's runner of several processes as the main program

    @classmethod
    def root(cls) -> Path:
        return copied()
