"""mypy and pyright accept correct scripts that import the installed package, and find every mistake."""

import ast
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pyadam
import pyadam.tf_keras

HERE = Path(__file__).parent
SCRIPTS = ("user.py", "mistakes.py")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the scripts, away from the package's sources."""
    folder = tmp_path_factory.mktemp("scripts")
    for script in SCRIPTS:
        shutil.copy(HERE / script, folder)
    return folder


def run(command, folder):
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "MYPYPATH")}
    return subprocess.run(list(map(str, command)), cwd=folder, env=clean, capture_output=True, text=True, check=False)


def mypy(python, folder):
    """Complaints by script and line. Keras and TensorFlow have no types, so every import of them is reported."""
    options = ["--strict", "--disable-error-code", "import-untyped", "--python-executable", python]
    done = run([sys.executable, "-m", "mypy", *options, *SCRIPTS], folder)
    found = re.findall(r"(?m)^(.*?):(\d+): error: (.*)$", done.stdout)
    assert found, done.stdout + done.stderr
    return {(script, int(line)): text for script, line, text in found}


def pyright(python, folder):
    done = run([sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", python, *SCRIPTS], folder)
    assert done.returncode == 1, done.stdout + done.stderr
    return {
        (Path(found["file"]).name, found["range"]["start"]["line"] + 1): found["message"]
        for found in json.loads(done.stdout)["generalDiagnostics"]
        if found["severity"] in ("error", "warning")
    }


@pytest.mark.parametrize("checker", [mypy, pytest.param(pyright, marks=pytest.mark.long)])
def test_a_checker_finds_the_mistakes_and_nothing_else(checker, python, folder):
    mistakes = {
        (script, number): line
        for script in SCRIPTS
        for number, line in enumerate((HERE / script).read_text().splitlines(), start=1)
        if line.endswith("# error")
    }
    found = checker(python, folder)
    assert {place: text for place, text in found.items() if place not in mistakes} == {}
    assert {place: line for place, line in mistakes.items() if place not in found} == {}


def test_the_script_of_the_user_runs(python, folder):
    done = run([python, "user.py"], folder)
    assert done.returncode == 0, done.stderr


# --- the stubs against the run-time objects ---------------------------------------------------------------------------------

PACKAGE = Path(pyadam.__file__).parent
FACES = [("__init__.pyi", pyadam), ("_keras3.pyi", pyadam), ("_tf_keras.pyi", pyadam.tf_keras)]


def defined(stub):
    body = ast.parse((PACKAGE / stub).read_text()).body
    return {n.name: n for n in body if isinstance(n, ast.ClassDef | ast.FunctionDef) and n.name != "_Optimizer"}


def constructor(node):
    """The function described by a stub's definition, without self."""
    if isinstance(node, ast.FunctionDef):
        return node.args
    (init,) = (n for n in node.body if isinstance(n, ast.FunctionDef))
    init.args.args.pop(0)
    return init.args


@pytest.mark.parametrize(("stub", "module"), FACES, ids=[stub for stub, _ in FACES])
def test_a_stub_has_the_signatures_and_the_documentation_of_the_run_time(stub, module):
    for name, node in defined(stub).items():
        real = getattr(module, name)
        arguments = constructor(node)
        signature = inspect.signature(real).parameters.values()
        named = [p.name for p in signature if p.kind is not p.VAR_KEYWORD]
        assert [a.arg for a in arguments.args + arguments.kwonlyargs] == named, name
        defaults = map(ast.literal_eval, arguments.defaults + arguments.kw_defaults)
        assert list(defaults) == [p.default for p in signature if p.default is not p.empty], name
        words, real_words = (" ".join(text.split()) for text in (ast.get_docstring(node), inspect.getdoc(real)))
        first, last = words.partition("Args:")[0], words.rpartition("Source:")[2]
        assert first in real_words, name
        assert last in real_words, name


@pytest.mark.parametrize(("stub", "module"), FACES[1:], ids=[stub for stub, _ in FACES[1:]])
def test_every_hyperparameter_is_an_attribute_of_the_stub(stub, module):
    common = next(n for n in ast.parse((PACKAGE / stub).read_text()).body if getattr(n, "name", "") == "_Optimizer")

    def attributes(node):
        return {n.target.id for n in node.body if isinstance(n, ast.AnnAssign)}

    for name in pyadam.specs.SPECS:
        held = attributes(common) | attributes(defined(stub)[name])
        assert held - {"iterations"} == set(pyadam.specs.arguments(pyadam.specs.SPECS[name])) - {"name"}
        assert all(hasattr(getattr(module, name), attribute) for attribute in held)
