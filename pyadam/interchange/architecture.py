"""The same model in the other generation of Keras, made from its config."""

import importlib
import inspect
from collections.abc import Collection
from typing import Any

import numpy as np

from pyadam.hosts.configs import safely
from pyadam.hosts.contract import bare_path
from pyadam.hosts.paths import same_variables
from pyadam.optimizers.kinds import first_line

__all__ = ["NotTranslated", "pairs", "translated"]

_TOLERANCE = 1e-4
_SHAPES = ("query_shape", "key_shape", "value_shape")  # tf_keras' layer of attention finds them out where they are None


class NotTranslated(ValueError):
    """A model that can't be made from the config of the other generation."""


def translated(model: Any, host: str, other: str) -> Any:
    """The model of a generation in the other, with the same weights.

    Layers are made from their arguments, without those that the other generation does not have. Whether that made another
    model is found out by calling both.

    Args:
        model: a Sequential or functional model.
        host: its generation, "keras" or "tf_keras".
        other: the other one.

    Raises:
        NotTranslated: it can't be made, or computes something else.
    """
    keras = importlib.import_module(other)
    kind = "Sequential" if type(model).__name__ == "Sequential" else "Model"
    if type(model).__name__ not in ("Sequential", "Functional"):
        raise NotTranslated(f"{type(model).__name__} is a class of its own")
    try:
        with safely(keras):
            made = getattr(keras, kind).from_config(_layers(model.get_config(), keras, other))
        if not made.built:
            made.build(model.input_shape)
        carry(model, made, other)
        _check_alike(model, made)
    except NotTranslated:
        raise
    except Exception as error:  # whatever a layer says of arguments that it does not know, or of small inputs
        raise NotTranslated(first_line(error)[:300]) from error
    return made


def _layers(value: Any, keras: Any, other: str, inner: Collection[str] = ()) -> Any:
    """A config with the names and arguments that the other generation has; ``inner`` are the models within this one."""
    if isinstance(value, (list, tuple)):
        return [_layers(each, keras, other, inner) for each in value]
    if not isinstance(value, dict):
        return value
    if "output_layers" in value:
        inner = {layer["config"]["name"] for layer in value["layers"] if _begins_with_input(layer["config"])}
        value = value | {"output_layers": _moved(value["output_layers"], inner, other)}
    if "class_name" not in value or "config" not in value:
        return {name: _layers(each, keras, other, inner) for name, each in value.items()}
    name, config = value["class_name"], value["config"]
    if name in ("DTypePolicy", "Policy"):
        return config["name"]
    cls = next((found for home in _homes(keras) if (found := getattr(home, str(name), None)) is not None), None)
    if not isinstance(config, dict) or not isinstance(cls, type):
        return value
    config = _layers(config, keras, other, inner)
    named = {"module": _module_of(cls), "class_name": name, "registered_name": None, "config": config}
    if name in ("Sequential", "Functional", "Model"):
        model = "Sequential" if name == "Sequential" else "Functional" if other == "keras" else "Model"
        named |= {"module": "keras", "class_name": model}
    elif name == "InputLayer":
        old, new = ("batch_shape", "batch_input_shape") if other == "tf_keras" else ("batch_input_shape", "batch_shape")
        config = {new if each == old else each: given for each, given in config.items()}
        named["config"] = {each: config[each] for each in (new, "dtype", "sparse", "name") if each in config}
    else:
        if name == "BatchNormalization" and isinstance(config.get("axis"), list):
            config["axis"] = config["axis"][0]
        unknown = dict.fromkeys(_SHAPES) if name == "MultiHeadAttention" and other == "tf_keras" else {}
        named["config"] = {each: given for each, given in config.items() if each in _arguments(cls)} | unknown
    if "inbound_nodes" in value:
        nodes = _moved(value["inbound_nodes"], inner, other)
        calls = [_call_of_before(node, cls) if other == "tf_keras" else _call_of_today(node) for node in nodes]
        named |= {"inbound_nodes": calls, "name": value.get("name", config.get("name"))}
    return named


def _begins_with_input(config: Any) -> bool:
    """Whether this is the config of a model that has been called once already, when it was made."""
    layers = config.get("layers") or [{}]
    return bool(layers[0].get("class_name") == "InputLayer")


def _moved(value: Any, inner: Collection[str], other: str) -> Any:
    """Places of tensors, where tf_keras counts the making of an inner model as its first call, and Keras 3 does not."""
    if isinstance(value, dict):
        return {name: _moved(each, inner, other) for name, each in value.items()}
    if not isinstance(value, (list, tuple)):
        return value
    if [type(each) for each in value[:3]] == [str, int, int] and value[0] in inner:
        return [value[0], value[1] + (1 if other == "tf_keras" else -1), *_moved(list(value[2:]), inner, other)]
    return [_moved(each, inner, other) for each in value]


def _homes(keras: Any) -> list[Any]:
    return [keras.layers, keras.initializers, keras.regularizers, keras.constraints, keras]


def _module_of(cls: Any) -> str:
    """The public module that both generations have a class in."""
    kinds = {"initializers", "regularizers", "constraints"} & set(cls.__module__.split("."))
    return f"keras.{kinds.pop()}" if kinds else "keras.layers"


def _arguments(cls: Any) -> set[str]:
    """The names of the arguments of a class, and of those that every layer has."""
    parameters = inspect.signature(cls.__init__).parameters
    known = set(parameters)
    takes_more = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    return known | ({"name", "trainable", "dtype", "activity_regularizer", "layer"} if takes_more else set())


def _is_tensor(value: Any) -> bool:
    return isinstance(value, dict) and value.get("class_name") == "__keras_tensor__"


def _call_of_before(node: dict[str, Any], layer: Any) -> Any:
    """A call of a layer as tf_keras describes it: the place of each tensor, with the other arguments at the first."""

    def place(each: Any) -> Any:
        return list(each["config"]["keras_history"]) if _is_tensor(each) else each

    names = list(inspect.signature(layer.call).parameters)[1:]
    first, *others = node["args"]
    kwargs = {**dict(zip(names[1:], others, strict=False)), **node["kwargs"]}
    kwargs = {name: place(each) for name, each in kwargs.items() if each is not None and each is not False}
    tensors = first if isinstance(first, list) else [first]
    if not all(map(_is_tensor, tensors)):
        raise NotTranslated("a layer is called with what is no tensor")
    return [[*place(tensor), kwargs] for tensor in tensors]


def _call_of_today(node: list[Any]) -> dict[str, Any]:
    """The same as Keras 3 describes it."""

    def tensor(place: Any) -> Any:
        is_place = isinstance(place, list) and [type(each) for each in place[:3]] == [str, int, int]
        history = {"shape": [None], "dtype": "float32", "keras_history": place[:3]} if is_place else {}
        return {"class_name": "__keras_tensor__", "config": history} if is_place else place

    tensors, kwargs = [tensor(each) for each in node], node[0][3] if len(node[0]) > 3 else {}
    return {
        "args": [tensors if len(tensors) > 1 else tensors[0]],
        "kwargs": {name: tensor(each) for name, each in kwargs.items()},
    }


# --- the numbers ---------------------------------------------------------------------------------------------------------


def pairs(saved: Any, here: Any, host: str) -> list[tuple[Any, Any]]:
    """Each weight of a model with that of another: by their paths, or else in their order.

    Raises:
        ValueError: the models differ.
    """
    from pyadam.hosts.saving import automatic_names

    theirs, ours = ([bare_path(v) for v in model.weights] for model in (saved, here))
    source = same_variables(theirs, ours, (), automatic_names(host).__contains__)
    of_path = dict(zip(theirs, saved.weights, strict=True))
    paired = set(source.values())
    rest = iter([of_path[path] for path in theirs if path not in paired])  # what has other names, in its order
    found: list[tuple[Any, Any]] = [
        (of_path[source[path]] if path in source else next(rest, None), v)
        for path, v in zip(ours, here.weights, strict=True)
    ]
    found = [(a, v) for a, v in found if a is not None]
    shapes = [(tuple(a.shape), tuple(b.shape)) for a, b in found]
    if len(theirs) != len(ours) or any(a != b for a, b in shapes):
        raise ValueError(
            f"convert: model has {len(ours)} weights, of the shapes {[tuple(v.shape) for v in here.weights][:6]}..., and the "
            f"source has {len(theirs)}, of {[tuple(v.shape) for v in saved.weights][:6]}...; they must be the same"
        )
    return found


def carry(saved: Any, here: Any, host: str) -> None:
    """Gives a model the weights of another."""
    for theirs, ours in pairs(saved, here, host):
        ours.assign(theirs.numpy())


def _check_alike(a: Any, b: Any) -> None:
    """Calls both models on the same numbers."""
    draw = np.random.default_rng(0)
    inputs = []
    for tensor in a.inputs:
        shape = [tensor.shape[0] or 2, *(size or 16 for size in tensor.shape[1:])]
        is_float = "float" in str(getattr(tensor.dtype, "name", tensor.dtype))
        inputs.append(draw.uniform(0, 1, shape).astype("float32") if is_float else draw.integers(0, 2, shape))
    given = inputs if len(inputs) > 1 else inputs[0]
    for x, y in zip(*(_flat(model(given, training=False)) for model in (a, b)), strict=True):
        if not np.allclose(x, y, rtol=_TOLERANCE, atol=_TOLERANCE, equal_nan=True):
            raise NotTranslated("the other generation computes something else from the same arguments")


def _flat(outputs: Any) -> list[Any]:
    import tensorflow as tf

    return [np.asarray(each, "float32") for each in tf.nest.flatten(outputs)]
