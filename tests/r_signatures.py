"""The table of signatures, `signatures.txt`, as Python's signatures."""

import inspect
import re
from pathlib import Path


def _signature(name: str, formals: str) -> inspect.Signature:
    """R's formals in Python: those after the dots are keyword-only."""
    formals = re.sub(r"\b(\d+)L\b", r"\1", formals)
    formals = re.sub(r", \.\.\.(?=,)", ", *", formals).removesuffix(", ...")
    formals += ", **kwargs" * name.startswith("optimizer_")
    scope = {"NULL": None, "TRUE": True, "FALSE": False}
    return inspect.signature(eval(f"lambda {formals}: None", scope))


SIGNATURES = {
    name: _signature(name, formals)
    for name, formals in (
        line.split(": ", 1)
        for line in (Path(__file__).parent / "signatures.txt").read_text(encoding="utf-8").splitlines()
        if line.startswith(("optimizer_", "learning_rate_schedule_"))
    )
}
