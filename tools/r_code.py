"""Values and calls in R's syntax."""

import json
from collections.abc import Mapping
from typing import Any

__all__ = ["call_of", "value"]


def value(value: Any) -> str:
    """A value as R code; whole numbers are integers."""
    match value:
        case None:
            return "NULL"
        case bool():
            return str(value).upper()
        case int():
            return f"{value}L"
        case float():
            return repr(value).removesuffix(".0")
        case str():
            return json.dumps(value)
        case list():
            return f"c({', '.join(map(as_typed, value))})"
    raise TypeError(f"no way to write {value!r} in R")


def as_typed(given: Any) -> str:
    """A value as users type it: whole numbers without L."""
    return str(given) if isinstance(given, int) and not isinstance(given, bool) else value(given)


def call_of(arguments: Mapping[str, Any]) -> str:
    """The arguments of a call, as users type them."""
    return ", ".join(f"{name} = {as_typed(given)}" for name, given in arguments.items())
