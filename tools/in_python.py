"""The reference pages generated from the specs: signatures, and the treatment of sparse gradients."""

from collections.abc import Callable
from inspect import Parameter
from typing import Any

import in_r
from functions import NOTE, OPTIMIZERS, SCHEDULES, Function, with_links

from pyadam.optimizers.sparse import LAZY_CONFLICTS, POLICY


def signatures() -> str:
    note = f"<!-- {NOTE.format('optimizers/ and pyadam/hosts/schedules.py')} -->"
    head = (
        "Every argument of every optimizer and schedule, in the order of its function. A class has Keras 3's signature; a\n"
        "function has R keras 2.11's, in both languages, or one in its style."
    )
    return "\n\n".join([note, "# Signatures", head, *map(table, OPTIMIZERS + SCHEDULES)]) + "\n"


def sparse() -> str:
    """The page on sparse gradients."""
    note = f"<!-- {NOTE.format('optimizers/sparse.py')} -->"
    head = (
        "The first row that applies decides how a `tf.IndexedSlices` gradient is handled. The numbers are the same\n"
        "either way; time and memory differ. ([Performance](../performance.md) says by how much.)"
    )
    rows = [f"| {policy.reason} | {policy.way.value} |" for policy in POLICY]
    lines = "\n".join(["| when | the gradient is handled |", "|---|---|", *rows])
    conflicts = ", ".join(conflict.words.replace("``", "`") for conflict in LAZY_CONFLICTS)
    lazy = (
        f"LazyAdam refuses sparse gradients with {conflicts},\n"
        "with a constraint on the variable, and in a train step that is compiled as a whole."
    )
    return "\n\n".join([note, "# Sparse gradients", head, lines, lazy]) + "\n"


def table(f: Function) -> str:
    """The table of a function, and of the class with the same arguments if pyadam has one."""
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
        return "required"
    by_name = parameter.kind is Parameter.KEYWORD_ONLY and written is repr
    return f"`{written(parameter.default)}`" + " (by name only)" * by_name
