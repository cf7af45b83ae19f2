"""The right numbers: what the optimizers compute, in float64 NumPy, written from the papers alone.

It shares no code with pyadam or Keras. One class does the whole step, in the order given in docs/numerics.md: merge rows,
unscale, accumulate, clip, decay, rule, average. The rules are in papers.py.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from pyadam.parity.inputs import Gradient, Slices, representable
from pyadam.parity.papers import PAPERS, start

__all__ = ["Oracle"]


def clip(h: Mapping[str, Any], gradients: dict[int, np.ndarray]) -> dict[int, np.ndarray]:
    """The gradients, by index of their variable, clipped by the option that is set, if any."""

    def norm_to(limit: float, norm: float) -> float:
        return limit / norm if norm > limit else 1.0

    if (limit := h["clipvalue"]) is not None:
        return {j: np.clip(g, -limit, limit) for j, g in gradients.items()}
    if (limit := h["clipnorm"]) is not None:
        return {j: g * norm_to(limit, np.sqrt(np.sum(g**2))) for j, g in gradients.items()}
    if (limit := h["global_clipnorm"]) is not None:
        norm = np.sqrt(sum(np.sum(g**2) for g in gradients.values()))
        return {j: g * norm_to(limit, norm) for j, g in gradients.items()}
    return gradients


class Oracle:
    """An optimizer over a list of weights.

    `arguments` holds every argument's value; functions and schedules are called with the number of the call, from 1. 16-bit
    weights are rounded to their dtype when they are stored, and accumulated gradients, which cancel, to that of the
    accumulator; everything else stays in float64. `go_on_from` takes over slots that were stored with stochastic rounding, or
    all that an amplifying rule reads.
    `total_changes` holds the total change of each weight so far: the sum of its absolute moves, counting decay, rule and
    overwriting separately.
    """

    def __init__(
        self, optimizer: str, arguments: Mapping[str, Any], weights: list[np.ndarray], dtypes: list[str]
    ) -> None:
        self.paper, self.arguments = PAPERS[optimizer], dict(arguments)
        self.weights = [np.array(w, np.float64) for w in weights]
        self.halves = {j: dtype for j, dtype in enumerate(dtypes) if dtype in ("float16", "bfloat16")}
        self.slots = [start(self.paper, self.arguments, w) for w in self.weights]
        self.averages = [np.zeros_like(w) for w in self.weights]
        self.total_changes = [np.zeros_like(w) for w in self.weights]
        self.sums = [np.zeros_like(w) for w in self.weights]
        self.sum_dtypes = ["float64" if dtype == "float64" else "float32" for dtype in dtypes]
        self.seen: set[int] = set()
        self.calls, self.updates, self.shared = 0, 0, dict(self.paper.shared)

    def __call__(self, gradients: list[Gradient]) -> None:
        """One call, with a gradient or None for every weight."""
        h = self._current()
        self.calls += 1
        scale = h["loss_scale_factor"] or 1.0
        every = h["gradient_accumulation_steps"] or 1
        for j, gradient in enumerate(gradients):
            if gradient is not None and not self._group(j).get("frozen"):
                total = self.sums[j] + (gradient.dense() if isinstance(gradient, Slices) else gradient) / scale
                self.sums[j] = representable(total, self.sum_dtypes[j])
                self.seen.add(j)
        sparse = {j: g.indices for j, g in enumerate(gradients) if isinstance(g, Slices) and self.paper.lazy}
        idle = {j: np.setdiff1d(np.arange(len(self.weights[j])), named) for j, named in sparse.items()}
        if self.calls % every == 0:
            means = {j: self.sums[j] / every for j in sorted(self.seen)}
            self.sums, self.seen = [np.zeros_like(w) for w in self.weights], set()
            self._update(h, means, idle)

    def _current(self) -> dict[str, Any]:
        """The arguments of this call, with functions and schedules replaced by their values."""
        step = self.calls + 1
        values = {name: value(step) if callable(value) else value for name, value in self.arguments.items()}
        constant = not callable(self.arguments["learning_rate"])
        rate = self._rate(values["learning_rate"])
        return {**values, "learning_rate": rate, "learning_rate_is_constant": constant}

    def _rate(self, value: float) -> float:
        return value if "float64" in self.sum_dtypes else float(np.float32(value))

    def _group(self, j: int) -> dict[str, Any]:
        """What a variable's group says; the variables are called by their numbers."""
        return (self.arguments.get("groups") or {}).get(f"variable_{j}", {})

    def _of_variable(self, h: dict[str, Any], j: int) -> dict[str, Any]:
        """The arguments of a call for one variable."""
        group = self._group(j)
        rate = self._rate(group["learning_rate"]) if "learning_rate" in group else h["learning_rate"]
        constant = h["learning_rate_is_constant"] or "learning_rate" in group
        own = {**group, "learning_rate_is_constant": constant}
        return {**h, **own, "learning_rate": rate * group.get("learning_rate_factor", 1.0)}

    def _update(self, h: dict[str, Any], gradients: dict[int, np.ndarray], idle: dict[int, np.ndarray]) -> None:
        """Updates the weights; the rows in ``idle``, and their state, are restored afterwards."""
        self.updates += 1
        t = self.updates
        self.paper.advance(h, t, self.shared)
        new = list(self.weights)
        for j, gradient in clip(h, gradients).items():
            known = {**self._of_variable(h, j), "shared": self.shared}
            lr = known["learning_rate"]
            decay = self.paper.decay(known, self.weights[j].shape) or 0.0
            left = 0.0 if self.paper.decays_itself else lr * decay
            decayed, held = self.weights[j] - left * self.weights[j], dict(self.slots[j])
            new[j] = self.paper.step({**known, "decay": decay}, t, lr, decayed, gradient, self.slots[j])
            for row in idle.get(j, ()):
                decayed[row] = new[j][row] = self.weights[j][row]
                for name, state in held.items():
                    self.slots[j][name][row] = state[row]
            self.total_changes[j] = self.total_changes[j] + np.abs(decayed - self.weights[j]) + np.abs(new[j] - decayed)
        self.paper.close(self.shared, self.slots)
        if h["use_ema"]:
            momentum = h["ema_momentum"] if t > 1 else 0.0
            self.averages = [momentum * a + (1 - momentum) * w for a, w in zip(self.averages, new, strict=True)]
            if h["ema_overwrite_frequency"] and t % h["ema_overwrite_frequency"] == 0:
                self.total_changes = [
                    total + np.abs(a - w) for total, a, w in zip(self.total_changes, self.averages, new, strict=True)
                ]
                new = self.averages
        self.weights = [self._stored(j, weight) for j, weight in enumerate(new)]

    def _stored(self, j: int, weight: np.ndarray) -> np.ndarray:
        return representable(weight, self.halves[j]) if j in self.halves else weight

    def state(self) -> list[np.ndarray]:
        """Every state variable in the order in which Keras 3 keeps them."""
        h = self.arguments
        state = [np.float64(self.calls)]
        if not callable(h["learning_rate"]):
            state.append(np.float64(np.float32(h["learning_rate"])))
        if h["use_ema"]:
            state += self.averages
        if (h["gradient_accumulation_steps"] or 1) > 1:
            state += self.sums
        state += [slots[name] for slots, name in self._places()]
        return [*state, *(np.float64(self.shared[name]) for name in self.paper.shared)]

    def _places(self) -> Iterator[tuple[dict[str, np.ndarray], str]]:
        """The place of each slot, in the order in which Keras 3 keeps them."""
        groups = [self.paper.groups(self.arguments, w.shape) for w in self.weights]
        for group in range(max(map(len, groups), default=0)):
            yield from ((slots, name) for slots, own in zip(self.slots, groups, strict=True) for name in own[group])

    def go_on_from(self, weights: list[np.ndarray], state: list[np.ndarray]) -> None:
        """Replaces the slots, and whatever is amplified, with those that the oracle is compared with."""
        if self.paper.amplifies:
            self.weights = list(weights)
            self.shared = dict(zip(self.paper.shared, map(float, state[-len(self.paper.shared) :]), strict=True))
        places = list(self._places())
        first = len(state) - len(places) - len(self.paper.shared)
        for (slots, name), stored in zip(places, state[first:], strict=False):
            slots[name] = stored
