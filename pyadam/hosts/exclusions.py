"""Which variables weight decay leaves alone: by identity, by a component of their path, or as a config says."""

import re
import warnings
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

from pyadam.hosts.remembered import Remembered
from pyadam.optimizers.kinds import is_variable, listed, shown

__all__ = ["CONFIG_KEY", "Exclusions"]

CONFIG_KEY = "excluded_from_weight_decay"


class Exclusions:
    """Variables excluded from weight decay.

    A name is a regular expression that matches one whole component of a path, with or without the number that Keras appends
    to make names unique: ``bias`` matches ``dense/bias`` and ``dense/bias_1``, not ``dense/unbiased_kernel``.

    Args:
        owner: the optimizer's class, for messages.
        automatic: whether a name is one that Keras gives.
    """

    def __init__(self, owner: str, automatic: Callable[[str], bool]) -> None:
        self._owner = owner
        self._paths: dict[Hashable, str] = {}  # of those added by identity, by key
        self._names: dict[str, re.Pattern[str]] = {}
        self._unmatched: set[str] = set()
        self._added: set[str] = set()  # names that were not in a config
        self._remembered = Remembered(automatic)
        self._met: list[str] = []  # the paths of the variables so far
        self.found: dict[Hashable, bool] = {}  # of these variables, by key

    def add(self, paths: Mapping[Hashable, str], names: Iterable[str]) -> None:
        """Adds variables, as paths by key, and names to what is excluded.

        Raises:
            ValueError: a name is no regular expression; nothing is added then.
        """
        names = [names] if isinstance(names, str) else list(names)
        try:
            found = {name: re.compile(rf"(?:{name})(?:_\d+)?") for name in names}
        except re.error as error:
            raise ValueError(
                f"{self._owner}: exclude_from_weight_decay: var_names must be regular expressions, got {names!r}: {error}"
            ) from error
        self._paths |= paths
        self._names |= found
        self._added.update(names)
        self._unmatched.update(names)

    def add_given(
        self,
        built: bool,
        variables: Iterable[Any],
        names: Iterable[str],
        named: Callable[[Any], tuple[Hashable, str]],
    ) -> None:
        """Adds what a user gave as ``var_list`` and ``var_names``; ``named`` gives the key and the path of a variable.

        Raises:
            TypeError: what should be a variable is none.
            ValueError: the optimizer is built already, or a name is no regular expression; nothing is added then.
        """
        if built:
            raise ValueError(
                f"{self._owner}: exclude_from_weight_decay() must be called before the optimizer is built, that is, before "
                "build() or the first step"
            )
        for v in variables:
            if not is_variable(v):
                raise TypeError(
                    f"{self._owner}: exclude_from_weight_decay: var_list must hold variables, got {shown(v)}; names go into "
                    "var_names"
                )
        self.add(dict(map(named, variables)), names)

    def find(self, variables: Sequence[tuple[Hashable, str]]) -> None:
        """Finds out about variables, by their keys and paths: what a config said of them, and what was added.

        Names of a config are for variables of which it says nothing: a known one may have another path now.
        """
        if not variables:  # as at every step but the first
            return
        known = self._remembered.meet(variables)
        self._met += [path for _, path in variables]
        for key, path in variables:
            added = self._match(path) if key not in known else self._match(path) & self._added
            self.found[key] = key in self._paths or bool(added) or known.get(key, False)

    def _match(self, path: str) -> set[str]:
        found = {name for name, pattern in self._names.items() if any(map(pattern.fullmatch, path.split("/")))}
        self._unmatched -= found
        return found

    def warn_unmatched(self) -> None:
        """Warns of names that no variable has matched: most likely typing errors."""
        for name in sorted(self._unmatched):
            warnings.warn(
                f"{self._owner}: exclude_from_weight_decay: no variable's path has a component {name!r} so far; the paths "
                f"are {listed(self._met)}",
                stacklevel=4,
            )
        self._unmatched.clear()

    # --- configs ---------------------------------------------------------------------------------------------------------

    def config(self) -> dict[str, Any]:
        """What a config holds where anything is excluded: names, and which variables are."""
        found = self._remembered.in_config(self.found)
        found |= {path: True for key, path in self._paths.items() if key not in self.found}
        if not (self._names or any(found.values())):
            return {}
        return {CONFIG_KEY: {"var_names": list(self._names), "found": found}}

    def remember(self, config: Any) -> None:
        """Takes over what a config holds.

        Raises:
            ValueError: it is something else.
        """
        names, found = (
            (config.get(key) for key in ("var_names", "found")) if isinstance(config, Mapping) else (None, None)
        )
        if not (
            isinstance(names, Sequence)
            and all(isinstance(name, str) for name in names)
            and isinstance(found, Mapping)
            and all(isinstance(path, str) and isinstance(each, bool) for path, each in found.items())
        ):
            raise ValueError(
                f"{self._owner}: {CONFIG_KEY} must be a dictionary of var_names and found, got {shown(config)}"
            )
        self.add({}, names)
        self._unmatched.clear()
        self._added.clear()
        self._remembered.expect(found)
