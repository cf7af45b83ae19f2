"""Saves and loads results as JSON, with the machine and versions they come from."""

import json
import os
import platform
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import pyadam
from pyadam.bench.measure import Cell, Result
from pyadam.bench.process import cores
from pyadam.hosts.generation import installed_version

__all__ = ["facts", "load", "save"]

Sections = dict[str, list[Cell]]  # cells by section


def facts() -> dict[str, str]:
    """Versions, date, the machine and its load over the last minute."""
    found = pyadam.info() | {"day": date.today().isoformat()}
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


def save(file: Path, sections: Sections, where: dict[str, str]) -> None:
    """Writes cells and facts."""
    kept = {title: [asdict(cell) for cell in cells] for title, cells in sections.items()}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"facts": where, "sections": kept}, indent=1) + "\n")


def load(file: Path) -> tuple[Sections, dict[str, str]]:
    """Reads what `save` wrote."""
    kept = json.loads(file.read_text())

    def cell(saved: dict[str, Any]) -> Cell:
        results = {name: Result(**result) for name, result in saved.pop("results").items()}
        return Cell(**saved, results=results)

    return {title: [cell(each) for each in cells] for title, cells in kept["sections"].items()}, kept["facts"]
