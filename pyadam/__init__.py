"""pyadam: TensorFlow optimizers as pure update rules, compiled into one program per step, for Python and R.

Importing the package or ``pyadam.specs`` does not import TensorFlow; creating the first optimizer does. The classes are
registered with Keras when it is imported, before or after this package, so saved models that use them can be loaded.
"""

import difflib
import functools
import importlib
import sys
import types
from typing import Any

import wrapt

from pyadam import schedules, specs, xla_flags
from pyadam._version import __version__
from pyadam.hosts.generation import can_be_had, class_of, installed_version, keras3_classes, uses_tf_keras
from pyadam.optimizers.kinds import NA

if xla_flags.WANTED:
    xla_flags.add()

_CLASSES = [*specs.SPECS, *specs.WRAPPERS]
_FUNCTIONS = [getattr(specs, name).r_name for name in _CLASSES]

_SCHEDULES = list(schedules.SCHEDULES)

_LATE = {
    "Resume": "pyadam.resume",
    "convert": "pyadam.interchange",
    "layerwise_decay": "pyadam.hosts.groups",
    "new_optimizer_class": "pyadam.hosts.own",
}

_SUBMODULES = ["distribute", "interchange", "resume", "tf_keras", "xla"]  # these import TensorFlow

__all__ = [
    "NA",
    "Resume",
    "__version__",
    "convert",
    "info",
    "layerwise_decay",
    "new_optimizer_class",
    "schedules",
    "specs",
    *filter(can_be_had, _CLASSES),
    *_FUNCTIONS,
    *_SCHEDULES,
]


def __getattr__(name: str) -> Any:
    if name in _CLASSES:
        return class_of(keras3_classes(), name)
    if name in _FUNCTIONS:
        return importlib.import_module("pyadam.hosts.factories").FUNCTIONS[name]
    if name in _SCHEDULES:
        return schedules.FUNCTIONS[name]
    if name in _LATE:
        return getattr(importlib.import_module(_LATE[name]), name)
    if name in _SUBMODULES:
        return importlib.import_module(f"pyadam.{name}")
    raise AttributeError(f"module 'pyadam' has no attribute {name!r}{_closest(name)}")


def _closest(name: str) -> str:
    """A question for those who mistook a name."""
    meant = schedules.OF_KERAS | {each: each for each in (*__all__, *_SUBMODULES)}
    names = {each.lower(): each for each in meant}
    near = () if name.startswith("_") else difflib.get_close_matches(name.lower(), names, n=1)
    return "".join(f", did you mean {meant[names[each]]}?" for each in near)


def __dir__() -> list[str]:
    return sorted([*__all__, *_SUBMODULES])


def info() -> dict[str, str]:
    """Versions of what a step depends on, for bug reports; "missing" for packages that are not installed."""
    import platform

    packages = ("tensorflow", "keras", "tf_keras", "numpy")
    return {
        "pyadam": __version__,
        "python": platform.python_version(),
        **{package: installed_version(package) for package in packages},
        "keras_generation": "2" if uses_tf_keras() else "3",
        "platform": platform.platform(),
    }


def _loss_scale(home: str, name: str) -> Any:
    if name == "LossScaleOptimizer":
        return importlib.import_module(f"pyadam.{home}").LossScaleOptimizer
    raise AttributeError(f"module 'pyadam.loss_scale_{home}' has no attribute {name!r}")


# Files and pickles of the first versions name these modules for the class LossScaleOptimizer.
for _home in ("keras3", "tf_keras"):
    _module = sys.modules[f"pyadam.loss_scale_{_home}"] = types.ModuleType(f"pyadam.loss_scale_{_home}")
    _module.__getattr__ = functools.partial(_loss_scale, _home)  # type: ignore[method-assign]


def _register(keras: Any) -> None:
    """Creates the classes for a Keras that has just been imported, which registers them there."""
    if keras.__name__ == "tf_keras":
        importlib.import_module("pyadam.tf_keras")
    elif keras.config.backend() == "tensorflow":
        importlib.import_module("pyadam.keras3")


for _keras in ("keras", "tf_keras"):
    wrapt.register_post_import_hook(_register, _keras)
