"""The optimizer classes for tf_keras, the second generation of Keras: ``pyadam.tf_keras.Adam`` and so on.

They take the arguments of the Keras 3 classes and give the same numbers; their state has tf_keras' layout, in which the
learning rate is not among the variables. Saved models name this module, so it stays where it is.
"""

import sys
from typing import TYPE_CHECKING

from pyadam.hosts.tf_keras import CLASSES, Optimizer
from pyadam.hosts.tf_keras import restored as _restored  # noqa: F401  pickled optimizers name it

if TYPE_CHECKING:
    from pyadam._tf_keras import *  # noqa: F403  the classes in CLASSES, as checkers see them

__all__ = ["Optimizer", *CLASSES]

# tf_keras looks for the class that a saved model names in the module's vars(), not among its attributes
globals().update(CLASSES)
vars(sys.modules["pyadam.loss_scale_tf_keras"]).update(LossScaleOptimizer=CLASSES["LossScaleOptimizer"])
