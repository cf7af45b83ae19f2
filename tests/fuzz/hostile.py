"""Values that nobody should pass, by kind: extreme numbers, other libraries' scalars, objects whose every method raises."""

import datetime
import decimal
import enum
import fractions
import functools
import math
import types

import keras
import numpy as np
import tensorflow as tf
import tf_keras
from hypothesis import strategies as st

from pyadam import NA


class Raises:
    """Everything raises."""

    def __getattribute__(self, name):
        raise RuntimeError(f"{name} is not for you")

    def __repr__(self):
        raise RuntimeError("no repr")

    __str__ = __bool__ = __len__ = __iter__ = __float__ = __int__ = __index__ = __call__ = __hash__ = __repr__

    def __eq__(self, other):
        raise RuntimeError("no comparison")


class LikeAScalar:
    """What NumPy and TensorFlow scalars are recognized by, but it raises or gives nonsense."""

    shape = ()

    def __init__(self, **given):
        self.__dict__.update(given)

    def item(self):
        raise MemoryError("no item")


class LikeAVariable:
    dtype, shape = "float32", ()

    def assign(self, value):
        raise RuntimeError("no assignment")

    def numpy(self):
        raise KeyError("no value")


class LikeASchedule:
    def get_config(self):
        raise RuntimeError("no config")

    def __call__(self, step):
        raise ZeroDivisionError("no rate")


class Endless(list):
    def __repr__(self):
        return "x" * 10**6


class OwnFloat(float):
    def __eq__(self, other):
        raise RuntimeError("no comparison")

    __lt__ = __le__ = __gt__ = __ge__ = __eq__
    __hash__ = float.__hash__

    def __repr__(self):
        raise RuntimeError("no repr")


class OwnText(str):
    def __eq__(self, other):
        raise RuntimeError("no comparison")

    __hash__ = str.__hash__


class Color(enum.IntEnum):
    RED = 1


class MetaRaises(type):
    def __getattr__(cls, name):
        raise OSError(name)


class OfMeta(metaclass=MetaRaises):
    pass


def _within_itself():
    made = []
    made.append(made)
    return made


def _deep():
    made = 1.0
    for _ in range(5000):
        made = [made]
    return made


def _raising():
    raise RuntimeError("no value")


def _returning(value):
    return lambda: value


_MASKED = np.ma.masked
OBJECTS = {
    "None": lambda: None,
    "NA": lambda: NA,
    "boolean": lambda: True,
    "complex": lambda: 1 + 2j,
    "huge integer": lambda: 10**400,
    "2**63": lambda: 2**63,
    "2**64": lambda: 2**64,
    "integer of 5,000 digits": lambda: 10**5000,
    "huge fraction": lambda: fractions.Fraction(10**400),
    "tiny fraction": lambda: fractions.Fraction(1, 10**400),
    "decimal": lambda: decimal.Decimal("1e999999"),
    "decimal NaN": lambda: decimal.Decimal("NaN"),
    "decimal sNaN": lambda: decimal.Decimal("sNaN"),
    "bytes": lambda: b"0.1",
    "text": lambda: "0.1",
    "text with zero": lambda: "a\0b",
    "lone surrogate": lambda: "\ud800",
    "long text": lambda: "x" * 10**6,
    "open pattern": lambda: "(",
    "path": lambda: "../../a/b",
    "list": lambda: [0.1],
    "empty list": list,
    "mixed list": lambda: [1, "a", None, [2]],
    "list in itself": _within_itself,
    "deep list": _deep,
    "long repr": Endless,
    "tuple": lambda: (0.1, 0.2),
    "dictionary": lambda: {"class_name": "ExponentialDecay", "config": {}},
    "config of nothing": lambda: {"class_name": "Nothing", "config": None, "module": "os", "registered_name": None},
    "set": lambda: {0.1},
    "generator": lambda: (i for i in range(3)),
    "range": lambda: range(3),
    "date": lambda: datetime.date(2020, 1, 1),
    "module": lambda: types,
    "class": lambda: dict,
    "class of optimizers": lambda: keras.optimizers.Adam,
    "class that raises": lambda: OfMeta,
    "ellipsis": lambda: ...,
    "enumeration": lambda: Color.RED,
    "lambda": lambda: lambda: 0.01,
    "function with arguments": lambda: lambda step: step,
    "function that raises": lambda: _raising,
    "function of text": lambda: _returning("a"),
    "function of None": lambda: _returning(None),
    "function of a list": lambda: _returning([0.1, 0.2]),
    "function of NaN": lambda: _returning(math.nan),
    "partial": lambda: functools.partial(float, "x"),
    "method of a class": lambda: dict.fromkeys,
    "builtin": lambda: print,
    "raises": Raises,
    "like a scalar": LikeAScalar,
    "scalar of nonsense": lambda: LikeAScalar(item=lambda: {}),
    "like a tensor": lambda: LikeAScalar(numpy=_raising),
    "like a variable": LikeAVariable,
    "like a schedule": LikeASchedule,
    "class of schedules": lambda: LikeASchedule,
    "own float": lambda: OwnFloat(0.5),
    "own text": lambda: OwnText("a"),
    "NumPy half": lambda: np.float16(0.1),
    "NumPy longdouble": lambda: np.longdouble("1e4000"),
    "NumPy complex": lambda: np.complex64(1),
    "NumPy time": lambda: np.datetime64("2020-01-01"),
    "NumPy duration": lambda: np.timedelta64(1, "s"),
    "NumPy text": lambda: np.str_("a"),
    "NumPy void": lambda: np.zeros((), "i4,f4")[()],
    "NumPy object": lambda: np.array(None, object),
    "NumPy masked": lambda: _MASKED,
    "NumPy scalar of objects": lambda: np.array(_raising, object),
    "NumPy 0-d": lambda: np.array(0.1),
    "NumPy one": lambda: np.array([0.1]),
    "NumPy none": lambda: np.zeros((0,)),
    "NumPy 2-d": lambda: np.ones((2, 2)),
    "NumPy integer": lambda: np.uint64(2**64 - 1),
    "tensor": lambda: tf.constant(0.1),
    "tensor of text": lambda: tf.constant("a"),
    "complex tensor": lambda: tf.constant(1j),
    "half tensor": lambda: tf.constant(0.1, tf.bfloat16),
    "tensor of two": lambda: tf.constant([0.1, 0.2]),
    "ragged": lambda: tf.ragged.constant([[1.0], []]),
    "sparse": lambda: tf.sparse.from_dense([0.1]),
    "resource": lambda: tf.Variable(0.1).handle,
    "Keras tensor": lambda: keras.KerasTensor((), "float32"),
    "Keras input": lambda: tf_keras.Input(()),
    "variable": lambda: tf.Variable(0.1),
    "variable of text": lambda: tf.Variable("a"),
    "variable of integers": lambda: tf.Variable(1),
    "variable of two": lambda: tf.Variable([0.1, 0.2]),
    "complex variable": lambda: tf.Variable(1j),
    "NaN in a variable": lambda: tf.Variable(math.nan),
    "Keras variable": lambda: keras.Variable(0.1),
    "schedule": lambda: keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.9),
    "tf_keras schedule": lambda: tf_keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.9),
    "optimizer": lambda: keras.optimizers.SGD(),
    "tf_keras optimizer": lambda: tf_keras.optimizers.SGD(),
    "model": lambda: keras.Sequential(),
    "type variable": lambda: float,
}
NUMBERS = [
    0,
    -1,
    1,
    2,
    0.0,
    -0.0,
    0.5,
    1.5,
    -1e-300,
    5e-324,
    1e-46,
    1e-45,
    1e-38,
    3.5e38,
    1e39,
    1e308,
    1e16,
    2.0**53,
    2.0**63,
]
NUMBERS += [2**31 - 1, 2**31, 2**53 + 1, 2**63 - 1, math.nan, math.inf, -math.inf]


@functools.cache
def values():
    """Pairs of the kind of a value and the value."""
    objects = st.sampled_from(sorted(OBJECTS)).map(lambda kind: (kind, OBJECTS[kind]()))
    numbers = st.sampled_from(NUMBERS).map(lambda number: ("number", number))
    drawn = st.one_of(st.floats(), st.integers(), st.text(max_size=5), st.booleans(), st.none()).map(
        lambda value: (f"drawn {type(value).__name__}", value)
    )
    lists = st.lists(st.one_of(st.text(max_size=3), st.floats(), st.integers()), max_size=3).map(
        lambda v: ("drawn list", v)
    )
    return st.one_of(objects, objects, objects, numbers, drawn, lists)
