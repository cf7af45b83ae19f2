"""Keras 3's ``fit``, ``evaluate`` and ``predict`` on several workers."""

from typing import Any

import keras
import tensorflow as tf

__all__ = ["on_workers"]


def on_workers(model: Any) -> Any:
    """Makes a model of Keras 3 train with ``fit`` under ``tf.distribute.MultiWorkerMirroredStrategy``.

    There Keras 3.15's own ``fit`` fails before its first step: it reduces a batch of all replicas as if it were a tensor, and
    scalar metrics along an axis that they lack. So the model forgets the strategy that it was made in, ``fit`` enters that
    strategy's scope instead, and the metrics of a step are vectors of one element. Models of tf_keras need nothing of the kind.

    ``evaluate``, ``predict`` and the methods for one batch work, too. ``steps_per_execution`` has to be 1.

    Args:
        model: a model that was made within the strategy's scope, compiled or not.

    Returns:
        the same model.

    Raises:
        TypeError: it is not a model of Keras 3.
        ValueError: it was not made within the scope of a strategy.

    Example::

        strategy = tf.distribute.MultiWorkerMirroredStrategy()
        with strategy.scope():
            model = keras.Sequential([keras.layers.Dense(1)])
            model.compile(optimizer=pyadam.Adam(), loss="mse")
        pyadam.distribute.on_workers(model).fit(dataset)
    """
    if not isinstance(model, keras.Model):
        raise TypeError(
            f"on_workers: model must be a model of Keras 3, got {type(model).__module__}.{type(model).__name__}"
        )
    if isinstance(model, _OnWorkers):
        return model
    strategy = model._distribute_strategy
    if strategy is None:
        raise ValueError(
            "on_workers: the model was not made within the scope of a strategy; make it in strategy.scope()"
        )
    model.__class__ = type(type(model).__name__, (_OnWorkers, type(model)), {"__module__": type(model).__module__})
    model._workers_strategy = strategy
    model._distribute_strategy = None
    return model


class _OnWorkers:
    """What `on_workers` adds to the class of a model."""

    _workers_strategy: Any
    steps_per_execution: int

    def fit(self, *args: Any, **kwargs: Any) -> Any:
        return self._call("fit", args, kwargs)

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        return self._call("evaluate", args, kwargs)

    def predict(self, *args: Any, **kwargs: Any) -> Any:
        return self._call("predict", args, kwargs)

    def train_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        return self._call("train_on_batch", args, kwargs)

    def test_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        return self._call("test_on_batch", args, kwargs)

    def predict_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        return self._call("predict_on_batch", args, kwargs)

    def _call(self, method: str, args: Any, kwargs: Any) -> Any:
        if method in ("fit", "evaluate") and self.steps_per_execution > 1:
            raise NotImplementedError(
                f"on_workers: {method}() takes steps_per_execution=1 on several workers, got {self.steps_per_execution}; "
                "TensorFlow can't add up Keras' metrics within a loop; set it to 1 in compile()"
            )
        with self._workers_strategy.scope():
            return getattr(super(), method)(*args, **kwargs)

    def train_step(self, *args: Any) -> Any:
        return _vectors(super().train_step(*args))  # type: ignore[misc]

    def test_step(self, *args: Any) -> Any:
        return _vectors(super().test_step(*args))  # type: ignore[misc]


def _vectors(logs: dict[str, Any]) -> dict[str, Any]:
    return {name: tf.expand_dims(value, 0) for name, value in logs.items()}
