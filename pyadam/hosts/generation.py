"""Which generation of Keras is in use, and what an optimizer for the wrong one is told. Imports happen on demand."""

import importlib
import os
import re
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pyadam.optimizers import WRAPPERS

__all__ = [
    "can_be_had",
    "check_backend",
    "class_of",
    "home",
    "host",
    "in_refusal",
    "installed_version",
    "introduced",
    "keras3_classes",
    "uses_tf_keras",
]


def uses_tf_keras() -> bool:
    """Whether TensorFlow's own switch, ``TF_USE_LEGACY_KERAS=1``, asks for tf_keras, the second generation of Keras."""
    return os.environ.get("TF_USE_LEGACY_KERAS") in ("1", "true", "True")


def installed_version(package: str) -> str:
    """The version of a package, or "missing"."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def host() -> Any:
    """The Keras in use: the module ``tf_keras`` or ``keras``."""
    return importlib.import_module("tf_keras" if uses_tf_keras() else "keras")


def keras3_classes() -> Any:
    """The module with the classes for Keras 3."""
    check_backend()
    return importlib.import_module("pyadam.keras3")


def class_of(module: Any, name: str) -> Any:
    """The class of this name from the module of a generation of Keras.

    Raises:
        ImportError: that Keras has nothing to derive it from.
    """
    if not hasattr(module, name):
        package = "tf_keras" if module.__name__.endswith("tf_keras") else "keras"
        first = "{}.{}".format(*WRAPPERS[name].needs_keras)
        raise ImportError(
            f"pyadam: {name} needs Keras {first}, which first had it; here is {package} {installed_version(package)}"
        )
    return getattr(module, name)


def can_be_had(name: str) -> bool:
    """Whether the installed Keras 3 is new enough for the class of this name."""
    found = re.match(r"(\d+)\.(\d+)", installed_version("keras"))
    return name not in WRAPPERS or not found or (int(found[1]), int(found[2])) >= WRAPPERS[name].needs_keras


def check_backend() -> None:
    """Refuses a Keras 3 on another backend than TensorFlow, where possible before Keras loads that backend.

    Raises:
        ImportError: the environment or Keras' configuration file selects another backend.
    """
    asked_for = None if "keras" in sys.modules else os.environ.get("KERAS_BACKEND")
    backend = asked_for or importlib.import_module("keras").backend.backend()
    if backend != "tensorflow":
        raise ImportError(
            f"pyadam: the optimizers need Keras on TensorFlow, and here its backend is {backend}; set the environment "
            'variable KERAS_BACKEND=tensorflow before Keras is loaded, or "backend": "tensorflow" in its file keras.json'
        )


def home(optimizer: Any) -> str:
    """The module that an optimizer's class is imported from: that of the generation of Keras it is made for."""
    made_for_tf_keras = any(base.__module__.startswith("tf_keras.") for base in type(optimizer).__mro__)
    return "pyadam.tf_keras" if made_for_tf_keras else "pyadam"


def in_refusal() -> bool:
    """Whether the ``__format__`` that asks was called where Keras refuses an optimizer: in its ``optimizers.get``."""
    return sys._getframe(2).f_code.co_name == "get"


def introduced(optimizer: Any) -> str:
    """The text that ``compile`` quotes when it refuses this optimizer: it names the one for the other Keras."""
    spec = optimizer.spec_type
    mine, other, there, switch = "Keras 3", "tf_keras", "pyadam.tf_keras", "is 1"
    if home(optimizer) == "pyadam.tf_keras":
        mine, other, there, switch = "tf_keras", "Keras 3", "pyadam", "is not set"
    return (
        f"{optimizer!r}, made for {mine}; a model of {other} takes {there}.{spec.__name__}, which is what "
        f"{spec.r_name}() makes where TF_USE_LEGACY_KERAS {switch}"
    )
