"""The variables that a replica of tf.distribute steps, and where the optimizer's own are made.

A strategy wraps each variable in a distributed one, with a component on each replica. A step can't assign to that wrapper:
TensorFlow would synchronize the replicas first, which a compiled program can't do. So every local replica has an `Engine`
of its own, over components. Where there is one local replica, the optimizer's state is made without a wrapper.
"""

import contextlib
import inspect
from collections.abc import Iterator
from typing import Any

import tensorflow as tf
from tensorflow.python.ops.resource_variable_ops import ResourceVariable  # what tf.Variable makes without a creator

from pyadam.optimizers.kinds import is_variable

__all__ = [
    "assign",
    "beside",
    "component",
    "components",
    "mirrors",
    "native",
    "of_replica",
    "plain_variable",
    "undistributed",
]


_ARGUMENTS = frozenset(inspect.signature(ResourceVariable.__init__).parameters)


def native(variable: Any) -> Any:
    """The tf.Variable behind a variable of either Keras; anything else as it is."""
    variable = getattr(variable, "_variable", variable)  # behind a mixed-precision one of tf_keras
    inner = getattr(variable, "value", variable) if is_variable(variable) else variable
    return variable if callable(inner) else inner


def components(variable: Any) -> tuple[Any, ...]:
    """What a distributed variable stands for: a variable for each local replica. Of any other variable, itself alone."""
    if hasattr(variable, "components"):
        return tuple(variable.components)
    strategy = getattr(variable, "distribute_strategy", None)
    return (variable,) if strategy is None else tuple(strategy.experimental_local_results(variable))


def component(variable: Any) -> Any:
    """The one variable that a distributed variable stands for, where there is one local replica; anything else as it is."""
    found = components(variable)
    return found[0] if len(found) == 1 else variable


def of_replica(variable: Any, local: int) -> Any:
    """What a local replica has in place of a variable: its component or, where there is one for all, that variable."""
    found = components(variable)
    return found[local] if len(found) > 1 else found[0]


def assign(variable: Any, value: Any) -> None:
    """Assigns a value on all local replicas, whichever one is in context."""
    for each in components(native(variable)):
        with tf.device(each.device):
            each.assign(value)


def plain_variable(value: Any) -> Any:
    """A variable that no strategy and no creator knows of, on the device in context."""
    return ResourceVariable(value, trainable=False)


def mirrors(strategy: Any) -> tuple[str, ...]:
    """The devices in this process on which a strategy mirrors variables; none if it does something else."""
    mirroring = tf.distribute.MirroredStrategy, tf.distribute.MultiWorkerMirroredStrategy
    return tuple(strategy.extended.worker_devices) if isinstance(strategy, mirroring) else ()


def undistributed() -> Any:
    """A context in which a strategy with one local replica makes the variables that would be made without it.

    Left to itself a strategy of several workers would also send each first value from one worker to all others.
    """

    def make(next_creator: Any, **arguments: Any) -> Any:
        devices = mirrors(tf.distribute.get_strategy())
        if len(devices) != 1:
            return component(next_creator(**arguments))
        with tf.device(devices[0]):
            return ResourceVariable(**{name: value for name, value in arguments.items() if name in _ARGUMENTS})

    return tf.variable_creator_scope(make)


@contextlib.contextmanager
def beside(variable: Any) -> Iterator[None]:
    """A context in which variables are made on the devices of this one, in the scope of its strategy or in none."""
    extended = tf.distribute.get_strategy().extended
    ours = isinstance(variable, tf.distribute.DistributedValues) and extended.variable_created_in_scope(variable)
    with extended.colocate_vars_with(variable) if ours else tf.device(component(variable).device):
        yield
