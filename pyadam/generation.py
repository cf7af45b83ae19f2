"""Which generation of Keras is in use. Nothing is imported before it is asked for."""

import importlib
import os
from typing import Any

__all__ = ["host", "legacy"]


def legacy() -> bool:
    """Whether TensorFlow's own switch, ``TF_USE_LEGACY_KERAS=1``, asks for tf_keras, the second generation of Keras."""
    return os.environ.get("TF_USE_LEGACY_KERAS") in ("1", "true", "True")


def host() -> Any:
    """The Keras in use: the module ``tf_keras`` or ``keras``."""
    return importlib.import_module("tf_keras" if legacy() else "keras")
