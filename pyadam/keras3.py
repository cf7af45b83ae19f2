"""The optimizer classes for Keras 3. `pyadam.Adam` is this module's; saved models name it, so it stays where it is."""

from typing import TYPE_CHECKING

from pyadam.hosts.classes import attributes_of
from pyadam.hosts.keras3 import CLASSES, Optimizer

if TYPE_CHECKING:
    from pyadam._keras3 import *  # noqa: F403  the classes in CLASSES, as checkers see them
else:
    __getattr__ = attributes_of(__name__, CLASSES)


__all__ = ["Optimizer", *CLASSES]
