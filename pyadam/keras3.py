"""The optimizer classes for Keras 3. `pyadam.Adam` is this module's; saved models name it, so it stays where it is."""

from typing import TYPE_CHECKING, Any

from pyadam.hosts.keras3 import CLASSES, Optimizer

if TYPE_CHECKING:
    from pyadam._keras3 import *  # noqa: F403  the classes in CLASSES, as checkers see them
else:

    def __getattr__(name: str) -> Any:
        if name in CLASSES:
            return CLASSES[name]
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["Optimizer", *CLASSES]
