"""Variables that several replicas keep in pieces, as one variable each."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from pyadam.engine.part import Part

__all__ = ["Piece", "RowsOf", "Sharded"]


class Piece(NamedTuple):
    """Some rows of a variable, or all of it.

    Attributes:
        key: the optimizer's key of the variable.
        owner: the number of the replica that keeps it.
        begin: the first row.
        end: the row after the last; None for the whole of a variable that is not cut.
    """

    key: Any
    owner: int
    begin: int = 0
    end: int | None = None

    def of(self, value: Any) -> Any:
        """These rows of a tensor, or of a sparse gradient."""
        if self.end is None:
            return value
        if not isinstance(value, tf.IndexedSlices):
            return value[self.begin : self.end]
        inside = (value.indices >= self.begin) & (value.indices < self.end)
        values, indices = tf.boolean_mask(value.values, inside), tf.boolean_mask(value.indices, inside) - self.begin
        shape = tf.concat([[self.end - self.begin], tf.cast(value.dense_shape[1:], tf.int32)], 0)
        return tf.IndexedSlices(values, indices, tf.cast(shape, value.dense_shape.dtype))

    def shape_in(self, shape: Any) -> tf.TensorShape:
        """The shape of these rows of a variable of this shape."""
        return tf.TensorShape(shape if self.end is None else [self.end - self.begin, *shape[1:]])


class RowsOf(Part):
    """Some rows of a variable, as a variable."""

    def __init__(self, variable: Any, piece: Piece) -> None:
        self.arena, self._memory, self._begin, self._end = None, variable, piece.begin, piece.end
        self._shape, self._label = piece.shape_in(variable.shape), f"{variable.name.partition(':')[0]}_{piece.begin}"

    def read_value(self) -> Any:
        """The current value, a tensor."""
        return self._memory[self._begin : self._end]

    value = read_value

    def assign(self, value: Any, use_locking: bool = False, name: str | None = None, read_value: bool = True) -> Any:
        """Overwrites the value."""
        self._memory[self._begin : self._end].assign(tf.cast(value, self.dtype))
        return self.read_value() if read_value else None


class Sharded(Part):
    """A state variable whose pieces are kept by several replicas, as one variable.

    To read it where other workers keep pieces of it, all workers have to read it at the same time.

    Args:
        shape: of the whole.
        pieces: who keeps which rows, in order.
        kept: the variables of those that this process keeps; None for the others.
        gather: returns the pieces of all workers; None where there is one.
    """

    def __init__(
        self,
        shape: Any,
        pieces: Sequence[Piece],
        kept: Sequence[Any],
        dtype: Any,
        gather: Callable[[Any, Sequence[Any]], Sequence[Any]] | None,
    ) -> None:
        self.arena, self._shape, self._dtype = None, tf.TensorShape(shape), tf.as_dtype(dtype)
        self.pieces, self.kept, self._gather, self._label = tuple(pieces), tuple(kept), gather, "sharded"

    dtype = property(lambda self: self._dtype, doc="The dtype.")
    device = property(
        lambda self: next((v.device for v in self.kept if v is not None), "CPU:0"), doc="That of its first piece."
    )
    synchronization = property(lambda self: tf.VariableSynchronization.AUTO, doc="AUTO.")
    aggregation = property(lambda self: tf.VariableAggregation.NONE, doc="NONE.")
    _unique_id = property(lambda self: f"{self._label}_{id(self)}")

    @property
    def is_here(self) -> bool:
        """Whether no other worker keeps a piece."""
        return self._gather is None

    def __repr__(self) -> str:
        if self.is_here:
            return super().__repr__()
        return f"<Sharded {self.name!r} shape={self.shape} dtype={self.dtype.name}>"  # reading takes all workers

    def read_value(self) -> Any:
        """The current value, a tensor."""
        values = [None if v is None else v.read_value() for v in self.kept]
        found = values if self._gather is None else self._gather(self, values)
        return found[0] if len(found) == 1 else tf.concat(found, 0)

    value = read_value

    def assign(self, value: Any, use_locking: bool = False, name: str | None = None, read_value: bool = True) -> Any:
        """Overwrites the pieces that this process keeps."""
        value = tf.convert_to_tensor(value, self.dtype)
        if not self._shape.is_compatible_with(value.shape):
            raise ValueError(
                f"Cannot assign a value of shape {tuple(value.shape)} to variable {self.name} of shape {tuple(self._shape)}"
            )
        for piece, variable in zip(self.pieces, self.kept, strict=True):
            if variable is not None:
                with tf.device(variable.device):
                    variable.assign(piece.of(value))
        return self if read_value and tf.executing_eagerly() else None

    @property
    def memories(self) -> tuple[Any, ...]:
        """The pieces that this process keeps."""
        return tuple(v for v in self.kept if v is not None)

    @property
    def bytes(self) -> int:
        """The bytes of the pieces that this process keeps."""
        return sum(v.shape.num_elements() * v.dtype.size for v in self.memories)
