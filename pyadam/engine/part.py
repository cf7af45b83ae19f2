"""One variable's share of an arena, which is a tf.Variable to everything that takes one."""

from functools import cached_property, partial
from typing import Any

import tensorflow as tf

from pyadam.engine.components import components

__all__ = ["Part"]


class _Reference(tf.types.experimental.TraceType):  # type: ignore[misc]
    """How a tf.function takes a part for an argument: by reference, as any variable."""

    def __init__(self, part: "Part") -> None:
        self._part = part

    def is_subtype_of(self, other: Any) -> bool:
        """Whether a function that was traced for the other can be called with this one."""
        return bool(self == other)

    def most_specific_common_supertype(self, others: Any) -> Any:
        """This one, if all are the same."""
        return self if all(self == other for other in others) else None

    def placeholder_value(self, placeholder_context: Any) -> Any:
        """The part itself."""
        return self._part

    def cast(self, value: Any, cast_context: Any) -> Any:
        """The value as it is."""
        return value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Reference) and self._part is other._part

    def __hash__(self) -> int:
        return id(self._part)


def _times(value: Any, indices: Any, factors: Any) -> Any:
    """The value with rows multiplied; a row that is named twice is multiplied twice."""
    return value * tf.math.unsorted_segment_prod(factors, indices[..., 0], value.shape[0])


def _over(value: Any, indices: Any, divisors: Any) -> Any:
    return value / tf.math.unsorted_segment_prod(divisors, indices[..., 0], value.shape[0])


class Part(tf.Variable, tf.__internal__.types.Tensor):  # type: ignore[misc]
    """A variable whose memory is a slice of a longer, flat variable.

    It is read, assigned, scattered to, checkpointed, exported and copied as any tf.Variable. What it lacks is a resource of its
    own: ``handle`` is an AttributeError.

    Args:
        arena: what holds the flat variable, ``memory``.
        begin: where the slice begins.
        shape: of this variable.
    """

    def __init__(self, arena: Any, begin: int, shape: tf.TensorShape) -> None:
        # tf.Variable's own constructor would make a resource
        self.arena, self._memory, self._shape = arena, arena.memory, shape
        self._begin, self._end = begin, begin + shape.num_elements()
        self._label = self._memory.name.partition(":")[0]

    def named(self, label: str) -> "Part":
        """The same part, under this name."""
        self._label = label
        return self

    @cached_property
    def components(self) -> tuple["Part", ...]:
        """The parts of the local replicas, if there are several; else this one."""
        arenas = () if self.arena is None else self.arena.components
        return tuple(arena.parts[self.arena.number(self)] for arena in arenas) if len(arenas) > 1 else (self,)

    @property
    def is_here(self) -> bool:
        """Whether all of its values are in this process, so that it can be read without other workers."""
        return True

    @property
    def memories(self) -> tuple[Any, ...]:
        """The variables in which its values lie."""
        return (self._memory,)

    # --- what it is ------------------------------------------------------------------------------------------------------

    name = property(lambda self: f"{self._label}:0", doc="The name, as TensorFlow shows it.")
    _shared_name = property(lambda self: self._label)
    _unique_id = property(lambda self: f"{self._memory._unique_id}_{self._begin}")
    shape = property(lambda self: self._shape, doc="The static shape.")
    dtype = property(lambda self: self._memory.dtype, doc="The dtype.")
    device = property(lambda self: self._memory.device, doc="Where the memory lies.")
    trainable = property(lambda self: False, doc="State of an optimizer is not trained.")
    synchronization = property(lambda self: self._memory.synchronization, doc="That of the memory.")
    aggregation = property(lambda self: self._memory.aggregation, doc="That of the memory.")
    constraint = property(lambda self: None, doc="None.")
    initializer = property(lambda self: None, doc="None: it has a value from the first.")
    _distribute_strategy = None

    @property
    def handle(self) -> Any:
        """There is none.

        Raises:
            AttributeError: always.
        """
        raise AttributeError(
            f"{self._label} shares the memory of one variable with other small state, and has no resource handle "
            "of its own. Read it with read_value(), write it with assign()"
        )

    def __repr__(self) -> str:
        value = f", numpy={self.numpy()!r}" if tf.executing_eagerly() else ""
        return f"<Part {self.name!r} shape={self.shape} dtype={self.dtype.name}{value}>"

    # --- reading ---------------------------------------------------------------------------------------------------------

    def read_value(self) -> Any:
        """The current value, a tensor."""
        return tf.reshape(self._memory[self._begin : self._end], self._shape)

    value = read_value

    def numpy(self) -> Any:
        """The current value, an array."""
        return self.read_value().numpy()

    def is_initialized(self, name: str | None = None) -> Any:
        """True."""
        return tf.constant(True, name=name)

    def sparse_read(self, indices: Any, name: str | None = None) -> Any:
        """Some rows."""
        return tf.gather(self.read_value(), indices, name=name)

    def gather_nd(self, indices: Any, name: str | None = None) -> Any:
        """Some slices."""
        return tf.gather_nd(self.read_value(), indices, name=name)

    def __tf_tracing_type__(self, context: Any) -> Any:
        return _Reference(self)

    def __tf_tensor__(self, dtype: Any = None, name: str | None = None) -> Any:
        return tf.convert_to_tensor(self.read_value(), dtype, name=name)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return self.numpy() if dtype is None else self.numpy().astype(dtype)

    def __bool__(self) -> bool:
        return bool(self.read_value())

    def __int__(self) -> int:
        return int(self.numpy())

    def __float__(self) -> float:
        return float(self.numpy())

    # --- writing ---------------------------------------------------------------------------------------------------------

    def assign(self, value: Any, use_locking: bool = False, name: str | None = None, read_value: bool = True) -> Any:
        """Overwrites the value; returns this variable or, in a graph, the new value.

        Raises:
            ValueError: the value has another shape.
        """
        value = tf.convert_to_tensor(value, self.dtype)
        if not self._shape.is_compatible_with(value.shape):
            raise ValueError(
                f"Cannot assign a value of shape {tuple(value.shape)} to variable {self.name} of shape {tuple(self._shape)}"
            )
        for memory in self._written() if self._end > self._begin else ():
            with tf.device(memory.device):
                memory[self._begin : self._end].assign(tf.reshape(value, [-1]))
        return (self if tf.executing_eagerly() else self.read_value()) if read_value else None

    def _written(self) -> tuple[Any, ...]:
        """The memory of the replica in whose context we are or, outside of any, that of all local ones."""
        in_replica = tf.distribute.has_strategy() and not tf.distribute.in_cross_replica_context()
        return (self._memory,) if in_replica else components(self._memory)

    def assign_add(
        self, delta: Any, use_locking: bool = False, name: str | None = None, read_value: bool = True
    ) -> Any:
        """Adds to the value."""
        return self.assign(self.read_value() + delta, read_value=read_value)

    def assign_sub(
        self, delta: Any, use_locking: bool = False, name: str | None = None, read_value: bool = True
    ) -> Any:
        """Subtracts from the value."""
        return self.assign(self.read_value() - delta, read_value=read_value)

    def _scatter(self, change: Any, indices: Any, values: Any) -> Any:
        return self.assign(change(self.read_value(), indices, tf.cast(values, self.dtype)))

    def _strided_slice_assign(
        self, begin: Any, end: Any, strides: Any, value: Any, name: str | None = None, **masks: int
    ) -> Any:
        update = partial(tf.raw_ops.TensorStridedSliceUpdate, begin=begin, end=end, strides=strides, **masks)
        return self.assign(update(input=self.read_value(), value=tf.convert_to_tensor(value, self.dtype)))

    # --- checkpoints, SavedModels, copies --------------------------------------------------------------------------------

    def _serialize_to_tensors(self) -> dict[str, Any]:
        return {"VARIABLE_VALUE": self.read_value()}

    def _restore_from_tensors(self, restored_tensors: dict[str, Any]) -> Any:
        return self.assign(restored_tensors["VARIABLE_VALUE"])

    def _copy_trackable_to_cpu(self, object_map: Any) -> None:
        if self not in object_map:
            with tf.device("CPU:0"):
                object_map[self] = self._twin()
        object_map[self].assign(self.read_value())

    def _export_to_saved_model_graph(self, object_map: Any, tensor_map: Any, options: Any, **kwargs: Any) -> Any:
        twin = self._twin()
        resources = twin._export_to_saved_model_graph(object_map, tensor_map, options, **kwargs)
        object_map[self] = object_map[twin]
        return resources

    def _write_object_proto(self, proto: Any, options: Any) -> None:
        self._twin()._write_object_proto(proto, options)

    def _twin(self) -> tf.Variable:
        """A variable like this one with memory of its own, and zeros in it."""
        with tf.init_scope():
            return tf.Variable(tf.zeros(self._shape, self.dtype), trainable=False, name=self._label)

    def __reduce__(self) -> Any:
        return partial(tf.Variable, self.numpy(), trainable=False, name=self._label, dtype=self.dtype), ()

    def __deepcopy__(self, memo: Any) -> tf.Variable:
        memo[id(self)] = new = tf.Variable(self.read_value(), trainable=False, name=self._label)
        return new

    def __copy__(self) -> "Part":
        return self  # as a tf.Variable in a shallow copy: the same memory


def _scattering(doc: str, change: Any) -> Any:
    """A method that changes rows, given as tf.IndexedSlices."""

    def scatter(self: Part, sparse_delta: Any, use_locking: bool = False, name: str | None = None) -> Any:
        if not isinstance(sparse_delta, tf.IndexedSlices):
            raise TypeError(f"sparse_delta is not IndexedSlices: {sparse_delta}")
        return self._scatter(change, sparse_delta.indices[..., None], sparse_delta.values)

    scatter.__doc__ = doc
    return scatter


def _scattering_nd(doc: str, change: Any) -> Any:
    """A method that changes slices at indices of any depth."""

    def scatter(self: Part, indices: Any, updates: Any, name: str | None = None) -> Any:
        return self._scatter(change, tf.convert_to_tensor(indices), updates)

    scatter.__doc__ = doc
    return scatter


for _what, _doc, _change in (
    ("add", "Adds to some rows.", tf.tensor_scatter_nd_add),
    ("sub", "Subtracts from some rows.", tf.tensor_scatter_nd_sub),
    ("max", "Takes the larger of some rows and these.", tf.tensor_scatter_nd_max),
    ("min", "Takes the smaller of some rows and these.", tf.tensor_scatter_nd_min),
    ("update", "Overwrites some rows.", tf.tensor_scatter_nd_update),
):
    setattr(Part, f"scatter_{_what}", _scattering(_doc, _change))
    setattr(Part, f"scatter_nd_{_what}", _scattering_nd(_doc.replace("rows", "slices"), _change))
Part.scatter_mul = _scattering("Multiplies some rows.", _times)
Part.scatter_div = _scattering("Divides some rows.", _over)
