"""The types of what the public functions take and give, for type checkers alone: there is no such module at run time."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import numpy as np

class Value(Any):  # type: ignore[misc]
    """A number, a variable, a tensor or a function: checkers let it pass for each of them.

    Of an attribute of type Any they would believe that it is what was assigned last.
    """

class Scalar(Protocol):
    """A scalar tensor, ``tf.Variable`` or ``keras.Variable``."""

    def numpy(self) -> Any: ...

class Schedule(Protocol):
    """A learning-rate schedule of either generation of Keras."""

    def __call__(self, step: Any, /) -> Any: ...
    def get_config(self) -> Any: ...

class AnyOptimizer(Protocol):
    """An optimizer of either generation of Keras, its own or pyadam's."""

    def build(self, variables: Any, /) -> Any: ...
    def apply_gradients(self, grads_and_vars: Any, /) -> Any: ...

Count: TypeAlias = int | np.integer[Any]
Number: TypeAlias = float | np.floating[Any] | np.integer[Any] | Scalar
DynamicNumber: TypeAlias = Number | Callable[[], Any]
LearningRate: TypeAlias = Number | Schedule | Callable[[], Any]
GroupsOf: TypeAlias = Mapping[str, Mapping[str, Any]] | Sequence[Mapping[str, Any]]

_Given = TypeVar("_Given", covariant=True)
_Taken = TypeVar("_Taken", contravariant=True)

class Attribute(Generic[_Given, _Taken]):
    """An attribute that gives one type and takes another, which is wider."""

    def __get__(self, instance: object, owner: object) -> _Given: ...
    def __set__(self, instance: object, value: _Taken) -> None: ...
