"""What a rule is: the mathematics of one optimizer, as pure functions of one tensor."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, NamedTuple

from pyadam.optimizers.spec import Spec

__all__ = ["Rule", "Scalars", "Slot", "Slots", "Tensor", "alike"]

Tensor = Any  # tf.Tensor; TensorFlow ships no types that a checker could use
Scalars = dict[str, Tensor]
Slots = dict[str, Tensor]


class Slot(NamedTuple):
    """A variable that a rule keeps beside each weight.

    Attributes:
        name: its name among the rule's slots.
        start: its first value.
        shape: its shape, if it is not the weight's.
        dtype: set for a placeholder, which Keras' files hold and no rule reads; it has this dtype.
    """

    name: str
    start: float = 0.0
    shape: tuple[int, ...] | None = None
    dtype: str | None = None


Layout = Callable[[Any, Sequence[int], str], tuple[tuple[Slot, ...], ...]]


def alike(*groups: Sequence[str]) -> Layout:
    """The layout of slots that are the same for all variables and start from zero."""
    made = tuple(tuple(Slot(name) for name in group) for group in groups)
    return lambda h, shape, path: made


def _weight_decay(h: Any, s: SimpleNamespace) -> float | None:
    return h.weight_decay


@dataclass(frozen=True)
class Rule:
    """An optimizer's mathematics.

    In the functions ``h`` holds the hyperparameters of the spec (those that may differ from step to step as scalar tensors:
    in float64 in ``scalars`` and ``decay``, in the dtype of ``w`` in ``update``), ``t`` is the number of the update (from
    1), ``lr`` the learning rate, ``c`` what ``scalars`` returned, in the dtype of ``w``. ``w``, ``g`` and the slots ``s``
    are tensors of one dtype: float32, or float64 for float64 weights. ``c`` has two functions as well, for bits that no
    compiler changes: ``c.rounded(product)`` where a product is part of a sum, ``c.root(x)`` for a root that something is
    divided by.

    Attributes:
        spec: the arguments.
        layout: name of the state layout; optimizers with the same layout can load each other's state.
        scalars: ``(h, t, lr, shared) -> (c, shared)``: what is the same for all variables, once a step, in float64.
        update: ``(h, c, w, g, s) -> (w, slots)``: the new weight and slots of one variable; no slot's new value comes from the
            old one of a slot behind it.
        slots: ``(h, shape, path) -> groups``: the slots of a variable. Saved state holds the first group of all variables,
            then the second; within a group the slots of a variable stand side by side.
        shared: names and first values of the scalar variables that belong to the optimizer as a whole.
        decay: ``(h, s) -> number or None``: the weight decay of the variable with these slots.
        magnified: ``(h) -> factor``: how many times the rounding of its largest element the step inherits beside that of the
            weight, at most. Each sum over the variable counts as one, for its rounding reaches every element.
        elementwise: whether each element's update depends on that element alone; then variables may be laid end to end.
        single_pass: whether XLA makes one loop of all its new values where it may, with the bits of separate loops. For that no
            two products may meet in a sum, which compilers round as they like.
        idle: ``(h) -> bool``: whether a gradient of 0 leaves weight and slots as they are, to the bit.
        weight_first: ``(h) -> bool``: whether the new weight comes from slots' old values; a loop of its own reads them before
            they are overwritten.
        lists: the names under which Keras' class keeps its lists of slots, each with the name of the slot.
        lazy: whether a sparse gradient moves its rows alone even where a gradient of 0 would move the others.
    """

    spec: type[Spec]
    layout: str
    scalars: Callable[[Any, Tensor, Tensor, SimpleNamespace], tuple[Scalars, Scalars]]
    update: Callable[[Any, SimpleNamespace, Tensor, Tensor, SimpleNamespace], tuple[Tensor, Slots]]
    slots: Layout
    shared: Mapping[str, float] = field(default_factory=dict)
    decay: Callable[[Any, SimpleNamespace], float | None] = _weight_decay
    magnified: Callable[[Any], float] = lambda h: 0.0
    elementwise: bool = True
    single_pass: bool = True
    idle: Callable[[Any], bool] = lambda h: False
    weight_first: Callable[[Any], bool] = lambda h: False
    lists: Mapping[str, str] = field(default_factory=dict)
    lazy: bool = False
