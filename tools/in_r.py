"""The functions as R code with roxygen2's documentation."""

import re
import textwrap
from collections.abc import Iterator
from inspect import Parameter

from functions import NOTE, Function, with_links
from r_code import value

from pyadam.specs import SPECS

UNBROKEN = "\N{NO-BREAK SPACE}"  # lines don't break here


def functions(source: str, listed: list[Function]) -> str:
    """A wrapper for each function. An argument is documented in the first one that has it; the others inherit the text."""
    first: dict[str, tuple[str, str]] = {}
    wrappers = []
    for f in listed:
        texts = {name: meaning(f, name) for name in f.parameters} | {"...": f.dots}
        own = {name: text for name, text in texts.items() if first.setdefault(name, (f.name, text))[1] != text}
        own |= {name: text for name, text in texts.items() if first[name][0] == f.name}
        inherited = dict.fromkeys(first[name][0] for name in texts if name not in own)
        wrappers.append(function(f, own, list(inherited)))
    return f"# {NOTE.format(source)}\n\n" + "\n".join(wrappers)


def function(f: Function, own: dict[str, str], inherited: list[str]) -> str:
    title, *details = f.paragraphs
    documentation = [
        title.rstrip("."),
        *[detail.replace("``", "`") for detail in details],
        *[f"@param {name} {text}" for name, text in own.items()],
        *[f"@inheritParams {function}" for function in inherited],
        *[f"@inheritSection optimizers {section}" for section in f.sections],
        f"@return {f.value}",
        *[f"@references {with_links(f.spec.reference)}"] * bool(f.spec.reference),
        f"@seealso {f.see}",
        f"@family {f.family}",
    ]
    heads = ",\n  ".join(formals(f))
    examples = "\n".join(line for example in f.examples for line in comment(example))
    return f"""{"".join(roxygen(text) for text in documentation)}\
#' @examplesIf is_pyadam_available()
{examples}
#' @export
{f.name} <- function(
  {heads}
) {{
  call_python(
    "{f.name}",
    match.call(expand.dots = FALSE), environment(), ...
  )
}}
"""


def formals(f: Function) -> Iterator[str]:
    """The arguments of R keras 2.11, its dots, and then the arguments that R matches by full name only."""
    every = {p: p.name + (f" = {value(p.default)}" if p.default is not p.empty else "") for p in f.parameters.values()}
    yield from (text for p, text in every.items() if p.kind is not Parameter.KEYWORD_ONLY)
    yield "..."
    yield from (text for p, text in every.items() if p.kind is Parameter.KEYWORD_ONLY)


def meaning(f: Function, name: str) -> str:
    """The meaning and accepted values of an argument, in R's terms."""
    takes = f.takes(name).replace("True or False", "`TRUE` or `FALSE`").replace("None (NULL in R)", "`NULL`")
    takes = re.sub(r"\ba list\b", "a vector", takes)
    takes = re.sub(r"[\[(]-?\w+, \w+[\])]", _interval, takes)
    means = re.sub(r"\bNone\b", "`NULL`", f.means(name))
    return f"{means} Takes {takes}."


def _interval(found: re.Match[str]) -> str:
    return f"`{found[0].replace('inf', 'Inf').replace(' ', UNBROKEN)}`"


def comment(code: str) -> list[str]:
    """A call in roxygen's comments; one that is too long for a line is broken between its arguments."""
    if len(code) <= 96:
        return [f"#' {code}"]
    call, _, given = code.removesuffix(")").partition("(")
    return [f"#' {call}(", *[f"#'   {line}" for line in textwrap.wrap(given, 92)], "#' )"]


def roxygen(text: str) -> str:
    """A paragraph or a tag as comment lines; a paragraph ends with an empty one."""
    tag = text.startswith("@")
    lines = textwrap.wrap(text, 96, subsequent_indent="  " * tag, break_long_words=False, break_on_hyphens=False)
    return "".join(f"#' {line}\n" for line in lines).replace(UNBROKEN, " ") + ("" if tag else "#'\n")


def home(f: Function) -> str:
    """Where the documentation describes the arguments of a function."""
    if f.family == "schedules":
        return f"schedules.md#{f.title.lower()}"
    return f"optimizers/{f.title.lower()}.md" if f.spec.__name__ in SPECS else f"wrappers.md#{f.title.lower()}"


# --- the page of the R functions ----------------------------------------------------------------------------------------------


def reference(pages: dict[str, str], listed: list[Function]) -> str:
    """Title and call of each man page, by its name, and a link to its arguments."""
    tables = {f.name: f.title for f in listed}
    links = {f.name: home(f) for f in listed}
    head = (
        'The R functions and how they are called. `help(package = "pyadam")` has a page for each, with examples.'
        "\n\n```{raw} html\n"
        '<p>The <a href="../r/index.html">site of the R package</a> shows them with their output.</p>'
        "\n```"
    )
    parts = [f"<!-- {NOTE.format('optimizers/, pyadam/hosts/schedules.py and r-package/R/')} -->", "# R API", head]
    for name, page in pages.items():
        if usage := re.search(r"(?s)\n\\usage\{\n(.*?)\n\}\n", page):
            call = re.sub(r"\\method\{(\w+)\}\{[\w.]+\}", r"\1", usage[1])
            title = re.findall(r"(?s)\n\\title\{(.*?)\}\n", page)[0].replace("\n", " ")
            parts += [f"## {name}", f"{title}.", f"```r\n{call}\n```"]
            if name in tables:
                parts += [f"Arguments: [{tables[name]}]({links[name]})"]
    return "\n\n".join(parts) + "\n"
