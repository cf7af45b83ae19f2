#!/usr/bin/env python3
"""Generates files from the specs: the R functions and their man pages, the type stubs, the tables of signatures.

    tools/generate.py           brings the stale files up to date and names them
    tools/generate.py --check   writes nothing; names the stale files, and exits with 1 if there are any

It needs the standard library, pyadam/optimizers/ and pyadam/hosts/schedules.py, not TensorFlow. roxygen2 writes NAMESPACE and
the man pages, but only if R has the version that DESCRIPTION names; another version would write other pages.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import in_docs  # noqa: E402
import in_r  # noqa: E402
import in_stubs  # noqa: E402
from functions import OPTIMIZERS, SCHEDULES  # noqa: E402

import pyadam  # noqa: E402

R_PACKAGE = Path("r-package")
DESCRIPTION = R_PACKAGE / "DESCRIPTION"
OPTIMIZER_PAGES = Path("docs/reference/optimizers")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, exit with 1 if a file is stale")
    check = parser.parse_args().check
    wanted = from_specs()
    wanted |= from_roxygen(wanted)
    stale = [path for path, text in wanted.items() if text != read(path)]
    for path in stale:
        print(f"{'stale' if check else 'written'}: {path}")
        if not check:
            write(ROOT / path, wanted[path])
    return int(check and bool(stale))


def from_specs() -> dict[Path, str | None]:
    """The generated files, with their text; None for a page to delete."""
    pages = in_docs.pages()
    orphans = {path.relative_to(ROOT) for path in (ROOT / OPTIMIZER_PAGES).glob("*.md")} - pages.keys()
    return {
        R_PACKAGE / "R" / "optimizers.R": in_r.functions("optimizers/", OPTIMIZERS),
        R_PACKAGE / "R" / "schedules.R": in_r.functions("hosts/schedules.py", SCHEDULES),
        DESCRIPTION: re.sub(r"(?m)^Version: .*$", f"Version: {pyadam.__version__}", read(DESCRIPTION) or ""),
        R_PACKAGE / "tests" / "testthat" / "signatures.txt": read(Path("tests/signatures.txt")),
        Path("pyadam/__init__.pyi"): in_stubs.package(),
        Path("pyadam/_keras3.pyi"): in_stubs.classes("keras3"),
        Path("pyadam/_tf_keras.pyi"): in_stubs.classes("tf_keras"),
        **pages,
        **dict.fromkeys(sorted(orphans)),
    }


def from_roxygen(sources: dict[Path, str | None]) -> dict[Path, str | None]:
    """NAMESPACE, the man pages and docs/reference/r.md, made by roxygen2 from these sources; None for a page to delete."""
    wanted = re.findall(r"(?m)^RoxygenNote: (.*)$", read(DESCRIPTION) or "")[0]
    if (found := roxygen_version()) != wanted:
        print(
            f"NAMESPACE and man/ are left alone: they need roxygen2 {wanted}, found {found or 'none'}", file=sys.stderr
        )
        return {}
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / R_PACKAGE
        shutil.copytree(ROOT / R_PACKAGE, copy, ignore=shutil.ignore_patterns("man", "*.Rcheck"))
        for path, text in sources.items():
            if path.is_relative_to(R_PACKAGE):
                write(Path(folder) / path, text)
        run = rscript("suppressMessages(roxygen2::roxygenise())", cwd=copy)
        if complaints := run.stderr.strip():
            print(complaints, file=sys.stderr)
        if run.returncode:
            sys.exit("roxygen2 failed")
        made = [copy / "NAMESPACE", *sorted((copy / "man").glob("*.Rd"))]
        pages = {path.relative_to(folder): path.read_text(encoding="utf-8") for path in made}
    orphans = {path.relative_to(ROOT) for path in (ROOT / R_PACKAGE / "man").glob("*.Rd")} - pages.keys()
    manual = {path.stem: text for path, text in pages.items() if path.suffix == ".Rd"}
    page = {Path("docs/reference/r.md"): in_r.reference(manual, OPTIMIZERS + SCHEDULES)}
    return pages | page | dict.fromkeys(sorted(orphans))


def roxygen_version() -> str | None:
    if not shutil.which("Rscript"):
        return None
    return rscript('cat(as.character(packageVersion("roxygen2")))').stdout or None


def rscript(program: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["Rscript", "-e", program], capture_output=True, text=True, check=False, **options)


def read(path: Path) -> str | None:
    path = ROOT / path
    return path.read_text(encoding="utf-8") if path.exists() else None


def write(path: Path, text: str | None) -> None:
    if text is None:
        path.unlink()
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
