"""What differs on two replicas, measured in a process of its own, since a TensorFlow that runs can't divide its CPU in two."""

import functools
import logging
import multiprocessing
import os
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

__all__ = ["on_two_replicas"]

Step = Sequence[Any]  # a gradient for each replica


@functools.cache
def _other_process() -> ProcessPoolExecutor:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _two_cpus)


def _two_cpus() -> None:
    import tensorflow as tf

    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)


@functools.cache
def _strategy() -> Any:
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


def on_two_replicas(name: str) -> Callable[[Any], Any]:
    """The measurement of this name, as a function of the name of a module of optimizers; an error counts by its class."""
    return lambda module: _other_process().submit(_outcome, name, module.__name__).result()


def _outcome(name: str, module: str) -> Any:
    import importlib

    import keras

    optimizers = keras.optimizers if module == "keras.api.optimizers" else importlib.import_module(module)
    try:
        return MEASUREMENTS[name](optimizers)
    except Exception as error:
        return type(error).__name__


def _after(optimizer: Callable[[], Any], steps: Sequence[Step], start: Any = 0.0) -> Any:
    """The weight on the first replica after some steps in a graph, and the optimizer."""
    import keras
    import tensorflow as tf

    strategy = _strategy()
    with strategy.scope():
        weight, made = keras.Variable(start), optimizer()
        made.build([weight])
    step = tf.function(lambda g: strategy.run(made.apply, args=([g], [weight])), autograph=False)
    for gradients in steps:
        step(
            strategy.experimental_distribute_values_from_function(
                lambda c, gs=gradients: gs[c.replica_id_in_sync_group]
            )
        )
    return weight.numpy(), made


def _scalars(*steps: tuple[float, float]) -> list[Step]:
    import tensorflow as tf

    return [[tf.constant(g) for g in step] for step in steps]


def _clipped(module: Any) -> float:
    return float(_after(lambda: module.SGD(1.0, global_clipnorm=1.0), _scalars((3.0, -1.0)))[0])


def _overflow(module: Any) -> Any:
    make = lambda: module.LossScaleOptimizer(module.SGD(1.0), initial_scale=4.0)  # noqa: E731
    weight, optimizer = _after(make, _scalars((1.0, float("inf"))))
    return f"{float(weight):g}, {float(optimizer.dynamic_scale.numpy()):g}"


def _accumulated(module: Any) -> float:
    steps = _scalars((1.0, 2.0), (4.0, 8.0))
    return float(_after(lambda: module.SGD(1.0, gradient_accumulation_steps=2), steps)[0])


def _same_row(module: Any) -> float:
    import tensorflow as tf

    rows = [tf.IndexedSlices(tf.constant([[g]]), tf.constant([0]), tf.constant([2, 1])) for g in (1.0, 3.0)]
    return float(_after(lambda: module.RMSprop(1.0, rho=0.0), [rows], [[0.0], [0.0]])[0][0, 0])


def _overwritten(module: Any) -> float:
    make = lambda: module.SGD(1.0, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=2)  # noqa: E731
    return float(_after(make, _scalars((1.0, 1.0), (1.0, 1.0)))[0])


def _several_steps(module: Any) -> str:
    import keras
    import numpy as np

    with _strategy().scope():
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        model.compile(module.Adam(0.01), "mse", steps_per_execution=2)
    model.fit(np.ones((8, 1)), np.ones(8), batch_size=2, verbose=0)
    return "works"


MEASUREMENTS: dict[str, Callable[[Any], Any]] = {
    "clipping": _clipped,
    "overflow": _overflow,
    "accumulation": _accumulated,
    "sparse": _same_row,
    "overwriting": _overwritten,
    "several steps": _several_steps,
}
