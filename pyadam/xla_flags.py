"""XLA's option for a single pass over memory, set in the environment, which XLA reads when it first compiles."""

import os
import re

__all__ = ["WANTED", "add", "given"]

_OPTION = "xla_cpu_use_multi_output_fusion"

WANTED = os.environ.get("PYADAM_SINGLE_PASS", "0") not in ("", "0")
"""Whether the environment requests a single pass."""


def given() -> bool:
    """Whether the option is set."""
    return _OPTION in os.environ.get("XLA_FLAGS", "")


def add() -> None:
    """Adds the option to those already set."""
    if given():
        return
    flags = os.environ.get("XLA_FLAGS", "")
    others = re.search(r"--xla_backend_extra_options=\S+", flags)  # a second one would replace the first
    added = f"{others[0]},{_OPTION}" if others else f"--xla_backend_extra_options={_OPTION}"
    os.environ["XLA_FLAGS"] = flags.replace(others[0], added) if others else f"{flags} {added}".strip()
