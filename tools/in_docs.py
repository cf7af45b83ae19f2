"""The reference pages of the documentation: one for each optimizer, and what they have in common."""

import dataclasses
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterable
from inspect import Parameter, Signature
from pathlib import Path
from typing import Any

import in_r
import r_code
from functions import NOTE, OPTIMIZERS, SCHEDULES, Function, with_links

from pyadam import specs
from pyadam.optimizers import RULES
from pyadam.optimizers.sparse import LAZY_CONFLICTS, POLICY

FOLDER = Path("docs/reference")
DIFFERENCES = Path(__file__).parent.parent / "docs" / "differences.md"
COMMON = [field for field in dataclasses.fields(specs.Spec) if field.name != "weight_decay"]
SOURCE = "optimizers/ and pyadam/hosts/schedules.py"


def pages() -> dict[Path, str]:
    """All pages, by where they are."""
    optimizers = {f"optimizers/{f.spec.__name__.lower()}.md": optimizer(f) for f in OPTIMIZERS if f.spec in RULES}
    listed = {
        "optimizers/index.md": index(),
        "arguments.md": common_arguments(),
        "schedules.md": schedules(),
        "signatures.md": signatures(),
        "sparse.md": sparse(),
        "wrappers.md": wrappers(),
    }
    return {FOLDER / name: text for name, text in (optimizers | listed).items()}


def page(title: str, *parts: str, source: str = SOURCE) -> str:
    return "\n\n".join([f"<!-- {NOTE.format(source)} -->", f"# {title}", *filter(None, parts)]) + "\n"


# --- an optimizer -----------------------------------------------------------------------------------------------------


def optimizer(f: Function) -> str:
    spec, name = f.spec, f.spec.__name__
    formula, *prose = (inspect.getdoc(sys.modules[spec.__module__]) or "").split("\n\n")[1:]
    own = [field for field in f.fields if field not in {each.name for each in COMMON}]
    return page(
        f.title,
        *prose_of(f),
        facts(f),
        "## The update",
        formula,
        *prose[:-1],
        "$w$ is the weight, $g$ its gradient after [accumulation and clipping](../../numerics.md), $t$ the number of the\n"
        "update, $\\eta$ the learning rate; other letters that are arguments have their name, as $\\beta_1$ has `beta_1`.\n"
        + ("" if RULES[spec].applies_decay else "`weight_decay` shrinks $w$ before. ")
        + "State starts at zero unless stated otherwise.",
        "## When to take it",
        prose[-1],
        *examples(f),
        "## Arguments",
        bullets(f, own),
        "And [those that all optimizers have](../arguments.md): "
        + ", ".join(f"`{each.name}`" for each in COMMON)
        + ".",
        "## Differences from Keras",
        differences(name, spec.in_keras),
        "## Signatures",
        api(f),
        source=f"optimizers/{Path(sys.modules[spec.__module__].__file__ or '').name}",
    )


def facts(f: Function) -> str:
    """A table of what a reader looks up."""
    source = Path(sys.modules[f.spec.__module__].__file__ or "").name
    rows = {
        "Python": f"`pyadam.{f.spec.__name__}`, `pyadam.tf_keras.{f.spec.__name__}`, `pyadam.{f.name}`",
        "R": f"`{f.name}`",
        "state": state(f.spec),
        "paper": cited(f.spec.reference),
        "source": f"[pyadam/optimizers/{source}](../../../pyadam/optimizers/{source})",
        "methods": "[of every optimizer](../methods.md)",
    }
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {text} |" for name, text in rows.items())])


def state(spec: type[specs.Spec]) -> str:
    """The slots of a matrix and, where they differ, of a vector, with the defaults."""
    given = spec()

    def kept(shape: tuple[int, ...]) -> str:
        slots = [slot for group in RULES[spec].slots(given, shape, "") for slot in group if not slot.is_placeholder]
        names = ", ".join(f"`{slot.name}`" for slot in slots) or "nothing"
        full = 4 * sum(slot.shape is None for slot in slots)
        return f"{names}: {full} bytes for a float32 weight" if full else names

    matrix, vector = kept((2, 3)), kept((3,))
    return matrix if matrix == vector else f"matrices {matrix}; others {vector}"


def cited(reference: str) -> str:
    """A reference with links; papers on arXiv have their DOI, too."""
    doi = r"\g<0> ([DOI](https://doi.org/10.48550/arXiv.\1))"
    return re.sub(r"<https://arxiv\.org/abs/(\d+\.\d+)>", doi, with_links(reference))


def prose_of(f: Function) -> list[str]:
    """The paragraphs of a docstring; the first without the name it begins with, which is the page's title."""
    first, *rest = (paragraph.replace("``", "`") for paragraph in f.paragraphs)
    first = first.partition(": ")[2] or first
    return [textwrap.fill(each, 120, break_on_hyphens=False) for each in (first[0].upper() + first[1:], *rest)]


def examples(f: Function) -> list[str]:
    python = ", ".join(f"{name}={value!r}" for name, value in f.spec.example.items()).replace("'", '"')
    python_end, r_end = "print(model.evaluate(x, y, verbose=0))", "print(evaluate(model, x, y, verbose = 0))"
    if RULES[f.spec].evaluated is not None:
        python_end = f"with model.optimizer.averaged_weights():\n    {python_end}"
        r_end = f"with(model$optimizer$averaged_weights(), {r_end})"
    return [
        "## Example",
        f"""```python
import keras
import numpy as np
from pyadam import {f.spec.__name__}

x = np.linspace(-1, 1, 64)[:, None]
y = np.sin(3 * x)

model = keras.Sequential([keras.layers.Dense(16, activation="relu"), keras.layers.Dense(1)])
model.compile(optimizer={f.spec.__name__}({python}), loss="mse")
model.fit(x, y, epochs=5, verbose=0)
{python_end}
```""",
        f"""```r
library(pyadam)

x <- matrix(seq(-1, 1, length.out = 64))
y <- sin(3 * x)

keras <- reticulate::import("keras")
layers <- keras$layers
model <- keras$Sequential(list(layers$Dense(16L, activation = "relu"), layers$Dense(1L)))
model |>
  compile(optimizer = {f.name}({r_code.call_of(f.spec.example)}), loss = "mse") |>
  fit(x, y, epochs = 5, verbose = 0)
{r_end}
```""",
    ]


def differences(name: str, in_keras: bool) -> str:
    """The sections of the page on differences that name the optimizer."""
    sections = re.findall(r"(?ms)^## ((\d+)\. .*?)\n(.*?)(?=^## |\Z)", DIFFERENCES.read_text(encoding="utf-8"))
    named = [title for title, _, text in sections if re.search(rf"\b{name}\b", title + text)]
    links = [f"- [{title.replace('`', '')}](../../differences.md#{slug(title)})" for title in named]
    rest = "[What differs for all optimizers](../../differences.md)"
    if not in_keras:
        return "\n".join([f"Keras has no {name}. {rest}.", *([""] if links else []), *links])
    return "\n".join([*links, *([""] if links else []), f"{rest}."])


def slug(title: str) -> str:
    """A heading's anchor, as GitHub and MyST make it."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def api(f: Function) -> str:
    """The entries of the index."""
    lines = [f".. py:function:: pyadam.{f.name}{plain(f.signature)}"]
    if f.in_class and f.spec in RULES:
        lines.insert(0, f".. py:class:: pyadam.{f.spec.__name__}{plain(f.in_class)}\n")
    return "\n".join(["```{eval-rst}", *lines, "```"])


def plain(signature: Signature) -> str:
    """A signature without the catch-all that hears unknown names."""
    parameters = [p for p in signature.parameters.values() if p.kind is not Parameter.VAR_KEYWORD]
    return str(Signature(parameters))


# --- arguments --------------------------------------------------------------------------------------------------------


def bullets(f: Function, names: Iterable[str]) -> str:
    return "\n".join(bullet(f, name) for name in names if name in f.fields)


def bullet(f: Function, name: str) -> str:
    """An argument: its default, its meaning, and what it takes."""
    defaults = dict.fromkeys(default(each) for each in faces(f, name))
    shown = "that of the class" if name == "name" and len(defaults) > 1 else " or ".join(defaults)
    text = f"- **`{name}`** ({shown}): {f.means(name)} Takes {f.takes(name)}."
    return textwrap.fill(text, 120, subsequent_indent="  ", break_on_hyphens=False)


def faces(f: Function, name: str) -> list[Parameter]:
    """The argument in the class and in the function."""
    signatures = [f.in_class, f.signature] if f.in_class else [f.signature]
    return [signature.parameters[name] for signature in signatures if name in signature.parameters]


def default(parameter: Parameter, written: Callable[[Any], str] = repr) -> str:
    return "required" if parameter.default is parameter.empty else f"`{written(parameter.default)}`"


def common_arguments() -> str:
    f = OPTIMIZERS[0]
    head = (
        "Every optimizer has these, besides its own, and they mean the same everywhere. In R `None` is `NULL`, and `True` is\n"
        "`TRUE`. Where a class and a function have different defaults, the class's comes first."
    )
    common = [field.name for field in COMMON]
    others = [
        f"- {each.title}: {', '.join(f'`{n}={v!r}`' for n, v in each.spec.function_defaults.items())} in `{each.name}()`."
        for each in OPTIMIZERS
        if getattr(each.spec, "function_defaults", None)
    ]
    return page(
        "Arguments of all optimizers",
        head,
        bullets(f, common),
        "Other defaults:",
        "\n".join(others),
        "The guide shows how they are used: [learning rates](../guide/learning-rates.md), [weight decay and\n"
        "groups](../guide/groups.md), [clipping, averages, accumulation](../guide/averages.md), [sixteen\n"
        "bits](../guide/precision.md), [state divided among replicas](../distribute.md#state-divided-among-replicas).",
    )


# --- the other pages --------------------------------------------------------------------------------------------------


def index() -> str:
    listed = [f for f in OPTIMIZERS if f.spec in RULES]
    rows = [f"| [{f.title}]({f.spec.__name__.lower()}.md) | {f.paragraphs[0].partition(': ')[2]} |" for f in listed]
    tree = ["```{toctree}", ":hidden:", "", *(f.spec.__name__.lower() for f in listed), "```"]
    return page(
        "Optimizers",
        "\n".join(["| | |", "|---|---|", *rows]),
        "[The family](../../family.md) compares them with those of other libraries. In R their names are\n"
        "`optimizer_adam()` and so on.",
        "\n".join(tree),
    )


def schedules() -> str:
    """The page on schedules."""
    parts = [
        "A function returns a schedule of the Keras in use, `keras.optimizers.schedules.CosineDecay` and so on, for the\n"
        "argument `learning_rate` of any optimizer. [Learning rates and schedules](../guide/learning-rates.md) says how they\n"
        "are used, and how to write one."
    ]
    for f in SCHEDULES:
        title, *details = prose_of(f)
        call = ", ".join(f"{name}={value!r}" for name, value in f.example.items())
        parts += [
            f"## {f.title}",
            title,
            *details,
            f"```python\nfrom pyadam import {f.name}\n\n{f.name}({call})\n```",
            f"```r\n{f.name}({r_code.call_of(f.example)})\n```",
            bullets(f, f.fields),
            *[f"Source: {cited(f.spec.reference)}"] * bool(f.spec.reference),
            api(f),
        ]
    return page("Schedules", *parts)


def wrappers() -> str:
    parts = ["Optimizers that take other optimizers. `pyadam.tf_keras` has the same classes for tf_keras."]
    for f in OPTIMIZERS:
        if f.spec not in RULES:
            title, *details = prose_of(f)
            reference = [f"Source: {cited(f.spec.reference)}"] * bool(f.spec.reference)
            parts += [f"## {f.title}", title, *details, bullets(f, f.fields), *reference, api(f)]
    return page("Wrappers", *parts)


def signatures() -> str:
    head = (
        "How everything is called. A class has Keras 3's signature; a function has R keras 2.11's, in both languages, or\n"
        "one in its style. The pages say what the arguments mean: [optimizers](optimizers/index.md), [arguments of\n"
        "all](arguments.md), [wrappers](wrappers.md), [schedules](schedules.md)."
    )
    parts = [head]
    for f in OPTIMIZERS + SCHEDULES:
        in_class = [f"{f.spec.__name__}{plain(f.in_class)}"] if f.in_class else []
        calls = {
            "Python": [*in_class, f"{f.name}{plain(f.signature)}"],
            "R": [f"{f.name}({', '.join(in_r.formals(f))})"],
        }
        lines = [
            f"{language}\n\n```text\n" + "\n\n".join(map(folded, each)) + "\n```" for language, each in calls.items()
        ]
        parts += [f"## {f.title}", *lines]
    return page("Signatures", *parts)


def folded(call: str) -> str:
    """A call in short lines, for small screens too."""
    return textwrap.fill(call, 44, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def sparse() -> str:
    """The page on sparse gradients."""
    head = (
        "The first row that applies decides how a `tf.IndexedSlices` gradient is handled. The numbers are the same\n"
        "either way; time and memory differ. ([Performance](../performance.md) says by how much.)"
    )
    rows = [f"| {policy.reason} | {policy.way.value} |" for policy in POLICY]
    lines = "\n".join(["| when | the gradient is handled |", "|---|---|", *rows])
    conflicts = ", ".join(conflict.words.replace("``", "`") for conflict in LAZY_CONFLICTS)
    lazy = (
        f"LazyAdam refuses sparse gradients with {conflicts},\n"
        "with a constraint on the variable, and in a train step that is compiled as a whole with the option of a single pass."
    )
    return page("Sparse gradients", head, lines, lazy, source="optimizers/sparse.py")
