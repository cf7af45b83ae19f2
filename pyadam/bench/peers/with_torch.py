"""``torch.optim`` on a CPU: fused, foreach, or on sparse gradients."""

from collections.abc import Iterable

import numpy as np
import torch

from pyadam.bench.columns import RATE, Column
from pyadam.bench.peers import NotOffered
from pyadam.parity.inputs import Slices


class Run:
    """The optimizer of the column in one of torch's implementations: "fused", "foreach" or "sparse"."""

    def __init__(
        self, column: Column, weights: Iterable[np.ndarray], gradients: Iterable[np.ndarray | Slices], way: str
    ) -> None:
        self.column = column
        self.weights = [torch.nn.Parameter(torch.from_numpy(w)) for w in weights]
        for w, g in zip(self.weights, gradients, strict=True):
            w.grad = _sparse(g) if way == "sparse" else torch.from_numpy(g.dense() if isinstance(g, Slices) else g)
        name, arguments = column.torch
        switch = {way: True}
        if way == "sparse":
            name, switch = _sparse_name(column), {}
        elif name == "SparseAdam":
            raise NotOffered("torch has SparseAdam for sparse gradients only")
        self.optimizer = getattr(torch.optim, name)(self.weights, lr=RATE, **arguments, **switch)
        self.averages: list[torch.Tensor] = []

    @torch.no_grad()
    def step(self) -> None:
        if self.column.clip is not None:
            torch.nn.utils.clip_grad_norm_(self.weights, self.column.clip, foreach=True)
        self.optimizer.step()
        if self.column.average is not None:
            if self.averages:
                advance = torch.optim.swa_utils.get_ema_multi_avg_fn(self.column.average)
                advance(self.averages, [w.detach() for w in self.weights], 1)
            else:
                self.averages = [w.detach().clone() for w in self.weights]

    def values(self) -> list[np.ndarray]:
        return [x.detach().numpy() for x in [*self.weights, *self.averages]]


def _sparse(gradient: np.ndarray | Slices) -> torch.Tensor:
    if not isinstance(gradient, Slices):
        raise NotOffered("the gradients are dense")
    torch.sparse.check_sparse_tensor_invariants.disable()  # set explicitly: the checks take time at every step
    indices = torch.from_numpy(gradient.indices.astype(np.int64))[None]
    values = torch.from_numpy(gradient.values)
    return torch.sparse_coo_tensor(indices, values, gradient.shape).coalesce()


def _sparse_name(column: Column) -> str:
    """The class for sparse gradients. SparseAdam skips the other rows, which changes nothing: they never had a gradient."""
    name = {"SGD": "SGD", "Adagrad": "Adagrad", "Adam": "SparseAdam", "SparseAdam": "SparseAdam"}.get(column.torch[0])
    if name is None or "amsgrad" in column.torch[1] or column.clip is not None:
        raise NotOffered(f"torch has no {column.title} for sparse gradients")
    return name
