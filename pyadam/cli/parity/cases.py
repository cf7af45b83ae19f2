"""What parity compares: one table of cases, as data.

A case is an optimizer, its arguments as plain literals, and the variables and gradients that it meets. The table is laid out
from the specs, so a new optimizer or argument has its rows without a line here; ``EXERCISED`` and ``EXTRAS`` only say
which values are telling. Numbers are decimals of few digits: every language's parser reads the same double from them.
"""

import dataclasses
import fnmatch
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pyadam.arguments import Count, DynamicNumber, Flag, Kind, LearningRate, Name, Number, Patterns
from pyadam.specs import SPECS, Spec, arguments

__all__ = ["Case", "Clock", "PerStep", "Schedule", "python_value", "r_call", "random_cases", "select", "table"]

STEPS = 50
SHAPES = ((3, 4), (5,), (), (0, 3))
MORE_SHAPES = ((2, 3, 2), (1,), (0,), (1, 1), (40, 3), (2, 1, 2, 1), *SHAPES)
HALVES = ("float16", "bfloat16")


@dataclass
class Clock:
    """The number of the step that is under way, from 1; what a `PerStep` argument looks at."""

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
    """A schedule by the end of its function's name, its arguments, and its value after so many calls, written here anew.

    One that is `exact` has that value in float32 at every step, so that float64 weights can be held against it, too.
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

# Each optimizer has one of these, in turn.
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

# The values of an argument that the table holds, the most telling one first.
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
    "momentum": (0.8,),
    "learning_rate_power": (-0.7, 0.0),
    "adam_beta_1": (0.5, PerStep(0.5, 0.4)),
    "beta_2_decay": (-0.5,),
    "epsilon_1": (1e-6,),
    "clip_threshold": (0.3,),
    "exclude_layers": (["(?i)variable"], ["another"]),
    "muon_a": (3.0,),
    "muon_b": (-4.5,),
    "muon_c": (1.5,),
}

# What an argument needs beside it before it has an effect.
NEEDS: dict[str, dict[str, Any]] = {
    "ema_momentum": {"use_ema": True},
    "ema_overwrite_frequency": {"use_ema": True},
    "nesterov": {"momentum": 0.9},
}


@dataclass(frozen=True)
class Case:
    """One run of one optimizer: `arguments` as literals, variable j has ``dtypes[j % len(dtypes)]``.

    `gradients` is "dense", "sparse" (variables of rank 2 and more get IndexedSlices with rows that repeat) or
    "some none" (every variable but the first is left without a gradient now and then).
    """

    name: str
    optimizer: str
    arguments: dict[str, Any] = field(default_factory=dict)
    dtypes: tuple[str, ...] = ("float32",)
    shapes: tuple[tuple[int, ...], ...] = SHAPES
    gradients: str = "dense"
    steps: int = STEPS

    def dtype(self, variable: int) -> str:
        return self.dtypes[variable % len(self.dtypes)]

    def filled(self) -> list[int]:
        """The variables that have elements."""
        return [j for j, shape in enumerate(self.shapes) if 0 not in shape]

    def value(self, argument: str) -> Any:
        """The value of an argument, given or default."""
        return self.arguments.get(argument, arguments(SPECS[self.optimizer])[argument].default)

    def without_keras(self) -> str:
        """Why Keras' own class is no measure for this case; empty where it is. Rows are those of SEMANTICS, table 2."""
        accumulates = self.arguments.get("gradient_accumulation_steps") is not None
        if any(dtype in HALVES for dtype in self.dtypes):
            return "row 4: Keras computes 16-bit weights in 16 bits"
        if accumulates and self.arguments.get("use_ema"):
            return "row 7: Keras averages every call"
        if accumulates and self.gradients == "some none":
            return "row 7: Keras forgets what it accumulated where the last gradient is None"
        if self.arguments.get("gradient_accumulation_steps") == 1:
            return "Keras refuses gradient_accumulation_steps=1"
        if any(isinstance(self.arguments.get(name), PerStep) for name in ("beta_1", "beta_2")):
            return "Keras takes no function as beta"
        if len(set(self.dtypes)) > 1:
            return "Keras' global norm and its Nadam want one dtype for all variables"
        beta_2 = self.arguments.get("beta_2", 0.0)
        if "float32" in self.dtypes and isinstance(beta_2, float) and beta_2 > 0.999:
            return "Keras rounds 1 - beta_2 to float32"
        return ""


# Rows beside "one argument at a time": (label, arguments, other fields of the case). An argument that an optimizer does
# not have is left out there.
EXTRAS: tuple[tuple[str, dict[str, Any], dict[str, Any]], ...] = (
    ("sparse", {"learning_rate": 0.1}, {"gradients": "sparse"}),
    ("sparse, clipnorm", {"clipnorm": 0.3}, {"gradients": "sparse"}),
    ("sparse, accumulate", {"gradient_accumulation_steps": 3}, {"gradients": "sparse"}),
    ("sparse, bfloat16", {"learning_rate": 0.02}, {"gradients": "sparse", "dtypes": ("bfloat16",)}),
    ("some none", {"weight_decay": 0.01}, {"gradients": "some none"}),
    ("some none, EMA", {"use_ema": True, "ema_overwrite_frequency": 6}, {"gradients": "some none"}),
    ("accumulate, EMA", {"gradient_accumulation_steps": 5, "use_ema": True, "ema_overwrite_frequency": 3}, {}),
    ("accumulate, clip, decay", {"gradient_accumulation_steps": 2, "clipvalue": 0.2, "weight_decay": 0.01}, {}),
    ("accumulate, schedule", {"gradient_accumulation_steps": 4, "learning_rate": PIECEWISE}, {}),
    ("amsgrad, decay, clip", {"amsgrad": True, "weight_decay": 0.02, "global_clipnorm": 1.0}, {}),
    ("uncompiled, EMA, clip", {"jit_compile": False, "use_ema": True, "global_clipnorm": 1.0}, {}),
    ("mixed dtypes", {"global_clipnorm": 1.0}, {"dtypes": ("float32", "float64", "float32")}),
    ("bfloat16", {"learning_rate": 0.02}, {"dtypes": ("bfloat16",)}),
    ("float16", {"learning_rate": 0.02}, {"dtypes": ("float16",)}),
    ("float16, EMA, decay", {"use_ema": True, "weight_decay": 0.01}, {"dtypes": ("float16", "float32")}),
    ("one variable", {}, {"shapes": ((17,),)}),
)


def by_kind(kind: Kind, default: Any) -> tuple[Any, ...]:
    """Telling values of an argument that `EXERCISED` does not know, from its kind."""
    if isinstance(kind, Flag):
        return (not default,)
    if isinstance(kind, Count):
        return (kind.at_least + 2,)
    if isinstance(kind, Number):
        low, high = max(kind.low, -1.0), min(kind.high, 1.0)
        return (round(low + 0.3 * (high - low), 3),)
    raise NotImplementedError(f"no values of kind {kind} are known: add a row to EXERCISED")


def _label(arguments: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in arguments.items()) or "defaults"


def _rows(spec: type[Spec], whole: bool) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    yield "defaults", {}, {}
    for name, argument in arguments(spec).items():
        values = EXERCISED.get(name) or by_kind(argument.metadata["kind"], argument.default)
        if name == "learning_rate":
            values += (IN_TURN[list(SPECS.values()).index(spec) % len(IN_TURN)],)
        for value in values if whole else values[:1]:
            given = {**NEEDS.get(name, {}), name: value}
            yield _label(given), given, {}
    for label, given, fields in EXTRAS:
        known = {name: value for name, value in given.items() if name in arguments(spec)}
        yield label, known, fields


def table(whole: bool = True) -> list[Case]:
    """The cases: every optimizer x every argument, each row in float32 and in float64.

    With ``whole=False`` an argument has its first value only, and rows take float32 and float64 in turn.
    """
    cases = []
    for spec in SPECS.values():
        for index, (label, given, fields) in enumerate(_rows(spec, whole)):
            inexact = any(isinstance(value, Schedule) and not value.exact for value in given.values())
            both = (("float32",), ("float64",))[: 1 if inexact else 2]
            dtypes = [fields["dtypes"]] if "dtypes" in fields else both if whole else [both[index % len(both)]]
            for each in dtypes:
                name = f"{spec.__name__} {label}" + ("" if "dtypes" in fields else f" {each[0]}")
                cases.append(Case(name, spec.__name__, given, **{**fields, "dtypes": each}))
    return cases


# Range of log10 that random values are drawn from, where the range of the argument leaves it open.
MAGNITUDES = {"learning_rate": (-4, -1), "epsilon": (-8, -2), "weight_decay": (-4, -1), "loss_scale_factor": (-1, 4)}


def _draw(rng: np.random.Generator, name: str, kind: Kind) -> Any:
    if isinstance(kind, Flag):
        return bool(rng.integers(2))
    if isinstance(kind, Count):
        return kind.at_least + int(rng.integers(12))
    if isinstance(kind, Patterns):
        return [["(?i)variable"], ["another"]][rng.integers(2)]
    if isinstance(kind, Name):
        return "".join(rng.choice(list("abcdefgh"), 5))
    if isinstance(kind, LearningRate) and rng.random() < 0.4:
        return (PIECEWISE, HALVING, PerStep(0.001, 0.03))[rng.integers(3)]
    if isinstance(kind, DynamicNumber) and kind.high < np.inf and rng.random() < 0.1:
        return PerStep(0.4, 0.3)
    if isinstance(kind, Number):
        if kind.high < np.inf:
            return int(100 * rng.uniform(kind.low, kind.high)) / 100
        return float(f"{10 ** rng.uniform(*MAGNITUDES.get(name, (-2, 1))):.2g}")
    raise NotImplementedError(f"no values of kind {kind} can be drawn")


def random_cases(count: int, seed: int) -> list[Case]:
    """`count` cases with arguments drawn from the specs' ranges; the same for the same seed."""
    rng = np.random.default_rng(seed)
    cases = []
    for index in range(count):
        spec = list(SPECS.values())[rng.integers(len(SPECS))]
        given: dict[str, Any] = {}
        for name, argument in arguments(spec).items():
            value = _draw(rng, name, argument.metadata["kind"])
            if rng.random() < 0.35:
                given |= {**NEEDS.get(name, {}), name: value}
        for clip in [name for name in ("clipnorm", "clipvalue", "global_clipnorm") if name in given][1:]:
            del given[clip]
        fields: dict[str, Any] = {
            "gradients": str(rng.choice(["dense", "dense", "sparse", "some none"])),
            "dtypes": (str(rng.choice(["float32", "float32", "float64", "bfloat16"])),),
            "shapes": (SHAPES[0], *(MORE_SHAPES[j] for j in rng.permutation(len(MORE_SHAPES))[: rng.integers(1, 4)])),
        }
        name = f"{spec.__name__} random {seed}.{index} {fields['gradients']} {fields['dtypes'][0]}"
        cases.append(Case(name, spec.__name__, given, **fields))
    return cases


def select(cases: list[Case], patterns: Iterable[str]) -> list[Case]:
    """The cases whose name holds one of the patterns: a part of the name or a shell pattern, in capitals or not."""
    wanted = [f"*{pattern.lower()}*" for pattern in patterns]
    return [case for case in cases if any(fnmatch.fnmatchcase(case.name.lower(), each) for each in wanted)]


def python_value(value: Any, clock: Clock) -> Any:
    """A literal of the table as Python's users give it."""
    if isinstance(value, PerStep):
        return lambda: value(clock.step)
    if isinstance(value, Schedule):
        import pyadam

        return getattr(pyadam, value.function)(**value.arguments)
    return value


def r_literal(value: Any) -> str:
    """A literal of the table as R's users write it: whole numbers as doubles, None as NULL."""
    if value is None or isinstance(value, bool):
        return {None: "NULL", True: "TRUE", False: "FALSE"}[value]
    if isinstance(value, Schedule):
        return f"{value.function}({_r_arguments(value.arguments)})"
    if isinstance(value, list):
        return f"c({', '.join(map(r_literal, value))})"
    return f'"{value}"' if isinstance(value, str) else str(value)


def _r_arguments(arguments: dict[str, Any]) -> str:
    return ", ".join(f"{name} = {r_literal(value)}" for name, value in arguments.items())


def r_call(case: Case) -> str:
    """The call that makes the optimizer of a case in R, such as ``optimizer_adam(beta_1 = 0.5)``."""
    return f"{SPECS[case.optimizer].r_name}({_r_arguments(case.arguments)})"


def with_compilation(case: Case, jit_compile: bool) -> Case:
    """The same case, compiled or not."""
    return dataclasses.replace(case, arguments={**case.arguments, "jit_compile": jit_compile})
