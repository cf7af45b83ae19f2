"""The reference text of an optimizer, assembled from its spec and rule."""

import inspect

from pyadam.optimizers import Rule, Spec, arguments
from pyadam.optimizers.spec import described

__all__ = ["documentation"]


def documentation(spec: type[Spec], rule: Rule) -> str:
    """The docstring of an optimizer's class and function: purpose, mathematics, arguments, dtypes, errors, source."""
    _, _, mathematics = (inspect.getdoc(rule.update) or "").partition("\n\n")
    mathematics = mathematics.partition("\n\nSource:")[0]
    symbols, _, _ = (inspect.getdoc(rule.scalars) or "").partition("\n\n")
    definitions = [f"With {symbols}", ""] if " = " in symbols else []
    described_arguments = described(arguments(spec), name="the class's name in lower case")
    lines = [inspect.getdoc(spec) or "", "", mathematics, "", *definitions, *described_arguments]
    lines += [
        "",
        "Weights may be float16, bfloat16, float32 or float64, of any shape. State and arithmetic are float32, or float64 for",
        "float64 weights; what is the same for all variables is computed in float64.",
        "",
        "Raises:",
        "    ValueError: a value out of its range.",
        "    TypeError: a value of the wrong type, or an unknown argument.",
        "",
        f"Source: {spec.reference}",
    ]
    return "\n".join(lines)
