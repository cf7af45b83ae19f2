"""Runs cases with another library, in a process that knows no TensorFlow: ``python -m pyadam.parity.run_peer LIBRARY FOLDER``.

The folder has ``calls.json``, a list of functions and arguments, and for each an ``.npz`` file of weights and gradients; the
weights after every step come beside it.
"""

import importlib
import json
import sys
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np


def steps_of_optax(
    call: tuple[str, dict[str, Any]], weights: list[np.ndarray], steps: Any
) -> Iterator[list[np.ndarray]]:
    """The weights after each step."""
    import jax
    import optax

    jax.config.update("jax_enable_x64", True)
    name, given = call
    rule = reduce(getattr, name.split("."), optax)(**given)
    held = [jax.numpy.asarray(w) for w in weights]
    state = rule.init(held)
    for gradients in steps:
        updates, state = rule.update([jax.numpy.asarray(g) for g in gradients], state, held)
        held = optax.apply_updates(held, updates)
        yield [np.asarray(w) for w in held]


def steps_of_torch(
    call: tuple[str, dict[str, Any]], weights: list[np.ndarray], steps: Any
) -> Iterator[list[np.ndarray]]:
    """The weights after each step."""
    torch = importlib.import_module("torch")
    name, given = call
    held = [torch.nn.Parameter(torch.from_numpy(w.copy())) for w in weights]
    optimizer = getattr(torch.optim, name)(held, **given)
    for gradients in steps:
        for weight, gradient in zip(held, gradients, strict=True):
            weight.grad = torch.from_numpy(gradient)
        optimizer.step()
        yield [w.detach().numpy().copy() for w in held]


STEPS = {"optax": steps_of_optax, "torch": steps_of_torch}


def main(library: str, folder: Path) -> None:
    """Runs all cases of the folder."""
    for number, call in enumerate(json.loads((folder / "calls.json").read_text())):
        with np.load(folder / f"{number}.npz") as inputs:
            count = sum(name.startswith("w") for name in inputs)
            steps = range(1, 1 + sum(name.startswith("g") for name in inputs) // count)
            weights = [inputs[f"w{j}"] for j in range(count)]
            gradients = [[inputs[f"g0_{step}_{j}"] for j in range(count)] for step in steps]
        try:
            after = list(STEPS[library](call, weights, gradients))
        except AttributeError as error:
            if call[0].rpartition(".")[2] not in str(error):
                raise
            np.savez(
                folder / f"{library}-{number}.npz", error=str(error)
            )  # an older version, which has no such optimizer
            continue
        found = {f"w{j}": np.stack([each[j] for each in after]) for j in range(count)}
        np.savez(folder / f"{library}-{number}.npz", **found)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
