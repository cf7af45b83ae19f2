"""One step over a whole list of variables, compiled: what happens in which order, and how it is launched."""

from pyadam.engine.step import Engine, Target

__all__ = ["Engine", "Target"]
