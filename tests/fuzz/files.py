"""Changes the optimizer's part of saved files, as a mistaken or malicious program might, loads them, and counts the endings.

python files.py --cases 5000 --seed 0

Allowed are a model that was loaded whole, and an error after which the optimizer is as it was; anything else (half a state, a
hang, an exception that says nothing) is printed with its case, and the exit status is 1.
"""

import faulthandler
import json
import os
import signal
import tempfile
import traceback
import warnings
import zipfile
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import tensorflow as tf
import tf_keras
from hypothesis import strategies as st
from loop import Endings, fuzz

import pyadam.tf_keras

HOSTS = {"keras": (keras, pyadam), "tf_keras": (tf_keras, pyadam.tf_keras)}
FORMATS = ["weights.h5", "keras", "checkpoint"]
SECONDS = 20
CHANGES = [
    "delete",
    "rename",
    "reshape",
    "another dtype",
    "text",
    "group",
    "soft link",
    "external link",
    "NaN",
    "huge",
    "copy",
]
CONFIG = ["class_name", "config", "module", "registered_name"]
VALUES = [
    None,
    -1,
    0,
    1e400,
    "x",
    "",
    [],
    {},
    True,
    "pyadam.keras3",
    "Adam",
    "pyadam>Adam",
    {"class_name": "Adam"},
    10**30,
]
VALUES += [{"module": "os", "class_name": "function", "config": "getpid", "registered_name": "function"}]


def model(host: str, start: int) -> Any:
    k, ours = HOSTS[host]
    k.utils.set_random_seed(start)
    made = k.Sequential([k.layers.InputLayer((3,)), k.layers.Dense(2), k.layers.Dense(1)])
    made.compile(ours.Adam(0.1, jit_compile=False), k.losses.MeanSquaredError())
    made.fit(np.full((4, 3), start + 1.0), np.ones((4, 1)), batch_size=2, verbose=0)
    return made


def bits(made: Any) -> list[bytes]:
    return [np.array(v.numpy()).tobytes() for v in made.optimizer.variables]


def save(made: Any, form: str, path: Path) -> None:
    if form == "checkpoint":
        tf.train.Checkpoint(optimizer=made.optimizer).write(str(path))
    elif form == "keras":
        made.save(path)
    else:
        made.save_weights(path)


def load(made: Any, host: str, form: str, path: Path) -> Any:
    if form == "checkpoint":
        tf.train.Checkpoint(optimizer=made.optimizer).read(str(path)).assert_existing_objects_matched()
        return made
    if form == "keras":
        return HOSTS[host][0].models.load_model(path)
    made.load_weights(path)
    return made


def change_h5(path: Path, what: str, place: int, number: int) -> None:
    """One change to a dataset, a group or an attribute below the optimizer."""
    with h5py.File(path, "a") as file:
        names: list[str] = []
        file.get("optimizer", file).visit(names.append)
        names = [f"optimizer/{name}" if "optimizer" in file else name for name in sorted(names)]
        name = names[place % len(names)]
        old = file[name]
        value = np.asarray(old[()]) if isinstance(old, h5py.Dataset) else None
        if what == "copy":
            file.copy(old, file, name=names[number % len(names)] + "/copy" if value is None else f"{name}_copy")
            return
        if what == "rename":
            file.move(name, f"{name}{number}")
            return
        if what in ("NaN", "huge") and value is not None and value.dtype.kind == "f":
            old[...] = np.full(value.shape, np.nan if what == "NaN" else 1e38, value.dtype)
            return
        del file[name]
        if what == "reshape" and value is not None:
            file[name] = np.resize(value, (number + 1,))
        elif what == "another dtype" and value is not None:
            file[name] = np.zeros(value.shape, ["int8", "complex64", "S3", "float16", "bool"][number % 5])
        elif what == "text":
            file[name] = "text"
        elif what == "group":
            file.create_group(name)
        elif what == "soft link":
            file[name] = h5py.SoftLink(f"/{names[number % len(names)]}")
        elif what == "external link":
            file[name] = h5py.ExternalLink("/etc/passwd", "/")


def change_config(text: bytes, place: int, number: int) -> bytes:
    """One change to the config of the optimizer."""
    config = json.loads(text)
    optimizer = config["compile_config"]["optimizer"]
    inside = [(optimizer, name) for name in CONFIG] + [
        (optimizer["config"], name) for name in sorted(optimizer["config"])
    ]
    where, name = inside[place % len(inside)]
    if number % (len(VALUES) + 1) == len(VALUES):
        where.pop(name, None)
    else:
        where[name] = VALUES[number % (len(VALUES) + 1)]
    return json.dumps(config).encode()


def change(path: Path, form: str, what: str, place: int, number: int) -> str:
    """Changes a saved file; returns in words how."""
    if form == "weights.h5":
        change_h5(path, what, place, number)
        return f"{what} {place} {number}"
    if form == "keras":
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        weights = next(name for name in members if name.endswith(".h5"))
        if number % 3 == 0:
            with tempfile.TemporaryDirectory() as folder:
                (inner := Path(folder) / "w.h5").write_bytes(members[weights])
                change_h5(inner, what, place, number)
                members[weights] = inner.read_bytes()
        elif number % 3 == 1:
            members["config.json"] = change_config(members["config.json"], place, number // 3)
        else:
            members.pop(sorted(members)[place % len(members)])
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        return f"{['weights', 'config', 'member'][number % 3]}: {what} {place} {number}"
    file = path.with_name(path.name + (".index" if number % 2 else ".data-00000-of-00001"))
    raw = bytearray(file.read_bytes())
    at = place * 977 % len(raw)
    if what == "delete":
        file.unlink()
    elif what in ("NaN", "huge", "text"):
        raw[at : at + number + 1] = b"\xff" * (number + 1)
        file.write_bytes(bytes(raw))
    else:
        file.write_bytes(bytes(raw[:at] + raw[at + number :]))
    return f"{file.suffix} {what} {place} {number}"


OURS = str(Path(pyadam.__file__).parent)  # the folder of a clone may have the same name


class Hang(BaseException):
    """Nothing that anybody catches."""


def hang(*args: Any) -> None:
    raise Hang


def ending(made: Any, host: str, form: str, path: Path, wanted: list[bytes]) -> str:
    before = bits(made)
    signal.signal(signal.SIGALRM, hang)
    signal.alarm(SECONDS)
    faulthandler.dump_traceback_later(3 * SECONDS, exit=True)  # code in C hears no alarm
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            loaded = load(made, host, form, path)
    except Hang:
        return "a hang"
    except (ValueError, TypeError, OSError, AssertionError, tf.errors.OpError) as error:
        if bits(made) not in (before, wanted):
            return f"half a state, then {type(error).__name__}: {str(error)[:150]}"
        return "refused" if str(error) else f"{type(error).__name__} without a word"
    except Exception as error:
        frames = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
        if not any(name.startswith(OURS) for name in frames):  # Keras and TensorFlow have words of their own
            return "refused" if bits(made) in (before, wanted) else "half a state"
        if os.environ.get("TRACEBACK"):
            traceback.print_exc()
        return f"{type(error).__name__}: {str(error)[:150]}"
    finally:
        signal.alarm(0)
        faulthandler.cancel_dump_traceback_later()
    optimizer = getattr(loaded, "optimizer", None)
    if optimizer is None:
        return "without optimizer"
    if bits(loaded) == before and any("holds no optimizer state" in str(each.message) for each in said):
        return "nothing there"
    return "whole" if bits(loaded) == wanted else "another state" if form != "keras" else "another config"


def main() -> None:
    endings = Endings("refused", "whole", "nothing there", "not made", "another config", "without optimizer")
    folder = Path(tempfile.mkdtemp())
    saved, targets = {}, {}
    for host in HOSTS:
        made = model(host, 0)
        targets[host] = model(host, 1), bits(made), bits(model(host, 1))
        for form in FORMATS:
            (home := folder / host / form).mkdir(parents=True)
            save(made, form, home / ("c" if form == "checkpoint" else f"m.{form}"))
            saved[host, form] = {file.name: file.read_bytes() for file in home.iterdir()}

    def case(host: str, form: str, what: str, place: int, number: int) -> None:
        home = folder / "changed"
        home.mkdir(exist_ok=True)
        for old in home.iterdir():
            old.unlink()
        for name, content in saved[host, form].items():
            (home / name).write_bytes(content)
        path = home / ("c" if form == "checkpoint" else f"m.{form}")
        made, wanted, fresh = targets[host]
        try:
            said = change(path, form, what, place, number)
        except Exception:
            endings.add("not made", "h5py can't make this change")
            return
        endings.add(ending(made, host, form, path, wanted), f"{host} {form}, {said}")
        if bits(made) != fresh:  # loaded: start again
            targets[host] = model(host, 1), wanted, fresh

    chosen = [st.sampled_from(sorted(HOSTS)), st.sampled_from(FORMATS), st.sampled_from(CHANGES)]
    status = fuzz(endings, case, *chosen, st.integers(0, 200), st.integers(0, 200))
    os._exit(status)  # HDF5 may fail at the end


if __name__ == "__main__":
    tf_keras.utils.disable_interactive_logging()
    main()
