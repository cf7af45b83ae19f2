"""Custom optimizers among the cases: those that a file makes with `new_optimizer_class`."""

import re
import runpy
from pathlib import Path
from typing import Any

import pyadam
from pyadam.optimizers import RULES, SPECS

__all__ = ["r_name", "take_up"]


def r_name(classname: str) -> str:
    """The name that the R function of a class is to have: ``optimizer_signum`` of ``Signum``."""
    return "optimizer_" + re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", classname).lower()


def take_up(file: Path, replicas: int = 1) -> list[str]:
    """Runs a Python file, and takes the optimizers that it makes up among those to compare; returns their names.

    The CPU is split for the replicas before: to make an optimizer is to use it.

    Raises:
        ValueError: it makes none.
    """
    if replicas > 1:
        from pyadam.parity.run_replicas import split_cpu

        split_cpu(replicas)
    made = {
        value.spec_type.__name__: value
        for value in runpy.run_path(str(file)).values()
        if isinstance(value, type) and hasattr(value, "spec_rule") and value.spec_type not in SPECS.values()
    }
    if not made:
        raise ValueError(f"{file} makes no optimizer with new_optimizer_class()")
    for name, cls in made.items():
        _take_up(name, cls)
    return list(made)


def _take_up(name: str, cls: Any) -> None:
    spec = cls.spec_type
    spec.r_name = r_name(name)
    SPECS[name] = spec
    RULES[spec] = cls.spec_rule
    setattr(pyadam, name, cls)
