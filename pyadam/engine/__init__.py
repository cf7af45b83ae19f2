"""One step over a whole list of variables, compiled: what happens in which order, and how it is launched."""

from pyadam.engine.lanes import Target
from pyadam.engine.step import Engine

__all__ = ["Engine", "Target"]
