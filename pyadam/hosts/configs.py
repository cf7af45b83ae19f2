"""Objects in configs: schedules, functions, and an optimizer within another."""

import contextlib
import importlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pyadam.engine import belongs_to_r
from pyadam.optimizers.kinds import first_line, listed, shown

__all__ = ["check_config", "named", "object_of", "safely", "unregistered"]


@contextlib.contextmanager
def safely(keras: Any) -> Iterator[None]:
    """A context in which no config is made into code, unless the user has said ``safe_mode=False`` or the like.

    Outside of ``load_model`` neither Keras looks at that: the config of a Lambda layer runs what it holds.

    Args:
        keras: the module, or one within it.
    """
    library = importlib.import_module(f"{keras.__name__.partition('.')[0]}.src.saving.serialization_lib")
    with contextlib.nullcontext() if library.in_safe_mode() is False else library.SafeModeScope(True):
        yield


def check_config(owner: str, config: Any, *needed: str) -> None:
    """Refuses what is no config, or lacks an argument.

    Raises:
        TypeError: it is no dictionary.
        ValueError: it lacks something.
    """
    if not issubclass(type(config), Mapping):
        raise TypeError(f"{owner}: config must be a dictionary of arguments, got {shown(config)}")
    for name in needed:
        if name not in config:
            raise ValueError(f"{owner}: config must have {name}, got {listed(config)}")


def object_of(
    owner: str, name: str, value: Any, saving: Any, custom_objects: Mapping[str, Any] | None, read: Callable[..., Any]
) -> Any:
    """The object that a value of a config stands for; other values are returned as they are.

    Whatever is registered is looked up here: while it reads ``.h5`` files and SavedModels, tf_keras looks for classes by their
    bare names. A function that isn't registered is never looked for, since a file could name any function there is.

    Args:
        owner: the optimizer's class, for messages.
        name: the argument's name.
        value: what the config holds.
        saving: ``keras.saving`` of the optimizer's Keras.
        custom_objects: objects by name, as Keras passes them.
        read: ``(value, custom_objects=...) -> object``, for an object of Keras itself.

    Raises:
        ValueError: the value is a function that is not registered, or no config.
    """
    if not issubclass(type(value), dict):
        return value
    kind = value.get("class_name")
    if kind in ("function", "__lambda__"):
        known = value.get("config") if kind == "function" else "lambda"
        function = saving.get_registered_object(known, custom_objects) if isinstance(known, str) else None
        if function is None:
            raise unregistered(owner, name, f"the function {known}", saving)
        return function
    try:
        with safely(saving):
            return _made(value, kind, saving, custom_objects, read)
    except Exception as error:
        raise ValueError(f"{owner}: {name} can't be made from {shown(value)}: {first_line(error)}") from error


def _made(
    value: Mapping[str, Any], kind: Any, saving: Any, custom_objects: Mapping[str, Any] | None, read: Callable[..., Any]
) -> Any:
    for registered in (value.get("registered_name"), kind):
        found = saving.get_registered_object(registered, custom_objects) if isinstance(registered, str) else None
        if found is not None:
            return found.from_config(value["config"])
    return read(value, custom_objects=custom_objects)


def named(function: Any) -> str:
    """What errors call a function."""
    known = getattr(function, "__name__", None)  # a partial has none
    return _R_FUNCTION if belongs_to_r(function) else f"the function {known or shown(function)}"


_R_FUNCTION = "an R function"


def unregistered(owner: str, name: str, function: str, saving: Any) -> ValueError:
    """The error for a function that a config can't hold; it is given as `named` calls it."""
    keras = saving.__name__.split(".")[0]
    if function != _R_FUNCTION:
        remedy = f"register it with {keras}.saving.register_keras_serializable(), or use a learning-rate schedule"
    elif name == "optimizer_map":
        remedy = "use optimizer_map()"
    else:
        remedy = "use a number, or for a learning rate a schedule: new_learning_rate_schedule_class() makes one of R functions"
    return ValueError(f"{owner}: {name} is {function}, which a config can't hold; {remedy}")
