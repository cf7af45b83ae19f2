"""The peers measured. Each kind of peer has a module; a worker imports only the one it runs."""

import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np

__all__ = ["FLOOR", "PEERS", "REFERENCE", "NotOffered", "Peer", "Runner"]

REFERENCE = "pyadam"  # the peer that the others are compared with
FLOOR = "floor"


class NotOffered(Exception):
    """The library has no such optimizer, or not for this kind of gradient."""


class Runner(Protocol):
    """A running peer. Its constructor takes a `Column`, the weights and the gradients, and computes nothing yet."""

    def step(self) -> None:
        """Takes one step with the same gradients and returns once it is finished. The first one creates the state."""

    def values(self) -> list[np.ndarray]:
        """The weights, followed by their averages if there are any."""


@dataclass(frozen=True)
class Peer:
    """Attributes:
    name: on the command line.
    title: in tables.
    module: the module of this package with its runner.
    needs: the Python packages that it requires.
    options: further arguments of the runner.
    environment: set before the worker starts.
    rows_only: whether it takes sparse gradients only.
    """  # noqa: D205

    name: str
    title: str
    module: str
    needs: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    rows_only: bool = False

    def missing(self) -> str:
        """What has to be installed first; empty if nothing is missing."""
        absent = [package for package in self.needs if find_spec(package) is None]
        return f"not installed: {', '.join(absent)}" if absent else ""

    def load(self) -> Any:
        """Imports the module of its runner, and with it the library."""
        return importlib.import_module(f"pyadam.bench.peers.{self.module}")

    def start(self, column: Any, weights: Iterable[Any], gradients: Iterable[Any]) -> Runner:
        """Its runner.

        Raises:
            NotOffered: the library can't do what the column asks for.
        """
        if column.rounded and self.options.get("library") != "pyadam":
            raise NotOffered(f"{self.title} has no {column.title}")
        return self.load().Run(column, weights, gradients, **self.options)


_TF3 = ("tensorflow", "keras")
_TF2 = ("tensorflow", "tf_keras")

PEERS = {
    peer.name: peer
    for peer in (
        Peer(REFERENCE, "pyadam", "with_keras", _TF3, {"library": "pyadam"}),
        Peer(
            "single-pass",
            "pyadam, single pass",
            "with_keras",
            _TF3,
            {"library": "pyadam", "single_pass": True},
            {"PYADAM_SINGLE_PASS": "1"},
        ),
        Peer("pyadam-jit", "pyadam in a compiled train step", "with_keras", _TF3, {"library": "pyadam", "jit": True}),
        Peer("keras", "Keras 3, default", "with_keras", _TF3, {"library": "keras"}),
        Peer("keras-jit", "Keras 3 in a compiled train step", "with_keras", _TF3, {"library": "keras", "jit": True}),
        Peer("tf_keras", "tf_keras", "with_keras", _TF2, {"library": "tf_keras"}),
        Peer("legacy", "tf_keras, legacy", "with_keras", _TF2, {"library": "legacy"}),
        Peer("tf-fused", "TensorFlow's fused operation", "with_tensorflow", ("tensorflow",)),
        Peer("torch-fused", "torch.optim, fused", "with_torch", ("torch",), {"way": "fused"}),
        Peer("torch-foreach", "torch.optim, foreach", "with_torch", ("torch",), {"way": "foreach"}),
        Peer(
            "torch-sparse", "torch.optim, sparse gradients", "with_torch", ("torch",), {"way": "sparse"}, rows_only=True
        ),
        Peer("optax", "optax, jit, donated", "with_jax", ("jax", "optax")),
        Peer(FLOOR, "C, one pass: the floor", "with_c", ()),
    )
}
