"""Saves and loads results as JSON, with the machine, the versions and the code they come from."""

import ast
import hashlib
import json
import os
import platform
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import pyadam
from pyadam.bench.measure import Cell, Result
from pyadam.bench.models import MODELS
from pyadam.bench.process import cores
from pyadam.hosts.generation import installed_version

__all__ = ["code_of_steps", "facts", "load", "load_facts", "save"]

_CODE = ("engine/*.py", "optimizers/numerics.py")  # what every step runs, whatever the optimizer
Sections = dict[str, list[Cell]]  # cells by section


def facts() -> dict[str, str]:
    """Versions, a digest of the code, date, the machine and its load over the last minute."""
    found = pyadam.info() | {"code": code_of_steps(), "day": date.today().isoformat()}
    found |= {package: installed_version(package) for package in ("torch", "jax", "optax")}
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    machine = {"processor": _processor(), "cores": str(cores()), "memory": f"{pages / 2**30:.0f} GiB"}
    return found | machine | {"load": f"{os.getloadavg()[0]:.1f}"}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def code_of_steps() -> str:
    """A digest of the engine's code, from which can be told whether results are of this engine."""
    room = Path(pyadam.__file__).parent
    texts = [_statements(file.read_text(encoding="utf-8")) for one in _CODE for file in sorted(room.glob(one))]
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]


def _statements(source: str) -> str:
    """The lines of a module without docstrings, comments and empty lines."""
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Expr)]
    texts = [node for node in nodes if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)]
    left_out = {line for node in texts for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)}
    lines = [line for number, line in enumerate(source.splitlines(), 1) if number not in left_out]
    return "\n".join(line for line in lines if line.strip() and not line.lstrip().startswith("#"))


def save(file: Path, sections: Sections, where: dict[str, str]) -> None:
    """Writes cells and facts; into a folder, if the name has no ending, a file for each model."""
    if not file.suffix:
        for model in {cell.model: None for cells in sections.values() for cell in cells}:
            of_model = {title: [c for c in cells if c.model == model] for title, cells in sections.items()}
            save(file / f"{model}.json", of_model, where)
        return
    kept = {title: [asdict(cell) for cell in cells] for title, cells in sections.items()}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"facts": where, "sections": kept}, indent=1) + "\n")


def load(file: Path) -> Sections:
    """Reads the cells that `save` wrote."""

    def cell(saved: dict[str, Any]) -> Cell:
        results = {name: Result(**result) for name, result in saved.pop("results").items()}
        return Cell(**saved, results=results)

    sections: Sections = {}
    for each in _files(file):
        for title, cells in json.loads(each.read_text())["sections"].items():
            sections.setdefault(title, []).extend(map(cell, cells))
    return sections


def load_facts(file: Path) -> list[dict[str, str]]:
    """Reads the facts that were saved, those of each file in a folder."""
    return [json.loads(each.read_text())["facts"] for each in _files(file)]


def _files(file: Path) -> list[Path]:
    """The file, or those in a folder: models in the order of `MODELS`."""
    places = {f"{name}.json": place for place, name in enumerate(MODELS)}
    return [file] if file.suffix else sorted(file.glob("*.json"), key=lambda each: places.get(each.name, len(places)))
