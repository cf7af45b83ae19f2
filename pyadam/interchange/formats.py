"""The formats of files that hold a training, and how to tell them apart."""

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Format", "checkpoint_prefix", "objects", "of_source", "of_target"]

ENDINGS = {".keras": "keras", ".weights.h5": "weights.h5", ".h5": "h5", ".hdf5": "h5", ".pt": "torch", ".pth": "torch"}
_KERAS_2 = ("1.", "2.")
_KERAS_3_ALONE = {"_functional", "_operations", "_trainable_variables"}  # names of objects in checkpoints


@dataclass(frozen=True)
class Format:
    """What a file holds.

    Attributes:
        name: "keras", "h5", "h5 weights", "weights.h5", "checkpoint", "saved_model" or "torch".
        host: the generation of Keras that wrote it or is to read it, "keras" or "tf_keras"; empty for torch.
    """

    name: str
    host: str

    @property
    def is_whole(self) -> bool:
        """Whether it holds the model itself, and not only numbers."""
        return self.name in ("keras", "h5", "saved_model")

    def __str__(self) -> str:
        return f"{self.name} of {self.host}" if self.host else self.name


def of_target(path: Path, host: str | None) -> Format:
    """The format that is to be written.

    Args:
        path: the file to write; without an ending it is a checkpoint.
        host: the generation that is to read it; by default Keras 3, and tf_keras for ``.h5``.

    Raises:
        ValueError: another ending.
    """
    name = _by_ending(path)
    if name is None and path.suffix:
        raise ValueError(
            f"convert: target must end in {', '.join(ENDINGS)}, or in nothing for a checkpoint, got {str(path)!r}"
        )
    if name == "torch":
        return Format("torch", "")
    return Format(name or "checkpoint", host or ("tf_keras" if name == "h5" else "keras"))


def of_source(path: Path) -> Format:
    """The format of a file or folder that exists.

    Raises:
        FileNotFoundError: there is nothing of this name.
        ValueError: it is in no format that `convert` reads.
    """
    if path.is_dir() and (path / "saved_model.pb").exists():
        return Format("saved_model", "tf_keras")
    if checkpoint_prefix(path):
        return Format("checkpoint", _host_of_checkpoint(checkpoint_prefix(path)))
    if not path.exists():
        raise FileNotFoundError(f"convert: source {str(path)!r} does not exist")
    name = _by_ending(path)
    if name is None or path.is_dir():
        raise ValueError(
            f"convert: source must be a file that ends in {', '.join(ENDINGS)}, a SavedModel or a checkpoint, got {str(path)!r}"
        )
    if name == "torch":
        return Format("torch", "")
    try:
        return _host_of_archive(path) if name == "keras" else _host_of_hdf5(path, name)
    except (OSError, KeyError, zipfile.BadZipFile, json.JSONDecodeError) as error:
        raise ValueError(f"convert: source {str(path)!r} is damaged, or no {path.suffix} file: {error}") from error


def checkpoint_prefix(path: Path) -> str:
    """The name that TensorFlow has for a checkpoint, or nothing: it is given itself, or the folder of several."""
    if path.with_name(path.name + ".index").exists():
        return str(path)
    if path.is_dir() and (path / "checkpoint").exists():
        import tensorflow as tf

        return tf.train.latest_checkpoint(str(path)) or ""
    return ""


def _by_ending(path: Path) -> str | None:
    return next((name for ending, name in ENDINGS.items() if path.name.endswith(ending)), None)


def objects(prefix: str) -> list[set[str]]:
    """The names that each object in a checkpoint has for others, those of the root first.

    Raises:
        ValueError: it is damaged.
    """
    import tensorflow as tf
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

    try:
        graph = tf.train.load_checkpoint(prefix).get_tensor("_CHECKPOINTABLE_OBJECT_GRAPH")
        return [{child.local_name for child in node.children} for node in TrackableObjectGraph.FromString(graph).nodes]
    except (tf.errors.OpError, RuntimeError, DecodeError) as error:  # RuntimeError: TensorFlow's reader, on any damage
        raise ValueError(f"convert: source {prefix!r} is damaged, or no checkpoint of objects: {error}") from error


def _host_of_checkpoint(prefix: str) -> str:
    return "keras" if _KERAS_3_ALONE & set().union(*objects(prefix)) else "tf_keras"


def _host_of_archive(path: Path) -> Format:
    with zipfile.ZipFile(path) as archive:
        version = str(json.loads(archive.read("metadata.json"))["keras_version"])
    return Format("keras", "tf_keras" if version.startswith(_KERAS_2) else "keras")


def _host_of_hdf5(path: Path, name: str) -> Format:
    import h5py

    with h5py.File(path) as file:
        if "model_config" in file.attrs:
            version = str(file.attrs.get("keras_version", "2."))
            return Format("h5", "tf_keras" if version.startswith(_KERAS_2) else "keras")
        if "layer_names" in file.attrs:
            return Format("h5 weights", "tf_keras")
        if name == "h5":
            raise ValueError(f"convert: source {str(path)!r} holds no model of Keras")
        named: list[Any] = []
        file.visititems(lambda _, each: named.extend(each.attrs))
        return Format("weights.h5", "keras" if "name" in named else "tf_keras")
