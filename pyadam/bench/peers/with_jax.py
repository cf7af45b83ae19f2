"""optax in ``jax.jit``, with weights and state donated."""

from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from pyadam.bench.columns import RATE, Column
from pyadam.bench.peers import NotOffered
from pyadam.parity.inputs import Slices


class Run:
    """The gradient transformation of the column and, in the same program, the averages, which optax keeps separately."""

    def __init__(self, column: Column, weights: Iterable[np.ndarray], gradients: Iterable[np.ndarray | Slices]) -> None:
        if column.optax is None:
            raise NotOffered(f"optax has no {column.title}")
        name, arguments = column.optax
        rule = getattr(optax, name)(RATE, **arguments)
        if column.clip is not None:
            rule = optax.chain(optax.clip_by_global_norm(column.clip), rule)
        self.column, self.rule = column, rule
        self.weights = [jnp.array(w) for w in weights]
        self.gradients = [jnp.array(g.dense() if isinstance(g, Slices) else g) for g in gradients]
        self.averages: list[jax.Array] = []
        self.state: Any = None

        def step(weights: Any, averages: Any, state: Any, gradients: Any, share: Any) -> Any:
            updates, state = rule.update(gradients, state, weights)
            weights = optax.apply_updates(weights, updates)
            if column.average is not None:
                averages = optax.incremental_update(weights, averages, share)
            return weights, averages, state

        self.run = jax.jit(step, donate_argnums=(0, 1, 2))
        jax.block_until_ready((self.weights, self.gradients))

    def step(self) -> None:
        share = 1.0 - (self.column.average or 0.0)
        if self.state is None:
            self.state = self.rule.init(self.weights)
            if self.column.average is not None:
                self.averages = [jnp.zeros_like(w) for w in self.weights]
                share = 1.0  # the first average is the weight itself
        new = self.run(self.weights, self.averages, self.state, self.gradients, share)
        self.weights, self.averages, self.state = jax.block_until_ready(new)

    def values(self) -> list[np.ndarray]:
        return [np.asarray(x) for x in [*self.weights, *self.averages]]
