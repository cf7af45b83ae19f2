"""What every optimizer is called and what it takes: the specs, without TensorFlow."""

from typing import Any

from pyadam import optimizers
from pyadam.optimizers import *  # noqa: F403


def __getattr__(name: str) -> Any:
    return getattr(optimizers, name)
