"""Writing a training into a file: whole or not at all."""

import importlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyadam.interchange.formats import Format
from pyadam.optimizers.kinds import first_line

__all__ = ["compile_like", "without_optimizer", "write"]


def compile_like(model: Any, optimizer: Any, compiled: Mapping[str, Any], host: str) -> list[str]:
    """Compiles a model with an optimizer, and with the loss and metrics of a file where this Keras has them.

    Returns:
        what it has not.
    """
    keras = importlib.import_module(host)
    names = ("loss", "loss_weights", "metrics", "weighted_metrics")
    given, lost = {}, []
    for name in names:
        if compiled.get(name) is not None:
            try:
                given[name] = _objects(compiled[name], keras)
            except (ValueError, TypeError, AttributeError) as error:
                lost.append(f"the {name} ({first_line(error)[:100]}): compile the model with it again")
    try:
        model.compile(optimizer=optimizer, **given)
    except (ValueError, TypeError, AttributeError) as error:
        model.compile(optimizer=optimizer)
        lost = [f"the loss and the metrics ({first_line(error)[:100]}): compile the model with them again"]
    others = {"steps_per_execution": 1, "run_eagerly": False}
    return lost + [
        f"{name}={compiled[name]!r}, an argument of compile(): give it again"
        for name, default in others.items()
        if compiled.get(name, default) not in (default, None, "auto")
    ]


def without_optimizer(model: Any, host: str) -> None:
    """Takes the optimizer from a model, also for the files that are written of it."""
    model.optimizer = None
    if host == "keras":  # it can't load a model that was compiled without an optimizer
        model.compiled = False


def _objects(value: Any, keras: Any) -> Any:
    if isinstance(value, list):
        return [_objects(each, keras) for each in value]
    if isinstance(value, dict) and "class_name" not in value:
        return {name: _objects(each, keras) for name, each in value.items()}
    if not isinstance(value, dict):
        return value
    if isinstance(value["config"], dict) and isinstance(
        value["config"].get("fn"), str
    ):  # how tf_keras keeps a name, in .h5
        for name in (value["config"].get("name"), value["config"]["fn"]):
            if name and _has(keras, name):
                return name
        raise ValueError(f"{value['config']['fn']} is not known")
    for home in (keras.losses, keras.metrics):
        cls = getattr(home, value["class_name"], None)
        if cls is not None:
            # what both have by another name, or as the default
            config = {
                name: each for name, each in value["config"].items() if name not in ("fn", "dtype") and each != "auto"
            }
            return cls.from_config(config)
    raise ValueError(f"{value['class_name']} is not known")


def _has(keras: Any, name: str) -> bool:
    """Whether a Keras has a metric or a loss of this name; "accuracy" stands for several."""
    return (
        name in ("acc", "accuracy", "ce", "crossentropy") or hasattr(keras.metrics, name) or hasattr(keras.losses, name)
    )


def write(model: Any, form: Format, path: Path) -> None:
    """Writes a model under another name, and renames it when it is whole.

    Raises:
        OSError: it can't be written; there is no file then.
    """
    folder = Path(tempfile.mkdtemp(prefix=".convert-", dir=path.parent))
    try:
        new = folder / path.name
        if form.name == "checkpoint":
            import tensorflow as tf

            tf.train.Checkpoint(model=model, optimizer=model.optimizer).write(str(new))
        elif form.name == "weights.h5":
            model.save_weights(str(new))
        else:
            model.save(str(new))
        for each in sorted(folder.iterdir(), key=lambda each: each.suffix == ".index"):  # without it nothing is there
            with each.open("rb") as written:
                os.fsync(written.fileno())
            each.replace(path.parent / each.name)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
