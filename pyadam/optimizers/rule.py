"""Rules: the mathematics of an optimizer as pure functions of one variable's tensors."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, NamedTuple

from pyadam.optimizers.spec import Spec

__all__ = ["Rule", "Scalars", "Slot", "Slots", "Tensor", "same_slots"]

Tensor = Any  # tf.Tensor; TensorFlow ships no usable types
Scalars = dict[str, Tensor]
Slots = dict[str, Tensor]


class Slot(NamedTuple):
    """A slot variable: state that a rule keeps for each weight.

    Attributes:
        name: its name among the rule's slots.
        start: its initial value; None for that of the weight at the first update.
        shape: its shape, if not the weight's.
        dtype: the dtype in which it is stored, if not that of the arithmetic.
        is_placeholder: whether it is there only because Keras' files contain it; no rule reads it.
    """

    name: str
    start: float | None = 0.0
    shape: tuple[int, ...] | None = None
    dtype: str | None = None
    is_placeholder: bool = False

    @property
    def filling(self) -> float:
        """What its variable is filled with when it is made; a weight's value is assigned then."""
        return 0.0 if self.start is None else self.start


SlotsFunction = Callable[[Any, Sequence[int], str], tuple[tuple[Slot, ...], ...]]


def same_slots(*groups: Sequence[str]) -> SlotsFunction:
    """The same slots for all variables, all starting from zero."""
    made = tuple(tuple(Slot(name) for name in group) for group in groups)
    return lambda h, shape, path: made


def _weight_decay(h: Any, s: SimpleNamespace) -> float | None:
    return h.weight_decay


@dataclass(frozen=True)
class Rule:
    """An optimizer's mathematics.

    In these functions, ``h`` holds the hyperparameters of the spec, ``t`` is the number of the update (from 1), ``lr`` the
    learning rate, and ``c`` what ``scalars`` returned, in the dtype of ``w``. Hyperparameters that may change between steps
    are scalar tensors: float64 in ``scalars`` and ``decay``, the dtype of ``w`` in ``update``. ``w``, ``g`` and the slots
    ``s`` are tensors of one dtype: float32, or float64 for float64 weights. ``c`` also has two functions that make results
    independent of the compiler: ``c.rounded(product)`` for a product inside a sum, ``c.root(x)`` for a root in a divisor.

    Attributes:
        spec: the arguments.
        layout: name of the state layout; optimizers that share one can load each other's state.
        scalars: ``(h, t, lr, shared) -> (c, shared)``: values that all variables share, computed once per step in float64.
            If its docstring defines symbols, as in "alpha_t = ...", it is shown to users after the formulas.
        update: ``(h, c, w, g, s) -> (w, slots)``: the new weight and slots of one variable; no slot's new value depends
            on the old value of one returned after it.
        slots: ``(h, shape, path) -> groups``: the slots of a variable. Saved state holds the first group for all variables,
            then the second, and so on; within a group, each variable's slots are adjacent.
        shared: names and initial values of scalar variables that belong to the optimizer as a whole: float64 if there are
            ``sums`` among them or float64 weights when they are made, else float32.
        sums: those of these scalars that ``update`` returns beside the slots, as tensors of the weight's shape. Each is their
            sum over all variables after the last update, with the digits of float32 (see `numerics.settled`). A function
            ``(s) -> tensor`` says what a variable adds that an update does not move, None that it adds nothing.
        decay: ``(h, s) -> number or None``: the weight decay for a variable with these slots.
        applies_decay: whether ``update`` applies it: ``s.decay`` is learning rate times decay then, or None. Otherwise the
            weight that it sees has shrunk already.
        evaluated: ``(h, w, s) -> weight``: the weight to evaluate the model with, of rules that train another one.
        magnified: ``(h) -> factor``: an upper bound on the rounding error that the step adds to the weight's own, in units
            of its largest element's. Each sum over the variable counts as one, as its rounding reaches every element.
        elementwise: whether each element's update depends on that element alone; if so, variables may be concatenated.
        single_pass: whether XLA may compute all new values in one fused loop, with the same bits as separate loops. No sum
            may then add two products, since compilers choose which of them to round.
        idle: ``(h) -> bool``: whether a zero gradient leaves weight and slots unchanged, to the bit.
        weight_first: ``(h) -> bool``: whether the new weight depends on old slot values; a separate loop reads them before they
            are overwritten.
        slots_read_slots: whether a slot's new value depends on the old value of another; then they are overwritten in reverse.
        lists: maps each attribute in which Keras' class keeps a list of slots to the name of the slot.
        lazy: whether a sparse gradient updates only its own rows, even if a zero gradient would move the others.
    """

    spec: type[Spec]
    layout: str
    scalars: Callable[[Any, Tensor, Tensor, SimpleNamespace], tuple[Scalars, Scalars]]
    update: Callable[[Any, SimpleNamespace, Tensor, Tensor, SimpleNamespace], tuple[Tensor, Slots]]
    slots: SlotsFunction
    shared: Mapping[str, float] = field(default_factory=dict)
    sums: Mapping[str, Callable[[SimpleNamespace], Tensor] | None] = field(default_factory=dict)
    decay: Callable[[Any, SimpleNamespace], float | None] = _weight_decay
    applies_decay: bool = False
    evaluated: Callable[[Any, Tensor, SimpleNamespace], Tensor] | None = None
    magnified: Callable[[Any], float] = lambda h: 0.0
    elementwise: bool = True
    single_pass: bool = True
    idle: Callable[[Any], bool] = lambda h: False
    weight_first: Callable[[Any], bool] = lambda h: False
    slots_read_slots: bool = False
    lists: Mapping[str, str] = field(default_factory=dict)
    lazy: bool = False
