"""The tables of signatures, and the type stub."""

import inspect
from collections.abc import Callable, Iterator
from inspect import Parameter
from typing import Any

import in_r
from functions import NOTE, OPTIMIZERS, SCHEDULES, Function, with_links

import pyadam
from pyadam import specs


def signatures() -> str:
    note = f"<!-- {NOTE.format('specs/ and pyadam/schedules.py')} -->"
    head = (
        "Every argument of every optimizer and schedule, in the order of its function. A class has Keras 3's signature; a\n"
        "function has R keras 2.11's, in both languages, or one in its style."
    )
    return "\n\n".join([note, "# Signatures", head, *map(table, OPTIMIZERS + SCHEDULES)]) + "\n"


def table(f: Function) -> str:
    """The table of a function, and of the class of the same arguments where pyadam has one."""
    in_class = f.in_class.parameters if f.in_class else {}
    rows = []
    for name, parameter in f.parameters.items():
        both = [default(in_class[name]) if name in in_class else "-"] * bool(in_class) + [default(parameter)]
        rows.append([f"`{name}`", *both, default(parameter, in_r.value), f.takes(name), f.means(name)])
    faces = [f"`{f.spec.__name__}`"] * bool(in_class) + [f"`{f.name}`, Python", f"`{f.name}`, R"]
    head = ["argument", *faces, "takes", "meaning"]
    lines = "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])
    reference = [f"Reference: {with_links(f.spec.reference)}"] * bool(f.spec.reference)
    return "\n\n".join([f"## {f.title}", *f.paragraphs, lines, *reference])


def default(parameter: Parameter, written: Callable[[Any], str] = repr) -> str:
    if parameter.default is parameter.empty:
        return "needed"
    by_name = parameter.kind is Parameter.KEYWORD_ONLY and written is repr
    return f"`{written(parameter.default)}`" + " (by name only)" * by_name


STUB_HEAD = f"""\
# {NOTE.format("specs/ and pyadam/schedules.py")}

from collections.abc import Callable
from typing import Any

from keras.optimizers import Optimizer as KerasOptimizer
from keras.optimizers.schedules import LearningRateSchedule

from pyadam import schedules as schedules
from pyadam import specs as specs
from pyadam._version import __version__ as __version__
from pyadam.arguments import NA as NA
from pyadam.keras3 import Optimizer

"""


def stub() -> str:
    """What ``pyadam/__init__.py`` offers, for type checkers and editors, which can't see what is made at run time."""
    functions = [getattr(pyadam, name) for name in vars(pyadam) if name in pyadam.__all__]
    lines = ["__all__ = [", *[f'    "{name}",' for name in pyadam.__all__], "]", ""]
    lines += [f"def {f.__name__}{inspect.signature(f)}: ..." for f in functions if inspect.isfunction(f)]
    for f in OPTIMIZERS:
        base = "Optimizer" if f.spec in specs.SPECS.values() else "KerasOptimizer"
        lines += ["", f'class {f.spec.__name__}({base}):\n    """{f.paragraphs[0]}"""\n', "    def __init__("]
        lines += [f"        {p}," for p in ["self", *stub_parameters(f, f.in_class)]] + ["    ) -> None: ..."]
    lines += [""]
    for f in OPTIMIZERS + SCHEDULES:
        lines += [f"def {f.name}(", *[f"    {p}," for p in stub_parameters(f, f.signature)]]
        lines += [f") -> {'LearningRateSchedule' if f in SCHEDULES else f.spec.__name__}: ..."]
    return STUB_HEAD + "\n".join([*lines, ""])


def stub_parameters(f: Function, signature: inspect.Signature) -> Iterator[str]:
    star = ["*"]
    for parameter in signature.parameters.values():
        if parameter.kind is Parameter.VAR_KEYWORD:
            yield f"**{parameter.name}: Any"
            continue
        if parameter.kind is Parameter.KEYWORD_ONLY and star:
            yield star.pop()
        has = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
        yield f"{parameter.name}: {f.type(parameter.name)}{has}".replace("'", '"')
