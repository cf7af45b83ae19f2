"""What a config says of single variables, by their paths, in a model whose variables may have other paths now."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from pyadam.hosts.paths import numbered, same_variables

__all__ = ["Remembered"]


class Remembered:
    """A value for each variable: from a config, until the variable is met, and into the next one.

    Variables may have equal paths: each has a name, the path with a number if that is taken.

    Args:
        automatic: whether a name is one that Keras gives.
    """

    def __init__(self, automatic: Callable[[str], bool]) -> None:
        self._automatic = automatic
        self._before: dict[str, Any] = {}  # of variables that have not been met
        self._names: dict[Hashable, str] = {}

    def expect(self, before: Mapping[str, Any]) -> None:
        """Takes over what `in_config` returned."""
        self._before = dict(before)

    def meet(self, variables: Sequence[tuple[Hashable, str]]) -> dict[Hashable, Any]:
        """The values by key for those of these variables, given by key and path, that were expected."""
        keys, taken = [key for key, _ in variables], set(self._names.values())
        for key, path in variables:
            if key not in self._names:
                self._names[key] = numbered(path, taken)
                taken.add(self._names[key])
        names = [self._names[key] for key in keys]
        pairs = same_variables(list(self._before), names, (), self._automatic) if self._before else {}
        found = {key: self._before[pairs[name]] for key, name in zip(keys, names, strict=True) if name in pairs}
        self._before = {name: value for name, value in self._before.items() if name not in pairs.values()}
        return found

    def in_config(self, values: Mapping[Hashable, Any]) -> dict[str, Any]:
        """The values of variables that were met, and those still expected, by name."""
        return {self._names[key]: value for key, value in values.items()} | self._before
