"""Declarations for the mixins of `BaseOptimizer`: the attributes and methods that they share, with their types."""

import re
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from pyadam.engine import Engine, Replicas
from pyadam.hosts.exclusions import Exclusions
from pyadam.hosts.ledger import Ledger
from pyadam.optimizers import Rule, Spec

__all__ = ["Contract", "bare_path", "common_path", "path", "untracked"]


def path(variable: Any) -> str:
    """The name of a variable in messages and among paths."""
    return str(getattr(variable, "path", variable.name))


def bare_path(variable: Any) -> str:
    """The path of a variable, without the number of the output that names of tf.Variables end in."""
    return path(variable).partition(":")[0]


def common_path(variable: Any) -> str:
    """The path of a variable, without the numbers that Keras appends to the names of a process's second and later layers."""
    return re.sub(r"_\d+(?=/|$)", "", bare_path(variable))


def untracked(owner: Any, **values: Any) -> None:
    """Sets attributes that TensorFlow's checkpoints must not look into: what they hold is in ``_variables`` already."""
    for name, value in values.items():
        object.__setattr__(owner, name, value)


class Contract:
    """The base of each part: what the parts use of each other, of their Keras and of the class, with its type."""

    # the class of an optimizer
    spec_type: ClassVar[type[Spec]]
    spec_rule: ClassVar[Rule]
    _saving: ClassVar[Any]  # the module of this Keras that serializes objects

    # Keras' own class, or the one in `keras3` or `tf_keras`
    name: str
    built: bool
    learning_rate: Any
    _iterations: Any
    _learning_rate: Any
    _variables: list[Any]
    _var_key: Callable[[Any], Any]
    _overwrite_variable_with_gradient: Callable[[Any], bool]
    _is_variable: Callable[[Any], bool]  # whether a learning rate is held in a variable

    # `BaseOptimizer`
    _spec: Any  # a Spec with the arguments of this optimizer
    _rule: Rule
    _engine: Engine
    _exclusions: Exclusions
    _ledger: Ledger
    _replicas: Replicas
    _lock: Any  # of the thread that takes a step, or saves
    _native: Callable[[Any], Any]
    _say: Callable[[str], None]
    _unknown: Callable[[Sequence[Any]], ValueError]
    _check_known: Callable[[Sequence[Any]], None]

    # `Hyperparameters` and `Saving`
    _current_hyper: Callable[..., dict[str, Any]]
    _hyper_in: Callable[..., Any]
    _members: Callable[[Any], Any]
    _automatic_names: Callable[[], frozenset[str]]
    _take_kept: Callable[[], None]
    _drop_frozen_sums: Callable[[], None]
    _cuts: Callable[[Any], bool]

    def _host(self) -> str:
        """The name of this Keras, ``keras`` or ``tf_keras``."""
        return str(self._saving.__name__).partition(".")[0]
