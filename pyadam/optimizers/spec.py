"""What every optimizer is called and what it takes, written once.

A spec is a frozen dataclass: one field an argument, with its default, its range and one line of documentation. The Python
signatures, the R formals, the checks and their words, ``get_config`` and the reference tables are all read off the specs.

Only the standard library is imported here: signatures, R generation and docs work in milliseconds, without TensorFlow.
"""

import dataclasses
import inspect
import textwrap
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pyadam.optimizers.foreign import hint, without_effect
from pyadam.optimizers.kinds import Choice, Count, DynamicNumber, Flag, Kind, Name, Number

__all__ = [
    "NEW_TO_KERAS",
    "Spec",
    "argument",
    "arguments",
    "bind",
    "check_fields",
    "class_signature",
    "default_of",
    "described",
    "dressed",
    "function_signature",
    "laid_on",
    "optional",
    "signature_of",
]

POSITIVE = Number(low=0.0, low_open=True)
NON_NEGATIVE = DynamicNumber(low=0.0)
UNIT_INTERVAL = DynamicNumber(low=0.0, high=1.0)


def argument(default: Any, kind: Kind, doc: str) -> Any:
    """A field of a spec: its default, the values it takes, and one line of documentation."""
    return dataclasses.field(default=default, metadata={"kind": kind, "doc": doc})


def optional(kind: Kind) -> Kind:
    """The same kind, where None (R: NULL) is allowed as well and means "off"."""
    return dataclasses.replace(kind, optional=True)


def check_fields(spec: Any) -> None:
    """Replaces the value of each field by what its kind makes of it.

    Raises:
        TypeError: a value of the wrong type.
        ValueError: a value out of its range.
    """
    for field in dataclasses.fields(spec):
        kind: Kind = field.metadata["kind"]
        object.__setattr__(spec, field.name, kind.check(type(spec).__name__, field.name, getattr(spec, field.name)))


def weight_decay_field(default: float | None, kind: Kind = optional(NON_NEGATIVE)) -> Any:  # noqa: B008
    """The field ``weight_decay``, for the specs whose default is their own."""
    doc = "Decoupled decay: weights shrink by learning_rate * weight_decay before each update."
    return argument(default, kind, doc)


@dataclass(frozen=True, kw_only=True)
class Spec:
    """The arguments that every optimizer has; a subclass declares its own, which come first in its signatures.

    Attributes:
        title: its name in prose.
        r_name: the name of its function, in Python and in R.
        reference: the papers and equations it comes from.
        in_keras: whether Keras has an optimizer of that name.
        last: those of its own arguments that come after ``name``.
        function_defaults: the defaults that its function has, where they differ from the class's.
        ignored: arguments that only its function has, with their defaults; they are accepted and do nothing but warn.
            They stand behind the argument that ``ignored_after`` names.
    """

    title: ClassVar[str] = ""
    r_name: ClassVar[str] = ""
    reference: ClassVar[str] = ""
    in_keras: ClassVar[bool] = True
    last: ClassVar[tuple[str, ...]] = ()
    function_defaults: ClassVar[Mapping[str, Any]] = {}
    ignored: ClassVar[Mapping[str, Any]] = {}
    ignored_after: ClassVar[str] = ""

    weight_decay: float | None = weight_decay_field(None)
    clipnorm: float | None = argument(
        None,
        optional(POSITIVE),
        "Largest Euclidean norm of each variable's gradient; a larger one is scaled down to it.",
    )
    clipvalue: float | None = argument(
        None, optional(POSITIVE), "Largest absolute value of a gradient's element; a larger one is cut to it."
    )
    global_clipnorm: float | None = argument(
        None, optional(POSITIVE), "Largest Euclidean norm of all gradients taken together; scaled down as one vector."
    )
    use_ema: bool = argument(False, Flag(), "Whether to keep an exponential moving average of the weights.")
    ema_momentum: float = argument(
        0.99, UNIT_INTERVAL, "Share of the old average in average = momentum * average + (1 - momentum) * weight."
    )
    ema_overwrite_frequency: int | None = argument(
        None,
        optional(Count(at_least=1)),
        "Updates between two overwrites of the weights by their averages; without it they are overwritten at the end of fit.",
    )
    loss_scale_factor: float | None = argument(
        None,
        optional(POSITIVE),
        "The loss is multiplied by it and the gradients are divided by it, against 16-bit underflow.",
    )
    gradient_accumulation_steps: int | None = argument(
        None, optional(Count(at_least=1)), "Calls whose gradients are averaged into one update."
    )
    name: str = argument("", Name(), "Name of the optimizer, and prefix of its variables' names.")
    jit_compile: bool = argument(True, Flag(), "Whether to compile the step with XLA into one program.")
    slot_dtype: str | None = argument(
        None,
        optional(Choice(choices=("bfloat16",))),
        "Dtype in which the slots are kept, with stochastic rounding; without it that of the arithmetic.",
    )

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.name:
            object.__setattr__(self, "name", type(self).__name__.lower())
        clips = {name: getattr(self, name) for name in ("clipnorm", "clipvalue", "global_clipnorm")}
        if sum(value is not None for value in clips.values()) > 1:
            given = ", ".join(f"{name}={value}" for name, value in clips.items())
            raise ValueError(
                f"{type(self).__name__}: at most one of clipnorm, clipvalue and global_clipnorm can be set, got {given}"
            )

    @property
    def calls_per_update(self) -> int:
        """Calls whose gradients make one update."""
        return self.gradient_accumulation_steps or 1


# Arguments that come after the common ones: those that Keras' classes have not, and those that R keras 2.11 had not.
NEW_TO_KERAS = ("jit_compile", "slot_dtype")
_NEW_TO_R = ("loss_scale_factor", "gradient_accumulation_steps", "slot_dtype")


def arguments(spec: type[Spec]) -> dict[str, "dataclasses.Field[Any]"]:
    """The arguments of a spec in the order of its signatures: its own, the common ones, and those that come last."""
    fields = {field.name: field for field in dataclasses.fields(spec)}
    own = [name for name in spec.__annotations__ if name in fields and name not in spec.last]
    common = [name for name in fields if name not in spec.last]
    return {name: fields[name] for name in dict.fromkeys([*own, *common, *spec.last])}


def described(fields: Mapping[str, "dataclasses.Field[Any]"], **defaults: str) -> list[str]:
    """The section "Args" of a docstring, in lines; ``defaults`` are words for those that no value tells."""
    lines = ["Args:"]
    for name, field in fields.items():
        takes = field.metadata["kind"].described()
        default = defaults.get(name) or ("" if field.default is dataclasses.MISSING else repr(field.default))
        text = f"{name}: {field.metadata['doc']} {takes[0].upper()}{takes[1:]}." + f" Default: {default}." * bool(
            default
        )
        lines += textwrap.wrap(text, 116, initial_indent="    ", subsequent_indent="        ")
    return lines


def default_of(field: "dataclasses.Field[Any]") -> Any:
    """The default of a field as a signature has it."""
    return inspect.Parameter.empty if field.default is dataclasses.MISSING else field.default


def dressed(function: Callable[..., Any], name: str, doc: str, signature: inspect.Signature) -> Callable[..., Any]:
    """The function with the name, docstring and signature that ``help`` and ``inspect`` show."""
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    function.__signature__ = signature  # type: ignore[attr-defined]
    return function


def class_signature(spec: type[Spec]) -> inspect.Signature:
    """The Keras 3 signature: ``Adam(learning_rate=0.001, ..., name="adam", *, jit_compile=True, ...)``."""
    defaults = {name: field.default for name, field in arguments(spec).items()}
    defaults["name"] = spec.__name__.lower()
    return signature_of(defaults, keyword_only=NEW_TO_KERAS)


def function_signature(spec: type[Spec]) -> inspect.Signature:
    """The R keras 2.11 signature: ``optimizer_adam(learning_rate=0.001, ..., jit_compile=True, name="Adam", *, ...)``."""
    defaults = {}
    for name, field in arguments(spec).items():
        defaults[name] = spec.function_defaults.get(name, field.default)
        if name == spec.ignored_after:
            defaults |= spec.ignored
    last = {name: defaults.pop(name) for name in ("jit_compile", "name", *spec.last)}
    return signature_of(defaults | last | {"name": spec.__name__}, keyword_only=_NEW_TO_R)


def signature_of(defaults: Mapping[str, Any], keyword_only: Iterable[str] = ()) -> inspect.Signature:
    """The signature with these defaults, which takes any other names as well, for `laid_on` to tell which are known."""
    late = list(keyword_only)
    parameters = [
        inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default)
        for name, default in defaults.items()
        if name not in late
    ]
    parameters += [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=defaults[name]) for name in late]
    return inspect.Signature([*parameters, inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD)])


def bind(spec: type[Spec], signature: inspect.Signature, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Spec:
    """The spec of a call: positional and keyword arguments laid on the signature, aliases resolved, values checked.

    Raises:
        TypeError: an unknown name (the error says what takes its place), a name given twice, or a value of the wrong type.
        ValueError: a value out of its range.
    """
    kwargs = dict(kwargs)
    if "lr" in kwargs:
        if "learning_rate" in kwargs or args:
            raise TypeError(f"{spec.__name__}: learning_rate is given twice, as lr and as learning_rate")
        warnings.warn(
            f"{spec.__name__}: argument lr is deprecated, use learning_rate", DeprecationWarning, stacklevel=4
        )
        kwargs["learning_rate"] = kwargs.pop("lr")
    for name in [name for name, value in kwargs.items() if without_effect(name, value)]:
        warnings.warn(
            f"{spec.__name__}: argument {name} is gone; at 0 it did nothing", DeprecationWarning, stacklevel=4
        )
        del kwargs[name]
    values = laid_on(signature, spec.__name__, args, kwargs)
    for name, default in spec.ignored.items():
        if values.pop(name, default) != default:
            warnings.warn(f"{spec.__name__}: argument {name} does nothing and is ignored", UserWarning, stacklevel=4)
    for name in ("epsilon", "name"):  # for which Keras 2 took None as "the default"
        if name in values and values[name] is None:
            values[name] = signature.parameters[name].default
    return spec(**values)


def laid_on(
    signature: inspect.Signature, owner: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """The values of a call's arguments, defaults included, by name.

    Raises:
        TypeError: an unknown name (the nearest known one is named), a name given twice, or a missing argument.
    """
    known = [name for name in signature.parameters if name != "kwargs"]
    for name, value in kwargs.items():
        if name not in known:
            owners = _owners() if "learning_rate" in known or "inner_optimizer" in known else {}  # not for schedules
            raise TypeError(f"{owner}: unknown argument {name}{hint(owner, name, value, known, owners)}")
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(f"{owner}: {error}") from None
    bound.apply_defaults()
    return {name: value for name, value in bound.arguments.items() if name != "kwargs"}


def _owners() -> dict[str, list[str]]:
    """The optimizers that have an argument, for those that not all have."""
    specs = Spec.__subclasses__()
    return {
        name: [spec.__name__ for spec in specs if name in arguments(spec)]
        for name in dict.fromkeys(name for spec in specs for name in arguments(spec))
    }
