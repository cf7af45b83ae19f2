"""Where random numbers come from during training, and the state of these sources."""

import contextlib
import random
import sys
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.eager import context
from tensorflow.python.framework import op_def_registry

from pyadam.resume.values import from_json, to_json

__all__ = [
    "global_seed",
    "keep_in_variables",
    "restore_generators",
    "state_of_generators",
    "stateful_operations",
    "variables",
]


def global_seed() -> int | None:
    """The seed that ``tf.random.set_seed`` or ``set_random_seed`` of either Keras set, or None."""
    seed = context.global_seed()
    return None if seed is None else int(seed)


def _eager() -> random.Random | None:
    """What numbers the random operations of eager mode, if a seed was set."""
    generator: random.Random | None = getattr(context.context(), "_rng", None)
    return generator


def state_of_generators() -> dict[str, Any]:
    """The states of Python's, NumPy's, TensorFlow's and Keras 3's global generators, as JSON."""
    eager, seeds = _eager(), _seeds()
    return {
        "python": to_json(random.getstate()),
        "numpy": to_json(np.random.get_state()),  # noqa: NPY002
        "tensorflow": None if eager is None else to_json(eager.getstate()),
        "keras": None if seeds is None else to_json(np.array(seeds.state.numpy())),
    }


def restore_generators(state: dict[str, Any]) -> None:
    """Sets the generators to such states."""
    random.setstate(from_json(state["python"]))
    np.random.set_state(from_json(state["numpy"]))  # noqa: NPY002
    eager = _eager()
    if eager is not None and state["tensorflow"] is not None:
        eager.setstate(from_json(state["tensorflow"]))
    if state["keras"] is not None:
        from keras.src.random.seed_generator import global_seed_generator

        global_seed_generator().state.assign(from_json(state["keras"]))  # made by the first draw, which may be to come


def _seeds() -> Any:
    """Keras 3's global generator, if something was drawn from it."""
    if "keras" not in sys.modules:
        return None
    from keras.src.backend.common.global_state import get_global_attribute

    return get_global_attribute("global_seed_generator")


def variables(model: Any) -> list[Any]:
    """The variables of TensorFlow's global generator, and of those of tf_keras' layers.

    Generators of Keras 3's layers belong to the variables of the model.
    """
    found = [tf.random.get_global_generator().state]
    own = (getattr(generator, "_generator", None) for generator in _generators(model))
    return found + [each.state for each in own if each is not None]


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
            found |= {node.name for node in nodes if _draws(node)}
    return sorted(found)


def _draws(node: Any) -> bool:
    """Whether an operation keeps the state of random numbers to itself: TensorFlow gives those two seeds."""
    operation = op_def_registry.get(node.op)
    seeds = operation is not None and operation.is_stateful and any(each.name == "seed2" for each in operation.attr)
    return seeds and not ("dropout" in node.attr and node.attr["dropout"].f == 0.0)  # a recurrent layer of cuDNN


def _compiled(function: Any, seen: Collection[int] = ()) -> Iterator[Any]:
    """The tf.functions that a function is or calls."""
    if hasattr(function, "_list_all_concrete_functions"):
        yield function
    for cell in getattr(function, "__closure__", None) or ():
        with contextlib.suppress(ValueError):  # an empty cell
            if id(cell.cell_contents) not in seen:
                yield from _compiled(cell.cell_contents, {*seen, id(function)})
