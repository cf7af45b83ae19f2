"""Groups: other values of an optimizer's arguments for some of its variables."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from pyadam.optimizers.foreign import hint
from pyadam.optimizers.kinds import Because, Flag, Kind, Number, Pattern, is_variable, shown

__all__ = ["Group", "Groups", "checked_groups", "of_groups"]

VARIABLES = "variables"

# Arguments that only groups have.
OWN: dict[str, Kind] = {"learning_rate_factor": Number(low=0.0), "frozen": Flag()}


class Group(dict):  # type: ignore[type-arg]
    """A group: its variables, as a list of regular expressions and variables, and its arguments. It can't be changed."""

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("a group can't be changed; assign a new list to optimizer.groups")

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        return Group, (dict(self),)

    def __repr__(self) -> str:
        members = [v if isinstance(v, str) else str(getattr(v, "path", v.name)) for v in self[VARIABLES]]
        return repr({**self, VARIABLES: members})

    def __deepcopy__(self, memo: Any) -> "Group":
        return self  # what it holds stays as it is, and variables are known by identity

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of the optimizer that it sets."""
        return {name: value for name, value in self.items() if name != VARIABLES and name not in OWN}

    @property
    def factor(self) -> float:
        """What the optimizer's own learning rate is multiplied by."""
        return float(self.get("learning_rate_factor", 1.0))

    @property
    def frozen(self) -> bool:
        """Whether its variables stay as they are."""
        return bool(self.get("frozen", False))

    def __str__(self) -> str:
        return " or ".join(v if isinstance(v, str) else str(getattr(v, "path", v.name)) for v in self[VARIABLES])


@dataclass(frozen=True)
class Groups(Kind):
    """Groups, as a list of dictionaries or, by pattern, as a dictionary of dictionaries."""

    def allowed(self) -> str:
        return (
            "dictionaries of arguments (named lists in R) by pattern, or a sequence of them, each with its patterns, "
            'variables or layers as "variables"'
        )

    def convert(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            if any(not isinstance(arguments, Mapping) for arguments in value.values()):
                raise TypeError
            value = [{VARIABLES: pattern, **arguments} for pattern, arguments in value.items()]
        if not isinstance(value, (list, tuple)) or any(not isinstance(group, Mapping) for group in value):
            raise TypeError
        return tuple(Group({**group, VARIABLES: _members(group)}) for group in value) or None


def _members(group: Mapping[str, Any]) -> list[Any]:
    """The variables and patterns of a group.

    Raises:
        Because: there are none, or something is neither.
    """
    found = _flat(group.get(VARIABLES, []))
    if not found:
        raise Because("a group has no variables")
    for each in found:
        if not is_variable(each):
            try:
                Pattern().convert(each)
            except (TypeError, ValueError):
                raise Because(f"{shown(each)} is no variable, no layer and no regular expression") from None
    return found


def _flat(given: Any) -> list[Any]:
    """The members of a group: lists within lists, and layers and models, stand for what they contain."""
    if isinstance(given, (list, tuple)):
        return [each for value in given for each in _flat(value)]
    if hasattr(given, "trainable_variables") and not isinstance(given, type):
        if not given.weights:
            raise Because(f"the layer {getattr(given, 'name', given)} has no variables yet; build it first")
        return list(given.weights)
    return [given]


def checked_groups(spec: Any, kinds: Mapping[str, Kind], alike: Mapping[str, str]) -> tuple[Group, ...] | None:
    """The groups of a spec, with the values of their arguments checked and normalized.

    Args:
        spec: the arguments of the optimizer.
        kinds: those that a group may set.
        alike: those that it may not set, and why.

    Raises:
        TypeError: an unknown argument, or a value of the wrong type.
        ValueError: an argument that all variables have in common, or a value out of its range.
    """
    owner, known = type(spec).__name__, {**kinds, **OWN}
    checked = []
    for group in spec.groups or ():
        where = f"{owner}: the group {str(group)[:80]!r}"
        for name, value in group.items():
            if name in alike:
                raise ValueError(f"{where} can't have {name} of its own, {alike[name]}")
            if name != VARIABLES and name not in known:
                raise TypeError(f"{where}: unknown argument {name}{hint(owner, name, value, list(known), {})}")
        if "learning_rate" in group and "learning_rate_factor" in group:
            raise ValueError(f"{where} has learning_rate and learning_rate_factor; give it one of them")
        values = {name: known[name].check(where, name, value) for name, value in group.items() if name != VARIABLES}
        checked.append(Group({VARIABLES: group[VARIABLES], **values}))
    return tuple(checked) or None


def of_groups(spec: Any) -> tuple[Any, ...]:
    """The spec of each group."""
    return tuple(dataclasses.replace(spec, groups=None, **group.arguments) for group in spec.groups or ())
