"""The gallery: each example prints the same numbers in both languages, and the page shows it."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pyadam.parity.rscript import environment

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "gallery"
PAGE = (ROOT / "docs" / "gallery.md").read_text()
NAMES = sorted({file.stem for file in EXAMPLES.iterdir() if file.is_file()} - {"picture"})
QUICK = "custom_loop"  # written in R


def printed(command, folder):
    """What a program prints in a folder of its own."""
    folder.mkdir()
    environ = environment() | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, f"{done.stdout[-300:]}\n{done.stderr[-1500:]}"
    return done.stdout


@pytest.mark.needs_r
@pytest.mark.parametrize(
    "name", [name if name == QUICK else pytest.param(name, marks=pytest.mark.long) for name in NAMES]
)
def test_both_languages_print_the_same_numbers(name, tmp_path):
    python = printed([sys.executable, EXAMPLES / f"{name}.py", "picture.svg"], tmp_path / "python")
    r = printed(["Rscript", EXAMPLES / f"{name}.R"], tmp_path / "r")
    assert python == r
    assert re.search(r"\d\.\d{6,}", python.rpartition("\n\n")[2]), python
    picture = (tmp_path / "python" / "picture.svg").read_text()
    assert "<svg" in picture
    assert "<dc:date>" not in picture


@pytest.mark.parametrize("name", NAMES)
def test_it_is_on_the_page_in_both_languages_with_a_picture(name):
    docstring = ast.get_docstring(ast.parse((EXAMPLES / f"{name}.py").read_text()))
    about, _, call = docstring.rpartition("\n\n")
    assert call == f"python examples/gallery/{name}.py [PICTURE]"
    assert f"\n## {about.replace('.', '', 1)}\n\n![" in PAGE
    for shown in (f"gallery/{name}.svg", f"../examples/gallery/{name}.py", f"../examples/gallery/{name}.R"):
        assert f"]({shown})" in PAGE
        assert (ROOT / "docs" / shown).is_file()
