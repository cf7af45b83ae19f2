"""Specs: the single definition of each optimizer's name and arguments.

A spec is a frozen dataclass with one field per argument: its default, range and one line of documentation. Python signatures,
R formals, checks and their messages, ``get_config`` and the reference tables are all derived from the specs.

Only the standard library is imported here, so signatures, R code and docs are generated in milliseconds, without TensorFlow.
"""

import dataclasses
import inspect
import textwrap
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from pyadam.optimizers.foreign import hint, without_effect
from pyadam.optimizers.groups import Groups, checked_groups, of_groups
from pyadam.optimizers.kinds import Choice, Count, DynamicNumber, Flag, Kind, Name, Number, same

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
    """A field of a spec: its default, allowed values, and one line of documentation."""
    return dataclasses.field(default=default, metadata={"kind": kind, "doc": doc})


def optional(kind: Kind) -> Kind:
    """The same kind, but also allowing None (R: NULL), which means "off"."""
    return dataclasses.replace(kind, optional=True)


def check_fields(spec: Any) -> None:
    """Checks each field and replaces its value with the normalized one.

    Raises:
        TypeError: a value of the wrong type.
        ValueError: a value out of its range.
    """
    for field in dataclasses.fields(spec):
        kind: Kind = field.metadata["kind"]
        object.__setattr__(spec, field.name, kind.check(type(spec).__name__, field.name, getattr(spec, field.name)))


def weight_decay_field(default: float | None, kind: Kind = optional(NON_NEGATIVE)) -> Any:  # noqa: B008
    """The field ``weight_decay``, for specs with their own default."""
    doc = "Decoupled decay: weights shrink by learning_rate * weight_decay before each update."
    return argument(default, kind, doc)


@dataclass(frozen=True, kw_only=True)
class Spec:
    """The arguments common to all optimizers; subclasses declare their own, which come first in signatures.

    Attributes:
        title: its name in prose.
        r_name: the name of its function, in Python and in R.
        reference: the papers and equations it comes from.
        in_keras: whether Keras has an optimizer of that name.
        last: its own arguments that come after ``name``.
        function_defaults: defaults of its function that differ from the class's.
        ignored: arguments that only its function has, with their defaults. They come after the argument named by
            ``ignored_after`` and do nothing but warn.
        alike: its own arguments that groups can't set, and why.
        example: the arguments of the calls in its documentation.
    """

    title: ClassVar[str] = ""
    r_name: ClassVar[str] = ""
    reference: ClassVar[str] = ""
    in_keras: ClassVar[bool] = True
    last: ClassVar[tuple[str, ...]] = ()
    function_defaults: ClassVar[Mapping[str, Any]] = {}
    ignored: ClassVar[Mapping[str, Any]] = {}
    ignored_after: ClassVar[str] = ""
    alike: ClassVar[Mapping[str, str]] = {}
    example: ClassVar[Mapping[str, Any]] = {"learning_rate": 0.01}

    weight_decay: float | None = weight_decay_field(None)
    clipnorm: float | None = argument(
        None,
        optional(POSITIVE),
        "Maximum Euclidean norm of each variable's gradient; larger gradients are scaled down to it.",
    )
    clipvalue: float | None = argument(
        None, optional(POSITIVE), "Maximum absolute value of each gradient element; larger ones are clipped to it."
    )
    global_clipnorm: float | None = argument(
        None,
        optional(POSITIVE),
        "Maximum Euclidean norm of all gradients together; larger gradients are scaled down as one vector.",
    )
    use_ema: bool = argument(False, Flag(), "Whether to keep an exponential moving average of the weights.")
    ema_momentum: float = argument(
        0.99, UNIT_INTERVAL, "Decay rate of the average: average = momentum * average + (1 - momentum) * weight."
    )
    ema_overwrite_frequency: int | None = argument(
        None,
        optional(Count(at_least=1)),
        "Number of updates after which the weights are overwritten by their averages; by default, only at the end of fit.",
    )
    loss_scale_factor: float | None = argument(
        None,
        optional(POSITIVE),
        "Factor that multiplies the loss and divides the gradients, to avoid 16-bit underflow.",
    )
    gradient_accumulation_steps: int | None = argument(
        None, optional(Count(at_least=1)), "Number of calls whose gradients are averaged into one update."
    )
    name: str = argument("", Name(), "Name of the optimizer, and prefix of its variable names.")
    jit_compile: bool = argument(True, Flag(), "Whether to compile the step into one program with XLA.")
    slot_dtype: str | None = argument(
        None,
        optional(Choice(choices=("bfloat16",))),
        "Dtype in which slots are stored, with stochastic rounding; by default, the dtype of the arithmetic.",
    )
    shard_state: bool = argument(
        False, Flag(), "Whether each replica of a tf.distribute strategy keeps only its share of the state."
    )
    groups: Any = argument(
        None,
        optional(Groups()),
        "Values that arguments have for some variables only, by patterns that match whole components of their paths.",
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

        common = [field.name for field in dataclasses.fields(Spec) if field.name != "weight_decay"]
        alike = {**dict.fromkeys(common, "because all variables have it in common"), **self.alike}
        kinds = {name: f.metadata["kind"] for name, f in arguments(type(self)).items() if name not in alike}
        object.__setattr__(self, "groups", checked_groups(self, kinds, alike))

    @cached_property
    def _of_groups(self) -> tuple["Spec", ...]:
        return of_groups(self)

    def of_group(self, index: int | None) -> "Spec":
        """The arguments for the variables of a group; None for those that are in none."""
        return self if index is None else self._of_groups[index]

    def is_frozen(self, index: int | None) -> bool:
        """Whether the variables of a group stay as they are; None for those that are in none."""
        return index is not None and bool(self.groups[index].frozen)

    @property
    def each(self) -> tuple["Spec", ...]:
        """The arguments outside of groups, and those of each group."""
        return self, *self._of_groups

    @property
    def calls_per_update(self) -> int:
        """The number of calls whose gradients make one update."""
        return self.gradient_accumulation_steps or 1


# Keyword-only arguments: those missing from Keras' classes, and those missing from R keras 2.11.
NEW_TO_KERAS = ("jit_compile", "slot_dtype", "shard_state", "groups")
_NEW_TO_R = ("loss_scale_factor", "gradient_accumulation_steps", "slot_dtype", "shard_state", "groups")


def arguments(spec: type[Spec]) -> dict[str, "dataclasses.Field[Any]"]:
    """The arguments of a spec in signature order: its own, the common ones, and those that come last."""
    fields = {field.name: field for field in dataclasses.fields(spec)}
    own = [name for name in spec.__annotations__ if name in fields and name not in spec.last]
    common = [name for name in fields if name not in spec.last]
    return {name: fields[name] for name in dict.fromkeys([*own, *common, *spec.last])}


def described(fields: Mapping[str, "dataclasses.Field[Any]"], **defaults: str) -> list[str]:
    """The lines of a docstring's "Args" section; ``defaults`` describes defaults that have no literal value."""
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
    """The default of a field, as used in signatures."""
    return inspect.Parameter.empty if field.default is dataclasses.MISSING else field.default


def dressed(function: Callable[..., Any], name: str, doc: str, signature: inspect.Signature) -> Callable[..., Any]:
    """Sets the name, docstring and signature that ``help`` and ``inspect`` show."""
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
    """The signature with these defaults; it also accepts any other name, so that `laid_on` can report unknown ones."""
    late = list(keyword_only)
    parameters = [
        inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default)
        for name, default in defaults.items()
        if name not in late
    ]
    parameters += [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=defaults[name]) for name in late]
    return inspect.Signature([*parameters, inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD)])


def bind(spec: type[Spec], signature: inspect.Signature, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Spec:
    """The spec for a call: arguments bound to the signature, aliases resolved, values checked.

    Raises:
        TypeError: an unknown name (the error says what to use instead), a name given twice, or a value of the wrong type.
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
            f"{spec.__name__}: argument {name} no longer exists and is ignored", DeprecationWarning, stacklevel=4
        )
        del kwargs[name]
    values = laid_on(signature, spec.__name__, args, kwargs)
    for name, default in spec.ignored.items():
        if not same(values.pop(name, default), default):
            warnings.warn(f"{spec.__name__}: argument {name} does nothing and is ignored", UserWarning, stacklevel=4)
    for name in ("epsilon", "name"):  # Keras 2 took None as "the default" for these
        if name in values and values[name] is None:
            values[name] = signature.parameters[name].default
    return spec(**values)


def laid_on(
    signature: inspect.Signature, owner: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """The values of a call's arguments by name, including defaults.

    Raises:
        TypeError: an unknown name (the error suggests the closest), a name given twice, or a missing argument.
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
    """The optimizers that have each argument."""
    specs = [spec for spec in Spec.__subclasses__() if spec.__module__.startswith("pyadam.")]  # none of a user's own
    return {
        name: [spec.__name__ for spec in specs if name in arguments(spec)]
        for name in dict.fromkeys(name for spec in specs for name in arguments(spec))
    }
