"""Which paths name the same variable: Keras numbers layers anew, and not every file has the names of the models around them."""

import re
from collections.abc import Callable, Collection, Iterable, Sequence

__all__ = ["alike", "flat", "numbered", "same_variables"]


def flat(path: str) -> str:
    """A path as it appears in the names of Keras' optimizer variables."""
    return re.sub("[/:]", "_", path)


def alike(a: str, b: str, separator: str = "/") -> bool:
    """Whether two paths are the same, apart from leading names of models."""
    return a == b or a.endswith(separator + b) or b.endswith(separator + a)


def numbered(path: str, taken: Collection[str]) -> str:
    """The path, with a number appended if it is taken."""
    if path not in taken:
        return path
    return next(each for n in range(1, len(taken) + 2) if (each := f"{path}#{n}") not in taken)


def _counted(name: str) -> tuple[str, int]:
    """A name without the number that Keras appends to make names unique, and that number."""
    base, number = re.fullmatch(r"(.*?)(?:_(\d+))?", name).groups()  # type: ignore[union-attr]
    return base, int(number or 0)


def _ranks(names: Iterable[str], automatic: Callable[[str], bool]) -> dict[str, str]:
    """For each automatic name what replaces it: the rank of its number among those of the names that are otherwise equal."""
    counted = {name: _counted(name) for name in names}
    numbers: dict[str, list[int]] = {}
    for base, number in sorted(counted.values()):
        if automatic(base):
            numbers.setdefault(base, []).append(number)
    return {
        name: f"{base} {numbers[base].index(number)} of {len(numbers[base])}"
        for name, (base, number) in counted.items()
        if base in numbers
    }


def _ranked(paths: Iterable[str], automatic: Callable[[str], bool]) -> list[str]:
    """The paths, with each automatic number replaced by its rank among all of them."""
    parts = [path.split("/") for path in paths]
    ranks = _ranks({name for names in parts for name in names}, automatic)
    return ["/".join(ranks.get(name, name) for name in names) for names in parts]


def _without_model(paths: Sequence[str]) -> list[str]:
    """The paths without their first component, if that is the same in all: the name of a model."""
    parts = [path.split("/") for path in paths]
    shared = len({each[0] for each in parts}) == 1 and all(len(each) > 2 for each in parts)
    return ["/".join(each[1:]) for each in parts] if shared else list(paths)


def same_variables(
    saved: Sequence[str], here: Sequence[str], names: Collection[str], automatic: Callable[[str], bool]
) -> dict[str, str]:
    """Pairs our paths with saved ones; returns the saved path of each of ours that has one.

    Equal paths name the same variable, and so do the same places in two lists whose paths are alike one by one (`alike`). There
    are two complications. Depending on how a model was built, its paths begin with its
    name, or with those of models within it, or they don't. And Keras numbers layers throughout a process: ``dense/kernel``
    becomes ``dense_2/kernel`` if other layers were made before. A number is trusted if the saved model has all of our layers
    or, where its layers are unknown, if one list of paths contains the other. Otherwise, if the lists agree except for such
    numbers, the ranks of the numbers decide; and if they don't, numbered paths have no partner.

    Args:
        saved: the paths that a state has.
        here: those of the optimizer that loads it.
        names: names of the saved model's layers, if they are known.
        automatic: whether a name without its number is one that Keras gives.
    """
    a, b = _ranked_in_layer(saved, automatic), _ranked_in_layer(here, automatic)
    readings = [_paired(x, y, saved, here) for x in (a, _without_model(a)) for y in (b, _without_model(b))]
    best = max(readings, key=len)
    if len(best) == len(saved) == len(here):
        return best
    if _alike_in_order(saved, here):
        return dict(zip(here, saved, strict=True))
    if all(_is_layer_of(names, path, automatic) for path in here) if names else len(best) in (len(saved), len(here)):
        return best
    ranked = _paired(_ranked(_without_model(a), automatic), _ranked(_without_model(b), automatic), saved, here)
    if len(ranked) == len(saved) == len(here):
        return ranked
    if _alike_in_order(_ranked(saved, automatic), _ranked(here, automatic)):
        return dict(zip(here, saved, strict=True))
    return {path: source for path, source in best.items() if not _numbered_layer(path, automatic)}


def _paired(a: Sequence[str], b: Sequence[str], saved: Sequence[str], here: Sequence[str]) -> dict[str, str]:
    """The pairs of paths with equal readings, ``a`` of the saved ones and ``b`` of ours; none if readings are ambiguous."""
    if len(set(a)) < len(a) or len(set(b)) < len(b):
        return {}
    of_reading = dict(zip(a, saved, strict=True))
    pairs = {path: of_reading[reading] for path, reading in zip(here, b, strict=True) if reading in of_reading}
    others_b = [(path, reading) for path, reading in zip(here, b, strict=True) if path not in pairs]
    others_a = [(path, reading) for path, reading in zip(saved, a, strict=True) if reading not in set(b)]
    for path, reading in others_b:  # a path without the names of models around the layer, if that is clear
        near = [(source, other) for source, other in others_a if alike(other, reading)]
        if len(near) == 1 and sum(alike(near[0][1], each) for _, each in others_b) == 1:
            pairs[path] = near[0][0]
    return pairs


def _alike_in_order(a: Sequence[str], b: Sequence[str]) -> bool:
    """Whether paths at the same places are alike, as in a model that is built in another way."""
    bare = [[path.partition("#")[0] for path in paths] for paths in (a, b)]  # as before `numbered`
    return len(a) == len(b) and all(map(alike, *bare))


def _layer(path: str) -> str:
    """The name of the layer that a variable belongs to."""
    return "/".join(path.split("/")[-2:-1])


def _numbered_layer(path: str, automatic: Callable[[str], bool]) -> bool:
    return automatic(_counted(_layer(path))[0])


def _is_layer_of(names: Collection[str], path: str, automatic: Callable[[str], bool]) -> bool:
    """Whether the layer of a variable is among these names. A layer that the user named needs no check."""
    return _layer(path) in names or not _numbered_layer(path, automatic)


def _ranked_in_layer(paths: Iterable[str], automatic: Callable[[str], bool]) -> list[str]:
    """The paths, with the automatic numbers of variables replaced by their ranks within the layer."""
    parts = [path.rpartition("/") for path in paths]
    names: dict[str, list[str]] = {}
    for layer, _, name in parts:
        names.setdefault(layer, []).append(name)
    ranks = {layer: _ranks(each, automatic) for layer, each in names.items()}
    return [f"{layer}{slash}{ranks[layer].get(name, name)}" for layer, slash, name in parts]
