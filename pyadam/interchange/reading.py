"""Reading a training from a file: a live model with its weights, and its optimizer apart from it."""

import importlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pyadam.hosts.hdf5 import array
from pyadam.interchange.formats import Format, checkpoint_prefix, objects
from pyadam.interchange.legacy import is_legacy
from pyadam.interchange.optimizers import Optimizer, described, read_into
from pyadam.interchange.trust import refuse_code

__all__ = ["Training", "built", "compile_arguments", "read"]


@dataclass
class Training:
    """What a file holds.

    Attributes:
        format: the file's format.
        model: a live model with its weights.
        optimizer: the optimizer, or None.
        compiled: loss and metrics, as the file names them.
        lost: what can't be carried, in words.
    """

    format: Format
    model: Any
    optimizer: Optimizer | None = None
    compiled: Mapping[str, Any] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)


def built(model: Any, host: str) -> Any:
    """The model that the user gives for a generation of Keras: what a function of that module returns, or a file holds.

    Raises:
        ValueError: it has no weights yet.
    """
    keras = importlib.import_module(host)
    made = model(keras) if isinstance(model, Callable) else _loaded(keras, Path(model))  # type: ignore[arg-type]
    if not isinstance(made, keras.Model) or not made.built:
        raise ValueError(
            f"convert: model must return a model of {host} that is built; give it an Input layer, or call model.build()"
        )
    return made


def read(path: Path, form: Format, model: Any, with_optimizer: bool) -> Training:
    """What a file of this format holds.

    Args:
        path: the file or folder.
        form: its format.
        model: for files without a model: a function of the module ``keras`` or ``tf_keras`` that makes it, or a file of it.
        with_optimizer: whether to read the optimizer, too.

    Raises:
        ValueError: it is damaged, there is no model, or the optimizer can't be carried.
    """
    keras = importlib.import_module(form.host)
    if form.name in ("h5", "saved_model"):
        return _READERS[form.name](path, form, with_optimizer)
    live = _loaded(keras, path) if form.is_whole else _filled(keras, path, form, model)
    found = Training(form, live, compiled=compile_arguments(live))
    optimizer = getattr(live, "optimizer", None)
    if optimizer is not None and int(_counter(optimizer)) == _UNREAD:
        _counter(optimizer).assign(0)
        found.lost.append(
            "the state of the optimizer: the source has none, or that of another class than the model is compiled with"
        )
    elif optimizer is None:
        found.lost.append(
            "the state of the optimizer: the model has none; compile it with the optimizer that was saved"
        )
    elif with_optimizer and is_legacy(optimizer) and form.name != "checkpoint":
        found.lost.append(
            f"the state of the legacy {type(optimizer).__name__}, which tf_keras does not write into {form.name}"
        )
    elif with_optimizer:
        found.optimizer = described(optimizer, form.host, live.trainable_variables)
    return found


def _loaded(keras: Any, path: Path, **arguments: Any) -> Any:
    if keras.__name__ == "tf_keras":
        refuse_code(path)
    try:
        return keras.models.load_model(str(path), **arguments)
    except Exception as error:  # of the host, h5py, zipfile and TensorFlow
        raise ValueError(f"convert: source {str(path)!r} can't be loaded: {error}") from error


def compile_arguments(model: Any) -> Mapping[str, Any]:
    """The loss and the metrics of a model, as configs; nothing if it has none."""
    try:
        return dict(model.get_compile_config() or {})
    except (AttributeError, ValueError, NotImplementedError):
        return {}


_UNREAD = -1  # the number of steps of an optimizer whose state was not in the file


# --- files without a model -----------------------------------------------------------------------------------------------


def _filled(keras: Any, path: Path, form: Format, model: Any) -> Any:
    """The user's model with the numbers of a file. Before, all of them are NaN: none may be left."""
    if model is None:
        raise ValueError(
            f"convert: {form.name} files hold no model: give model, a function of the module {form.host} that returns it "
            "compiled, or a file that holds it, got None"
        )
    live = built(model, form.host)
    _build_optimizer(live)
    numbers = [v for v in live.weights if "float" in str(v.dtype)]
    for variable in numbers:
        variable.assign(np.full(tuple(variable.shape), np.nan))
    if getattr(live, "optimizer", None) is not None:
        _counter(live.optimizer).assign(_UNREAD)
    try:
        if form.name == "checkpoint":
            _restored(live, checkpoint_prefix(path))
        else:
            live.load_weights(str(path))
    except Exception as error:
        raise ValueError(f"convert: source {str(path)!r} does not fit the model: {error}") from error
    left = [v.name for v in numbers if np.isnan(np.asarray(v.numpy(), "float32")).all() and v.shape.num_elements() != 0]
    if left:
        raise ValueError(
            f"convert: source {str(path)!r} does not fit the model: it has nothing for {', '.join(left[:6])}"
        )
    return live


def _counter(optimizer: Any) -> Any:
    """The variable that counts the steps; ``iterations`` may be a tensor, of updates."""
    count = optimizer.iterations
    return count if hasattr(count, "assign") else getattr(optimizer, "inner_optimizer", optimizer)._iterations


def _build_optimizer(model: Any) -> None:
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None and is_legacy(optimizer):
        optimizer._create_all_weights(model.trainable_variables)
    elif optimizer is not None:
        optimizer.build(model.trainable_variables)


def _restored(model: Any, prefix: str) -> None:
    """Restores a checkpoint of ``Checkpoint(model=..., optimizer=...)`` or of a model itself."""
    import tensorflow as tf

    roots = objects(prefix)[0]
    if "model" in roots:
        optimizer = {"optimizer": model.optimizer} if "optimizer" in roots and model.optimizer is not None else {}
        tf.train.Checkpoint(model=model, **optimizer).read(prefix).expect_partial()
    else:
        tf.train.Checkpoint(model).read(prefix).expect_partial()


# --- whole models in the older formats, whose loaders lose state ---------------------------------------------------------


def _h5(path: Path, form: Format, with_optimizer: bool) -> Training:
    import h5py

    keras = importlib.import_module(form.host)
    live = _loaded(keras, path, compile=False)
    with h5py.File(path) as file:
        training = json.loads(file.attrs.get("training_config", "null")) or {}
        names = [name.decode() if isinstance(name, bytes) else name for name in _names(file)]
        values = [(name, array(file["optimizer_weights"][name])) for name in names]
    found = Training(form, live, compiled={name: each for name, each in training.items() if name != "optimizer_config"})
    config = training.get("optimizer_config")
    if config is None or not with_optimizer:
        found.lost += [] if config else ["the state of the optimizer, which the source does not hold"]
        return found
    if _is_legacy(form.host, config):
        found.model = _loaded(keras, path)
        found.optimizer = described(found.model.optimizer, form.host, found.model.trainable_variables)
    else:
        found.optimizer = _of_values(form.host, config, values, live.trainable_variables)
    return found


def _is_legacy(host: str, saved: Mapping[str, Any]) -> bool:
    ours = ">" in str(saved["class_name"]) or "inner_optimizer" in saved["config"]
    return host == "tf_keras" and not ours and bool(saved["config"].get("is_legacy_optimizer", True))


def _names(file: Any) -> list[Any]:
    """The names of the optimizer's variables; Keras cuts a list into several attributes where it is long."""
    group = file.get("optimizer_weights")
    if group is None:
        return []
    if "weight_names" in group.attrs:
        return list(group.attrs["weight_names"])
    parts = sorted((name for name in group.attrs if name.startswith("weight_names")), key=lambda name: int(name[12:]))
    return [each for part in parts for each in group.attrs[part]]


def _of_values(host: str, saved: Mapping[str, Any], values: list[tuple[str, Any]], variables: Any) -> Optimizer:
    """The optimizer of an ``.h5`` file, from its config and its values by name."""
    name, config = str(saved["class_name"]), dict(saved["config"])
    inner = config.get("inner_optimizer")
    if inner is not None:
        scale = {each: config[each] for each in ("initial_scale", "dynamic_growth_steps")}
        own = [value for each, value in values if each.endswith(("/dynamic_scale", "/step_counter"))][::-1]
        rest = values[4:] if own else values
        found = _of_values(host, inner, rest, variables)
        return Optimizer(found.name, found.config, found.ours, found.state, scale, [float(value) for value in own])
    ours = name.startswith("pyadam>") or saved.get("module") in ("pyadam.keras3", "pyadam.tf_keras")
    name = name.rpartition(">")[2]
    arrays = [value for each, value in values if host == "keras" or not each.split(":")[0].endswith("learning_rate")]
    return read_into(name, config, ours, host, variables, arrays) if arrays else Optimizer(name, config, ours)


def _saved_model(path: Path, form: Format, with_optimizer: bool) -> Training:
    """A SavedModel. tf_keras loads weights and arguments; the state is read from the file of its variables."""
    import tensorflow as tf

    live = _loaded(importlib.import_module(form.host), path)
    found = Training(form, live, compiled=compile_arguments(live))
    optimizer = getattr(live, "optimizer", None)
    if optimizer is None or not with_optimizer:
        found.lost += [] if optimizer else ["the state of the optimizer, which the source does not hold"]
        return found
    if is_legacy(optimizer):
        _build_optimizer(live)
        tf.train.Checkpoint(live).read(str(path / "variables" / "variables")).expect_partial()
        found.optimizer = described(optimizer, form.host, live.trainable_variables)
        return found
    start = described(optimizer, form.host, live.trainable_variables)
    values = _optimizer_values(tf.train.load_checkpoint(str(path / "variables" / "variables")))
    if values:
        state = read_into(start.name, start.config, start.ours, form.host, live.trainable_variables, values).state
        found.optimizer = Optimizer(start.name, start.config, start.ours, state, start.scale)
    else:
        found.optimizer = start
    return found


def _optimizer_values(reader: Any) -> list[Any]:
    """The values of the optimizer's variables in a checkpoint of a model, in their order.

    A variable that is also an attribute of the optimizer has that name in the file, so they are found through the graph of
    objects that the file describes.
    """
    from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

    nodes = TrackableObjectGraph.FromString(reader.get_tensor("_CHECKPOINTABLE_OBJECT_GRAPH")).nodes

    def children(number: int) -> dict[str, int]:
        return {child.local_name: child.node_id for child in nodes[number].children}

    at = children(0).get("optimizer")
    while at is not None and "_variables" not in children(at):  # an optimizer around another one
        at = next((children(at)[name] for name in ("_optimizer", "inner_optimizer") if name in children(at)), None)
    if at is None:
        return []
    listed = sorted(children(children(at)["_variables"]).items(), key=lambda item: int(item[0]))
    return [reader.get_tensor(nodes[number].attributes[0].checkpoint_key) for _, number in listed]


_READERS = {"h5": _h5, "saved_model": _saved_model}
