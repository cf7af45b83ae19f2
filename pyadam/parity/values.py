"""The argument values in the case table: numbers, functions and schedules, as literals that every language can read."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pyadam.optimizers.groups import Groups
from pyadam.optimizers.kinds import Choice, Count, DynamicNumber, Flag, Kind, LearningRate, Name, Number, Patterns

__all__ = [
    "EXERCISED",
    "NEEDS",
    "Clock",
    "PerStep",
    "Schedule",
    "by_kind",
    "drawn",
    "fits",
    "python_value",
    "r_arguments",
]


@dataclass
class Clock:
    """The number of the current step, from 1; `PerStep` arguments read it."""

    step: int = 1


@dataclass(frozen=True)
class PerStep:
    """An argument given as a function without arguments: ``base + slope / step``."""

    base: float
    slope: float

    def __call__(self, step: int) -> float:
        return self.base + self.slope / step

    def __str__(self) -> str:
        return f"function() {self.base} + {self.slope} / step"


@dataclass(frozen=True)
class Schedule:
    """A schedule: the end of its function's name, its arguments, and its value after a number of calls, reimplemented here.

    An `exact` one has exactly that value in float32 at every step, so float64 weights can be compared too.
    """

    kind: str
    arguments: dict[str, Any]
    value: Callable[..., float] = field(compare=False)
    exact: bool = True

    def __call__(self, step: int) -> float:
        return self.value(step - 1, **self.arguments)

    def __str__(self) -> str:
        return self.kind

    @property
    def function(self) -> str:
        return f"learning_rate_schedule_{self.kind}"


def _halving(calls: int, initial_learning_rate: float, decay_steps: int, decay_rate: float, staircase: bool) -> float:
    return initial_learning_rate * decay_rate ** (calls // decay_steps)


def _piecewise(calls: int, boundaries: list[int], values: list[float]) -> float:
    return values[sum(calls > boundary for boundary in boundaries)]


def _inverse_time(calls: int, initial_learning_rate: float, decay_steps: int, decay_rate: float) -> float:
    return initial_learning_rate / (1 + decay_rate * calls / decay_steps)


def _straight(calls: int, initial_learning_rate: float, decay_steps: int, end_learning_rate: float) -> float:
    left = 1 - min(calls, decay_steps) / decay_steps
    return (initial_learning_rate - end_learning_rate) * left + end_learning_rate


def _cosine(calls: int, initial_learning_rate: float, decay_steps: int, alpha: float) -> float:
    wave = (1 + np.cos(np.pi * min(calls / decay_steps, 1))) / 2
    return initial_learning_rate * (alpha + (1 - alpha) * wave)


def _restarts(calls: int, initial_learning_rate: float, first_decay_steps: int, t_mul: float, m_mul: float) -> float:
    while calls >= first_decay_steps:
        calls, first_decay_steps = calls - first_decay_steps, first_decay_steps * t_mul
        initial_learning_rate *= m_mul
    return initial_learning_rate * (1 + np.cos(np.pi * calls / first_decay_steps)) / 2


HALVING = Schedule(
    "exponential_decay",
    {"initial_learning_rate": 0.02, "decay_steps": 10, "decay_rate": 0.5, "staircase": True},
    _halving,
)
PIECEWISE = Schedule("piecewise_constant_decay", {"boundaries": [10, 30], "values": [0.05, 0.02, 0.002]}, _piecewise)

# Each optimizer gets one of these, in turn.
IN_TURN = (
    Schedule(
        "inverse_time_decay", {"initial_learning_rate": 0.0625, "decay_steps": 16, "decay_rate": 1.0}, _inverse_time
    ),
    Schedule(
        "polynomial_decay",
        {"initial_learning_rate": 0.0625, "decay_steps": 32, "end_learning_rate": 0.0078125},
        _straight,
    ),
    Schedule("cosine_decay", {"initial_learning_rate": 0.05, "decay_steps": 40, "alpha": 0.1}, _cosine, exact=False),
    Schedule(
        "cosine_decay_restarts",
        {"initial_learning_rate": 0.05, "first_decay_steps": 12, "t_mul": 2.0, "m_mul": 0.5},
        _restarts,
        exact=False,
    ),
)

# The values of each argument in the table, the most revealing one first.
EXERCISED: dict[str, tuple[Any, ...]] = {
    "learning_rate": (0.03, PerStep(0.0, 0.05), PIECEWISE, HALVING),
    "beta_1": (0.5, 0.0, PerStep(0.5, 0.4)),
    "beta_2": (0.95, PerStep(0.9, 0.05)),
    "epsilon": (0.001, 0.0),
    "weight_decay": (0.01,),
    "clipnorm": (0.5,),
    "clipvalue": (0.1,),
    "global_clipnorm": (0.5,),
    "ema_momentum": (0.9, 0.0, 1.0),
    "ema_overwrite_frequency": (7, 1),
    "loss_scale_factor": (128.0,),
    "gradient_accumulation_steps": (4, 1),
    "name": ("another_name",),
    "slot_dtype": ("bfloat16",),
    "groups": (
        {"variable_0": {"learning_rate": 0.01, "weight_decay": 0.02}},
        {"variable_0": {"learning_rate_factor": 0.5}},
        {"variable_0": {"frozen": True}},
    ),
    "momentum": (0.8,),
    "learning_rate_power": (-0.7, 0.0),
    "adam_beta_1": (0.5, PerStep(0.5, 0.4)),
    "beta_2_decay": (-0.5,),
    "epsilon_1": (1e-6,),
    "clip_threshold": (0.3,),
    "exclude_layers": (["another"], ["(?i)variable"]),
    "muon_a": (3.0,),
    "muon_b": (-4.5,),
    "muon_c": (1.5,),
}

# Other arguments that an argument needs to have an effect.
NEEDS: dict[str, dict[str, Any]] = {
    "ema_momentum": {"use_ema": True},
    "ema_overwrite_frequency": {"use_ema": True},
    "nesterov": {"momentum": 0.9},
    "relative_step": {"learning_rate": 0.5},
}


def fits(kind: Kind, value: Any) -> bool:
    """Whether a value is allowed, as far as it is known before it is called."""
    if isinstance(value, PerStep | Schedule):
        return True
    try:
        kind.check("", "", value)
    except (TypeError, ValueError):
        return False
    return True


def by_kind(kind: Kind, default: Any) -> tuple[Any, ...]:
    """Revealing values, chosen by kind, of an argument that `EXERCISED` lacks."""
    if isinstance(kind, Flag):
        return (not default,)
    if isinstance(kind, Count):
        return (kind.at_least + 2,)
    if isinstance(kind, Number):
        low, high = max(kind.low, -1.0), min(kind.high, 1.0)
        return (round(low + 0.3 * (high - low), 3),)
    raise NotImplementedError(f"no values of kind {kind} are known: add a row to EXERCISED")


# Range of log10 that random values are drawn from if the argument's own range is open.
MAGNITUDES = {
    "learning_rate": (-4, -1),
    "learning_rate_power": (-1, 0),
    "beta_2_decay": (-1, 0),
    "epsilon": (-8, -2),
    "epsilon_1": (-30, -3),
    "epsilon_2": (-4, -1),
    "weight_decay": (-4, -1),
    "loss_scale_factor": (-1, 4),
}


def drawn(rng: np.random.Generator, name: str, kind: Kind, default: Any) -> Any:
    """A random value of an argument."""
    if isinstance(kind, Flag):
        return bool(rng.integers(2))
    if isinstance(kind, Groups):
        return EXERCISED["groups"][rng.integers(3)]
    if isinstance(kind, Count):
        return kind.at_least + int(rng.integers(12))
    if isinstance(kind, Patterns):
        return [["(?i)variable"], ["another"]][rng.integers(2)]
    if isinstance(kind, Choice):
        return str(rng.choice(kind.choices))
    if isinstance(kind, Name):
        return "".join(rng.choice(list("abcdefgh"), 5))
    if isinstance(kind, LearningRate) and rng.random() < 0.4:
        return (PIECEWISE, HALVING, PerStep(0.001, 0.03))[rng.integers(3)]
    if isinstance(kind, DynamicNumber) and kind.high_open and rng.random() < 0.1:
        return PerStep(0.4, 0.3)
    if isinstance(kind, Number):
        if np.isfinite([kind.low, kind.high]).all():
            return (int(100 * rng.uniform(kind.low, kind.high)) or kind.low_open) / 100
        if not np.isfinite([kind.low, kind.high]).any():
            return float(f"{default * rng.uniform(0.98, 1.02):.3g}")
        size = float(f"{10 ** rng.uniform(*MAGNITUDES.get(name, (-2, 1))):.2g}")
        return size if kind.low == 0.0 else -size
    raise NotImplementedError(f"no values of kind {kind} can be drawn")


def python_value(value: Any, clock: Clock) -> Any:
    """A literal of the table as a Python user passes it."""
    if isinstance(value, PerStep):
        return lambda: value(clock.step)
    if isinstance(value, Schedule):
        import pyadam

        return getattr(pyadam, value.function)(**value.arguments)
    return value


def r_literal(value: Any) -> str:
    """A literal of the table as an R user writes it: whole numbers as doubles, None as NULL."""
    if value is None or isinstance(value, bool):
        return {None: "NULL", True: "TRUE", False: "FALSE"}[value]
    if isinstance(value, Schedule):
        return f"{value.function}({r_arguments(value.arguments)})"
    if isinstance(value, list):
        return f"c({', '.join(map(r_literal, value))})"
    if isinstance(value, dict):
        return f"list({r_arguments(value)})"
    return f'"{value}"' if isinstance(value, str) else str(value)


def r_arguments(arguments: dict[str, Any]) -> str:
    """The arguments of a call in R."""
    return ", ".join(f"{name} = {r_literal(value)}" for name, value in arguments.items())
