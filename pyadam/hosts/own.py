"""Custom optimizers: a class made from arguments and a pure rule on one tensor, written in Python or in R."""

import dataclasses
import importlib
import inspect
import keyword
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from pyadam.hosts.classes import make_class
from pyadam.hosts.generation import class_of, keras3_classes, uses_tf_keras
from pyadam.hosts.traced import Traced
from pyadam.optimizers import SPECS, WRAPPERS, Rule, Spec, argument, function_signature
from pyadam.optimizers.kinds import DynamicNumber, Flag, Kind, LearningRate, Name, Number, shown
from pyadam.optimizers.rule import Scalars, Slot, Slots, Tensor
from pyadam.optimizers.shared import learning_rate_field

__all__ = ["new_optimizer_class", "r_formals"]

_OWNER = "new_optimizer_class"


def _rule(spec: type[Spec], traced: Traced, slots: tuple[Slot, ...]) -> Rule:
    """The rule of the engine that calls a traced one."""
    own = [name for name in spec.__annotations__ if name != "learning_rate"]
    flags = [name for name in own if isinstance(_kind(spec, name), Flag)]

    def scalars(h: Any, t: Tensor, lr: Tensor, shared: SimpleNamespace) -> tuple[Scalars, Scalars]:
        return {"lr": lr, "t": t}, {}

    def update(h: Any, c: SimpleNamespace, w: Tensor, g: Tensor, s: SimpleNamespace) -> tuple[Tensor, Slots]:
        return traced(w, g, vars(s), {name: getattr(h, name) for name in own} | {"learning_rate": c.lr, "t": c.t})

    def groups(h: Any, shape: Sequence[int], path: str) -> tuple[tuple[Slot, ...], ...]:
        traced.prepare(shape, {name: getattr(h, name) for name in flags})
        return (slots,) if slots else ()

    update.__doc__ = f"{spec.__name__}.\n\n{inspect.getdoc(traced.update) or 'Its rule has no docstring.'}"
    return Rule(
        spec,
        f"own {spec.__name__.lower()}",
        scalars,
        update,
        groups,
        elementwise=traced.elementwise,
        single_pass=False,
        weight_first=lambda h: True,
    )


def _kind(spec: type[Spec], name: str) -> Kind:
    found: Kind = spec.__dataclass_fields__[name].metadata["kind"]
    return found


def _field(name: str, given: Any) -> Any:
    """The field of an argument, given as its default, or as a dictionary with that, its range and its meaning."""
    parts = dict(given) if isinstance(given, Mapping) else {"default": given}
    unknown = parts.keys() - {"default", "low", "high", "doc"}
    if unknown or "default" not in parts:
        raise TypeError(
            f"{_OWNER}: the argument {name} must be a default, or a dictionary (a named list in R) of default, low, high and "
            f"doc, got {shown(given)}"
        )
    default = parts["default"]
    low, high = (
        Number().check(_OWNER, f"{side} of {name}", parts[side]) if side in parts else None for side in ("low", "high")
    )
    bounds = ({} if low is None else {"low": low}) | ({} if high is None else {"high": high})
    doc = Name().check(_OWNER, f"doc of {name}", parts.get("doc", f"The rule's {name}."))
    kind: Kind
    if isinstance(default, bool):
        kind = Flag()
    elif name == "learning_rate":
        kind = LearningRate(**{"low": 0.0, **bounds})
    else:
        kind = DynamicNumber(**bounds)
    return argument(kind.check(_OWNER, name, default), kind, doc)


def _slots(slots: Any) -> tuple[Slot, ...]:
    """The slots, given as names that start at 0, or as a dictionary of first values, None for that of the weight."""
    given = [slots] if isinstance(slots, str) else slots
    if not isinstance(given, (Mapping, Sequence)) or len(set(given)) < len(given):
        raise TypeError(f"{_OWNER}: slots must be different names, or first values by name, got {shown(slots)}")
    starts = given if isinstance(given, Mapping) else dict.fromkeys(given, 0.0)
    found = []
    for name, start in starts.items():
        Name().check(_OWNER, "a slot's name", name)
        if not name.isidentifier() or name in ("average", "gradient_accumulator", "weight", "decay"):
            raise ValueError(
                f"{_OWNER}: a slot's name must be an identifier that the engine doesn't use itself, got {shown(name)}"
            )
        value = None if start is None else Number().check(_OWNER, f"the first value of slot {name}", start)
        found.append(Slot(name, value))
    return tuple(found)


def r_formals(cls: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The defaults of the arguments of a class as an R function has them, before its dots and after them."""
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    for name, parameter in function_signature(cls.spec_type).parameters.items():
        if parameter.kind is not parameter.VAR_KEYWORD:
            (after if parameter.kind is parameter.KEYWORD_ONLY else before)[name] = parameter.default
    return before, after


def new_optimizer_class(
    classname: str, update: Callable[..., Any], slots: Any = (), doc: str = "", **arguments: Any
) -> type:
    """A class of optimizers from a custom rule, for the Keras in use.

    The rule is a pure function of one variable's tensors, ``update(w, g, s, h)``, which returns the new weight and a dictionary
    of the new slots. ``w`` is the weight, ``g`` the gradient, ``s`` has the slots, and ``h`` the arguments and ``t``, the
    number of the update from 1, as attributes. All are float32 tensors, or float64 for float64 weights; those of ``h`` are
    scalars, except flags, which are True or False. In R, ``update`` is an R function of the same four, with ``s`` and ``h`` as
    lists, that returns a list of the weight and, by name, the slots.

    Everything else comes with it: the signature with the common arguments, their checks, configs and files, one compiled
    program over all variables, weight decay, clipping, averages, accumulation, groups, replicas, and both languages. The class
    is registered with Keras under its name: a saved model loads where it is defined.

    Args:
        classname: the name of the class.
        update: the rule. It is called when a step is traced, so it may only compute with what it is given.
        slots: names of the slots, state of the weight's shape that starts at 0; or a dictionary of their first values, where
            None is the weight's value.
        doc: what the optimizer does, for its documentation.
        **arguments: the arguments of the optimizer, as defaults (numbers, or True and False), or as dictionaries of
            ``default``, ``low``, ``high`` and ``doc``. ``learning_rate`` is 0.001 unless it is given.

    Raises:
        TypeError: a rule that returns something else than tensors of the right dtype, or an argument of the wrong type.
        ValueError: a rule that returns another shape or other slots, has side effects, or branches that depend on values; a
            name that is taken.

    Example:
        >>> def update(w, g, s, h):
        ...     m = h.momentum * s.m + (1 - h.momentum) * g
        ...     return w - h.learning_rate * tf.sign(m), {"m": m}
        >>> Signum = new_optimizer_class("Signum", update, slots=["m"], momentum=0.9)
        >>> model.compile(Signum(1e-3, weight_decay=0.01), "mse")
    """
    Name().check(_OWNER, "classname", classname)
    if not classname.isidentifier() or classname in (*SPECS, *WRAPPERS, "Optimizer"):
        raise ValueError(f"{_OWNER}: classname must be an identifier that no optimizer has, got {shown(classname)}")
    Name().check(_OWNER, "doc", doc)
    if not callable(update):
        raise TypeError(f"{_OWNER}: update must be a function of w, g, s and h, got {shown(update)}")
    module = importlib.import_module("pyadam.tf_keras") if uses_tf_keras() else keras3_classes()
    base = class_of(module, "Optimizer")
    for name in arguments:
        if name in Spec.__dataclass_fields__ or name == "t" or (name != "learning_rate" and hasattr(base, name)):
            raise ValueError(
                f"{_OWNER}: the argument {name} is one that all optimizers have, or t; give it another name"
            )
        if not name.isidentifier() or keyword.iskeyword(name):
            raise ValueError(
                f"{_OWNER}: an argument's name must be an identifier, without dots, and no keyword of Python, got {shown(name)}"
            )
    fields = {"learning_rate": learning_rate_field(0.001)}
    fields |= {name: _field(name, value) for name, value in arguments.items()}
    spec = dataclasses.make_dataclass(
        classname,
        [(name, Any, field) for name, field in fields.items()],
        bases=(Spec,),
        frozen=True,
        kw_only=True,
        namespace={"__doc__": doc or f"{classname}, a custom optimizer.", "title": classname, "in_keras": False},
    )
    flags = {name: field.default for name, field in fields.items() if isinstance(field.metadata["kind"], Flag)}
    made = _slots(slots)
    traced = Traced(classname, update, [slot.name for slot in made], [name for name in fields if name not in flags])
    traced.check(flags)
    register = base._saving.register_keras_serializable()
    return register(make_class(spec, _rule(spec, traced, made), base, getattr(update, "__module__", "pyadam")))
