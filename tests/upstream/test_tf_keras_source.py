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
from suite import Suite

pytestmark = pytest.mark.long

FILES = (
    "optimizers/optimizer_test.py",
    "optimizers/lion_test.py",
    "callbacks_test.py",
    "mixed_precision/loss_scale_optimizer_test.py",
    "saving/saving_lib_test.py",
    "saving/pickle_utils_test.py",
)


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
        (folder / name).write_text(re.sub(r"(?m)^from tf_keras\b", "from tf_keras.src", text))
    return folder


class TestTfKeras(Suite):
    host = "tf_keras"
    folders = (".",)
    exceptions = {}  # noqa: RUF012
    at_least = 1

    @classmethod
    def root(cls) -> Path:
        return copied()
