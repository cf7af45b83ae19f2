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

import tensorflow as tf
from tensorflow.python.eager import context

__all__ = ["shared"]

_PROGRAMS: WeakKeyDictionary[Any, dict[str, Any]] = WeakKeyDictionary()  # of each context: tests replace TensorFlow's
_LOCK = threading.Lock()


def shared(concrete: Any) -> Callable[[Sequence[Any]], Any]:
    """What calls a traced function with flat inputs: through an equal one, if there was one before.

    Args:
        concrete: a ``ConcreteFunction``.
    """
    own = concrete.inference_fn
    # on a cluster functions live in other processes, too
    if context.context().get_server_def() is not None or own.call_options.control_captures:
        return lambda inputs: concrete._call_flat(list(inputs), concrete.captured_inputs)
    with _LOCK:
        program = _by_content(own, _PROGRAMS.setdefault(context.context(), {}))
    pack, captured = concrete.function_type.pack_output, concrete.captured_inputs
    return lambda inputs: pack(program.call_flat(*inputs, *captured))


def _by_content(function: Any, programs: dict[str, Any]) -> Any:
    """A function whose name follows from what it does, as do those of functions that it calls: the first one, or a copy.

    It is kept without the graph of the trace, which holds the variables of its optimizer.
    """
    from tensorflow.python.eager.polymorphic_function.atomic_function import AtomicFunction

    called = {tf.compat.as_str(child.name): _by_content(child, {}) for child in function.children}
    definition = type(function.definition)()
    definition.CopyFrom(function.definition)
    definition.signature.name = ""
    for node in definition.node_def:
        node.ClearField("experimental_debug_info")
        for attr in node.attr.values():
            for callee in [attr.func] if attr.HasField("func") else attr.list.func:
                callee.name = called[callee.name].name
    for argument in definition.arg_attr.values():
        argument.attr.pop("_user_specified_name", None)
    digest = hashlib.sha256(definition.SerializeToString(deterministic=True)).hexdigest()
    name = definition.signature.name = f"pyadam_program_{digest[:32]}"
    here = context.context()
    if not here.has_function(name):
        here.add_function_def(definition)
    if name not in programs:
        programs[name] = AtomicFunction(
            name, here, function.function_type, list(called.values()), call_options=function.call_options
        )
    return programs[name]
