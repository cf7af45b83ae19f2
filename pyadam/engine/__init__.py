"""One step over a whole list of variables, compiled: what happens in which order, and how it is launched.

The names here are all that other packages use.
"""

from pyadam.engine.agreement import check_agreement
from pyadam.engine.arena import memories
from pyadam.engine.clipping import clip
from pyadam.engine.compiler import Program, is_single_pass, single_pass
from pyadam.engine.components import (
    assign,
    beside,
    component,
    mirrors,
    native,
    of_replica,
    plain_variable,
    undistributed,
)
from pyadam.engine.components import (
    components as components_of,
)
from pyadam.engine.dynamic import Dynamic, belongs_to_r
from pyadam.engine.gradients import as_real, compute_dtype, gradient_dtype, has_plain_values, typed
from pyadam.engine.lanes import make_arenas
from pyadam.engine.part import Part
from pyadam.engine.reduction import LocalGradient, reduced
from pyadam.engine.replicas import Replicas
from pyadam.engine.sharded import Sharded
from pyadam.engine.shards import Shards, state_bytes
from pyadam.engine.step import Engine
from pyadam.engine.target import Target
from pyadam.engine.update import hyper_of_group, of_group
from pyadam.engine.wire import Call, Wire

__all__ = [
    "Call",
    "Dynamic",
    "Engine",
    "LocalGradient",
    "Part",
    "Program",
    "Replicas",
    "Sharded",
    "Shards",
    "Target",
    "Wire",
    "as_real",
    "assign",
    "belongs_to_r",
    "beside",
    "check_agreement",
    "clip",
    "component",
    "components_of",
    "compute_dtype",
    "gradient_dtype",
    "has_plain_values",
    "hyper_of_group",
    "is_single_pass",
    "make_arenas",
    "memories",
    "mirrors",
    "native",
    "of_group",
    "of_replica",
    "plain_variable",
    "reduced",
    "single_pass",
    "state_bytes",
    "typed",
    "undistributed",
]
