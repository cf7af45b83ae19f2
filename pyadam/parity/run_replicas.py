"""Runs a case on several replicas of `tf.distribute`, each on a part of the CPU. R's optimizers take their steps here, too."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

import pyadam
from pyadam.engine import native, of_replica
from pyadam.parity.cases import Case
from pyadam.parity.compare import Values
from pyadam.parity.inputs import Inputs
from pyadam.parity.run_python import Run, Session

__all__ = ["run_on_replicas", "split_cpu", "train_step", "values"]


def split_cpu(count: int) -> None:
    """Makes the CPU count as several devices. Call it before TensorFlow uses a device."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    if len(tf.config.get_logical_device_configuration(cpu) or []) == count:
        return
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)


def train_step(strategy: Any, optimizer: Any, weights: Sequence[Any]) -> Callable[[Sequence[Sequence[Any]]], None]:
    """A graph that takes one step on all replicas. It is called with the gradients of each replica."""

    def on_replica(gradients: Sequence[Sequence[Any]]) -> None:
        context = tf.distribute.get_replica_context()
        own = gradients[int(tf.get_static_value(context.replica_id_in_sync_group))]
        optimizer.apply_gradients(list(zip(own, weights, strict=True)))

    def step(gradients: Sequence[Sequence[Any]]) -> None:
        strategy.run(on_replica, (gradients,))

    return tf.function(step, autograph=False)


def values(variable: Any, replicas: int) -> np.ndarray:
    """What each replica has of a variable, in float64, along a new first axis."""
    found = [of_replica(native(variable), replica) for replica in range(replicas)]
    return np.stack([np.asarray(each.numpy()).astype(np.float64) for each in found])


class Replicas(Session):
    """An optimizer with the variables of a case, mirrored on several replicas."""

    def __init__(self, case: Case, inputs: Sequence[Inputs]) -> None:
        strategy = tf.distribute.MirroredStrategy([f"CPU:{replica}" for replica in range(len(inputs))])
        with strategy.scope():
            super().__init__(getattr(pyadam, case.optimizer), case, inputs[0])
        self.inputs_of_each = inputs
        self.on_all = train_step(strategy, self.optimizer, self.weights)

    def apply(self, number: int, dense: bool) -> None:
        """Applies each replica's own gradients of a step."""
        self.on_all([self.gradients(inputs, number, dense) for inputs in self.inputs_of_each])

    def values(self) -> Values:
        """Weights and state of each replica as they are now."""
        count = len(self.inputs_of_each)
        return [values(w, count) for w in self.weights], [values(s, count) for s in self.optimizer.variables]


def run_on_replicas(case: Case, inputs: Sequence[Inputs]) -> Run:
    """All steps on as many replicas as there are inputs; the values of the replicas are stacked, along a first axis."""
    return Replicas(case, inputs).run()
