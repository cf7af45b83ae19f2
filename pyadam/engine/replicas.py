"""tf.distribute: the replicas of this process, and the variables that each of them steps.

A strategy wraps each variable in a distributed one, with a component on each replica. A step can't assign to that wrapper:
TensorFlow would synchronize the replicas first, which a compiled program can't do. So every local replica has an `Engine`
of its own, over components. Where there is one local replica, the optimizer's state is made without a wrapper.
"""

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import tensorflow as tf

from pyadam.engine.compiler import inside_xla
from pyadam.optimizers.kinds import is_variable

__all__ = ["Replicas", "assign", "beside", "component", "components", "native", "of_replica", "undistributed"]


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
    """What a local replica has in the place of a variable: its component or, where there is one for all, that variable."""
    found = components(variable)
    return found[local] if len(found) > 1 else found[0]


def assign(variable: Any, value: Any) -> None:
    """Assigns a value on all local replicas, whichever one is in context."""
    for each in components(native(variable)):
        with tf.device(each.device):
            each.assign(value)


def undistributed() -> Any:
    """A context in which a strategy with one local replica makes the variables that would be made without it."""
    return tf.variable_creator_scope(lambda next_creator, **kwargs: component(next_creator(**kwargs)))


@contextlib.contextmanager
def beside(variable: Any) -> Iterator[None]:
    """A context in which variables are made on the devices of this one, in the scope of its strategy or in none."""
    extended = tf.distribute.get_strategy().extended
    ours = extended.variable_created_in_scope(variable)
    with extended.colocate_vars_with(variable) if ours else tf.device(component(variable).device):
        yield


class Replicas:
    """The replicas that one optimizer steps: those of the strategy in whose scope it was made.

    Args:
        owner: the optimizer's class, for messages.

    Attributes:
        strategy: the strategy.
        size: the number of replicas, those of other workers among them.
        local: the number of those in this process.

    Raises:
        NotImplementedError: the strategy has several replicas and is none that pyadam knows.
    """

    def __init__(self, owner: str) -> None:
        self.owner, self.strategy = owner, tf.distribute.get_strategy()
        self.size = int(self.strategy.num_replicas_in_sync)
        known = tf.distribute.MirroredStrategy, tf.distribute.MultiWorkerMirroredStrategy
        devices = tuple(self.strategy.extended.worker_devices) if isinstance(self.strategy, known) else ()
        if self.size > 1 and not devices:
            raise NotImplementedError(
                f"{owner}: {type(self.strategy).__name__} with {self.size} replicas is not supported; use MirroredStrategy or "
                "MultiWorkerMirroredStrategy, or give it one device"
            )
        self.devices = devices if self.size > 1 else ("",)

    @property
    def local(self) -> int:
        """The number of replicas in this process."""
        return len(self.devices)

    @property
    def _name(self) -> str:
        return type(self.strategy).__name__

    def scope(self) -> Any:
        """A context in which the strategy makes the variables, wherever we are."""
        inside = self.size == 1 or tf.distribute.get_strategy() is self.strategy
        return contextlib.nullcontext() if inside else self.strategy.scope()

    def check_variables(self, variables: Iterable[tuple[str, Any]]) -> None:
        """Refuses model variables, given with their paths, that the strategy did not make.

        Raises:
            ValueError: a variable from outside of the scope, or from that of another strategy.
            NotImplementedError: a variable that is divided among devices.
        """
        for path, variable in variables:
            if not isinstance(variable, tf.Variable):
                raise NotImplementedError(
                    f"{self.owner}: {path} is a {type(variable).__name__}, divided among devices, which is not supported; make "
                    "the strategy without variable_partitioner"
                )
            made_by = getattr(variable, "distribute_strategy", None)
            if self.size > 1 and made_by is not self.strategy:
                raise ValueError(
                    f"{self.owner}: {path} was not made within the scope of the optimizer's {self._name}; make model and "
                    "optimizer within the same strategy.scope()"
                )
            if self.size == 1 and made_by is not None and made_by.num_replicas_in_sync > 1:
                raise ValueError(
                    f"{self.owner}: the optimizer was not made within the scope of the {type(made_by).__name__} that made "
                    f"{path}; make model and optimizer within the same strategy.scope()"
                )

    def current(self) -> int:
        """The number of the local replica whose step is being taken.

        Raises:
            RuntimeError: there are several replicas, and we are in the context of none of them.
            ValueError: the optimizer does not belong to the strategy that is stepping, or XLA compiles the step as a whole.
        """
        strategy = tf.distribute.get_strategy()
        if self.size == 1:
            if strategy.num_replicas_in_sync > 1:
                raise ValueError(
                    f"{self.owner}: the optimizer was not made within the scope of the {type(strategy).__name__} that takes "
                    "the step; make model and optimizer within the same strategy.scope()"
                )
            return 0
        context = tf.distribute.get_replica_context()
        if context is None or strategy is not self.strategy:
            raise RuntimeError(
                f"{self.owner}: a step of {self.size} replicas must be taken on each of them; call apply() in a function that "
                "strategy.run() is given, as fit() does"
            )
        if inside_xla() and "CPU" in self.devices[0]:
            raise ValueError(
                f"{self.owner}: a train step that is compiled as a whole can't take place on several CPUs; set "
                "jit_compile=False in compile() or tf.function"
            )
        return int(tf.get_static_value(context.replica_id_in_sync_group)) % self.local
