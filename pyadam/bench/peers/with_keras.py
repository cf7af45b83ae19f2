"""pyadam and the two generations of Keras: an optimizer inside a ``tf.function``, as in ``fit``."""

import importlib
from collections.abc import Iterable

import numpy as np
import tensorflow as tf

from pyadam.bench.columns import RATE, Column
from pyadam.bench.peers import NotOffered
from pyadam.bench.peers.graph import Gradients
from pyadam.parity.inputs import Slices
from pyadam.xla import is_single_pass

_MODULES = {
    "pyadam": "pyadam",
    "keras": "keras.optimizers",
    "tf_keras": "tf_keras.optimizers",
    "legacy": "tf_keras.optimizers.legacy",
}
_SINCE_LEGACY = ("use_ema", "weight_decay")  # arguments that the legacy classes lack


class Run:
    """An optimizer of the named library.

    ``jit`` compiles the whole train step. ``single_pass`` is for a process with ``PYADAM_SINGLE_PASS=1``.
    """

    def __init__(
        self,
        column: Column,
        weights: Iterable[np.ndarray],
        gradients: Iterable[np.ndarray | Slices],
        library: str,
        jit: bool = False,
        single_pass: bool = False,
    ) -> None:
        if single_pass and not is_single_pass():
            raise NotOffered("XLA does not accept the option here")
        name, arguments = column.keras[0], column.everywhere
        optimizers = importlib.import_module(_MODULES[library])
        if not hasattr(optimizers, name):
            raise NotOffered(f"{library} has no {name}")
        lacking = [each for each in _SINCE_LEGACY if each in arguments]
        if library == "legacy" and lacking:
            raise NotOffered(f"the legacy classes have no {' and no '.join(lacking)}")
        self.optimizer = getattr(optimizers, name)(RATE, **arguments)
        if library in ("pyadam", "keras"):
            from keras import Variable
        else:
            from tensorflow import Variable
        self.variables = [Variable(w) for w in weights]
        made = Gradients(gradients)
        self.column = column

        def train() -> None:
            self.optimizer.apply_gradients(list(zip(made(), self.variables, strict=True)))

        self.step = tf.function(train, jit_compile=jit or None, autograph=False)

    def values(self) -> list[np.ndarray]:
        averages = []
        if self.column.average is not None:
            averages = self.optimizer._model_variables_moving_average
        return [np.asarray(v) for v in [*self.variables, *averages]]
