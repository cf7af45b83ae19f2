"""The replicas of tf.distribute that an optimizer steps, and what is refused there."""

import contextlib
import threading
from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from pyadam.engine.compiler import inside_xla
from pyadam.engine.components import mirrors

__all__ = ["Replicas", "graph_of_run"]


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
        devices = mirrors(self.strategy)
        if self.size > 1 and not devices:
            raise NotImplementedError(
                f"{owner}: {type(self.strategy).__name__} with {self.size} replicas is not supported; use MirroredStrategy or "
                "MultiWorkerMirroredStrategy, or give it one device"
            )
        self.devices = devices if self.size > 1 else ("",)
        if list(self.devices) != sorted(
            self.devices, key=lambda name: tf.DeviceSpec.from_string(name).device_index or 0
        ):
            raise ValueError(
                f"{owner}: the devices of {type(self.strategy).__name__} must be in the order of their numbers, got "
                f"{', '.join(name.rpartition('device:')[2] for name in self.devices)}"
            )

    @property
    def local(self) -> int:
        """The number of replicas in this process."""
        return len(self.devices)

    @property
    def first(self) -> int:
        """The number of the first replica of this process among all."""
        if self.local == self.size:
            return 0
        resolver = self.strategy.cluster_resolver
        has_chief = resolver.task_type != "chief" and "chief" in resolver.cluster_spec().jobs
        return self.local * (int(resolver.task_id) + has_chief)

    def rank(self, local: int) -> int:
        """The number of a local replica among all."""
        return self.first + local

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
                parts = getattr(variable, "variables", ())  # they have its name, it has not
                path = parts[0].name.rpartition("/part_")[0] if parts else path
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
            RuntimeError: there are several replicas, and we are in the context of none of them, or in a graph within an
                eager one.
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
                f"{self.owner}: a step of {self.size} replicas must be taken on each of them: make the model within the "
                f"strategy.scope() of the optimizer's {self._name} and call fit(), or call apply() in a function that "
                "strategy.run() of that strategy is given"
            )
        if self.local > 1 and _in_a_loop():
            raise RuntimeError(
                f"{self.owner}: a step in a loop of the function that strategy.run() is given would wait for ever, because "
                "TensorFlow's collectives don't meet across loops; put the loop around strategy.run()"
            )
        if self.local > 1 and _replicas_run_in_turn() and not tf.executing_eagerly():
            raise RuntimeError(
                f"{self.owner}: a step in a tf.function that an eager strategy.run() calls would wait for ever, because "
                "there the replicas run one after the other; put the call of strategy.run() into a tf.function"
            )
        if inside_xla() and "CPU" in self.devices[0]:
            raise ValueError(
                f"{self.owner}: a train step that is compiled as a whole can't take place on several CPUs; set "
                "jit_compile=False in compile() or tf.function"
            )
        return int(tf.get_static_value(context.replica_id_in_sync_group)) % self.local


def graph_of_run() -> Any:
    """The graph in which ``strategy.run`` was called, in MirroredStrategy's thread for a replica; elsewhere None."""
    return getattr(threading.current_thread(), "graph", None)


def _in_a_loop() -> bool:
    """Whether a loop is being traced that began within the function of a replica."""
    outer = graph_of_run()
    graph = tf.compat.v1.get_default_graph()
    while graph is not None and graph is not outer:
        if type(graph).__name__ == "WhileBodyFuncGraph":
            return True
        graph = getattr(graph, "outer_graph", None)
    return False


def _replicas_run_in_turn() -> bool:
    """Whether this is a thread of MirroredStrategy for a replica, and ``strategy.run`` was called eagerly."""
    return bool(getattr(threading.current_thread(), "in_eager", False))
