"""The specs of what isn't an optimizer with an update rule, but takes optimizers: it has none of the common arguments."""

import dataclasses
import inspect
from dataclasses import dataclass
from typing import ClassVar

from pyadam.optimizers.spec import check_fields, default_of, described, signature_of

__all__ = ["Wrapper"]


@dataclass(frozen=True, kw_only=True)
class Wrapper:
    """Arguments of a class that takes optimizers, from which its signature and documentation follow.

    Attributes:
        title: its name in prose.
        r_name: the name of its function, in Python and in R.
        reference: the paper and section it comes from.
        notes: paragraphs of its documentation that follow its arguments.
        needs_keras: the version of Keras that first had it.
    """

    title: ClassVar[str] = ""
    r_name: ClassVar[str] = ""
    reference: ClassVar[str] = ""
    notes: ClassVar[tuple[str, ...]] = ()
    needs_keras: ClassVar[tuple[int, int]] = (3, 0)

    def __post_init__(self) -> None:
        check_fields(self)

    @classmethod
    def arguments(cls) -> dict[str, "dataclasses.Field[object]"]:
        """The arguments in the order of the signature."""
        return {field.name: field for field in dataclasses.fields(cls)}

    @classmethod
    def signature(cls) -> inspect.Signature:
        """Keras 3's signature, used by both the class and the function."""
        return signature_of({name: default_of(field) for name, field in cls.arguments().items()})

    @classmethod
    def documentation(cls) -> str:
        """The docstring of the class and the function."""
        purpose = (inspect.getdoc(cls) or "").partition("\n\nAttributes:")[0]
        lines = [purpose, "", *described(cls.arguments())]
        for note in cls.notes:
            lines += ["", note]
        lines += [
            "",
            "Raises:",
            "    ValueError: a value out of range, or an argument that belongs on an inner optimizer.",
            "    TypeError: a value of the wrong type, or a missing or unknown argument.",
        ]
        if cls.needs_keras > (3, 0):
            lines += ["    ImportError: Keras is older than {}.{}.".format(*cls.needs_keras)]
        return "\n".join([*lines, *["", f"Source: {cls.reference}"] * bool(cls.reference)])
