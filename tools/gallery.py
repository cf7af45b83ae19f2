"""Runs the examples of the gallery in both languages, and writes their pictures and docs/gallery.md.

python tools/gallery.py             all of them
python tools/gallery.py NAME...     only these; the page keeps what it says about the others
"""

import ast
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from pyadam.parity.rscript import environment

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples" / "gallery"
PAGE = ROOT / "docs" / "gallery.md"

NAMES = [  # in the order of the page
    "digits",
    "tabular",
    "text",
    "transformer",
    "transfer",
    "weight_decay",
    "schedule",
    "averages",
    "accumulation",
    "mixed_precision",
    "own_rule",
    "custom_loop",
    "resume",
    "two_workers",
]

TOP = """\
# Gallery

Each example is a program of one page in Python, and the same in R, on data that comes with scikit-learn. Both print the same
numbers, in all digits: `tests/docs/test_gallery.py` runs them and compares. The last digits depend on the processor and on the
versions of TensorFlow and Keras, in both languages alike. Times are processor time, and include the loading of TensorFlow.

After `make demo` one runs with `.venv/bin/python examples/gallery/digits.py`, or with
`RETICULATE_PYTHON=.venv/bin/python R_LIBS=.r-lib Rscript examples/gallery/digits.R`. `make gallery`, or `make gallery
ARGS="digits text"` for some, draws the pictures and writes this page.
"""

SECTION = """\
## {title}

{text}

![{title}](gallery/{name}.svg)

- [{name}.py](../examples/gallery/{name}.py): {python}
- [{name}.R](../examples/gallery/{name}.R): {r}

Both end with

```text
{results}
```
"""


def main(names):
    if unknown := set(names) - set(NAMES):
        sys.exit(f"there is no example {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    sections = written()
    for name in names or NAMES:
        sections[name] = section(name)
        PAGE.write_text("\n".join([TOP, *(sections[each] for each in NAMES if each in sections)]))
    print(f"written: {PAGE.relative_to(ROOT)}")


def written():
    """The sections that are on the page, by name."""
    text = PAGE.read_text() if PAGE.exists() else ""
    parts = re.split(r"^(?=## )", text, flags=re.MULTILINE)[1:]
    return {re.search(r"\]\(gallery/(\w+)\.svg\)", part)[1]: part.rstrip("\n") + "\n" for part in parts}


def section(name):
    """Runs an example in both languages and says what came of it."""
    print(f"{name:<16}", end="", flush=True)
    program, picture = EXAMPLES / f"{name}.py", PAGE.parent / "gallery" / f"{name}.svg"
    python, of_python = run(sys.executable, program, picture)
    print(f"Python: {of_python:<18}", end="", flush=True)
    r, of_r = run("Rscript", program.with_suffix(".R"))
    print(f"R: {of_r:<18}", end="", flush=True)
    if python != r:
        sys.exit(f"they differ\n{python}\n{r}")
    print("the same numbers", flush=True)
    title, text = about(program)
    results = python.strip().rpartition("\n\n")[2]
    return SECTION.format(name=name, title=title, text=text, python=of_python, r=of_r, results=results)


def about(program):
    """The title of an example and its description, from its docstring, which ends with how it is called."""
    title, *text, _ = ast.get_docstring(ast.parse(program.read_text())).split("\n\n")
    return title.rstrip("."), "\n\n".join(text)


def run(*command):
    """What a program prints, and its processor time and memory, in words."""
    with (
        tempfile.TemporaryDirectory() as folder,
        tempfile.TemporaryFile("w+") as out,
        tempfile.TemporaryFile("w+") as err,
    ):
        environ = environment() | {"TF_CPP_MIN_LOG_LEVEL": "3"}
        process = subprocess.Popen(command, stdout=out, stderr=err, cwd=folder, env=environ)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        for file in (out, err):
            file.seek(0)
        if process.returncode != 0:
            sys.exit(f"failed\n{err.read()}")
        return out.read(), f"{usage.ru_utime + usage.ru_stime:.0f} s and {usage.ru_maxrss / 1024:.0f} MiB"


if __name__ == "__main__":
    main(sys.argv[1:])
