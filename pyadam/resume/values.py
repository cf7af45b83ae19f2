"""Values of Python and NumPy as JSON, and back."""

import base64
from collections import deque
from typing import Any

import numpy as np

__all__ = ["Unsaveable", "from_json", "to_json"]

_TAG = "pyadam type"
_SEQUENCES: dict[str, Any] = {each.__name__: each for each in (tuple, set, frozenset, deque)}


class Unsaveable(TypeError):
    """A value that JSON can't hold."""


def to_json(value: Any) -> Any:
    """A value of numbers, strings, lists, tuples, sets, dictionaries and arrays, as JSON can hold it.

    Raises:
        Unsaveable: it is, or holds, something else.
    """
    if type(value) in (type(None), bool, int, float, str):
        return value
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind != "O":
        array = np.asarray(value)
        data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
        kind = "array" if isinstance(value, np.ndarray) else "number"
        return {_TAG: kind, "dtype": _name(array.dtype), "shape": array.shape, "data": data}
    if type(value) is list:
        return [to_json(each) for each in value]
    if type(value) in _SEQUENCES.values():
        return {_TAG: type(value).__name__, "items": [to_json(each) for each in value]}
    if isinstance(value, dict) and all(isinstance(key, str | int) for key in value):
        return {_TAG: "dict", "items": [[key, to_json(each)] for key, each in value.items()]}
    raise Unsaveable(type(value).__name__)


def _name(dtype: Any) -> str:
    """The name of a dtype, or, where that is another one's (of another order of bytes), its code."""
    try:
        return str(dtype.name if np.dtype(dtype.name) == dtype else dtype.str)
    except TypeError:
        return str(dtype.str)


def from_json(value: Any) -> Any:
    """What `to_json` was given; a dict in place of a subclass, and a deque without its limit."""
    if isinstance(value, list):
        return [from_json(each) for each in value]
    if not isinstance(value, dict):
        return value
    kind = value[_TAG]
    if kind in _SEQUENCES:
        return _SEQUENCES[kind](from_json(each) for each in value["items"])
    if kind == "dict":
        return {key: from_json(each) for key, each in value["items"]}
    dtype = np.dtype(value["dtype"])
    array = np.frombuffer(base64.b64decode(value["data"]), dtype).reshape(value["shape"]).copy()
    return array if kind == "array" else array[()]
