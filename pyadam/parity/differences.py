"""The rows of docs/differences.md, each with a function that measures it on Keras' own class and on ours."""

import importlib
import math
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pyadam.parity.replicated import on_two_replicas

__all__ = ["DIFFERENCES", "Row"]

Measurement = Callable[[Any], Any]  # from a module of optimizers, keras.optimizers or pyadam, to its result


@dataclass(frozen=True)
class Row:
    """One difference.

    Attributes:
        number: the row's number in docs/differences.md.
        what: what is measured.
        measure: measures it on a module of optimizers.
        right: the right outcome, from the definition or by hand.
        tolerance: how far a number may be from the right one; 0 for equality.
        digits: how many digits of a number to print.
        keras: the package measured: keras or tf_keras.
    """

    number: int
    what: str
    measure: Measurement
    right: Any
    tolerance: float = 0.0
    digits: int = 4
    keras: str = "keras"

    def modules(self) -> tuple[Any, Any]:
        """Keras' optimizers and ours."""
        ours = "pyadam" if self.keras == "keras" else f"pyadam.{self.keras}"
        return importlib.import_module(self.keras).optimizers, importlib.import_module(ours)

    def outcome(self, module: Any) -> Any:
        """The module's result; an error counts as one, by the name of its class."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return self.measure(module)
            except (ValueError, TypeError, tf.errors.OpError) as error:
                return type(error).__name__

    def is_right(self, outcome: Any) -> bool:
        """Whether an outcome is the right one."""
        if isinstance(outcome, float) and isinstance(self.right, float):
            return math.isclose(outcome, self.right, rel_tol=0.0, abs_tol=self.tolerance)
        return bool(outcome == self.right)


def _steps(optimizer: Any, variable: Any, gradient: Any, steps: int) -> Any:
    for _ in range(steps):
        optimizer.apply([gradient], [variable])
    return np.asarray(keras.ops.cast(variable, "float64"))


def duplicate_rows(name: str) -> Measurement:
    """The distance between three steps on a sparse gradient with rows 1, 1, 3 and on the same gradient given dense."""

    def measure(module: Any) -> float:
        values = tf.constant([[1.0, 2.0], [0.5, -1.0], [2.0, 1.0]])
        sparse = tf.IndexedSlices(values, tf.constant([1, 1, 3]), tf.constant([5, 2]))
        ends = [
            _steps(getattr(module, name)(0.1), keras.Variable(np.ones((5, 2), "float32")), gradient, 3)
            for gradient in (sparse, tf.convert_to_tensor(sparse))
        ]
        return float(np.abs(ends[0] - ends[1]).max())

    return measure


def sixteen_bits(dtype: str, gradient: float) -> Measurement:
    """A weight of 1.0 after five steps of Adam with learning rate 0.01 and a constant gradient."""

    def measure(module: Any) -> float:
        variable = keras.Variable(1.0, dtype=dtype)
        return float(_steps(module.Adam(0.01), variable, tf.cast(gradient, dtype), 5))

    return measure


def momentum_product(module: Any) -> float:
    """Nadam's product of momenta after four steps of a graph over three variables."""
    variables = [tf.Variable(1.0) for _ in range(3)]
    optimizer = module.Nadam(0.1)
    optimizer.build(variables)
    step = tf.function(lambda: optimizer.apply_gradients([(tf.constant(1.0), v) for v in variables]))
    for _ in range(4):
        step()
    return float(optimizer._u_product)


def relative_step(module: Any) -> float:
    """How far Adafactor moves a weight of 1 in its ninth step with learning rate 0.5 and ``relative_step=False``."""
    variable, optimizer = keras.Variable([1.0]), module.Adafactor(0.5, relative_step=False)
    for _ in range(9):
        variable.assign([1.0])
        optimizer.apply([tf.constant([1.0])], [variable])
    return 1.0 - float(variable[0])


def muon_in_float64(module: Any) -> str:
    """Whether Muon takes a step on a float64 matrix."""
    _steps(module.Muon(), keras.Variable(np.ones((2, 2)), dtype="float64"), tf.ones((2, 2), tf.float64), 1)
    return "accepted"


def scale_after_overflows(module: Any) -> float:
    """The dynamic loss scale, 32768 at first, after twenty steps that overflow."""
    optimizer = module.LossScaleOptimizer(module.SGD(), initial_scale=2.0**15)
    _steps(optimizer, keras.Variable([1.0]), tf.constant([math.inf]), 20)
    return float(optimizer.dynamic_scale)


def rate_calls(module: Any) -> int:
    """How often a function given as learning rate is called in four steps of a graph."""
    calls = []
    optimizer = module.Adam(learning_rate=lambda: calls.append(1) or 0.1)
    variable = keras.Variable(1.0)
    optimizer.build([variable])
    step = tf.function(lambda: optimizer.apply([tf.constant(1.0)], [variable]))
    for _ in range(4):
        step()
    return len(calls)


def accumulated_average(module: Any) -> float:
    """The distance between the averages after 3 x 2 micro-batches and after 3 large batches."""
    ends = []
    for every, calls in ((2, 6), (None, 3)):
        optimizer = module.Adam(0.1, use_ema=True, ema_momentum=0.5, gradient_accumulation_steps=every)
        _steps(optimizer, keras.Variable(1.0), tf.constant(1.0), calls)
        ends.append(float(np.asarray(optimizer._model_variables_moving_average[0])))
    return abs(ends[0] - ends[1])


def accumulated_alone(module: Any) -> float:
    """A weight of 1 after a gradient of 4 in the first of two calls that make an update, and none in the second."""
    every, some = keras.Variable(1.0), keras.Variable(1.0)
    optimizer = module.SGD(1.0, gradient_accumulation_steps=2)
    optimizer.build([every, some])
    optimizer.apply([tf.constant(1.0), tf.constant(4.0)], [every, some])
    optimizer.apply([tf.constant(1.0), None], [every, some])
    return float(some.numpy())


def accepts(**arguments: Any) -> Measurement:
    """Whether arguments are accepted, or which error refuses them."""

    def measure(module: Any) -> str:
        module.Adam(**arguments)
        return "accepted"

    return measure


def foreign_state(module: Any) -> str:
    """What happens to Nadam's saved state in Adam."""
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "model.weights.h5")
        models = []
        for name in ("Nadam", "Adam"):
            model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
            model.compile(getattr(module, name)(), "mse")
            model.optimizer.build(model.trainable_variables)
            models.append(model)
        models[0].save_weights(file)
        models[1].load_weights(file)
    return "dropped"


def lr_attribute(module: Any) -> float:
    """The learning rate after ``optimizer.lr = 0.5``."""
    optimizer = module.Adam(0.001)
    optimizer.lr = 0.5
    return float(optimizer.learning_rate)


def config_rate(module: Any) -> float:
    """The learning rate 0.001 as it appears in the config."""
    return module.Adam(0.001).get_config()["learning_rate"]


def config_lambda(module: Any) -> str:
    """What a config contains for a lambda."""
    held = module.Adam(learning_rate=lambda: 0.1).get_config()["learning_rate"]
    return "bytecode" if held["class_name"] == "__lambda__" else str(held)


def excluded_by_name(module: Any) -> float:
    """How much one step of decay (rate 1, decay 0.1) shrinks ``unbiased_kernel`` when "bias" is excluded."""
    variable = keras.Variable(1.0, name="unbiased_kernel")
    optimizer = module.Adam(1.0, weight_decay=0.1)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    return round(1.0 - float(_steps(optimizer, variable, tf.constant(0.0), 1)), 6)


def excluded_late(module: Any) -> str:
    """Whether an exclusion after the first step is accepted."""
    optimizer = module.Adam(weight_decay=0.1)
    _steps(optimizer, keras.Variable(1.0), tf.constant(0.0), 1)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    return "accepted"


def validation_weight(module: Any) -> float:
    """The distance between the weight used in an evaluation and the average that the user asked for."""
    optimizer = module.Adam(0.5, use_ema=True, ema_momentum=0.9)
    variable = keras.Variable(1.0)
    _steps(optimizer, variable, tf.constant(1.0), 3)
    average = float(np.asarray(optimizer._model_variables_moving_average[0]))
    if not hasattr(optimizer, "averaged_weights"):
        return abs(float(variable) - average)
    with optimizer.averaged_weights():
        return abs(float(variable) - average)


def given_twice(module: Any) -> float:
    """How far one step moves a variable that is given twice."""
    variable = keras.Variable(1.0)
    module.Adam(0.1).apply_gradients([(tf.constant(1.0), variable), (tf.constant(1.0), variable)])
    return round(1.0 - float(variable), 6)


def new_variable(module: Any) -> str:
    """What happens when a new variable appears in the second step, without an explicit ``build``."""
    optimizer = module.Adam()
    _steps(optimizer, keras.Variable(1.0), tf.constant(1.0), 1)
    _steps(optimizer, keras.Variable(1.0), tf.constant(1.0), 1)
    return "accepted"


def new_beside_known(module: Any) -> str:
    """What happens when a new variable appears together with one that has been trained."""
    optimizer, first, second = module.Adam(), keras.Variable(1.0), keras.Variable(1.0)
    optimizer.apply([tf.constant(1.0)], [first])
    optimizer.apply([tf.constant(1.0)] * 2, [first, second])
    return "accepted"


def _trained_by_tf_keras(optimizer: Any, start: float, gradients: list[float]) -> tf.Variable:
    variable = tf.Variable(start)
    optimizer.build([variable])
    for gradient in gradients:
        optimizer.apply_gradients([(tf.constant(gradient), variable)])
    return variable


def average(module: Any) -> float:
    """The average after the weights 2, 1, 0, -1."""
    optimizer = module.SGD(1.0, use_ema=True, ema_momentum=0.5)
    variable = _trained_by_tf_keras(optimizer, 2.0, [1.0, 1.0, 1.0])
    optimizer.finalize_variable_values([variable])
    return float(variable)


def after_an_overflow(module: Any) -> float:
    """A weight of 0 after a step that overflows and one with gradient 1, at rate 1 in the first step and 0.1 later."""
    import tf_keras

    scaled = getattr(module, "LossScaleOptimizer", tf_keras.mixed_precision.LossScaleOptimizer)
    optimizer = scaled(module.SGD(tf_keras.optimizers.schedules.PiecewiseConstantDecay([0], [1.0, 0.1])))
    variable = tf.Variable(0.0)
    optimizer.minimize(lambda: variable * math.nan, [variable])
    optimizer.minimize(lambda: variable * 1.0, [variable])
    return float(variable)


def rate_shown(module: Any) -> float:
    """The learning rate shown after one step of a schedule that halves it."""
    import tf_keras

    optimizer = module.SGD(tf_keras.optimizers.schedules.ExponentialDecay(1.0, 1, 0.5))
    _trained_by_tf_keras(optimizer, 0.0, [1.0])
    return float(optimizer.learning_rate)


def own_update_step(module: Any) -> str:
    """What happens to a class with its own ``update_step``."""
    hook = {"update_step": lambda self, gradient, variable, learning_rate: None}
    type("Mine", (module.Adam,), {"__module__": "mine", **hook})()
    return "accepted"


def schedule_free(gradient: float, steps: int = 2, **arguments: float) -> Measurement:
    """A weight of 1.0 after some steps of rate 0.1 whose second moment forgets, so each moves z by 0.1 sign(g)."""

    def measure(module: Any) -> float:
        optimizer = module.ScheduleFreeAdamW(0.1, beta_1=0.5, beta_2=0.0, **arguments)
        return float(_steps(optimizer, keras.Variable(1.0), tf.constant(gradient), steps))

    return measure


def loaded_after_build(module: Any) -> float:
    """A weight that was 1.0 at the build and is set to 2.0, after a step that moves z by 0.1."""
    variable, optimizer = keras.Variable(1.0), module.ScheduleFreeAdamW(0.1, beta_1=0.5, beta_2=0.0)
    optimizer.build([variable])
    variable.assign(2.0)
    return float(_steps(optimizer, variable, tf.constant(1.0), 1))


def dead_unit(module: Any) -> float:
    """A weight of 1.0 between an input that is always zero and a unit that is dead, after a step."""
    variable = keras.Variable(np.ones((2, 2), "float32"))
    return float(_steps(module.Adafactor(0.1), variable, tf.constant([[1.0, 0.0], [0.0, 0.0]]), 1)[1, 1])


def end_of_a_decay(module: Any) -> float:
    """A weight of 1.0 after a step at a learning rate of 0, as at the end of a cosine decay."""
    return float(_steps(module.Ftrl(0.0), keras.Variable(1.0), tf.constant(1.0), 1))


SQUARING = ("Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "Ftrl", "Lamb", "Nadam", "RMSprop")
PRODUCT = math.prod(0.9 * (1 - 0.5 * 0.96**t) for t in range(1, 5))

DIFFERENCES = [
    *(Row(1, f"{name}: sparse rows 1, 1, 3, distance from dense", duplicate_rows(name), 0.0) for name in SQUARING),
    Row(2, "2 replicas: gradients 3 and -1, clipped to 1, rate 1", on_two_replicas("clipping"), -1.0),
    Row(3, "2 replicas: overflow on one; weight, scale of 4", on_two_replicas("overflow"), "0, 2"),
    Row(4, "bfloat16 weight 1.0 after 5 steps of 0.01", sixteen_bits("bfloat16", 1.0), 0.95, 0.02),
    Row(4, "float16 weight 1.0 after 5 steps of 0.01, gradient 0.001", sixteen_bits("float16", 1e-3), 0.95, 0.002),
    Row(5, "Nadam's product in a graph, 3 variables, 4 steps", momentum_product, PRODUCT, 1e-7, keras="tf_keras"),
    Row(6, "calls of a learning-rate function in 4 graph steps", rate_calls, 4),
    Row(7, "accumulation: average's distance from large batches", accumulated_average, 0.0, 1e-6),
    Row(7, "accumulation: weight 1.0, gradients 4 and None, rate 1", accumulated_alone, -1.0),
    Row(8, "2 replicas: accumulating (1, 2), (4, 8), rate 1", on_two_replicas("accumulation"), -7.5),
    Row(9, "learning_rate=-1.0", accepts(learning_rate=-1.0), "ValueError"),
    Row(9, "learning_rate=nan", accepts(learning_rate=math.nan), "ValueError"),
    Row(9, "beta_1=1.5", accepts(beta_1=1.5), "ValueError"),
    Row(9, "epsilon=-1.0", accepts(epsilon=-1.0), "ValueError"),
    Row(9, "clipnorm=-1.0", accepts(clipnorm=-1.0), "ValueError"),
    Row(9, "learning_rate=1", accepts(learning_rate=1), "accepted"),
    Row(9, "ema_overwrite_frequency=2.0", accepts(use_ema=True, ema_overwrite_frequency=2.0), "accepted"),
    Row(10, "Nadam's state loaded into Adam", foreign_state, "ValueError"),
    Row(11, "learning rate after optimizer.lr = 0.5", lr_attribute, 0.5),
    Row(11, "lr=0.5 as an argument", accepts(lr=0.5), "accepted"),
    Row(12, "learning rate 0.001 in the config", config_rate, 0.001, digits=17),
    Row(13, "a lambda in the config", config_lambda, "ValueError"),
    Row(14, 'decay of "unbiased_kernel" with "bias" excluded', excluded_by_name, 0.1),
    Row(14, "exclusion after the first step", excluded_late, "ValueError"),
    Row(15, "loss scale of 32768 after 20 steps that overflow", scale_after_overflows, 1.0),
    Row(16, "distance of the weights evaluated from the averages asked for", validation_weight, 0.0),
    Row(17, "move of a variable given twice, learning rate 0.1", given_twice, "ValueError"),
    Row(17, "a new variable without build()", new_variable, "accepted"),
    Row(18, "Adafactor's 9th step at rate 0.5 with relative_step=False", relative_step, 0.5, 1e-6),
    Row(19, "Muon on a float64 matrix", muon_in_float64, "accepted"),
    Row(20, "average of the weights 2, 1, 0, -1: Keras 3's", average, -0.25, keras="tf_keras"),
    Row(20, "weight after an overflow under a schedule: Keras 3's", after_an_overflow, -1.0, keras="tf_keras"),
    Row(20, "rate shown after a step that halves it: Keras 3's", rate_shown, 0.5, keras="tf_keras"),
    Row(20, "default name of an optimizer: Keras 3's", lambda module: module.Lion().name, "lion", keras="tf_keras"),
    Row(21, "a new variable beside one that was trained", new_beside_known, "accepted"),
    Row(22, "a class with an update_step that no step calls", own_update_step, "TypeError"),
    Row(23, "SGD(decay=1e-6), which would do nothing", lambda module: str(module.SGD(decay=1e-6)), "TypeError"),
    Row(24, "2 replicas: RMSprop, rows 1 and 3 of one index, rho 0", on_two_replicas("sparse"), -1.0, 1e-6),
    Row(25, "2 replicas: steps_per_execution=2", on_two_replicas("several steps"), "works"),
    Row(26, "2 replicas: averages that overwrite, 2 steps of -1 - 1", on_two_replicas("overwriting"), -3.0),
    Row(27, "ScheduleFreeAdamW: weight 1.0 after 2 steps, beta_1=0.5", schedule_free(1.0), 0.825, 1e-6, digits=6),
    Row(27, "the same with weight_decay=1.0 alone", schedule_free(0.0, weight_decay=1.0), 0.8325, 1e-6, digits=6),
    Row(27, "the same with warmup_steps=2", schedule_free(1.0, warmup_steps=2), 0.86, 1e-6, digits=6),
    Row(27, "the same with 2.0 loaded after the build, 1 step", loaded_after_build, 1.9, 1e-6, digits=6),
    Row(28, "Adafactor: weight 1.0 of a dead unit and a zero input", dead_unit, 1.0),
    Row(29, "Ftrl: weight 1.0 after a step at a learning rate of 0", end_of_a_decay, 1.0),
]
