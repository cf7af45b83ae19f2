"""What every optimizer is called and what it takes, written once.

A spec is a frozen dataclass: one field an argument, with its default, its range and one line of documentation. The Python
signatures, the R formals, the checks and their words, ``get_config`` and the reference tables are all read off the specs.

Only the standard library is imported here: signatures, R generation and docs work in milliseconds, without TensorFlow.
"""

import dataclasses
import difflib
import inspect
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pyadam.arguments import Count, DynamicNumber, Flag, Kind, LearningRate, Name, Number

__all__ = ["Adam", "AdamW", "Nadam", "SPECS", "Spec", "class_signature", "function_signature"]

POSITIVE = Number(low=0.0, low_open=True)
NON_NEGATIVE = Number(low=0.0)
UNIT_INTERVAL = Number(low=0.0, high=1.0)
DECAY_RATE = DynamicNumber(low=0.0, high=1.0, high_open=True)
STEP_SIZE = LearningRate(low=0.0)


def argument(default: Any, kind: Kind, doc: str) -> Any:
    """A field of a spec: its default, the values it takes, and one line of documentation."""
    return dataclasses.field(default=default, metadata={"kind": kind, "doc": doc})


def optional(kind: Kind) -> Kind:
    """The same kind, where None (R: NULL) is allowed as well and means "off"."""
    return dataclasses.replace(kind, optional=True)


def _learning_rate(default: float) -> Any:
    return argument(
        default,
        STEP_SIZE,
        "Step size. A function is called at every step.",
    )


def _beta_1() -> Any:
    return argument(0.9, DECAY_RATE, "Decay rate of the first moment m.")


def _beta_2() -> Any:
    return argument(0.999, DECAY_RATE, "Decay rate of the second moment v.")


def _epsilon() -> Any:
    return argument(
        1e-7, NON_NEGATIVE, 'Added to the root of v, outside the bias correction ("epsilon hat" of the paper).'
    )


def _amsgrad() -> Any:
    return argument(False, Flag(), "Whether to divide by the largest v seen so far (Reddi et al., 2018).")


def _weight_decay(default: float | None, kind: Kind = optional(NON_NEGATIVE)) -> Any:  # noqa: B008
    doc = "Decoupled decay: weights shrink by learning_rate * weight_decay before each update."
    return argument(default, kind, doc)


@dataclass(frozen=True, kw_only=True)
class Spec:
    """The arguments that every optimizer has; a subclass declares its own, which come first in its signatures."""

    title: ClassVar[str] = ""
    r_name: ClassVar[str] = ""
    reference: ClassVar[str] = ""

    weight_decay: float | None = _weight_decay(None)
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

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            kind: Kind = field.metadata["kind"]
            value = getattr(self, field.name)
            object.__setattr__(self, field.name, kind.check(type(self).__name__, field.name, value))
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


@dataclass(frozen=True, kw_only=True)
class Adam(Spec):
    """Adam: steps scaled by bias-corrected running means of the gradient and of its square."""

    title = "Adam"
    r_name = "optimizer_adam"
    reference = (
        "Kingma and Ba (2014), Adam: A Method for Stochastic Optimization, https://arxiv.org/abs/1412.6980, "
        "section 2, the efficient form before 2.1. AMSGrad: Reddi, Kale and Kumar (2018), "
        "https://arxiv.org/abs/1904.09237, algorithm 2."
    )

    learning_rate: Any = _learning_rate(0.001)
    beta_1: Any = _beta_1()
    beta_2: Any = _beta_2()
    epsilon: float = _epsilon()
    amsgrad: bool = _amsgrad()


@dataclass(frozen=True, kw_only=True)
class AdamW(Spec):
    """AdamW: Adam with weight decay applied to the weights, not mixed into the gradient."""

    title = "AdamW"
    r_name = "optimizer_adam_w"
    reference = (
        "Loshchilov and Hutter (2019), Decoupled Weight Decay Regularization, https://arxiv.org/abs/1711.05101, "
        "algorithm 2, line 12."
    )

    learning_rate: Any = _learning_rate(0.001)
    weight_decay: float = _weight_decay(0.004, NON_NEGATIVE)
    beta_1: Any = _beta_1()
    beta_2: Any = _beta_2()
    epsilon: float = _epsilon()
    amsgrad: bool = _amsgrad()


@dataclass(frozen=True, kw_only=True)
class Nadam(Spec):
    """Nadam: Adam with Nesterov's look-ahead momentum on Dozat's schedule."""

    title = "Nadam"
    r_name = "optimizer_nadam"
    reference = (
        "Dozat (2016), Incorporating Nesterov Momentum into Adam, https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ, "
        "algorithm 2, with the momentum schedule of section 2."
    )

    learning_rate: Any = _learning_rate(0.001)
    beta_1: Any = _beta_1()
    beta_2: Any = _beta_2()
    epsilon: float = _epsilon()


SPECS: dict[str, type[Spec]] = {spec.__name__: spec for spec in (Adam, AdamW, Nadam)}

# Arguments that come after the common ones, in each of the two faces.
_NEW_IN_KERAS_3 = ("loss_scale_factor", "gradient_accumulation_steps")


def arguments(spec: type[Spec]) -> dict[str, "dataclasses.Field[Any]"]:
    """The arguments of a spec in the order of its signatures: its own, then the common ones."""
    fields = {field.name: field for field in dataclasses.fields(spec)}
    own = [name for name in spec.__annotations__ if name in fields]
    return {name: fields[name] for name in dict.fromkeys([*own, *fields])}


def class_signature(spec: type[Spec]) -> inspect.Signature:
    """The Keras 3 signature: ``Adam(learning_rate=0.001, ..., name="adam", *, jit_compile=True, **kwargs)``."""
    return _signature(
        spec, positional_without={"jit_compile"}, keyword_only=["jit_compile"], name=spec.__name__.lower()
    )


def function_signature(spec: type[Spec]) -> inspect.Signature:
    """The R keras 2.11 signature: ``optimizer_adam(learning_rate=0.001, ..., jit_compile=True, name="Adam", *, ...)``."""
    return _signature(spec, positional_without={*_NEW_IN_KERAS_3}, keyword_only=_NEW_IN_KERAS_3, name=spec.__name__)


def _signature(
    spec: type[Spec], *, positional_without: set[str], keyword_only: Iterable[str], name: str
) -> inspect.Signature:
    fields = arguments(spec)

    def parameter(field: "dataclasses.Field[Any]", kind: Any) -> inspect.Parameter:
        default = name if field.name == "name" else field.default
        return inspect.Parameter(field.name, kind, default=default)

    # jit_compile stands before name in the function, as in R keras 2.11; in the class it is keyword-only.
    positional = [n for n in fields if n not in positional_without and n != "name" and n != "jit_compile"]
    positional += [n for n in ("jit_compile", "name") if n not in positional_without]
    return inspect.Signature(
        [parameter(fields[n], inspect.Parameter.POSITIONAL_OR_KEYWORD) for n in positional]
        + [parameter(fields[n], inspect.Parameter.KEYWORD_ONLY) for n in keyword_only]
        + [inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD)]
    )


def bind(spec: type[Spec], signature: inspect.Signature, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Spec:
    """The spec of a call: positional and keyword arguments laid on the signature, aliases resolved, values checked.

    Raises:
        TypeError: an unknown name (the nearest known one is named), a name given twice, or a value of the wrong type.
        ValueError: a value out of its range.
    """
    known = [name for name in signature.parameters if name != "kwargs"]
    kwargs = dict(kwargs)
    if "lr" in kwargs:
        if "learning_rate" in kwargs or args:
            raise TypeError(f"{spec.__name__}: learning_rate is given twice, as lr and as learning_rate")
        warnings.warn(
            f"{spec.__name__}: argument lr is deprecated, use learning_rate", DeprecationWarning, stacklevel=4
        )
        kwargs["learning_rate"] = kwargs.pop("lr")
    for name in kwargs:
        if name not in known:
            raise TypeError(f"{spec.__name__}: unknown argument {name}{_nearest(name, known)}")
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(f"{spec.__name__}: {error}") from None
    bound.apply_defaults()
    values = {name: value for name, value in bound.arguments.items() if name != "kwargs"}
    if values["name"] is None:
        values["name"] = signature.parameters["name"].default
    return spec(**values)


def _nearest(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f", did you mean {close[0]}?" if close else f"; the arguments are {', '.join(known)}"
