"""Second opinions: the same steps by the optimizers of optax and torch, which others wrote from the same papers."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from pyadam.optimizers import SPECS
from pyadam.parity.cases import Case
from pyadam.parity.inputs import draw, save
from pyadam.parity.rscript import environment

__all__ = ["LIBRARIES", "Opinion", "asked", "header", "judged", "missing", "opinions", "unasked"]

LIBRARIES = ("optax", "torch")

# Where libraries add an epsilon differs; with one that disappears, only the formulas are left.
NONE = {"epsilon": 1e-30}
DECAY = {"weight_decay": 0.01}


@dataclass(frozen=True)
class Opinion:
    """An optimizer of pyadam and the call of another library that should take the same steps.

    Attributes:
        optimizer: pyadam's.
        library: one of `LIBRARIES`.
        call: the function or class there, and its arguments.
        arguments: pyadam's.
        share: of a weight's total change: how far the two may be apart.
        shapes: of the weights.
        differs: what the other library computes otherwise, if the numbers are known to differ.
    """

    optimizer: str
    library: str
    call: tuple[str, dict[str, Any]]
    arguments: dict[str, Any] = field(default_factory=dict)
    share: float = 1e-9
    shapes: tuple[tuple[int, ...], ...] = ((3, 4), (5,), (2, 3, 2))
    differs: str = ""

    @property
    def case(self) -> Case:
        """The case that pyadam runs."""
        name = f"{self.optimizer} and {self.library}"
        return Case(name, self.optimizer, {"learning_rate": 0.01, **self.arguments}, ("float64",), self.shapes)


def _opinion(optimizer: str, library: str, call: str, given: dict[str, Any], **more: Any) -> Opinion:
    rate = {"learning_rate": 0.01} if library == "optax" else {"lr": 0.01}
    fields = {name: more.pop(name) for name in ("share", "shapes", "differs") if name in more}
    return Opinion(optimizer, library, (call, {**rate, **given}), more, **fields)


_EPS = {"eps": 1e-30}
OPINIONS = (
    _opinion("AdaBelief", "optax", "adabelief", {"eps": 1e-16, "eps_root": 1e-16}, epsilon=1e-16),
    _opinion("Adadelta", "optax", "adadelta", {"rho": 0.95, "eps": 1e-7}),
    _opinion("Adadelta", "torch", "Adadelta", {"rho": 0.95, "eps": 1e-7}),
    _opinion("Adafactor", "torch", "Adafactor", {"eps": (1e-30, 1e-3), "d": 1.0}),
    _opinion("Adagrad", "optax", "adagrad", _EPS, **NONE),
    _opinion("Adagrad", "torch", "Adagrad", {"initial_accumulator_value": 0.1, **_EPS}, **NONE),
    _opinion("Adam", "optax", "adam", _EPS, **NONE),
    _opinion("Adam", "torch", "Adam", {"betas": (0.8, 0.9), **_EPS}, beta_1=0.8, beta_2=0.9, **NONE),
    _opinion("AdamW", "optax", "adamw", {**_EPS, **DECAY}, **NONE, **DECAY),
    _opinion("AdamW", "torch", "AdamW", {**_EPS, **DECAY}, **NONE, **DECAY),
    _opinion("Adamax", "optax", "adamax", _EPS, **NONE),
    _opinion("Adamax", "torch", "Adamax", _EPS, **NONE),
    _opinion(
        "Adan",
        "optax",
        "adan",
        {},
        differs="optax weighs differences by 1 - 0.92, where the paper and its authors' program have 0.92",
    ),
    _opinion("Lamb", "optax", "lamb", {"eps": 1e-30}, **NONE),
    _opinion("Lion", "optax", "lion", {"weight_decay": 0.01}, **DECAY),
    _opinion(  # with Nesterov momentum optax corrects the mean for its start
        "Muon",
        "optax",
        "contrib.muon",
        {"consistent_rms": 0.2, "nesterov": False},
        nesterov=False,
        weight_decay=None,
        adam_weight_decay=None,
        shapes=((3, 4), (4, 3), (5, 5)),
        share=1e-6,  # the epsilons of the norm differ
    ),
    _opinion("Nadam", "torch", "NAdam", {"momentum_decay": 1.0, **_EPS}, **NONE, share=1e-7),  # its product is float32
    _opinion(
        "Prodigy",
        "optax",
        "contrib.prodigy",
        {"learning_rate": 1.0, **_EPS},
        learning_rate=1.0,
        use_bias_correction=True,
        **NONE,
        share=1e-6,  # sums have the digits of float32
    ),
    _opinion("RAdam", "optax", "radam", _EPS, **NONE),
    _opinion("RAdam", "torch", "RAdam", _EPS, **NONE),
    _opinion(
        "RMSprop",
        "torch",
        "RMSprop",
        {"alpha": 0.9, "momentum": 0.9, "centered": True, **_EPS},
        momentum=0.9,
        centered=True,
        **NONE,
    ),
    _opinion("SGD", "optax", "sgd", {"momentum": 0.9, "nesterov": True}, momentum=0.9, nesterov=True),
    _opinion("SGD", "torch", "SGD", {"momentum": 0.9}, momentum=0.9),
    _opinion("ScheduleFreeAdamW", "optax", "contrib.schedule_free_adamw", {**_EPS, **DECAY}, **NONE, **DECAY),
)


def missing() -> list[str]:
    """The libraries that are not installed."""
    return [library for library in LIBRARIES if find_spec(library) is None]


def unasked() -> list[str]:
    """The optimizers that neither library has."""
    return [name for name in SPECS if name not in {opinion.optimizer for opinion in OPINIONS}]


def opinions(patterns: Sequence[str]) -> list[Opinion]:
    """The opinions whose name contains one of the patterns."""
    from pyadam.parity.cases import select

    chosen = {case.name for case in select([opinion.case for opinion in OPINIONS], patterns)}
    return [opinion for opinion in OPINIONS if opinion.case.name in chosen]


def asked(chosen: Sequence[Opinion]) -> Iterator[tuple[Opinion, float | str]]:
    """Each opinion with the largest difference of a weight after any of 50 steps, over its total change, or an error.

    A library runs in a process of its own, since torch and TensorFlow do not always share one.
    """
    from pyadam.parity.compare import excess, total_change
    from pyadam.parity.run_python import run_pyadam

    with tempfile.TemporaryDirectory(prefix="pyadam-peers-") as folder:
        for library in dict.fromkeys(opinion.library for opinion in chosen):
            mine = [opinion for opinion in chosen if opinion.library == library]
            for number, opinion in enumerate(mine):
                save([draw(opinion.case)], Path(folder, f"{number}.npz"))
            Path(folder, "calls.json").write_text(json.dumps([opinion.call for opinion in mine]))
            command = [sys.executable, "-m", "pyadam.parity.run_peer", library, folder]
            done = subprocess.run(
                command, env={**environment(), "JAX_PLATFORMS": "cpu"}, capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise RuntimeError(f"{library} ended with {done.returncode}: {done.stderr.strip()[-300:]}")
            for number, opinion in enumerate(mine):
                with np.load(Path(folder, f"{library}-{number}.npz")) as found:
                    if "error" in found:
                        yield opinion, str(found["error"])
                        continue
                    worst = 0.0
                    for j, history in enumerate(run_pyadam(opinion.case, draw(opinion.case)).weights):
                        theirs = [history.values[0], *found[f"w{j}"]]
                        worst = max(worst, excess(history.values, theirs, total_change(history)))
                    yield opinion, worst


def judged(opinion: Opinion, found: float | str) -> str:
    """The verdict in words."""
    if isinstance(found, str):
        return f"not in this version of {opinion.library}"
    if opinion.differs:
        return opinion.differs if found > opinion.share else "FAILED: no longer differs"
    return "ok" if found <= opinion.share else "FAILED"


def header() -> str:
    """What was asked, and what the columns are."""
    known = ", ".join(f"{library} {version(library)}" for library in LIBRARIES if library not in missing())
    return (
        f"second opinions of {known}, 50 steps in float64\n\n{'':<20}{'of':<8}{'call':<34}{'difference / change':>20}"
    )
