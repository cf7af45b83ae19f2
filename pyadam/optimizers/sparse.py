"""Sparse gradients: one table decides which rows of a weight a step reads and writes."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

__all__ = ["FEW", "LAZY_CONFLICTS", "POLICY", "Conflict", "Policy", "Situation", "Way"]


FEW = 0.25
"""The share of a variable's rows up to which they are few."""


class Way(Enum):
    """How a step handles a gradient."""

    DENSE = "made dense"
    ROWS = "by rows; the other rows keep their values"
    ALL_ROWS = "by rows; the other rows move as they would with a zero gradient"


@dataclass(frozen=True)
class Situation:
    """The facts that decide how a sparse gradient is handled, for a variable whose shape is known.

    Attributes:
        lazy: the rule updates only the rows of a sparse gradient.
        elementwise: each element's update depends on that element alone.
        idle: a zero gradient leaves weight and slots unchanged: no decay, no averages.
        norms: gradients are clipped by norm.
        accumulates: several calls make one update.
        rounded_slots: slots are stored in bfloat16.
        small: the variable is updated together with other small ones.
        inside_xla: the whole train step is compiled by XLA.
        joins_loops: so it is, with the option behind a single pass.
        separate_loops: each new value can be computed in its own loop, from old values.
        few_rows: the gradient has at most `FEW` of the variable's rows.
    """

    lazy: bool
    elementwise: bool
    idle: bool
    norms: bool
    accumulates: bool
    rounded_slots: bool
    small: bool
    inside_xla: bool
    joins_loops: bool
    separate_loops: bool
    few_rows: bool


class Policy(NamedTuple):
    """One row of the table.

    Attributes:
        holds: whether the row applies; the first row that does decides.
        way: how the gradient is then handled.
        reason: when the row applies, and why.
    """

    holds: Callable[[Situation], bool]
    way: Way
    reason: str


POLICY: tuple[Policy, ...] = (
    Policy(lambda s: s.lazy, Way.ROWS, "A lazy optimizer updates only these rows, by definition."),
    Policy(lambda s: not s.elementwise, Way.DENSE, "The rule needs the whole variable, for a sum or a matrix product."),
    Policy(
        lambda s: s.norms,
        Way.DENSE,
        "A norm over rows would sum in a different order than one over the whole gradient.",
    ),
    Policy(lambda s: s.accumulates, Way.DENSE, "Accumulated gradients may have different rows; their sum is dense."),
    Policy(lambda s: s.rounded_slots, Way.DENSE, "Stochastic rounding moves every row."),
    Policy(lambda s: s.small, Way.DENSE, "The variable is small and shares a loop with others."),
    Policy(
        lambda s: s.joins_loops,
        Way.DENSE,
        "XLA compiles the whole train step with the option of a single pass, and would join two scatters, which it can't.",
    ),
    Policy(lambda s: s.idle, Way.ROWS, "A zero gradient changes nothing, to the bit."),
    Policy(lambda s: s.inside_xla, Way.DENSE, "XLA compiles the whole train step, and orders its loops itself."),
    Policy(
        lambda s: s.separate_loops and s.few_rows,
        Way.ALL_ROWS,
        f"At most {FEW:.0%} of the rows have a gradient, and each new value can have its own loop.",
    ),
    Policy(lambda s: True, Way.DENSE, "Otherwise."),
)


class Conflict(NamedTuple):
    """An argument that a sparse gradient of a lazy optimizer can't be combined with.

    Attributes:
        argument: its name.
        words: the conflicting use, as the documentation puts it.
        holds: whether a spec's value conflicts.
        remedy: what to set it to.
    """

    argument: str
    words: str
    holds: Callable[[Any], bool]
    remedy: str


LAZY_CONFLICTS: tuple[Conflict, ...] = (
    Conflict("use_ema", "``use_ema``", lambda h: h.use_ema, "set use_ema=False"),
    Conflict(
        "gradient_accumulation_steps",
        "``gradient_accumulation_steps`` above 1",
        lambda h: (h.gradient_accumulation_steps or 1) > 1,
        "set gradient_accumulation_steps=1",
    ),
    Conflict("slot_dtype", "``slot_dtype``", lambda h: h.slot_dtype is not None, "set slot_dtype=None (NULL in R)"),
)
