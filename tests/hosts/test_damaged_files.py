"""A file that is damaged in any region is refused, or its optimizer loads whole: no hang, no crash, no other state."""

import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import tensorflow as tf
from damage import HOSTS, made, save, state
from helpers import run_python

PROGRAM = Path(__file__).with_name("damage.py")
FORMATS = ["keras", "weights.h5", "h5", "checkpoint"]
KINDS = [(host, kind) for host in HOSTS for kind in FORMATS]
QUICK = [("keras", "weights.h5", 8192)]
# the values in the older format have no checksum, neither Keras' nor ours
UNPROTECTED = {"h5": ("zeros", "one bit")}


@pytest.mark.parametrize(
    ("host", "kind", "region"),
    [*QUICK, *(pytest.param(host, kind, 512, marks=pytest.mark.long) for host, kind in KINDS)],
)
def test_damage_in_any_region(host, kind, region, tmp_path, count):
    run = subprocess.run(
        [sys.executable, str(PROGRAM), host, kind, str(region), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    found = json.loads(run.stdout)
    for damage, endings in found.items():
        allowed = {"refused", "whole"} | ({"other", "hang of Keras"} if damage in UNPROTECTED.get(kind, ()) else set())
        assert set(endings) <= allowed, (damage, endings)
        for ending, number in endings.items():
            count("how damaged files load", f"{host}, {kind}, {damage}: {ending}", number)
    assert found["cut off"].keys() == {"refused"}
    assert found["another file"].keys() == {"refused"}


@pytest.mark.parametrize("host", HOSTS)
def test_a_changed_value_is_said_and_the_way_out(host, tmp_path):
    file = tmp_path / "m.weights.h5"
    save(made(host), "weights.h5", file)
    with h5py.File(file, "a") as opened:
        opened["optimizer/vars/3"][0] += 1
    model = made(host, seed=1)
    before = state(model)
    with pytest.raises(
        ValueError, match=r"Adam: the file is damaged: variable 3 of the optimizer differs from its che"
    ):
        model.load_weights(str(file))
    assert state(model) == before


def test_a_string_heap_of_zeros_ends_with_an_error(tmp_path):
    """HDF5 reads it for ever. 512 zeros, at each heap in turn; in a process of its own, which a hang would end."""
    file = tmp_path / "m.weights.h5"
    save(made("keras"), "weights.h5", file)
    with h5py.File(file, "a") as opened:
        del opened["optimizer/pyadam"]  # as Keras' own file: names are read from attributes
    code = "import sys; sys.path.insert(0, sys.argv[1]); import damage; damage.made('keras').load_weights(sys.argv[2])"
    whole = file.read_bytes()
    at = whole.index(b"GCOL")
    assert at % 8 == 0
    file.write_bytes(whole[: at + 16] + bytes(512) + whole[at + 528 :])
    run = run_python(code, str(PROGRAM.parent), str(file))
    assert run.returncode == 1
    assert f"Adam: the file is damaged: the heap at byte {at} has an object without a size" in run.stderr


@pytest.mark.parametrize("host", HOSTS)
def test_a_small_file_that_claims_much_is_refused(host, tmp_path):
    file = tmp_path / "m.weights.h5"
    save(made(host), "weights.h5", file)
    with h5py.File(file, "a") as opened:
        del opened["optimizer/pyadam"], opened["optimizer/vars/3"]
        opened["optimizer/vars"].create_dataset("3", shape=(1 << 40,), dtype="float32", chunks=(1024,))
    assert file.stat().st_size < 1 << 20
    model = made(host, seed=1)
    before = state(model)
    with pytest.raises(ValueError, match=r"Adam: the file is damaged: .*claims 4398046511104 bytes and has 0"):
        model.load_weights(str(file))
    assert state(model) == before


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="no folder here that nobody can write to")
@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("kind", ["keras", "weights.h5", "checkpoint"])
def test_a_folder_that_cannot_be_written_to_is_an_error_and_training_goes_on(host, kind):
    """Also for root, who may write wherever else something is read-only."""
    model = made(host)
    before = state(model)
    with pytest.raises((OSError, tf.errors.OpError)):
        save(model, kind, Path("/proc/self") / ("c" if kind == "checkpoint" else f"m.{kind}"))
    assert state(model) == before
    model.fit(np.ones((8, 3)), np.ones((8, 2)), verbose=0)
    assert int(model.optimizer.iterations) == 3


FULL_DISK = """
import errno, os, resource, sys
sys.path.insert(0, sys.argv[1])
import damage, numpy as np
host, kind, path = sys.argv[2:]
model = damage.made(host)
limits = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))  # Python ignores SIGXFSZ
try:
    damage.save(model, kind, path)
except Exception as error:
    print(os.strerror(errno.EFBIG) in str(error), flush=True)
resource.setrlimit(resource.RLIMIT_FSIZE, limits)
model.fit(np.ones((8, 3)), np.ones((8, 2)), verbose=0)
damage.save(model, kind, path + "2." + kind)
print(int(model.optimizer.iterations), flush=True)
os._exit(0)  # HDF5 crashes at the end of a process in which it could not write
"""


@pytest.mark.sample(1)
@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("kind", ["keras", "weights.h5", "checkpoint"])
def test_a_full_disk_is_an_error_and_training_goes_on(host, kind, tmp_path):
    """The disk is a limit on the size of files."""
    if (host, kind) == ("tf_keras", "weights.h5"):
        pytest.skip("HDF5 ends the process there, whoever's the optimizer is")
    path = str(tmp_path / ("c" if kind == "checkpoint" else f"m.{kind}"))
    run = run_python(FULL_DISK, str(PROGRAM.parent), host, kind, path)
    assert run.stdout.split() == ["True", "3"], run.stderr[-3000:]
