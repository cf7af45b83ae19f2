"""The optimizer classes for tf_keras, the second generation of Keras: ``pyadam.tf_keras.Adam`` and so on.

They take the arguments of the Keras 3 classes and give the same numbers; their state has tf_keras' layout, in which the
learning rate is not among the variables. Saved models name this module, so it stays where it is.
"""

from typing import TYPE_CHECKING

from pyadam.hosts.classes import attributes_of
from pyadam.hosts.tf_keras import CLASSES, Optimizer

if TYPE_CHECKING:
    from pyadam._tf_keras import *  # noqa: F403  the classes in CLASSES, as checkers see them
else:
    __getattr__ = attributes_of(__name__, CLASSES)


__all__ = ["Optimizer", *CLASSES]
