"""What SECURITY.md promises: no code from a config, nothing from the current folder, no version with a known hole."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import keras
import pytest
import tf_keras
from helpers import run_python
from tf_keras.protobuf.saved_metadata_pb2 import SavedMetadata

import pyadam.tf_keras
from pyadam.interchange.trust import refuse_code
from pyadam.parity import rscript

ROOT = Path(__file__).parents[2]
HOSTS = {"keras": (keras, pyadam), "tf_keras": (tf_keras, pyadam.tf_keras)}


def bytecode(host, marker):
    """The config of a Lambda layer that makes a file as soon as it is called."""
    k = HOSTS[host][0]
    layer = k.layers.Lambda(lambda x, path=str(marker): open(path, "w").close() or x)
    return k.saving.serialize_keras_object(layer)


def named(function, module="os"):
    return {"module": module, "class_name": "function", "config": function, "registered_name": function}


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("name", ["learning_rate", "weight_decay", "inner_optimizer"])
@pytest.mark.parametrize("kind", ["bytecode", "function", "class", "method"])
def test_a_config_runs_no_code(host, name, kind, tmp_path):
    marker = tmp_path / "ran"
    value = {
        "bytecode": lambda: bytecode(host, marker),
        "function": lambda: named("getpid"),
        "class": lambda: {"module": "subprocess", "class_name": "Popen", "config": {"args": ["touch", str(marker)]}},
        "method": lambda: named("system"),
    }[kind]()
    cls = HOSTS[host][1].LossScaleOptimizer if name == "inner_optimizer" else HOSTS[host][1].Adam
    with pytest.raises((TypeError, ValueError), match=name):
        cls.from_config({name: value})
    assert not marker.exists()


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file:UserWarning")
@pytest.mark.parametrize("file", ["m.h5", "m.keras", "saved_model"])
def test_convert_does_not_run_the_code_of_a_tf_keras_file(file, tmp_path):
    marker = tmp_path / "ran"
    layer = tf_keras.layers.Lambda(lambda x, path=str(marker): open(path, "w").close() or x)
    model = tf_keras.Sequential([tf_keras.layers.InputLayer((2,)), layer, tf_keras.layers.Dense(1)])
    model.compile(pyadam.tf_keras.Adam(), "mse")
    model.save(tmp_path / file)
    marker.unlink(missing_ok=True)
    with pytest.raises(ValueError, match="has a Lambda layer, whose code tf_keras would run"):
        pyadam.convert(tmp_path / file, tmp_path / "new.keras", to="keras")
    assert not marker.exists()


HARMFUL = {
    "Lambda by its module": {"module": "keras", "class_name": "layers.Lambda", "config": {}},
    "Lambda by its registered name": {
        "module": "keras.src",
        "class_name": "Any",
        "registered_name": "Lambda",
        "config": {},
    },
    "class of a module": {"module": "subprocess", "class_name": "Popen", "config": {"args": ["true"]}},
    "class of an inner module": {"module": "keras.src.utils.data_utils", "class_name": "OrderedEnqueuer", "config": {}},
    "function of a module": named("system"),
    "function of Keras": named("get_file", "keras.utils"),
    "operation": {"class_name": "TFOpLambda", "config": {"function": "io.write_file"}},
    "lambda": {"class_name": "__lambda__", "config": {"value": "4wEAAAA="}},
}


@pytest.mark.parametrize("what", HARMFUL)
@pytest.mark.parametrize("form", ["h5", "h5 and zip", "keras", "saved_model"])
def test_convert_makes_only_what_is_known_from_a_tf_keras_file(form, what, tmp_path):
    """The configs are read where tf_keras reads them: an HDF5 file may be a zip archive as well."""
    config = json.dumps({"class_name": "Sequential", "config": {"layers": [HARMFUL[what]]}})
    path = tmp_path / {"h5": "m.h5", "h5 and zip": "m.h5", "keras": "m.keras", "saved_model": "m"}[form]
    if form == "saved_model":
        path.mkdir()
        (path / "saved_model.pb").write_bytes(b"")
        (path / "keras_metadata.pb").write_bytes(SavedMetadata(nodes=[{"metadata": config}]).SerializeToString())
    if form.startswith("h5"):
        with h5py.File(path, "w") as file:
            file.attrs["model_config"] = config
    if form in ("keras", "h5 and zip"):
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("config.json", config if form == "keras" else "{}")
    with pytest.raises(ValueError, match="if you trust the file, load it with tf_keras"):
        refuse_code(path)


def test_what_cannot_be_looked_through_is_refused(tmp_path):
    (tmp_path / "m.h5").write_bytes(b"no HDF5")
    with pytest.raises(ValueError, match=r"convert: source '.*m\.h5' can't be loaded"):
        refuse_code(tmp_path / "m.h5")


# --- the commands --------------------------------------------------------------------------------------------------------


@pytest.mark.needs_r
def test_nothing_is_taken_from_the_current_folder(tmp_path, r):
    """R packages, .Rprofile and .Renviron of the folder, and modules that would be found before TensorFlow."""
    marker = tmp_path / "ran"
    (tmp_path / ".r-lib" / "pyadam").mkdir(parents=True)
    (tmp_path / ".r-lib" / "pyadam" / "DESCRIPTION").write_text("Package: pyadam\nVersion: 99\n")
    (tmp_path / ".Rprofile").write_text(f"file.create({rscript.quoted(marker)})\n")
    (tmp_path / ".Renviron").write_text("R_LIBS=.r-lib\n")
    for module in ("tensorflow", "numpy", "keras"):
        (tmp_path / f"{module}.py").write_text(f"open({str(marker)!r}, 'w')\n")
    command = Path(sys.executable).with_name("pyadam")
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([command, "info"], cwd=tmp_path, env=inherited, capture_output=True, text=True, check=True)
    assert not marker.exists()
    lines = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert "99" not in done.stdout.split("pyadam in R")[1].splitlines()[0]
    assert lines["devices"].startswith("CPU")


@pytest.mark.needs_r
def test_a_folder_for_temporary_files_may_have_any_name(tmp_path, r):
    """Its name is part of a program in R."""
    folder = tmp_path / 'a "quote" and a \\ and a \' and $HOME'
    folder.mkdir()
    command = [sys.executable, "-m", "pyadam", "parity", "--only", "sgd defaults float32"]
    done = subprocess.run(command, env=r | {"TMPDIR": str(folder)}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert "1 cases ok" in done.stdout


def test_no_shell_is_started():
    for file in (ROOT / "pyadam").rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        assert "shell=True" not in text, file
        assert "os.system" not in text, file
        assert "tempfile.mktemp(" not in text, file


# --- versions ------------------------------------------------------------------------------------------------------------


def test_no_version_has_a_known_hole_that_another_does_not_have():
    done = subprocess.run([sys.executable, str(ROOT / "tools/audit.py")], capture_output=True, text=True, check=False)
    print(done.stdout)
    assert done.returncode == 0, done.stdout
    assert {line.split()[0] for line in done.stdout.splitlines()[1:-1]} == {"installed", "pinned", "allowed"}


VERSIONS = [("keras", "3.10.0"), ("keras", "3.13.2"), ("keras", "3.15.0"), ("tensorflow", "2.18.0")]


def test_the_audit_finds_holes():
    """Those of the lowest versions that were allowed before: Keras 3.10 and TensorFlow 2.18."""
    code = f"""
        import sys
        sys.path.insert(0, {str(ROOT / "tools")!r})
        import audit, json
        every = audit.known()["vulnerability"]
        print(json.dumps([[v["id"] for v in every if v["package"] == package and audit.is_affected(version, v["affected"])]
                          for package, version in {VERSIONS!r}]))
    """
    found = json.loads(run_python(code).stdout)
    assert {"CVE-2025-8747", "CVE-2025-9905", "CVE-2026-1669"} <= set(found[0])
    assert all(len(holes) > 1 for holes in found)
