"""TensorFlow, imported on first use, so that signatures, R code and docs are generated in milliseconds."""

import importlib
from typing import TYPE_CHECKING, Any

__all__ = ["tf"]


class _AtFirstUse:
    """A module that is imported on first attribute access."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(importlib.import_module(self._name), attribute)


if TYPE_CHECKING:
    import tensorflow as tf
else:
    tf = _AtFirstUse("tensorflow")
