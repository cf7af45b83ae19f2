"""`convert`: a training from one file into another, for another generation of Keras, another format, or torch."""

import importlib.util
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

from pyadam.interchange.formats import Format, of_source, of_target

__all__ = ["Conversion", "convert"]

OPTIMIZERS = ("same", "pyadam", "keras", "none")
HOSTS = ("keras", "tf_keras")


@dataclass(frozen=True, repr=False)
class Conversion:
    """What `convert` did, or would do.

    Attributes:
        source: what was read.
        target: what was, or would be, written.
        carried: what is in both.
        lost: what is in the source alone.
        written: whether the target was written.
    """

    source: str
    target: str
    carried: list[str]
    lost: list[str] = field(default_factory=list)
    written: bool = False

    def __repr__(self) -> str:
        lines = [f"{self.source} -> {self.target}", *(f"  carried: {each}" for each in self.carried)]
        lines += [f"  NOT carried: {each}" for each in self.lost]
        return "\n".join([*lines, "  written" if self.written else "  nothing was written"])


def convert(
    source: str | PathLike[str],
    target: str | PathLike[str],
    *,
    model: Callable[[Any], Any] | str | PathLike[str] | None = None,
    to: str | None = None,
    optimizer: str = "same",
    weights: Mapping[str, str] | None = None,
    check: bool = False,
) -> Conversion:
    """Carries weights and state of the optimizer from a file into another, for another Keras or another format.

    Files of Keras 3 (``.keras``, ``.h5``, ``.weights.h5``, checkpoints), of tf_keras and R keras 2.11 (the same, and
    SavedModels), and a torch file with the state_dicts of model and optimizer. Training continues from the target with the next
    step of the source; bit by bit, where both compute the same formula.

    Args:
        source: the file to read; a checkpoint by its prefix or its folder.
        target: the file to write, which must not exist. Its ending names the format; without an ending it is a checkpoint.
        model: for files that hold no model: a function that takes the module ``keras`` or ``tf_keras`` and returns the model,
            built and compiled; or a file with the model. Without it the other generation's model is made from the config.
        to: the generation that is to read the target, "keras" or "tf_keras"; by default Keras 3, and tf_keras for ``.h5``.
        optimizer: "same", "pyadam" or "keras": whose class is in the target; "none" carries the weights alone.
        weights: for torch: the path in Keras of each of torch's names, in the order of the torch model's parameters.
        check: report what would be carried, without writing anything.

    Returns:
        what was carried and what was not. What can't be carried is a warning, too, before anything is written.

    Raises:
        ValueError: source and target don't fit each other, or nothing of an optimizer can be carried; nothing is written then.
        ImportError: a file needs tf_keras, which is not installed.
        FileNotFoundError: there is no source.
        FileExistsError: there is a target.

    Example:
        >>> import pyadam
        >>> print(pyadam.convert("trained-in-2022.h5", "trained.keras"))  # doctest: +SKIP
    """
    source, target = (
        path if path.name else path.absolute() for path in (Path(source), Path(target))
    )  # "." has no name
    for name, value, allowed in (("to", to, (None, *HOSTS)), ("optimizer", optimizer, OPTIMIZERS)):
        if value not in allowed:
            raise ValueError(f"convert: {name} must be one of {', '.join(map(repr, allowed))}, got {value!r}")
    read_as = of_source(source)
    write_as = of_target(target, to)
    if not target.parent.is_dir():
        raise FileNotFoundError(f"convert: target's folder {str(target.parent)!r} does not exist")
    parts = (target.with_name(f"{target.name}.{part}") for part in ("index", "data-00000-of-00001"))
    if target.exists() or any(part.exists() for part in parts):
        raise FileExistsError(f"convert: target {str(target)!r} exists; remove it first, or give another name")
    for host in {read_as.host, write_as.host} - {""}:
        if importlib.util.find_spec(host) is None:
            raise ImportError(
                f"convert: {source if read_as.host == host else target} needs {host}, which is not installed: pip install "
                f'{host}, in R install_pyadam(package = ".[tf-keras]") in a checkout'
            )
    if "torch" in (read_as.name, write_as.name):
        from pyadam.interchange.torch_files import with_torch

        prepared = with_torch(source, read_as, write_as, model, optimizer, weights)
    else:
        prepared = _between_keras(source, read_as, write_as, model, optimizer)
    found, finish = prepared
    if found.lost:
        warnings.warn(f"convert: not carried: {'; '.join(found.lost)}", stacklevel=2)
    if check:
        return found
    finish(target)
    return Conversion(found.source, found.target, found.carried, found.lost, written=True)


Prepared = tuple[Conversion, Callable[[Path], None]]


def _between_keras(source: Path, read_as: Format, write_as: Format, model: Any, optimizer: str) -> Prepared:
    """What there is to carry, and the function that writes it."""
    from pyadam.interchange.reading import read
    from pyadam.interchange.writing import write

    training = read(source, read_as, model, optimizer != "none")
    live, carried, lost = in_host(training, write_as, model, optimizer)
    found = Conversion(f"{source} ({read_as})", str(write_as), carried, lost)
    return found, lambda target: write(live, write_as, target)


def in_host(training: Any, write_as: Format, model: Any, optimizer: str) -> tuple[Any, list[str], list[str]]:
    """The live model of a training in the generation of the target, with its optimizer; what it carries, and what not."""
    from pyadam.interchange.architecture import NotTranslated, carry, pairs, translated
    from pyadam.interchange.optimizers import made
    from pyadam.interchange.reading import built
    from pyadam.interchange.writing import compile_like, without_optimizer

    host, other, lost = training.format.host, write_as.host, list(training.lost)
    if model is not None and (host != other or training.format.is_whole):
        live = built(model, other)
        carry(training.model, live, other)
    elif host == other:
        live = training.model
    else:
        try:
            live = translated(training.model, host, other)
        except NotTranslated as error:
            raise ValueError(
                f"convert: this model can't be made from its config in {other}: {error}; give model, a function of the module "
                f"{other} that returns it"
            ) from error
    carried = [f"{len(live.weights)} weights"]
    saved = training.optimizer
    if saved is None:
        if optimizer == "none" and getattr(live, "optimizer", None) is not None:
            without_optimizer(live, other)
        return live, carried, lost
    from pyadam.hosts.contract import bare_path

    paths = {bare_path(a): bare_path(b) for a, b in pairs(training.model, live, other)}
    ours = saved.ours if optimizer == "same" else optimizer == "pyadam"
    if not ours and write_as == Format("h5", "keras"):
        raise ValueError(
            "convert: target must end in .keras where the optimizer is Keras' own: from .h5 Keras itself can't train on "
            "('Unknown variable')"
        )
    now, missing = made(saved, other, ours, live.trainable_variables, paths)
    lost += missing + compile_like(live, now, training.compiled, other)
    if not write_as.is_whole:
        lost.append(f"the arguments of the optimizer, for which {write_as.name} files have no place")
    carried.append(f"{saved} -> {'pyadam' if ours else 'Keras'}")
    if saved.state is not None:
        kinds = sorted(saved.state.kinds)
        carried.append(f"its state: {', '.join(kinds) or 'the number of steps'}")
    return live, carried, lost
