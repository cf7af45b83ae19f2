"""Which variables weight decay leaves alone: by identity, or by a component of their path."""

import re
import warnings
from collections.abc import Hashable, Iterable

__all__ = ["Exclusions"]


class Exclusions:
    """Variables excluded from weight decay.

    A name is a regular expression that matches one whole component of a path, with or without the number that Keras appends
    to make names unique: ``bias`` matches ``dense/bias`` and ``dense/bias_1``, not ``dense/unbiased_kernel``.
    """

    def __init__(self) -> None:
        self._keys: set[Hashable] = set()
        self._names: dict[str, re.Pattern[str]] = {}
        self._unmatched: set[str] = set()

    def add(self, owner: str, keys: Iterable[Hashable], names: Iterable[str]) -> None:
        """Adds variables' keys and names to what is excluded.

        Raises:
            ValueError: a name is no regular expression; nothing is added then.
        """
        names = [names] if isinstance(names, str) else list(names)
        try:
            found = {name: re.compile(rf"(?:{name})(?:_\d+)?") for name in names}
        except re.error as error:
            raise ValueError(
                f"{owner}: exclude_from_weight_decay: var_names must be regular expressions, got {names!r}: {error}"
            ) from error
        self._keys.update(keys)
        self._names |= found
        self._unmatched.update(names)

    def match(self, key: Hashable, path: str) -> bool:
        """Whether the variable of this key and path is excluded."""
        components = path.partition(":")[0].split("/")
        found = {name for name, pattern in self._names.items() if any(map(pattern.fullmatch, components))}
        self._unmatched -= found
        return bool(found) or key in self._keys

    def warn_unmatched(self, owner: str) -> None:
        """Warns of names that no variable has matched: most likely typing errors."""
        for name in sorted(self._unmatched):
            warnings.warn(
                f"{owner}: exclude_from_weight_decay: no variable's path has a component {name!r} so far", stacklevel=4
            )
        self._unmatched.clear()
