"""What tf_keras would make from the configs in a file: it has no safe mode for ``.h5`` files, and no complete one elsewhere.

So a config is refused unless it names what is known to be harmless: classes and functions of tf_keras' public modules, and what
the user has registered.
"""

import importlib
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["refuse_code"]

_HOMES = [
    "activations",
    "constraints",
    "initializers",
    "layers",
    "layers.experimental",
    "layers.experimental.preprocessing",
    "losses",
    "metrics",
    "mixed_precision",
    "models",
    "optimizers",
    "optimizers.experimental",
    "optimizers.legacy",
    "optimizers.schedules",
    "regularizers",
]
_PUBLIC = {f"{keras}.{home}" for keras in ("keras", "tf_keras") for home in _HOMES}
_FUNCTIONS_FROM = {None, "builtins", *(home for home in _PUBLIC if ".layers" not in home and ".models" not in home)}
_CLASSES_FROM = {None, "builtins", "keras", "tf_keras", "pyadam.tf_keras", *_PUBLIC}
_OPERATIONS = re.compile(r"(compat\.v1\.)?((math|nn|linalg|image|signal|strings|__operators__)\.\w+|[a-z_]+)")
_RUN_CODE = ("Lambda", "__lambda__")


def refuse_code(path: Path) -> None:
    """Refuses a file from whose configs tf_keras would run other code than its own.

    Raises:
        ValueError: there is such a config, or the configs can't be read.
    """
    try:
        configs = list(_configs(path))
    except Exception as error:  # of h5py, zipfile, json and protobuf
        raise ValueError(f"convert: source {str(path)!r} can't be loaded: {error}") from error
    while configs:
        each = configs.pop()
        if isinstance(each, dict):
            if isinstance(each.get("class_name"), str):
                _check(path, each)
            configs += each.values()
        elif isinstance(each, list):
            configs += each


def _configs(path: Path) -> Iterator[Any]:
    """All configs in a file, found where tf_keras looks for them."""
    if path.is_dir():
        yield from _of_saved_model(path)
    elif path.name.endswith(".keras"):
        with zipfile.ZipFile(path) as archive:
            yield json.loads(archive.read("config.json"))
    else:
        import h5py

        with h5py.File(path) as file:
            for name in ("model_config", "training_config"):
                yield json.loads(file.attrs.get(name, "null"))


def _of_saved_model(path: Path) -> Iterator[Any]:
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
    from tf_keras.protobuf.saved_metadata_pb2 import SavedMetadata

    written = SavedMetadata()
    if (path / "keras_metadata.pb").exists():
        written.ParseFromString((path / "keras_metadata.pb").read_bytes())
    texts = [node.metadata for node in written.nodes]
    for graph in SavedModel.FromString((path / "saved_model.pb").read_bytes()).meta_graphs:
        texts += [node.user_object.metadata for node in graph.object_graph_def.nodes]  # TensorFlow before 2.5
    yield from (json.loads(text) for text in texts if text.startswith("{"))


def _check(path: Path, config: dict[str, Any]) -> None:
    """Checks the config of one object.

    Raises:
        ValueError: it would run code.
    """
    import tf_keras

    name, module, registered = config["class_name"], config.get("module"), config.get("registered_name")
    is_function = name == "function"
    known = str(config.get("config")) if is_function else registered or name
    if tf_keras.saving.get_registered_object(known) is not None:
        return
    last = {re.split(r"[.>]", str(each))[-1] for each in (name, registered)}
    if last & set(_RUN_CODE):
        _refuse(path, "has a Lambda layer, whose code tf_keras would run")
    if last & {"ClassMethod", "SlicingOpLambda", "TFOpLambda"}:
        operation = str((config.get("config") or {}).get("function"))
        if "ClassMethod" in last or not _OPERATIONS.fullmatch(operation):
            _refuse(path, f"has a layer that would call {operation}")
    elif module not in (_FUNCTIONS_FROM if is_function else _CLASSES_FROM) and not _is_class_of_keras(module, name):
        _refuse(path, f"names {module}.{known}, which you have not registered")


def _is_class_of_keras(module: Any, name: str) -> bool:
    """Whether a module of tf_keras' own source has a class of this name that models are made of."""
    import tf_keras as k

    if not re.match(r"(tf_)?keras\.src\.", str(module)):
        return False
    try:
        found = getattr(importlib.import_module(re.sub("^keras", "tf_keras", str(module))), name, None)
    except ImportError:
        return False
    parts = [
        k.layers.Layer,
        k.losses.Loss,
        k.optimizers.Optimizer,
        k.initializers.Initializer,
        k.regularizers.Regularizer,
    ]
    parts += [k.constraints.Constraint, k.optimizers.schedules.LearningRateSchedule, k.mixed_precision.Policy]
    return isinstance(found, type) and issubclass(found, tuple(parts))


def _refuse(path: Path, why: str) -> None:
    raise ValueError(
        f"convert: source {str(path)!r} {why}; if you trust the file, load it with tf_keras, call save_weights(), and convert "
        "that"
    )
