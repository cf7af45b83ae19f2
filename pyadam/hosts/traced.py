"""Custom rules as graphs: checked to be pure, and traced where R can be called."""

import threading
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import tensorflow as tf

from pyadam.engine import belongs_to_r
from pyadam.optimizers.kinds import first_line, listed, shown
from pyadam.optimizers.numerics import scalar
from pyadam.optimizers.rule import Slots, Tensor

__all__ = ["Traced"]

# Operations that compute each element from elements at the same place.
_ELEMENTWISE = frozenset(
    [
        "Abs",
        "Add",
        "AddV2",
        "AddN",
        "Cast",
        "Ceil",
        "ClipByValue",
        "Const",
        "Cos",
        "Cosh",
        "Div",
        "DivNoNan",
        "Elu",
        "Equal",
        "Erf",
        "Exp",
        "Expm1",
        "Floor",
        "FloorDiv",
        "FloorMod",
        "Greater",
        "GreaterEqual",
        "Identity",
        "IsFinite",
        "IsInf",
        "IsNan",
        "LeakyRelu",
        "Less",
        "LessEqual",
        "Log",
        "Log1p",
        "LogicalAnd",
        "LogicalNot",
        "LogicalOr",
        "Maximum",
        "Minimum",
        "Mul",
        "MulNoNan",
        "Neg",
        "NoOp",
        "NotEqual",
        "OnesLike",
        "Placeholder",
        "Pow",
        "RealDiv",
        "Reciprocal",
        "Relu",
        "Relu6",
        "Rint",
        "Round",
        "Rsqrt",
        "Select",
        "SelectV2",
        "Selu",
        "Sigmoid",
        "Sign",
        "Sin",
        "Sinh",
        "Softplus",
        "Softsign",
        "Sqrt",
        "Square",
        "SquaredDifference",
        "StopGradient",
        "Sub",
        "Tan",
        "Tanh",
        "Xdivy",
        "Xlog1py",
        "Xlogy",
        "ZerosLike",
    ]
)
_CONTROL_FLOW = frozenset(("Case", "If", "StatelessCase", "StatelessIf", "StatelessWhile", "While"))


class Traced:
    """A rule as graphs, traced once for each kind of tensor: R functions can't run on the threads that trace a step.

    Args:
        name: the class's.
        update: ``(w, g, s, h) -> (w, slots)``, as the user wrote it.
        slots: the names of its slots.
        numbers: the names of the arguments that are numbers, which reach it as scalar tensors.
    """

    def __init__(self, name: str, update: Callable[..., Any], slots: Sequence[str], numbers: Sequence[str]) -> None:
        self._name, self.update, self._slots, self._numbers = name, update, list(slots), [*numbers, "t"]
        self._thread = threading.get_ident() if belongs_to_r(update) else None
        self._graphs: dict[Any, Any] = {}
        self.elementwise = False

    def check(self, flags: Mapping[str, Any]) -> None:
        """Traces the rule for some shapes and dtypes, twice each, and checks what came of it.

        Raises:
            TypeError, ValueError: it isn't a pure rule on one tensor.
        """
        once, again = (self._trace(tf.float32, [3, 2], flags).graph for _ in range(2))
        operations = once.get_operations()
        for operation in operations:
            if operation.type in _CONTROL_FLOW:
                raise ValueError(self._branches(operation.type))
            if operation.op_def.is_stateful and operation.type != "Placeholder":
                raise ValueError(
                    f"{self._name}: update has an operation with side effects ({operation.type}), such as printing, random "
                    "numbers or variables; it may only compute with w, g, s and h"
                )
        if once.as_graph_def() != again.as_graph_def():
            raise ValueError(
                f"{self._name}: update made other operations when it was called a second time; it is called when a step is "
                "traced, so all that differs from step to step must be among w, g, s and h"
            )
        self._trace(tf.float64, [3, 2], flags)
        scalars = all(o.type != "Const" or o.outputs[0].shape.rank == 0 for o in operations)
        self.elementwise = scalars and all(o.type in _ELEMENTWISE for o in operations)
        self.elementwise = self.elementwise and self._is_of_any_shape(once, flags)
        if self.elementwise:  # one graph for all shapes, which replicas need not ask R for
            self.prepare([], flags)

    def _is_of_any_shape(self, graph: Any, flags: Mapping[str, Any]) -> bool:
        """Whether the rule makes the same operations whatever the shape, so that one graph does for all."""

        def made(each: Any) -> list[tuple[str, Any]]:
            constants = {
                o.name: o.get_attr("value").SerializeToString() for o in each.get_operations() if o.type == "Const"
            }
            return [(o.type, constants.get(o.name)) for o in each.get_operations()]

        try:
            others = [self._trace(tf.float32, shape, flags).graph for shape in ([5], [], None)]
        except (TypeError, ValueError):  # it asks for the shape
            return False
        return all(made(other) == made(graph) for other in others)

    def prepare(self, shape: Sequence[int], flags: Mapping[str, Any]) -> None:
        """Traces the rule for variables of this shape, now that we are on the thread of R, if there is one."""
        for dtype in (tf.float32, tf.float64):
            self._graph(dtype, shape, flags)

    def __call__(self, w: Tensor, g: Tensor, s: Mapping[str, Tensor], h: Mapping[str, Any]) -> tuple[Tensor, Slots]:
        """The new weight and slots."""
        numbers = {name: scalar(h[name], w.dtype) for name in self._numbers}
        flags = {name: value for name, value in h.items() if name not in numbers}
        graph = self._graph(w.dtype, w.shape, flags)
        weight, *slots = graph(w, g, *(s[name] for name in self._slots), *numbers.values())
        new = [tf.ensure_shape(each, w.shape) for each in (weight, *slots)]
        return new[0], dict(zip(self._slots, new[1:], strict=True))

    def _graph(self, dtype: Any, shape: Any, flags: Mapping[str, Any]) -> Any:
        key = dtype, None if self.elementwise else tuple(shape), tuple(sorted(flags.items()))
        if key not in self._graphs:
            with tf.init_scope():
                self._graphs[key] = self._trace(dtype, key[1], flags)
        return self._graphs[key]

    def _trace(self, dtype: Any, shape: Any, flags: Mapping[str, Any]) -> Any:
        count = len(self._slots)
        if self._thread not in (None, threading.get_ident()):
            raise RuntimeError(
                f"{self._name}: update is an R function, which can't be called while several replicas trace their step; call "
                "optimizer$build(variables) before, within the strategy's scope"
            )

        def graph(*tensors: Any) -> list[Any]:
            w, g, *rest = tensors
            s = dict(zip(self._slots, rest[:count], strict=True))
            h = dict(zip(self._numbers, rest[count:], strict=True)) | dict(flags)
            return self._checked(w, self._call(w, g, s, h))

        specs = [tf.TensorSpec(shape, dtype)] * (2 + count) + [tf.TensorSpec([], dtype)] * len(self._numbers)
        return tf.function(graph, autograph=False).get_concrete_function(*specs)

    def _call(self, w: Any, g: Any, s: dict[str, Any], h: dict[str, Any]) -> Any:
        try:
            return self.update(w, g, SimpleNamespace(**s), SimpleNamespace(**h))
        except tf.errors.OperatorNotAllowedInGraphError:
            raise ValueError(self._branches("if")) from None
        except Exception as error:
            raise ValueError(
                f"{self._name}: update(w, g, s, h) raised {type(error).__name__}: {first_line(error)}; it is called with "
                "tensors that have no values yet, so it may only use operations of TensorFlow"
            ) from error

    def _branches(self, what: str) -> str:
        return (
            f"{self._name}: update has a branch or a loop that depends on the values of tensors ({what}); choose between "
            "values with tf.where, and repeat a fixed number of times"
        )

    def _checked(self, w: Any, returned: Any) -> list[Any]:
        """What update returned, as the weight and the slots in order."""
        names = listed(self._slots) or "(there are none)"
        wanted = f"{self._name}: update must return the new weight and a dictionary of the slots {names}"
        if not isinstance(returned, (tuple, list)) or len(returned) != 2:
            raise TypeError(f"{wanted}, got {shown(returned)}")
        weight, slots = returned
        slots = {} if isinstance(slots, (list, tuple)) and not slots else slots
        if not isinstance(slots, Mapping):
            raise TypeError(f"{wanted}, got {shown(slots)} in place of the slots")
        if set(slots) != set(self._slots):
            raise ValueError(f"{wanted}, got {listed(slots) or 'none'}")
        values = {"the weight": weight, **{f"the slot {name}": slots[name] for name in self._slots}}
        return [self._fitting(w, what, value) for what, value in values.items()]

    def _fitting(self, w: Any, what: str, value: Any) -> Any:
        try:
            tensor = tf.convert_to_tensor(value)
        except Exception:
            raise TypeError(f"{self._name}: update must return a tensor as {what}, got {shown(value)}") from None
        if tensor.dtype != w.dtype:
            raise TypeError(
                f"{self._name}: update must return {what} in the dtype of w, {w.dtype.name}, got {tensor.dtype.name}"
            )
        if not tensor.shape.is_compatible_with(w.shape):
            raise ValueError(
                f"{self._name}: update must return {what} in the shape of w, {w.shape}, got {tensor.shape}"
            )
        return tensor
