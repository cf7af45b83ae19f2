"""TensorFlow, imported by the first thing that is computed: signatures, R generation and docs work in milliseconds."""

import importlib
from typing import TYPE_CHECKING, Any

__all__ = ["tf"]


class _AtFirstUse:
    """A module that is imported when something in it is asked for."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(importlib.import_module(self._name), attribute)


if TYPE_CHECKING:
    import tensorflow as tf
else:
    tf = _AtFirstUse("tensorflow")
