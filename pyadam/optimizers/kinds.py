"""The kinds of values that arguments take, their checks and error messages.

Standard library only. NumPy and TensorFlow scalars are recognized by their methods (``item``, ``numpy``), not by type.
"""

import inspect
import math
import numbers
import re
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

__all__ = [
    "NA",
    "SMALLEST",
    "Choice",
    "Count",
    "DynamicNumber",
    "Flag",
    "Inner",
    "Kind",
    "LearningRate",
    "ListOf",
    "Name",
    "Number",
    "Patterns",
    "first_line",
    "is_off",
    "is_variable",
    "listed",
    "needs_arguments",
    "plain",
    "same",
    "shown",
]


class _Missing:
    """R's NA, which no argument accepts. The R package passes this object because reticulate would turn NA into True."""

    def __repr__(self) -> str:
        return "NA"


NA = _Missing()

SMALLEST = 2.0**-126  # normal number of float32; processors may take a smaller one for 0


def plain(value: Any) -> Any:
    """Converts a NumPy or TensorFlow scalar to the Python number its author meant; returns anything else unchanged.

    It uses the shortest decimal that gives the same float32: ``np.float32(0.1)`` becomes 0.1, not 0.10000000149011612.
    """
    if isinstance(value, (bool, int, float, str, _Missing)) or value is None or callable(value):
        return value
    if hasattr(value, "numpy"):
        try:
            value = value.numpy()
        except Exception:  # a symbolic tensor has no value yet
            return value
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        exact = value.item()
        return float(str(value[()])) if isinstance(exact, float) and not math.isnan(exact) else exact
    if isinstance(value, numbers.Real) and not isinstance(value, numbers.Integral):
        return float(value)  # fractions and decimals
    return value


def is_variable(value: Any) -> bool:
    """Whether a value is a variable of TensorFlow or either Keras, which may change between steps."""
    held = hasattr(type(value), "value") or hasattr(type(value), "read_value")
    return held and hasattr(value, "assign") and hasattr(value, "dtype") and hasattr(value, "shape")


def is_off(value: Any) -> bool:
    """Whether a hyperparameter is permanently off: None or the number 0, but not a variable or function that may be 0."""
    return value is None or (isinstance(value, (int, float)) and value == 0)


def same(a: Any, b: Any) -> bool:
    """Whether two values are equal; what can't be compared is not."""
    try:
        return bool(a == b)
    except Exception:
        return False


def shown(value: Any) -> str:
    """A value as errors show it: short, on one line, with its type where the value alone would mislead."""
    try:
        text = " ".join(repr(value).split())
        alone = value is None or isinstance(value, (bool, int, float, _Missing))
    except Exception:
        return f"an object of class {type(value).__name__} that can't be shown"
    text = text if len(text) <= 80 else text[:77] + "..."
    return text if alone else f"{text} ({type(value).__name__})"


def first_line(error: Exception) -> str:
    """The first line of an error's message, or its class."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def listed(names: Iterable[Any], most: int = 6) -> str:
    """Names as errors show them: the first few, and how many more there are."""
    every = list(map(str, names))
    more = len(every) - most
    return ", ".join(every if more <= 0 else [*every[:most], f"and {more} more"])


def needs_arguments(function: Any) -> bool:
    """Whether a function can't be called without arguments."""
    try:
        inspect.signature(function).bind()
    except TypeError:
        return True
    except ValueError:  # a builtin without a signature
        pass
    return False


class Because(ValueError):
    """Why a value is out of range, where the allowed values alone don't tell."""


@dataclass(frozen=True)
class Kind:
    """A kind of value. ``check`` returns the normalized value or raises TypeError or ValueError."""

    optional: bool = False

    def allowed(self) -> str:
        """The allowed values in words, for errors and reference tables."""
        raise NotImplementedError

    def convert(self, value: Any) -> Any:
        """The normalized value; raises TypeError for a wrong type and ValueError for a value out of range."""
        raise NotImplementedError

    def described(self) -> str:
        return self.allowed() + (", or None (NULL in R)" if self.optional else "")

    def check(self, owner: str, name: str, value: Any) -> Any:
        wrong = f"{owner}: {name} must be {self.described()}, got "
        try:
            variable = is_variable(value)
            if not variable:
                value = plain(value)
                return None if value is None and self.optional else self.convert(value)
        except TypeError:
            raise TypeError(wrong + shown(value)) from None
        except (ValueError, OverflowError) as error:
            raise ValueError(wrong + shown(value) + (f"; {error}" if isinstance(error, Because) else "")) from None
        except Exception as error:  # of the value's own methods
            raise TypeError(f"{wrong}{shown(value)}, which raises {type(error).__name__}") from error
        return self.check_variable(owner, name, value)

    def check_variable(self, owner: str, name: str, variable: Any) -> Any:
        """The variable, if its value is read at every step; raises TypeError if it would be read only once."""
        raise TypeError(
            f"{owner}: {name} must be {self.described()}, got the variable {shown(variable)}; variables aren't supported "
            "here, pass its value"
        )


@dataclass(frozen=True)
class Number(Kind):
    """A real number in an interval."""

    low: float = -math.inf
    high: float = math.inf
    low_open: bool = False
    high_open: bool = False

    def interval(self) -> str:
        left = "(" if self.low_open or self.low == -math.inf else "["
        right = ")" if self.high_open or self.high == math.inf else "]"
        return f"{left}{self.low:g}, {self.high:g}{right}"

    def allowed(self) -> str:
        return f"a number in {self.interval()}"

    def convert(self, value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise TypeError
        value = float(value)
        below = value <= self.low if self.low_open else value < self.low
        above = value >= self.high if self.high_open else value > self.high
        if not math.isfinite(value) or below or above:
            raise ValueError
        return self._of_single_precision(value)

    def _of_single_precision(self, value: float) -> float:
        """The value, if it is in the interval as a float32, too, in which most steps are computed; small ones are 0 there."""
        try:
            (rounded,) = struct.unpack("<f", struct.pack("<f", value))
        except OverflowError:
            raise Because("it is infinite in float32") from None
        if self.low_open and abs(rounded - self.low) < SMALLEST:
            raise Because(f"it is {self.low:g} in float32")
        return value


@dataclass(frozen=True)
class DynamicNumber(Number):
    """A number, or a variable or function without arguments that gives one at every step."""

    def allowed(self) -> str:
        return f"{super().allowed()}, a variable that holds one or a function without arguments"

    def check_variable(self, owner: str, name: str, variable: Any) -> Any:
        """The variable itself; its current value, if it already has one, is checked against the range."""
        dtype = str(getattr(variable.dtype, "name", variable.dtype))
        if tuple(variable.shape) != () or "float" not in dtype:
            raise TypeError(
                f"{owner}: {name} must be {self.described()}, got the variable {shown(variable)} of shape "
                f"{tuple(variable.shape)} and dtype {dtype}; make it a scalar of a floating-point dtype"
            )
        value = plain(variable)
        if isinstance(value, float):
            super().check(owner, name, value)
        return variable

    def convert(self, value: Any) -> Any:
        if callable(value):
            if isinstance(value, type) or needs_arguments(value):
                raise TypeError
            return value
        return super().convert(value)

    def value(self) -> Number:
        """The kind of number such a function may return."""
        return Number(low=self.low, high=self.high, low_open=self.low_open, high_open=self.high_open)


@dataclass(frozen=True)
class LearningRate(DynamicNumber):
    """A number, a variable, a schedule of the host Keras, or a function without arguments."""

    def allowed(self) -> str:
        return (
            f"a number in {self.interval()}, a variable that holds one, a learning-rate schedule "
            "or a function without arguments"
        )

    def convert(self, value: Any) -> Any:
        is_schedule = callable(value) and hasattr(value, "get_config") and not isinstance(value, type)
        return value if is_schedule else super().convert(value)


@dataclass(frozen=True)
class Count(Kind):
    """A whole number, including R's 2.0."""

    at_least: int = 0
    at_most: int = 2**63 - 1

    def allowed(self) -> str:
        if self.at_most == Count.at_most:
            return f"a whole number >= {self.at_least}"
        return f"a whole number in [{self.at_least}, {self.at_most}]"

    def convert(self, value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise TypeError
        if not math.isfinite(value) or value != int(value) or value < self.at_least:
            raise ValueError
        if value > self.at_most:
            raise Because(f"the largest is {self.at_most}")
        return int(value)


@dataclass(frozen=True)
class Flag(Kind):
    """True or False."""

    def allowed(self) -> str:
        return "True or False"

    def convert(self, value: Any) -> Any:
        if not isinstance(value, bool):
            raise TypeError
        return value


@dataclass(frozen=True)
class Inner(Kind):
    """An optimizer to be wrapped by another; ``fits`` says whether an object is one."""

    fits: Callable[[Any], bool] = lambda value: hasattr(value, "apply_gradients") and hasattr(value, "build")

    def allowed(self) -> str:
        return "an optimizer of the same Keras that is not itself a loss-scale optimizer"

    def convert(self, value: Any) -> Any:
        if isinstance(value, type) or not self.fits(value):
            raise TypeError
        return value


@dataclass(frozen=True)
class Name(Kind):
    """A string; empty for the optimizer's default name."""

    def allowed(self) -> str:
        return "a string"

    def convert(self, value: Any) -> Any:
        if not isinstance(value, str):
            raise TypeError
        value = str.__str__(value)  # no subclass
        try:
            value.encode()
        except UnicodeEncodeError:
            raise Because("it has characters that can't be encoded") from None
        return value


@dataclass(frozen=True)
class Choice(Name):
    """One of a set of strings."""

    choices: tuple[str, ...] = ()

    def allowed(self) -> str:
        return " or ".join(f'"{each}"' for each in self.choices)

    def convert(self, value: Any) -> Any:
        if super().convert(value) not in self.choices:
            raise ValueError
        return value


@dataclass(frozen=True)
class ListOf(Kind):
    """A list of values of one kind; a single value, such as R's vectors of length one, becomes a list of one."""

    item: Kind = Kind()

    def allowed(self) -> str:
        return f"a list, each {self.item.described()}"

    def convert(self, value: Any) -> Any:
        value = value.tolist() if hasattr(value, "tolist") else value  # an array
        values = value if isinstance(value, (list, tuple)) else [value]
        return [self.item.convert(plain(each)) for each in values]


@dataclass(frozen=True)
class Pattern(Name):
    """A regular expression."""

    def allowed(self) -> str:
        return "a regular expression"

    def convert(self, value: Any) -> Any:
        try:
            re.compile(super().convert(value))
        except re.error:
            raise ValueError from None
        if not value:
            raise ValueError
        return value


@dataclass(frozen=True)
class Patterns(ListOf):
    """Regular expressions."""

    item: Kind = Pattern()

    def allowed(self) -> str:
        return "a list of regular expressions"
