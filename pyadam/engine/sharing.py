"""Equal programs share what XLA compiles.

XLA keeps what it compiled for a function as long as the process lives, under the function's name, and TensorFlow gives each
trace a name of its own. So every optimizer that was made and dropped, as in cross-validation, left a compiled program behind,
about 1 MB. Here traces with the same operations become one function, whose variables are arguments like others.
"""

import hashlib
import threading
from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from tensorflow.python.eager import context

__all__ = ["shared"]

_PROGRAMS: WeakKeyDictionary[Any, dict[bytes, Any]] = WeakKeyDictionary()  # of each context: tests replace TensorFlow's
_LOCK = threading.Lock()


def shared(concrete: Any) -> Callable[[Sequence[Any]], Any]:
    """What calls a traced function with flat inputs: through an equal one, if there was one before.

    Args:
        concrete: a ``ConcreteFunction``.
    """
    own = concrete.inference_fn
    definition = own.definition
    # on a cluster functions live in other processes, too; and names of functions within differ from trace to trace
    if context.context().get_server_def() is not None or own.call_options.control_captures or _calls_others(definition):
        return lambda inputs: concrete._call_flat(list(inputs), concrete.captured_inputs)
    anonymous = type(definition)()
    anonymous.CopyFrom(definition)
    anonymous.signature.name = ""
    for node in anonymous.node_def:
        node.ClearField("experimental_debug_info")
    for argument in anonymous.arg_attr.values():
        argument.attr.pop("_user_specified_name", None)
    key = anonymous.SerializeToString(deterministic=True)
    with _LOCK:
        programs = _PROGRAMS.setdefault(context.context(), {})
        if key not in programs:
            anonymous.signature.name = f"pyadam_program_{hashlib.sha256(key).hexdigest()[:16]}"
            programs[key] = _registered(anonymous, own)
        program = programs[key]
    pack, captured = concrete.function_type.pack_output, concrete.captured_inputs
    return lambda inputs: pack(program.call_flat(*inputs, *captured))


def _registered(definition: Any, like: Any) -> Any:
    """A function that TensorFlow keeps, without the graph of the first trace, which holds the variables of its optimizer."""
    from tensorflow.python.eager.polymorphic_function.atomic_function import AtomicFunction

    here = context.context()
    here.add_function_def(definition)
    return AtomicFunction(definition.signature.name, here, like.function_type, call_options=like.call_options)


def _calls_others(definition: Any) -> bool:
    """Whether a function calls others, as branches and loops do."""
    return any(attr.HasField("func") or attr.list.func for node in definition.node_def for attr in node.attr.values())
