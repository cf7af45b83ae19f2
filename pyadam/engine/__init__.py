"""One step over a whole list of variables, compiled: what happens in which order, and how it is launched.

The names here are all that other packages use.
"""

from pyadam.engine.arena import memories
from pyadam.engine.compiler import Program, is_single_pass, single_pass
from pyadam.engine.dynamic import Dynamic
from pyadam.engine.gradients import as_real, clip, compute_dtype, gradient_dtype, has_plain_values
from pyadam.engine.lanes import Target, make_arenas
from pyadam.engine.part import Part
from pyadam.engine.replicas import beside, check_one_replica, component, native, undistributed
from pyadam.engine.step import Engine

__all__ = [
    "Dynamic",
    "Engine",
    "Part",
    "Program",
    "Target",
    "as_real",
    "beside",
    "check_one_replica",
    "clip",
    "component",
    "compute_dtype",
    "gradient_dtype",
    "has_plain_values",
    "is_single_pass",
    "make_arenas",
    "memories",
    "native",
    "single_pass",
    "undistributed",
]
