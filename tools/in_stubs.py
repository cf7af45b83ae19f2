"""The type stubs: what checkers and editors can't see because it is created at run time."""

import dataclasses
import inspect
import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

from functions import NOTE, OPTIMIZERS, SCHEDULES, Function

import pyadam
from pyadam import specs
from pyadam.optimizers import kinds
from pyadam.optimizers.groups import Groups
from pyadam.optimizers.multi import ByPattern, Chooser
from pyadam.optimizers.spec import described

HEAD = f"# {NOTE.format('optimizers/ and pyadam/hosts/schedules.py')}\n"
RATE = specs.arguments(specs.SPECS["Adam"])["learning_rate"]
COMMON = {field.name: field for field in (RATE, *dataclasses.fields(specs.Spec))}  # common to all optimizers

# The type an attribute returns, and the type it and an argument accept, as named in pyadam/_typing.pyi.
TYPES = {
    kinds.Flag: ("bool", "bool"),
    kinds.Name: ("str", "str"),
    kinds.Count: ("int", "Count"),
    kinds.Number: ("float", "Number"),
    kinds.DynamicNumber: ("Value", "DynamicNumber"),
    kinds.LearningRate: ("Value", "LearningRate"),
    kinds.Inner: ("Any", "AnyOptimizer"),
    ByPattern: ("Any", "Mapping[str, AnyOptimizer]"),
    Chooser: ("Any", "Callable[[Any], Any]"),
    Groups: ("tuple[dict[str, Any], ...]", "GroupsOf"),
}


def package() -> str:
    """``pyadam/__init__.pyi``: the functions, and imports of everything else."""
    classes = sorted((f.spec.__name__ for f in OPTIMIZERS), key=lambda name: (not name.isupper(), name.lower()))
    lines = [
        HEAD,
        "from collections.abc import Callable, Mapping, Sequence",
        "from typing import Any, Literal",
        "",
        "from keras.optimizers.schedules import LearningRateSchedule",
        "",
        "from pyadam import schedules as schedules",
        "from pyadam import specs as specs",
        "from pyadam import tf_keras as tf_keras",
        "from pyadam import xla as xla",
        *(f"from pyadam._keras3 import {name} as {name}" for name in classes),
        "from pyadam._typing import AnyOptimizer, Count, DynamicNumber, GroupsOf, LearningRate, Number",
        "from pyadam._version import __version__ as __version__",
        "from pyadam.hosts.groups import layerwise_decay as layerwise_decay",
        "from pyadam.hosts.own import new_optimizer_class as new_optimizer_class",
        "from pyadam.interchange import convert as convert",
        "from pyadam.optimizers.kinds import NA as NA",
        "from pyadam.resume import Resume as Resume",
        "",
        *list_of_all(pyadam.__all__),
        "",
        f"def info{inspect.signature(pyadam.info)}:",
        *docstring([inspect.getdoc(pyadam.info) or ""]),
    ]
    for f in OPTIMIZERS + SCHEDULES:
        result = "LearningRateSchedule" if f in SCHEDULES else f.spec.__name__
        lines += ["", f"def {f.name}(", *parameters(f, f.signature), f") -> {result}:"]
        lines += docstring(documentation(f, f.signature))
    return "\n".join([*lines, ""])


def classes(module: str) -> str:
    """The classes for a generation of Keras, with the base class from this module."""
    only_keras_3 = {"MultiOptimizer": "multi", "OptimizerMap": "multi"}
    wrappers = {"LossScaleOptimizer": f"loss_scale_{module}", **(only_keras_3 if module == "keras3" else {})}
    listed = [f for f in OPTIMIZERS if f.spec.__name__ in wrappers or f.spec in specs.SPECS.values()]
    lines = [
        HEAD,
        "from collections.abc import Callable, Mapping, Sequence"
        if module == "keras3"
        else "from collections.abc import Sequence",
        "from typing import Any, Literal",
        "",
        "from pyadam._typing import AnyOptimizer, Attribute, Count, DynamicNumber, GroupsOf, LearningRate, Number, Value",
        *sorted(
            [
                f"from pyadam.{module} import Optimizer",
                *(f"from pyadam.hosts.{home} import {name} as _{name}" for name, home in wrappers.items()),
            ]
        ),
        "",
        *list_of_all(f.spec.__name__ for f in listed),
        "",
        "class _Optimizer(Optimizer):",
        "    iterations: Attribute[Value, Any]",
        '    """The number of updates so far."""',
        *attributes(COMMON),
    ]
    for f in listed:
        is_spec = f.spec in specs.SPECS.values()
        lines += ["", f"class {f.spec.__name__}({'_Optimizer' if is_spec else f'_{f.spec.__name__}'}):"]
        lines += [*docstring(documentation(f, f.in_class)), ""]
        lines += attributes({name: field for name, field in f.fields.items() if is_spec and name not in COMMON})
        lines += ["    def __init__(", "        self,", *(f"    {line}" for line in parameters(f, f.in_class))]
        lines += ["    ) -> None: ..."]
    return "\n".join([*lines, ""])


def list_of_all(names: Iterable[str]) -> list[str]:
    return ["__all__ = [", *(f"    {quoted(name)}," for name in names), "]"]


def attributes(fields: dict[str, Any]) -> Iterator[str]:
    for name, field in fields.items():
        if name != "name":
            given, taken = types(field.metadata["kind"])
            yield f"    {name}: {given if given == taken else f'Attribute[{given}, {taken}]'}"
            yield f'    """{field.metadata["doc"]}"""'


def parameters(f: Function, signature: inspect.Signature) -> Iterator[str]:
    """All parameters but the last, which accepts any name only so that errors can list the known ones."""
    star = ["    *,"]
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and star:
            yield star.pop()
        has = "" if parameter.default is parameter.empty else f" = {quoted(parameter.default)}"
        yield f"    {parameter.name}: {takes(f, parameter.name)}{has},"


def takes(f: Function, name: str) -> str:
    return types(f.fields[name].metadata["kind"])[1] if name in f.fields else "Any"


def types(kind: kinds.Kind) -> tuple[str, str]:
    """The types that an attribute of this kind returns and accepts."""
    match kind:
        case kinds.Choice():
            given = taken = f"Literal[{', '.join(map(quoted, kind.choices))}]"
        case kinds.ListOf():
            given, taken = types(kind.item)
            given, taken = f"list[{given}]", f"Sequence[{taken}]"
        case _:
            given, taken = next(TYPES[each] for each in type(kind).__mro__ if each in TYPES)
    none = " | None" * kind.optional
    return given + none, taken + none


def documentation(f: Function, signature: inspect.Signature) -> list[str]:
    """The docstring without the mathematics, which comes from the rules and needs TensorFlow."""
    defaults = {p.name: repr(p.default) for p in signature.parameters.values() if p.default is not p.empty}
    purpose = (inspect.getdoc(f.spec) or "").partition("\n\nAttributes:")[0]
    ignored = [
        f"    {name}: {f.means(name)}" for name in signature.parameters if name in getattr(f.spec, "ignored", ())
    ]
    source = textwrap.wrap(f"Source: {f.spec.reference}", 116, break_on_hyphens=False) if f.spec.reference else []
    return [*purpose.splitlines(), "", *described(f.fields, **defaults), *ignored, *[""] * bool(source), *source]


def docstring(lines: Iterable[str]) -> list[str]:
    """An indented docstring of these lines."""
    first, *more = lines
    quotes = '"""'
    body = [f"    {line}".rstrip() for line in more]
    return [f"    {quotes}{first}", *body, f"    {quotes}"] if body else [f"    {quotes}{first}{quotes}"]


def quoted(value: Any) -> str:
    return repr(value).replace("'", '"')
