"""Learning-rate schedules: R keras 2.11's functions, in Python and in R, and classes of schedules that are written in R.

A function returns a schedule of the Keras in use, ``keras.optimizers.schedules.ExponentialDecay`` and so on, so models with it
save and load as usual. What each function takes is written once, here; TensorFlow is imported by the first schedule.
"""

import dataclasses
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

from pyadam.hosts.generation import host
from pyadam.optimizers.kinds import Count, Flag, ListOf, Name, Number, shown
from pyadam.optimizers.spec import (
    argument,
    check_fields,
    default_of,
    described,
    dressed,
    laid_on,
    optional,
)

__all__ = ["FUNCTIONS", "SCHEDULES", "ScheduleSpec", "new_class"]

REQUIRED: Any = dataclasses.MISSING
COUNT = Count(at_least=1)
NON_NEGATIVE = Number(low=0.0)  # read once, unlike an optimizer's
UNIT_INTERVAL = Number(low=0.0, high=1.0)

_SGDR = "Loshchilov and Hutter (2017), SGDR: Stochastic Gradient Descent with Warm Restarts, https://arxiv.org/abs/1608.03983, "


def _initial() -> Any:
    return argument(REQUIRED, NON_NEGATIVE, "Rate at step 0.")


def _alpha() -> Any:
    return argument(0.0, UNIT_INTERVAL, "Lowest rate, as a fraction of the highest.")


def _decay_rate(doc: str) -> Any:
    return argument(REQUIRED, NON_NEGATIVE, doc)


def _staircase() -> Any:
    return argument(False, Flag(), "Whether step / decay_steps is rounded down to a whole number.")


@dataclass(frozen=True, kw_only=True)
class ScheduleSpec:
    """What a schedule takes. A subclass has the name of Keras' class and declares the arguments.

    Attributes:
        r_name: the name of its function, in Python and in R.
        late: its arguments that R keras 2.11 lacks, which are given by name.
        reference: the paper and equation it comes from.
    """

    r_name: ClassVar[str]
    late: ClassVar[tuple[str, ...]] = ()
    reference: ClassVar[str] = ""

    name: str | None = argument(None, optional(Name()), "Name of the schedule; without one, Keras' own.")

    def __init_subclass__(cls) -> None:
        cls.r_name = "learning_rate_schedule" + re.sub("[A-Z]", lambda letter: "_" + letter[0].lower(), cls.__name__)

    def __post_init__(self) -> None:
        check_fields(self)

    @classmethod
    def arguments(cls) -> dict[str, "dataclasses.Field[Any]"]:
        """The arguments in the order of the signature."""
        fields = {field.name: field for field in dataclasses.fields(cls)}
        last = {name: fields.pop(name) for name in ("name", *cls.late)}
        return fields | last

    @classmethod
    def signature(cls) -> inspect.Signature:
        """R keras 2.11's signature; its dots, which end the arguments taken by position, are a star here."""
        kinds = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
        return inspect.Signature(
            [
                inspect.Parameter(name, kinds[name in ("name", *cls.late)], default=default_of(field))
                for name, field in cls.arguments().items()
            ]
        )

    @classmethod
    def documentation(cls) -> str:
        """The docstring of its function."""
        lines = [inspect.getdoc(cls) or "", "", *described(cls.arguments())]
        lines += [
            "",
            "Returns:",
            f"    A ``{cls.__name__}`` of the Keras in use. Called with a step, it gives a scalar tensor of Keras' float type.",
            "",
            "Raises:",
            "    ValueError: a value out of its range.",
            "    TypeError: a value of the wrong type, a missing or an unknown argument.",
        ]
        return "\n".join(lines + ["", f"Source: {cls.reference}"] * bool(cls.reference))

    def build(self) -> Any:
        """The schedule, of the Keras in use."""
        given = {name: value for name in self.arguments() if (value := getattr(self, name)) is not None}
        return getattr(host().optimizers.schedules, type(self).__name__)(**given)


@dataclass(frozen=True, kw_only=True)
class CosineDecay(ScheduleSpec):
    """Cosine decay: half a cosine from the initial rate down to alpha of it.

    ``initial_learning_rate * (alpha + (1 - alpha) * (1 + cos(pi * min(step / decay_steps, 1))) / 2)``

    With a warm-up the rate first goes in a straight line from the initial rate to warmup_target, in warmup_steps steps. The
    cosine begins there, in ``decay_steps`` steps of its own, and goes down to alpha of warmup_target: in the formula
    warmup_target takes the place of the initial rate, and step counts from the end of the warm-up.
    """

    reference = _SGDR + "equation 5."
    late = ("warmup_target", "warmup_steps")

    initial_learning_rate: float = _initial()
    decay_steps: int = argument(REQUIRED, COUNT, "Steps until the lowest rate, which then stays.")
    alpha: float = _alpha()
    warmup_target: float | None = argument(None, optional(NON_NEGATIVE), "Rate at the end of the warm-up.")
    warmup_steps: int = argument(0, Count(), "Steps of the warm-up.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.warmup_target is None) != (self.warmup_steps == 0):
            raise ValueError(
                f"CosineDecay: warmup_target and warmup_steps must be given together, got warmup_target={self.warmup_target} "
                f"and warmup_steps={self.warmup_steps}"
            )


@dataclass(frozen=True, kw_only=True)
class CosineDecayRestarts(ScheduleSpec):
    """Cosine decay with restarts: period after period of cosine decay, each longer and lower than the last, if asked for.

    ``initial_learning_rate * (alpha + (1 - alpha) * m_mul**i * (1 + cos(pi * f)) / 2)``, where ``f`` is the fraction of period
    ``i`` that is over; period ``i`` lasts ``first_decay_steps * t_mul**i`` steps, and the first is period 0.
    """

    reference = _SGDR + "section 3."

    initial_learning_rate: float = _initial()
    first_decay_steps: int = argument(REQUIRED, COUNT, "Steps of the first period.")
    t_mul: float = argument(2.0, Number(low=1.0), "Length of a period, as a multiple of the one before.")
    m_mul: float = argument(1.0, NON_NEGATIVE, "First rate of a period, as a multiple of the one before.")
    alpha: float = _alpha()


@dataclass(frozen=True, kw_only=True)
class ExponentialDecay(ScheduleSpec):
    """Exponential decay: the rate is multiplied by decay_rate every decay_steps steps.

    ``initial_learning_rate * decay_rate**(step / decay_steps)``
    """

    initial_learning_rate: float = _initial()
    decay_steps: int = argument(REQUIRED, COUNT, "Steps in which the rate is multiplied by decay_rate once.")
    decay_rate: float = _decay_rate("Factor.")
    staircase: bool = _staircase()


@dataclass(frozen=True, kw_only=True)
class InverseTimeDecay(ScheduleSpec):
    """Inverse time decay: the initial rate divided by a number that grows evenly.

    ``initial_learning_rate / (1 + decay_rate * step / decay_steps)``
    """

    initial_learning_rate: float = _initial()
    decay_steps: int = argument(REQUIRED, COUNT, "Steps in which the divisor grows by decay_rate.")
    decay_rate: float = _decay_rate("Growth of the divisor.")
    staircase: bool = _staircase()


@dataclass(frozen=True, kw_only=True)
class PiecewiseConstantDecay(ScheduleSpec):
    """Piecewise constant decay: one rate after the other.

    ``values[0]`` up to and including step ``boundaries[0]``, then ``values[1]`` up to ``boundaries[1]``, and so on; the last
    of values after the last of boundaries.
    """

    boundaries: list[int] = argument(REQUIRED, ListOf(item=Count()), "Last step of each rate but the last, increasing.")
    values: list[float] = argument(REQUIRED, ListOf(item=NON_NEGATIVE), "Rates, one more than boundaries.")

    def __post_init__(self) -> None:
        super().__post_init__()
        b, v = self.boundaries, self.values
        if not b or any(later <= earlier for earlier, later in pairwise(b)):
            raise ValueError(f"PiecewiseConstantDecay: boundaries must not be empty and must increase, got {b}")
        if len(v) != len(b) + 1:
            raise ValueError(
                f"PiecewiseConstantDecay: values must be one more than boundaries, got {len(v)} values for {len(b)} boundaries"
            )


@dataclass(frozen=True, kw_only=True)
class PolynomialDecay(ScheduleSpec):
    """Polynomial decay: from the initial rate to end_learning_rate on a power of the time that is left.

    ``(initial_learning_rate - end_learning_rate) * (1 - min(step / decay_steps, 1))**power + end_learning_rate``;
    with cycle, decay_steps is replaced by its smallest multiple that step does not exceed.
    """

    reference = "Chen et al. (2016), DeepLab, https://arxiv.org/abs/1606.00915, section 4.1."

    initial_learning_rate: float = _initial()
    decay_steps: int = argument(REQUIRED, COUNT, "Steps until end_learning_rate.")
    end_learning_rate: float = argument(1e-4, NON_NEGATIVE, "Last rate.")
    power: float = argument(1.0, NON_NEGATIVE, "Power of the time that is left; 1 for a straight line.")
    cycle: bool = argument(
        False, Flag(), "Whether the rate rises again after decay_steps; without it the last one stays."
    )


SCHEDULES: dict[str, type[ScheduleSpec]] = {spec.r_name: spec for spec in ScheduleSpec.__subclasses__()}


def _make_function(spec: type[ScheduleSpec]) -> Callable[..., Any]:
    signature = spec.signature()

    def function(*args: Any, **kwargs: Any) -> Any:
        return spec(**laid_on(signature, spec.__name__, args, kwargs)).build()

    return dressed(function, spec.r_name, spec.documentation(), signature)


FUNCTIONS = {name: _make_function(spec) for name, spec in SCHEDULES.items()}


def new_class(classname: str, methods: list[str], values: dict[str, Any], new_object: Callable[[], Any]) -> type:
    """A class of schedules whose methods are written in R; it is registered, so that saved models find it by its name.

    Args:
        classname: the name of the class.
        methods: the names of the methods; ``call`` must be among them, ``initialize`` and ``get_config`` may be.
        values: attributes of the class other than methods.
        new_object: called once for each object. It returns that object's side in R: a function of the object, its
            ``super()``, the name of a method and the method's arguments, which runs the method.

    ``call`` sees the step as a scalar tensor. Within a graph it runs once, when the graph is traced.
    """
    owner = "new_learning_rate_schedule_class"
    Name().check(owner, "classname", classname)
    for name in ("initialize", "call", "get_config"):
        if name in values or (name == "call" and name not in methods):
            raise TypeError(f"{owner}: {name} must be a function, got {shown(values.get(name))}")
    keras = host()

    def run(self: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        return self._in_r(self, super(made, self), method, *args, **kwargs)

    def initialize(self: Any, *args: Any, **kwargs: Any) -> None:
        self._in_r = new_object()
        if "initialize" in methods:
            run(self, "initialize", *args, **kwargs)
        elif args or kwargs:
            raise TypeError(f"{classname}: takes no arguments, since it has no initialize")

    def call(self: Any, step: Any) -> Any:
        import tensorflow as tf

        try:
            rate = run(self, "call", tf.convert_to_tensor(step))
        except Exception as error:
            raise RuntimeError(f"{classname}: call(step) failed: {error}\n{_STEP_IS_A_TENSOR}") from error
        try:
            tensor = tf.convert_to_tensor(rate)
            if not (tensor.dtype.is_floating or tensor.dtype.is_integer):
                raise TypeError
            return tf.cast(tf.ensure_shape(tensor, ()), keras.backend.floatx())
        except (TypeError, ValueError, tf.errors.InvalidArgumentError):
            raise TypeError(
                f"{classname}: call(step) must return a number or a scalar tensor, got {shown(rate)}"
            ) from None

    def get_config(self: Any) -> dict[str, Any]:
        return dict(run(self, "get_config"))

    def forwarded(name: str) -> Callable[..., Any]:
        return lambda self, *args, **kwargs: run(self, name, *args, **kwargs)

    members = values | {name: forwarded(name) for name in methods if name not in ("initialize", "call", "get_config")}
    members |= {"__init__": initialize, "__call__": call, "__module__": "pyadam.schedules"}
    if "get_config" in methods:
        members["get_config"] = get_config
    made = type(classname, (keras.optimizers.schedules.LearningRateSchedule,), members)
    return keras.saving.register_keras_serializable()(made)


_STEP_IS_A_TENSOR = (
    "In a model's training, step is a tensor without a value: use TensorFlow's functions on it, such as tf$cast(step, "
    '"float32") and tf$math$divide(). R\'s operators work on tensors, once they are cast.'
)
