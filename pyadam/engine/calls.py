"""A function of lanes within a program: traced once for each kind of lane, and called for the others of that kind.

A model has hundreds of variables, but few shapes. What TensorFlow does with an operation before XLA compiles it costs more than
what XLA does with it.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import tensorflow as tf

from pyadam.engine.compiler import inside_xla
from pyadam.engine.lanes import Lane

__all__ = ["Calls"]


class Calls:
    """Calls of a function within one program.

    Args:
        function: ``(lane, common, given) -> nest of tensors``. What it makes of the lane must follow from `Lane.kind`, and of
            ``given``, a nest of tensors and None, from the dtypes and shapes. Lanes of a kind have ``common`` in common.
        lanes: for which it will be called.
    """

    def __init__(self, function: Callable[[Lane, Any, Any], Any], lanes: Sequence[Lane]) -> None:
        self._function = function
        self._numbers = Counter(lane.kind for lane in lanes)
        self._traced: dict[Any, Any] = {}

    def __call__(self, lane: Lane, common: Any, given: Any) -> Any:
        """The function of a lane. Several variables' lanes, and those that nothing compiles, have a trace of their own."""
        kind = lane.kind
        if lane.packed or self._numbers[kind] == 1 or not inside_xla():
            return self._function(lane, common, given)
        if kind not in self._traced:
            one = partial(self._function, lane, common)
            kept = {"_noinline": True}  # else TensorFlow would make one function of all calls before XLA sees them
            self._traced[kind] = tf.function(one, autograph=False, experimental_attributes=kept)
        return self._traced[kind](given)
