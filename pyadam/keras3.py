"""The optimizer classes for Keras 3. `pyadam.Adam` is this module's; saved models name it, so it stays where it is."""

from typing import TYPE_CHECKING

from pyadam.hosts.keras3 import CLASSES, Optimizer

if TYPE_CHECKING:
    from pyadam._keras3 import *  # noqa: F403  the classes in CLASSES, as checkers see them

__all__ = ["Optimizer", *CLASSES]

globals().update(CLASSES)
