"""Which group each variable is in, and the groups of a model whose layers learn the slower the deeper they are."""

import re
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

from pyadam.hosts.contract import bare_path
from pyadam.hosts.remembered import Remembered
from pyadam.optimizers.groups import VARIABLES, Group
from pyadam.optimizers.kinds import Number, is_variable, listed, shown

__all__ = ["Membership", "as_patterns", "layerwise_decay"]


class Membership:
    """Finds the groups of variables: from patterns and variables, and for an optimizer of a config from what was found before.

    Args:
        owner: the optimizer's class, for messages.
        groups: its groups.
        key: gives the optimizer's key of a variable, by which it is known.
        automatic: whether a name is one that Keras gives.
    """

    def __init__(
        self,
        owner: str,
        groups: Sequence[Group],
        key: Callable[[Any], Hashable],
        automatic: Callable[[str], bool],
    ) -> None:
        self._owner, self._key = owner, key
        self._groups = [
            {
                v if isinstance(v, str) else key(v): re.compile(v) if isinstance(v, str) else None
                for v in group[VARIABLES]
            }
            for group in groups
        ]
        self._variables = {key(v): v for group in groups for v in group[VARIABLES] if is_variable(v)}
        self._remembered = Remembered(automatic)
        self.found: dict[Hashable, int | None] = {}

    def remember(self, before: Any) -> None:
        """Takes over what was found for a model whose variables have other paths now, perhaps.

        Raises:
            ValueError: it is no dictionary of groups' numbers by path.
        """
        if not isinstance(before, Mapping) or not all(
            isinstance(path, str) and (number is None or number in range(len(self._groups)))
            for path, number in before.items()
        ):
            raise ValueError(
                f"{self._owner}: members must be a dictionary of groups' numbers by path, got {shown(before)}"
            )
        self._remembered.expect(before)

    def find(self, variables: Sequence[Any]) -> None:
        """Finds the groups of variables, all of them or none.

        Raises:
            ValueError: one is in two groups or, if these are the first ones, some member of a group is none of them. Variables
                that aren't trainable now may be.
        """
        if not self._groups or not variables:
            return
        paths = [bare_path(v) for v in variables]
        known = self._remembered.meet([(self._key(v), path) for v, path in zip(variables, paths, strict=True)])
        matched: set[Hashable] = set()
        found = {}
        for v, path in zip(variables, paths, strict=True):
            key = self._key(v)
            found[key] = known[key] if key in known else self._match(key, path, matched)
        if not self.found and not known:
            self._check_missing({member for members in self._groups for member in members} - matched, paths)
        self.found |= found

    def config(self) -> dict[str, Any]:
        """What a config holds: the groups' numbers by path."""
        members = self._remembered.in_config(self.found)
        return {"members": members} if members else {}

    def _check_missing(self, missing: set[Hashable], paths: Sequence[str]) -> None:
        patterns = {member for member in missing if member not in self._variables}
        if patterns:
            raise ValueError(
                f"{self._owner}: no variable's path matches {self._listed(patterns)} of groups; a pattern has to match whole "
                f"components of a path, and the paths are {listed(paths)}"
            )
        strangers = [member for member in missing if self._variables[member].trainable]
        if strangers:
            raise ValueError(
                f"{self._owner}: {self._listed(strangers)} of groups are not the optimizer's variables, even if their paths "
                "match; name variables or layers of the model that it trains, or patterns"
            )

    def _match(self, key: Hashable, path: str, matched: set[Hashable]) -> int | None:
        parts = path.split("/")
        runs = ["/".join(parts[i:j]) for i in range(len(parts)) for j in range(i + 1, len(parts) + 1)]
        found: dict[int, Hashable] = {}
        for number, members in enumerate(self._groups):
            for member, pattern in members.items():
                if member == key or (pattern is not None and any(map(pattern.fullmatch, runs))):
                    found.setdefault(number, member)
                    matched.add(member)
        if len(found) > 1:
            raise ValueError(
                f"{self._owner}: the variable {path} is in several groups: {self._listed(found.values())}; let each variable "
                "match one group"
            )
        return next(iter(found), None)

    def _listed(self, members: Iterable[Hashable]) -> str:
        shown = (bare_path(self._variables[m]) if m in self._variables else m for m in members)
        return listed(sorted(map(repr, shown)))


def as_patterns(members: Iterable[Any]) -> list[str]:
    """The members of a group as patterns, as configs need them."""
    return [v if isinstance(v, str) else re.escape(bare_path(v)) for v in members]


def layerwise_decay(model: Any, decay: float = 0.9) -> list[dict[str, Any]]:
    """Groups for fine-tuning: the learning rate falls from layer to layer, from the model's last one to its first.

    The last layer with trainable variables has the optimizer's own learning rate, the one before it ``decay`` times that, the
    next ``decay^2`` times, and so on. Layers come in the order of ``model.layers``: in a subclassed model, that in which they
    were made. Layers of models within the model count one by one.

    Args:
        model: a built model of either Keras.
        decay: the factor from a layer to the one before it, in (0, 1].

    Returns:
        the argument ``groups`` of an optimizer.

    Raises:
        ValueError: the model has no trainable variables, perhaps because it isn't built yet; or ``decay`` is out of range.

    Example:
        >>> AdamW(1e-4, groups=layerwise_decay(model, 0.8))

    Source: Howard and Ruder (2018), Universal Language Model Fine-tuning for Text Classification,
    https://arxiv.org/abs/1801.06146, section 3.2.
    """
    decay = Number(low=0.0, low_open=True, high=1.0).check("layerwise_decay", "decay", decay)
    layers, left = [], {id(v): v for v in model.trainable_variables}
    for layer in _leaves(model):
        own = [left.pop(id(v)) for v in layer.trainable_variables if id(v) in left]
        layers += [own] * bool(own)
    layers += [list(left.values())] * bool(left)
    if not layers:
        raise ValueError("layerwise_decay: model has no trainable variables; build it first, or call it once")
    return [
        {VARIABLES: own, "learning_rate_factor": decay ** (len(layers) - 1 - depth)} for depth, own in enumerate(layers)
    ]


def _leaves(layer: Any) -> Iterable[Any]:
    """The layers within a model that aren't models themselves, in order."""
    inner = getattr(layer, "layers", None)
    if inner is None:
        yield layer
    for each in inner or ():
        yield from _leaves(each)
