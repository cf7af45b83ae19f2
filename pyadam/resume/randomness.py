"""Where random numbers come from during training, and the state of these sources."""

import random
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.eager import context

from pyadam.resume.values import from_json, to_json

__all__ = [
    "global_seed",
    "keep_in_variables",
    "restore_generators",
    "state_of_generators",
    "stateful_operations",
    "variables",
]

# Operations of TensorFlow whose state can't be read.
_STATEFUL = (
    "RandomUniform",
    "RandomUniformInt",
    "RandomStandardNormal",
    "TruncatedNormal",
    "RandomShuffle",
    "Multinomial",
    "RandomGamma",
    "RandomPoissonV2",
    "ParameterizedTruncatedNormal",
    "RandomCrop",
)


def global_seed() -> int | None:
    """The seed that ``tf.random.set_seed`` or ``set_random_seed`` of either Keras set, or None."""
    seed = context.global_seed()
    return None if seed is None else int(seed)


def _eager() -> random.Random | None:
    """What numbers the random operations of eager mode, if a seed was set."""
    generator: random.Random | None = getattr(context.context(), "_rng", None)
    return generator


def state_of_generators() -> dict[str, Any]:
    """The states of Python's, NumPy's and TensorFlow's generators, as JSON."""
    eager = _eager()  # numbers the random operations of eager mode
    return {
        "python": to_json(random.getstate()),
        "numpy": to_json(np.random.get_state()),  # noqa: NPY002
        "tensorflow": None if eager is None else to_json(eager.getstate()),
    }


def restore_generators(state: dict[str, Any]) -> None:
    """Sets the generators to such states."""
    random.setstate(from_json(state["python"]))
    np.random.set_state(from_json(state["numpy"]))  # noqa: NPY002
    eager = _eager()
    if eager is not None and state["tensorflow"] is not None:
        eager.setstate(from_json(state["tensorflow"]))


def variables(model: Any) -> list[Any]:
    """The variables of TensorFlow's and Keras 3's global generators, and of those of tf_keras' layers.

    Generators of Keras 3's layers belong to the variables of the model.
    """
    found = [tf.random.get_global_generator().state]
    own = (getattr(generator, "_generator", None) for generator in _generators(model))
    found += [each.state for each in own if each is not None]
    if "keras" in sys.modules:
        from keras.src.backend.common.global_state import get_global_attribute

        seeds = get_global_attribute("global_seed_generator")
        found += [] if seeds is None else [seeds.state.value]
    return found


def _generators(model: Any) -> list[Any]:
    """What the layers of tf_keras draw their random numbers from."""
    found = [getattr(layer, "_random_generator", None) for layer in getattr(model, "_flatten_layers", lambda: ())()]
    return [each for each in found if hasattr(each, "_rng_type")]


def keep_in_variables(model: Any) -> bool:
    """Makes layers of tf_keras, such as Dropout, draw from generators whose state is in variables.

    By default they draw from TensorFlow's operations, which show their state to nobody.

    Returns:
        whether something has changed.
    """
    changed = False
    for generator in _generators(model):
        if getattr(generator, "_rng_type", None) == "legacy_stateful":
            generator._rng_type, generator._built, changed = "stateful", False, True
            generator._maybe_init()
    return changed


def stateful_operations(function: Any) -> list[str]:
    """The names of operations that draw random numbers from a state which can't be read.

    Args:
        function: a tf.function, or what Keras 3 has wrapped around one.
    """
    found: set[str] = set()
    for compiled in _compiled(function):
        for concrete in compiled._list_all_concrete_functions():
            definition = concrete.graph.as_graph_def()
            nodes = [*definition.node, *(node for each in definition.library.function for node in each.node_def)]
            found |= {node.name for node in nodes if node.op in _STATEFUL}
    return sorted(found)


def _compiled(function: Any) -> Iterator[Any]:
    """The tf.functions that a function is or calls."""
    if hasattr(function, "_list_all_concrete_functions"):
        yield function
    for cell in getattr(function, "__closure__", None) or ():
        yield from _compiled(cell.cell_contents)
