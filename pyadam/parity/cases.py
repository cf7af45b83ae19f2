"""What parity compares: one table of cases, as data.

A case is an optimizer, its arguments as plain literals, and its variables and gradients. The table is generated from the specs,
so a new optimizer or argument gets its rows without a line here; ``EXERCISED`` and ``EXTRAS`` only choose revealing values.
Numbers are short decimals, which every language's parser reads as the same double.
"""

import dataclasses
import fnmatch
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np

from pyadam.optimizers import SPECS, Spec, arguments
from pyadam.optimizers.sparse import LAZY_CONFLICTS
from pyadam.parity.papers import PAPERS
from pyadam.parity.values import (
    EXERCISED,
    IN_TURN,
    NEEDS,
    PIECEWISE,
    PerStep,
    Schedule,
    by_kind,
    drawn,
    fits,
    r_arguments,
)

__all__ = ["Case", "r_call", "random_cases", "select", "table"]

STEPS = 50
FEWER_STEPS = 20  # without --all
SHAPES = ((3, 4), (5,), (), (0, 3))
MORE_SHAPES = ((2, 3, 2), (1,), (0,), (1, 1), (40, 3), (2, 1, 2, 1), *SHAPES)
LARGE = (1400, 3)
HALVES = ("float16", "bfloat16")


@dataclass(frozen=True)
class Case:
    """One run of one optimizer: `arguments` as literals, variable j has ``dtypes[j % len(dtypes)]``.

    `gradients` is "dense", "sparse" (variables of rank 2 and more get IndexedSlices with repeated rows) or "some none"
    (every variable but the first sometimes has no gradient).
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

    def refused(self) -> bool:
        """Whether the optimizer is lazy and its arguments can't be combined with sparse gradients."""
        lazy = self.optimizer in PAPERS and PAPERS[self.optimizer].lazy and self.gradients == "sparse"
        values = SimpleNamespace(**{name: self.value(name) for name in arguments(SPECS[self.optimizer])})
        return lazy and any(conflict.holds(values) for conflict in LAZY_CONFLICTS)

    def filled(self) -> list[int]:
        """The variables that have elements."""
        return [j for j, shape in enumerate(self.shapes) if 0 not in shape]

    def value(self, argument: str) -> Any:
        """The value of an argument, given or default."""
        return self.arguments.get(argument, arguments(SPECS[self.optimizer])[argument].default)

    @property
    def has_paper(self) -> bool:
        """Whether there is an oracle for it: not for a custom rule."""
        return self.optimizer in PAPERS

    def without_keras(self) -> str:
        """Why this case is not compared with Keras' own class, or "". Numbers are those of docs/differences.md."""
        if not SPECS[self.optimizer].in_keras:
            return f"Keras has no {self.optimizer}"
        if self.value("groups"):
            return "Keras has no groups"
        if self.optimizer == "ScheduleFreeAdamW":
            return "27: Keras' ScheduleFreeAdamW reads z when it has changed"
        accumulates = self.arguments.get("gradient_accumulation_steps") is not None
        if any(dtype in HALVES for dtype in self.dtypes):
            return "4: Keras computes 16-bit weights in 16 bits"
        if accumulates and self.arguments.get("use_ema"):
            return "7: Keras averages every call"
        if accumulates and self.gradients == "some none":
            return "Keras forgets what it accumulated if the last gradient is None"
        if self.arguments.get("gradient_accumulation_steps") == 1:
            return "Keras refuses gradient_accumulation_steps=1"
        if self.value("slot_dtype"):
            return "Keras keeps its slots in the weight's dtype"
        if any(isinstance(value, PerStep) for name, value in self.arguments.items() if name != "learning_rate"):
            return "Keras accepts no function for beta"
        if self.optimizer == "Muon" and "float64" in self.dtypes:
            return "19: Keras' Muon raises an error for float64 weights"
        if self.optimizer == "Lion" and self.arguments.get("beta_1") == 0.0:
            return "Keras' Lion refuses beta_1=0, though its message allows it"
        if self.arguments.get("relative_step") is False:
            return "18: Keras' Adafactor caps the learning rate even without relative_step"
        if len(set(self.dtypes)) > 1:
            return "Keras' global norm and its Nadam need one dtype for all variables"
        beta_2 = self.arguments.get("beta_2", 0.0)
        if "float32" in self.dtypes and isinstance(beta_2, float) and beta_2 > 0.999:
            return "Keras rounds 1 - beta_2 to float32"
        return ""


# Rows that together cover all common arguments. Without --all the first one also has the optimizer's own arguments.
TOGETHER: tuple[tuple[str, dict[str, Any], dict[str, Any]], ...] = (
    ("decay, clipnorm, loss scale", {"weight_decay": 0.01, "clipnorm": 0.5, "loss_scale_factor": 128.0}, {}),
    (
        "EMA, global_clipnorm, uncompiled",
        {
            "use_ema": True,
            "ema_momentum": 0.9,
            "ema_overwrite_frequency": 7,
            "global_clipnorm": 0.5,
            "jit_compile": False,
            "name": "another_name",
        },
        {},
    ),
    (
        "accumulate, clipvalue, bfloat16 slots, sharded, groups",  # several replicas divide the state
        {
            "gradient_accumulation_steps": 4,
            "clipvalue": 0.1,
            "slot_dtype": "bfloat16",
            "shard_state": True,
            "groups": {"variable_0": {"learning_rate_factor": 0.5}},
        },
        {"dtypes": ("float32",)},
    ),
)

# Rows in addition to "one argument at a time": (label, arguments, other fields of the case). Arguments that an optimizer
# lacks are left out. Large tables exceed the size up to which variables share memory (engine/lanes.py), and have more than
# four times as many rows as their gradients (inputs.py).
EXTRAS: tuple[tuple[str, dict[str, Any], dict[str, Any]], ...] = (
    ("sparse", {"learning_rate": 0.1}, {"gradients": "sparse"}),
    ("sparse, clipnorm", {"clipnorm": 0.3}, {"gradients": "sparse"}),
    ("sparse, decay, global_clipnorm", {"weight_decay": 0.01, "global_clipnorm": 0.5}, {"gradients": "sparse"}),
    ("sparse, clipvalue, amsgrad", {"clipvalue": 0.2, "amsgrad": True}, {"gradients": "sparse"}),
    ("sparse, accumulate", {"gradient_accumulation_steps": 3}, {"gradients": "sparse"}),
    ("sparse, bfloat16", {"learning_rate": 0.02}, {"gradients": "sparse", "dtypes": ("bfloat16",)}),
    ("sparse, large", {}, {"gradients": "sparse", "shapes": (LARGE, (5,))}),
    ("sparse, large, decay", {"weight_decay": 0.01}, {"gradients": "sparse", "shapes": (LARGE, (5,))}),
    ("some none", {"weight_decay": 0.01}, {"gradients": "some none"}),
    ("some none, EMA", {"use_ema": True, "ema_overwrite_frequency": 6}, {"gradients": "some none"}),
    ("accumulate, EMA", {"gradient_accumulation_steps": 5, "use_ema": True, "ema_overwrite_frequency": 3}, {}),
    ("accumulate, clip, decay", {"gradient_accumulation_steps": 2, "clipvalue": 0.2, "weight_decay": 0.01}, {}),
    ("accumulate, schedule", {"gradient_accumulation_steps": 4, "learning_rate": PIECEWISE}, {}),
    ("amsgrad, decay, clip", {"amsgrad": True, "weight_decay": 0.02, "global_clipnorm": 1.0}, {}),
    ("mixed dtypes", {"global_clipnorm": 1.0}, {"dtypes": ("float32", "float64", "float32")}),
    ("bfloat16", {"learning_rate": 0.02}, {"dtypes": ("bfloat16",)}),
    ("float16", {"learning_rate": 0.02}, {"dtypes": ("float16",)}),
    ("float16, EMA, decay", {"use_ema": True, "weight_decay": 0.01}, {"dtypes": ("float16", "float32")}),
    ("one variable", {}, {"shapes": ((17,),)}),
    (
        "bfloat16 slots, sparse",
        {"slot_dtype": "bfloat16", "amsgrad": True},
        {"gradients": "sparse", "dtypes": ("bfloat16",)},
    ),
    (
        "bfloat16 slots, some none",
        {"slot_dtype": "bfloat16", "use_ema": True},
        {"gradients": "some none", "dtypes": ("float32",)},
    ),
)


def _label(arguments: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in arguments.items()) or "defaults"


def _rows(spec: type[Spec], whole: bool) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    turn = list(SPECS.values()).index(spec)
    yield "defaults", {}, {}
    own: dict[str, Any] = {}
    for name, argument in arguments(spec).items():
        kind = argument.metadata["kind"]
        values = tuple(value for value in EXERCISED.get(name, ()) if fits(kind, value))
        values = values or by_kind(kind, argument.default)
        if name == "learning_rate":
            values += (IN_TURN[turn % len(IN_TURN)],)
        if name in spec.__annotations__:
            own |= {**NEEDS.get(name, {}), name: values[0]}
        for value in values if whole else ():
            given = {**NEEDS.get(name, {}), name: value}
            yield _label(given), given, {}
    first, *others = TOGETHER
    if not whole:
        first = (f"own arguments, {first[0]}", own | first[1], first[2])
    for label, given, fields in (first, *others, *(EXTRAS if whole else EXTRAS[turn :: 2 * len(SPECS)])):
        known = {name: value for name, value in given.items() if name in arguments(spec)}
        yield label, known, fields


def table(whole: bool = True) -> list[Case]:
    """The cases: every optimizer x every argument, each row in float32 and in float64.

    With ``whole=False`` one row has the first values of all the optimizer's own arguments, the common arguments share a few
    rows, most other rows go to one optimizer each, rows alternate between float32 and float64, and there are fewer steps.
    """
    cases = []
    for spec in SPECS.values():
        for index, (label, given, fields) in enumerate(_rows(spec, whole)):
            inexact = any(isinstance(value, Schedule) and not value.exact for value in given.values())
            both = (("float32",), ("float64",))[: 1 if inexact or "slot_dtype" in given else 2]
            dtypes = [fields["dtypes"]] if "dtypes" in fields else both if whole else [both[index % len(both)]]
            for each in dtypes:
                name = f"{spec.__name__} {label}" + ("" if "dtypes" in fields else f" {each[0]}")
                steps = STEPS if whole else FEWER_STEPS
                cases.append(Case(name, spec.__name__, given, **{"steps": steps, **fields, "dtypes": each}))
    return [case for case in cases if not case.refused()]


def random_cases(count: int, seed: int) -> list[Case]:
    """`count` cases with arguments drawn from the specs' ranges; the same for the same seed."""
    rng = np.random.default_rng(seed)
    cases = []
    for index in range(count):
        spec = list(SPECS.values())[rng.integers(len(SPECS))]
        given: dict[str, Any] = {}
        for name, argument in arguments(spec).items():
            value = drawn(rng, name, argument.metadata["kind"], argument.default)
            if rng.random() < 0.35:
                given |= {**NEEDS.get(name, {}), name: value}
        if given.get("jit_compile") is False:
            given.pop("shard_state", None)  # uncompiled steps depend on where in a tensor an element lies
        clips = [name for name in ("clipnorm", "clipvalue", "global_clipnorm") if name in given]
        for clip in rng.permutation(clips)[1:]:
            del given[clip]
        fields: dict[str, Any] = {
            "gradients": str(rng.choice(["dense", "dense", "sparse", "some none"])),
            "dtypes": (str(rng.choice(["float32", "float32", "float64", "bfloat16"])),),
            "shapes": (SHAPES[0], *(MORE_SHAPES[j] for j in rng.permutation(len(MORE_SHAPES))[: rng.integers(1, 4)])),
        }
        if Case("", spec.__name__, given, **fields).refused():
            fields["gradients"] = "dense"
        if fields["dtypes"] == ("float64",):
            given.pop("slot_dtype", None)  # float64 weights refuse it
        name = f"{spec.__name__} random {seed}.{index} {fields['gradients']} {fields['dtypes'][0]}"
        cases.append(Case(name, spec.__name__, given, **fields))
    return cases


def select(cases: list[Case], patterns: Iterable[str]) -> list[Case]:
    """The cases whose name contains one of the patterns, plain or with shell wildcards, ignoring case."""
    wanted = [f"*{pattern.lower()}*" for pattern in patterns]
    return [case for case in cases if any(fnmatch.fnmatchcase(case.name.lower(), each) for each in wanted)]


def r_call(case: Case) -> str:
    """The call that makes the optimizer of a case in R, such as ``optimizer_adam(beta_1 = 0.5)``."""
    return f"{SPECS[case.optimizer].r_name}({r_arguments(case.arguments)})"


def with_compilation(case: Case, jit_compile: bool) -> Case:
    """The same case, compiled or not."""
    return dataclasses.replace(case, arguments={**case.arguments, "jit_compile": jit_compile})
