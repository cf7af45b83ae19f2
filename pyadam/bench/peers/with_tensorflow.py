"""TensorFlow's fused operations, one per variable in a ``tf.function``, without Keras."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf

from pyadam.bench.columns import RATE, Column
from pyadam.bench.peers import NotOffered
from pyadam.bench.peers.graph import Gradients
from pyadam.parity.inputs import Slices


class Run:
    """The operation of the column, on plain TensorFlow variables."""

    def __init__(self, column: Column, weights: Iterable[np.ndarray], gradients: Iterable[np.ndarray | Slices]) -> None:
        if not column.fused or column.clip is not None or column.average is not None:
            raise NotOffered(f"TensorFlow has no operation for {column.title}")
        self.column = column
        self.variables = [tf.Variable(w) for w in weights]
        self.states: list[list[tf.Variable]] = []
        self.made = Gradients(gradients)
        self.t = tf.Variable(0.0)
        if self.made.has_rows and not column.fused_rows:
            raise NotOffered(f"TensorFlow has no operation for {column.title} on rows")
        self.step = tf.function(self._step, autograph=False)

    def _step(self) -> None:
        if not self.states:
            start = self.column.keras[1].get("initial_accumulator_value", 0.0)
            with tf.init_scope():
                self.states = [
                    [tf.Variable(tf.fill(w.shape, start)) for _ in range(self.column.states)] for w in self.variables
                ]
        t = self.t.assign_add(1.0)
        for w, g, states in zip(self.variables, self.made(), self.states, strict=True):
            if isinstance(g, tf.IndexedSlices):
                self._rows(w, g, states)
            else:
                self._dense(w, g, states, t)

    def _dense(self, w: Any, g: Any, states: list[Any], t: Any) -> None:
        given = dict(self.column.keras[1])
        name = self.column.fused
        operation = getattr(tf.raw_ops, f"ResourceApply{name}")
        kept = [state.handle for state in states]
        if name == "GradientDescent":
            operation(var=w.handle, alpha=RATE, delta=g)
        elif name == "KerasMomentum":
            operation(var=w.handle, accum=kept[0], lr=RATE, grad=g, momentum=given["momentum"])
        elif name == "AdagradV2":
            operation(var=w.handle, accum=kept[0], lr=RATE, epsilon=given["epsilon"], grad=g)
        else:
            operation(
                var=w.handle,
                **dict(zip(("m", "v", "vhat"), kept, strict=False)),
                beta1_power=given["beta_1"] ** t,
                beta2_power=given["beta_2"] ** t,
                lr=RATE,
                beta1=given["beta_1"],
                beta2=given["beta_2"],
                epsilon=given["epsilon"],
                grad=g,
            )

    def _rows(self, w: Any, g: tf.IndexedSlices, states: list[Any]) -> None:
        given = dict(self.column.keras[1])
        operation = getattr(tf.raw_ops, self.column.fused_rows)
        if not states:
            operation(resource=w.handle, indices=g.indices, updates=RATE * g.values)
        else:
            given.pop("initial_accumulator_value", None)
            operation(var=w.handle, accum=states[0].handle, lr=RATE, grad=g.values, indices=g.indices, **given)

    def values(self) -> list[np.ndarray]:
        return [v.numpy() for v in self.variables]
