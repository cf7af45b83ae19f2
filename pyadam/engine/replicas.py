"""tf.distribute: one replica works as without a strategy, and several replicas are refused.

A strategy with one replica, such as MirroredStrategy on one device, wraps each variable in a distributed one. A step can't
assign to that wrapper: TensorFlow would synchronize replicas first, which a compiled program can't do. So steps use the
variable inside, and the optimizer's own state is made without a wrapper.
"""

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import tensorflow as tf

from pyadam.optimizers.kinds import is_variable

__all__ = ["beside", "check_one_replica", "component", "native", "undistributed"]


def native(variable: Any) -> Any:
    """The tf.Variable behind a variable of either Keras; anything else as it is."""
    variable = getattr(variable, "_variable", variable)  # behind a mixed-precision one of tf_keras
    inner = getattr(variable, "value", variable) if is_variable(variable) else variable
    return variable if callable(inner) else inner


def component(variable: Any) -> Any:
    """The one variable that a distributed variable stands for, where there is one replica; anything else as it is."""
    strategy = getattr(variable, "distribute_strategy", None)
    if strategy is None or strategy.num_replicas_in_sync > 1:
        return variable
    return strategy.experimental_local_results(variable)[0]


def undistributed() -> Any:
    """A context in which a strategy with one replica makes the variables that would be made without it."""
    return tf.variable_creator_scope(lambda next_creator, **kwargs: component(next_creator(**kwargs)))


@contextlib.contextmanager
def beside(variable: Any) -> Iterator[None]:
    """A context in which variables are made on the device of this one, in the scope of its strategy or in none."""
    extended = tf.distribute.get_strategy().extended
    ours = extended.variable_created_in_scope(variable)
    with extended.colocate_vars_with(variable) if ours else tf.device(component(variable).device):
        yield


def check_one_replica(owner: str, variables: Iterable[Any] = ()) -> None:
    """Refuses several replicas: those of the strategy in whose scope we are, or of one that made a variable.

    Raises:
        NotImplementedError: there are several.
    """
    made = (getattr(variable, "distribute_strategy", None) for variable in variables)
    for strategy in {id(s): s for s in (tf.distribute.get_strategy(), *made) if s is not None}.values():
        if (count := strategy.num_replicas_in_sync) > 1:
            raise NotImplementedError(
                f"{owner}: tf.distribute with {count} replicas is not supported yet, only with one. Give "
                f"{type(strategy).__name__} one device and one worker, or train without a strategy; to predict on {count} "
                "replicas load the model with compile=False"
            )
