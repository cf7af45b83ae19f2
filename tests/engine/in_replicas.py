"""Run by test_replicas.py in a process of its own: cases under MirroredStrategy with N logical CPUs.

    python in_replicas.py N PATTERN...

Each case whose name matches prints a line: its name, a tab, what it found as JSON.
"""

import fnmatch
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

N = int(sys.argv[1])
tf.get_logger().setLevel(logging.ERROR)
warnings.simplefilter("ignore")
(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * N)
STRATEGY = tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(N)])

import keras  # noqa: E402
import tf_keras  # noqa: E402

import pyadam.tf_keras  # noqa: E402

sys.path.insert(0, str(Path(__file__).parents[1]))
from programs import message, print_cases  # noqa: E402

HOSTS = {"keras": (keras, pyadam), "tf_keras": (tf_keras, pyadam.tf_keras)}
CASES: dict[str, Callable[[], Any]] = {}


def case(name: str, *arguments: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Enters a function among the cases, under a name, to be called with these arguments."""

    def enter(function: Callable[..., Any]) -> Callable[..., Any]:
        CASES[name] = lambda: function(*arguments)
        return function

    return enter


def of_replicas(variable: Any) -> list[np.ndarray]:
    """The values of a variable, or of a part of an arena, on each replica."""
    variable = variable.value if isinstance(variable, keras.Variable) else variable
    if hasattr(variable, "kept"):  # on one replica or another
        return [np.array(tf.cast(variable.read_value(), tf.float64))] * N
    found = getattr(variable, "components", None) or STRATEGY.experimental_local_results(variable)
    return [np.array(tf.cast(each.read_value(), tf.float64)) for each in found]


def alike(variables: Any) -> bool:
    """Whether all replicas have the same values."""
    found = [of_replicas(v) for v in variables]
    return all(len(values) == N and np.array_equal(values[0], x) for values in found for x in values)


def equal(a: Any, b: Any) -> bool:
    """Whether two lists of variables have the same values on the first replica."""
    return all(np.array_equal(of_replicas(x)[0], of_replicas(y)[0]) for x, y in zip(a, b, strict=True))


def per_replica(make: Callable[[int], Any]) -> Any:
    return STRATEGY.experimental_distribute_values_from_function(lambda context: make(context.replica_id_in_sync_group))


# --- the same bits as one process on the sum -----------------------------------------------------------------------------

SHAPES = ((3, 4), (5,), (), (70, 70), (20, 3))
GROUPS: dict[str, Any] = {
    "global_clipnorm": 0.5,
    "groups": {"v[03]": {"learning_rate": 1e-3, "amsgrad": True}, "v1": {"frozen": True}, "v4": {"weight_decay": 0.1}},
}
STEPS = 50


def draw(dtype: str, shapes: Any) -> tuple[list[np.ndarray], list[list[list[np.ndarray]]], list[list[np.ndarray]]]:
    """First values; gradients by step, replica and variable; rows of the last one's by step and replica."""
    rng = np.random.default_rng(0)
    start = [rng.normal(size=shape) for shape in shapes]
    gradients = [[[rng.normal(size=shape) for shape in shapes] for _ in range(N)] for _ in range(STEPS)]
    rows = [[rng.integers(0, 20, size=4 + replica) for replica in range(N)] for _ in range(STEPS)]
    typed = [[[g.astype(dtype) for g in each] for each in step] for step in gradients]
    return [w.astype(dtype) for w in start], typed, rows


def distributed(values: Sequence[Any]) -> Any:
    """One of the values on each replica."""
    return per_replica(lambda replica: values[replica])


def sum_of(gradients: Sequence[Any]) -> Any:
    """The sum in the order of the replicas; of sparse gradients all rows, in that order."""
    if isinstance(gradients[0], tf.IndexedSlices):
        values = tf.concat([g.values for g in gradients], 0)
        return tf.IndexedSlices(values, tf.concat([g.indices for g in gradients], 0), gradients[0].dense_shape)
    wide = [tf.cast(g, tf.float64 if g.dtype == tf.float64 else tf.float32) for g in gradients]
    total = wide[0]
    for g in wide[1:]:
        total = total + g
    return total


def as_one_process(
    make: Any,
    dtype: str = "float32",
    graph: bool = True,
    sparse: bool = False,
    none: bool = False,
    shapes: Any = SHAPES,
) -> Any:
    """Trains on replicas and in one process, and compares the bits of weights and state."""
    dtypes = ["float32"] * (len(shapes) - 1) + ["float64"] if dtype == "mixed" else [dtype] * len(shapes)
    start, gradients, rows = draw("float64" if "float64" in dtypes else "float32", shapes)

    def gradients_of(step: int, replica: int) -> list[Any]:
        found = [tf.cast(g, kind) for g, kind in zip(gradients[step][replica], dtypes, strict=True)]
        if sparse:
            index = rows[step][replica]
            found[-1] = tf.IndexedSlices(found[-1][: len(index)], tf.constant(index), tf.constant([20, 3], tf.int64))
        if (
            none
        ):  # every pattern of two calls that make an update; the large one's zeros are kept elsewhere than the rest
            found[3] = tf.concat([found[3][:35], tf.zeros_like(found[3][35:])], 0)
            found[1:4:2] = [None, None] if step % 5 in (1, 2, 3) else found[1:4:2]
        return found

    def trained(run: Any) -> list[Any]:
        ws = [
            keras.Variable(w, dtype=kind, name=f"v{i}") for i, (w, kind) in enumerate(zip(start, dtypes, strict=True))
        ]
        optimizer = make()
        apply = (
            (lambda gs: optimizer.apply(gs, ws)) if run is None else (lambda gs: run(optimizer.apply, args=(gs, ws)))
        )
        apply = tf.function(apply, autograph=False, reduce_retracing=True) if graph else apply
        for step in range(STEPS):
            each = [gradients_of(step, replica) for replica in range(N)]
            together = sum_of if run is None else distributed
            apply([None if gs[0] is None else together(gs) for gs in zip(*each, strict=True)])
        return [*ws, *optimizer.variables], optimizer

    with STRATEGY.scope():
        several, optimizer = trained(STRATEGY.run)
    one, _ = trained(None)
    traces = [program.traces for program in optimizer._engine.programs]
    if (
        dtype == "mixed"
    ):  # a norm in float64 is added up in another order if state is divided; in float32 that doesn't show
        several, one = ([v for v in vs if v.dtype != "float64"] for vs in (several, one))
    return {"alike": alike(several), "equal": equal(several, one), "traces": traces}


for _name in pyadam.specs.SPECS:
    case(f"bits {_name}", lambda name=_name: getattr(pyadam, name)(0.01))(as_one_process)
for _name, _arguments in {
    "global_clipnorm": {"global_clipnorm": 0.5},
    "clipnorm, decay": {"clipnorm": 0.5, "weight_decay": 0.01},
    "clipvalue, loss scale": {"clipvalue": 0.5, "loss_scale_factor": 8.0},
    "accumulation, averages": {"gradient_accumulation_steps": 3, "use_ema": True, "ema_overwrite_frequency": 2},
    "averages": {"use_ema": True, "ema_momentum": 0.9},
    "bfloat16 slots": {"slot_dtype": "bfloat16"},
    "uncompiled": {"jit_compile": False},
    "groups": GROUPS,
}.items():
    case(f"bits {_name}", lambda arguments=_arguments: pyadam.Adam(0.01, **arguments))(as_one_process)
case("bits schedule", lambda: pyadam.Adam(keras.optimizers.schedules.ExponentialDecay(0.01, 3, 0.5)))(as_one_process)
for _dtype in ("float64", "bfloat16", "float16"):
    case(f"bits {_dtype}", lambda: pyadam.Adam(0.01), _dtype)(as_one_process)
case("bits eager", lambda: pyadam.Adam(0.01), "float32", False)(as_one_process)
case("bits sparse", lambda: pyadam.Adam(0.01), "float32", True, True)(as_one_process)
case("bits sparse, eager", lambda: pyadam.Adam(0.01), "float32", False, True)(as_one_process)
case("bits sparse, global_clipnorm", lambda: pyadam.RMSprop(0.01, global_clipnorm=0.5), "float32", True, True)(
    as_one_process
)
case("bits sparse, LazyAdam", lambda: pyadam.LazyAdam(0.01), "float32", True, True)(as_one_process)
case("bits sparse, float64", lambda: pyadam.SGD(0.01, momentum=0.9), "float64", True, True)(as_one_process)
for _name, _arguments in {
    "plain": {},
    "clipnorm": {"clipnorm": 0.5},
    "global_clipnorm, accumulation": {
        "global_clipnorm": 0.5,
        "gradient_accumulation_steps": 2,
        "loss_scale_factor": 8.0,
    },
    "averages, bfloat16 slots": {"use_ema": True, "ema_overwrite_frequency": 3, "slot_dtype": "bfloat16"},
    "groups": GROUPS,
}.items():
    case(f"bits sharded {_name}", lambda given=_arguments: pyadam.Adam(0.01, shard_state=True, **given))(as_one_process)
for _name in pyadam.specs.SPECS:
    case(f"bits sharded {_name}", lambda name=_name: getattr(pyadam, name)(0.01, shard_state=True))(as_one_process)
case("bits sharded sparse", lambda: pyadam.RMSprop(0.01, shard_state=True), "float32", True, True)(as_one_process)
case("bits sharded eager", lambda: pyadam.Adam(0.01, shard_state=True), "float32", False)(as_one_process)
case("bits sharded eager, norm", lambda: pyadam.Adam(0.01, shard_state=True, global_clipnorm=0.5), "float32", False)(
    as_one_process
)
case("bits sharded missing", lambda: pyadam.Adam(0.01, shard_state=True), "float32", False, False, True)(as_one_process)
for _name, _arguments in {"": {}, "sharded ": {"shard_state": True}}.items():
    for _graph in (True, False):
        case(
            f"bits {_name}missing, accumulation{'' if _graph else ', eager'}",
            lambda given=_arguments: pyadam.Adam(0.01, gradient_accumulation_steps=2, global_clipnorm=0.5, **given),
            *("float32", _graph, False, True),
        )(as_one_process)
    case(
        f"bits {_name}mixed dtypes, global_clipnorm",
        lambda given=_arguments: pyadam.Adam(0.01, global_clipnorm=0.5, **given),
        "mixed",
    )(as_one_process)
case("bits missing", lambda: pyadam.Adam(0.01), "float32", False, False, True)(as_one_process)
for _name, _arguments in {"": {}, "sharded ": {"shard_state": True}}.items():
    for _graph in (True, False):
        case(
            f"bits {_name}nothing{'' if _graph else ', eager'}",
            lambda given=_arguments: pyadam.Adam(0.01, global_clipnorm=1.0, **given),
            *("float32", _graph, False, False, ((0, 3), (0,))),
        )(as_one_process)

# --- fit, files, callbacks -----------------------------------------------------------------------------------------------

X = np.random.default_rng(0).normal(size=(24 * N, 4)).astype("float32")
Y = (X @ np.array([[1.0], [-2], [3], [0.5]])).astype("float32")


def model_of(host: Any, optimizer: Any, policy: str | None = None, **compile_arguments: Any) -> Any:
    glorot = host.initializers.GlorotUniform
    inputs = host.Input((4,))
    hidden = host.layers.Dense(8, activation="tanh", kernel_initializer=glorot(seed=3), dtype=policy)(inputs)
    model = host.Model(inputs, host.layers.Dense(1, kernel_initializer=glorot(seed=4), dtype=policy)(hidden))
    model.compile(optimizer, "mse", **compile_arguments)
    return model


def fitted(host: Any, make: Any, epochs: int = 3, callbacks: Any = (), **arguments: Any) -> Any:
    with STRATEGY.scope():
        model = model_of(host, make(), **arguments)
    return more(model, epochs, callbacks)


def more(model: Any, epochs: int = 1, callbacks: Any = ()) -> Any:
    model.fit(X, Y, batch_size=24, epochs=epochs, verbose=0, shuffle=False, callbacks=list(callbacks))
    return model


def everything(model: Any) -> list[Any]:
    return [*model.trainable_variables, *model.optimizer.variables]


def losses(host: Any, optimizers: Any) -> Any:
    theirs, ours = (
        fitted(host, lambda optimizer=each: optimizer(0.01)) for each in (host.optimizers.Adam, optimizers.Adam)
    )
    close = [
        np.allclose(a, b, rtol=1e-5, atol=1e-6) for a, b in zip(theirs.get_weights(), ours.get_weights(), strict=True)
    ]
    return {"alike": alike(everything(ours)), "Keras' numbers": all(close)}


def several_steps_per_execution(host: Any, optimizers: Any) -> Any:
    one, two = (fitted(host, lambda: optimizers.Adam(0.01), steps_per_execution=n) for n in (1, 2))
    return {"alike": alike(everything(two)), "equal": equal(everything(one), everything(two))}


def function(host: Any, optimizers: Any, **arguments: Any) -> Any:
    calls: list[int] = []

    def rate() -> float:
        calls.append(1)
        return 0.01 / len(calls)

    model = fitted(host, lambda: optimizers.Adam(rate), **arguments)
    return {"alike": alike(everything(model)), "once a step": len(calls) == int(model.optimizer.iterations.numpy())}


def set_by_a_callback(host: Any, optimizers: Any) -> Any:
    halve = host.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    model = fitted(host, lambda: optimizers.Adam(0.01), callbacks=[halve])
    rates = of_replicas(model.optimizer.learning_rate)
    return {"alike": alike(everything(model)), "set": rates == [np.float32(0.01) / 8] * N}


def sharded(host: Any, optimizers: Any) -> Any:
    """Divided state in ``fit``: the weights, the state and the files of one that is not divided."""
    folder = tempfile.mkdtemp()
    whole, parts = (fitted(host, lambda s=shard: optimizers.Adam(0.01, shard_state=s)) for shard in (False, True))
    parts.save(f"{folder}/model.keras")
    with STRATEGY.scope():
        loaded = host.models.load_model(f"{folder}/model.keras")
    return {
        "alike": alike(everything(parts)),
        "equal": equal(everything(parts), everything(whole)),
        "loaded": equal(everything(more(loaded)), everything(more(whole))),
        "bytes": parts.optimizer.state_bytes <= (1 / N + 0.05) * whole.optimizer.state_bytes,
    }


def changed_between_fits(host: Any, optimizers: Any) -> Any:
    model = fitted(host, lambda: optimizers.Adam(0.01))
    model.optimizer.beta_1 = 0.5
    return {"alike": alike(everything(more(model)))}


def averages(host: Any, optimizers: Any) -> Any:
    model = fitted(host, lambda: optimizers.Adam(0.01, use_ema=True))
    raw = model.get_weights()
    with model.optimizer.averaged_weights():
        inside = alike(model.trainable_variables)
    return {
        "alike": alike(everything(model)),
        "inside": inside,
        "restored": np.array_equal(raw[0], model.get_weights()[0]),
    }


def mixed_precision(host: Any, optimizers: Any) -> Any:
    model = fitted(
        host, lambda: optimizers.LossScaleOptimizer(optimizers.Adam(0.01)), policy="mixed_float16", jit_compile=False
    )
    return {"alike": alike(everything(model)), "trained": int(model.optimizer.inner_optimizer.iterations.numpy()) > 0}


def files(host: Any, optimizers: Any) -> Any:
    """A model that was saved continues with the same bits, in a scope; it loads without one, too."""
    folder = Path(tempfile.mkdtemp())
    model = fitted(host, lambda: optimizers.AdamW(0.01, clipnorm=1.0))
    model.save(folder / "model.keras")
    model.save_weights(folder / "model.weights.h5")
    checkpoint = tf.train.Checkpoint(model=model, optimizer=model.optimizer).save(str(folder / "checkpoint"))
    alone = host.models.load_model(folder / "model.keras")
    found = {"alone": equal(everything(alone), everything(model))}
    more(model)
    with STRATEGY.scope():
        loaded, from_weights, restored = (
            host.models.load_model(folder / "model.keras"),
            *(model_of(host, optimizers.AdamW(0.01, clipnorm=1.0)) for _ in range(2)),
        )
        from_weights.load_weights(folder / "model.weights.h5")
        tf.train.Checkpoint(model=restored, optimizer=restored.optimizer).restore(checkpoint)
    for name, other in {"keras": loaded, "weights.h5": from_weights, "Checkpoint": restored}.items():
        more(other)
        found |= {name: equal(everything(other), everything(model)), f"{name}, alike": alike(everything(other))}
    return found


def swapped(host: Any, optimizers: Any) -> Any:
    """Keras' SwapEMAWeights: the weights without a strategy."""

    def trained(scope: Any, shard: bool = False) -> Any:
        with scope:
            model = model_of(host, optimizers.Adam(0.01, use_ema=True, ema_momentum=0.5, shard_state=shard))
        swap = host.callbacks.SwapEMAWeights(swap_on_epoch=True)
        model.fit(X, Y, batch_size=24, epochs=2, verbose=0, shuffle=False, callbacks=[swap], validation_data=(X, Y))
        return model

    alone, whole, parts = trained(tf.init_scope()), trained(STRATEGY.scope()), trained(STRATEGY.scope(), True)
    close = [
        np.allclose(a, b, rtol=1e-5, atol=1e-7) for a, b in zip(alone.get_weights(), whole.get_weights(), strict=True)
    ]
    return {
        "alike": alike(everything(whole)),
        "alone": all(close),
        "divided": equal(everything(whole), everything(parts)),
    }


def no_rows(host: Any, optimizers: Any) -> Any:
    """A sparse gradient without rows on any replica."""
    with STRATEGY.scope():
        table = keras.Variable(np.zeros((6, 3), "float32"))
        optimizer = pyadam.SGD(1.0)
        optimizer.build([table])

    def step(count: Any) -> None:
        optimizer.apply([tf.IndexedSlices(tf.ones([count, 3]), tf.range(count), tf.constant([6, 3]))], [table])

    run = tf.function(lambda count: STRATEGY.run(step, args=(count,)), autograph=False)
    for count in (2, 0, 1):
        run(tf.constant(count))
    return {"sums": table.numpy()[:3, 0].tolist() == [-2.0 * N, -1.0 * N, 0.0]}


def eager(host: Any, optimizers: Any) -> Any:
    return {"alike": alike(everything(fitted(host, lambda: optimizers.Adam(0.01), epochs=1, run_eagerly=True)))}


case("fit keras SwapEMAWeights", *HOSTS["keras"])(swapped)
case("fit keras no rows", *HOSTS["keras"])(no_rows)
for _host in HOSTS:
    case(f"fit {_host}", *HOSTS[_host])(losses)
    case(f"fit {_host} eager", *HOSTS[_host])(eager)
    case(f"fit {_host} steps_per_execution", *HOSTS[_host])(several_steps_per_execution)
    case(f"fit {_host} function", *HOSTS[_host])(function)
    case(f"fit {_host} function, eager", *HOSTS[_host])(
        lambda host, ours: function(host, ours, run_eagerly=True, epochs=1)
    )
    case(f"fit {_host} callback", *HOSTS[_host])(set_by_a_callback)
    case(f"fit {_host} changed", *HOSTS[_host])(changed_between_fits)
    case(f"fit {_host} sharded", *HOSTS[_host])(sharded)
    case(f"fit {_host} averages", *HOSTS[_host])(averages)
    case(f"fit {_host} mixed precision", *HOSTS[_host])(mixed_precision)
    case(f"fit {_host} files", *HOSTS[_host])(files)

# --- what is refused, and what does not grow -----------------------------------------------------------------------------


def gradient_step(optimizer: Any, variables: Any) -> None:
    optimizer.apply_gradients([(tf.ones_like(v), v) for v in variables])


@case("refused")
def refused() -> Any:
    found = {}
    outside = pyadam.Adam()
    plain = keras.Variable(1.0, name="plain")
    with STRATEGY.scope():
        inside, weight = pyadam.Adam(), keras.Variable(1.0, name="weight")
        found["cross-replica"] = message(lambda: gradient_step(inside, [weight]))
    found["outside of run"] = message(lambda: gradient_step(inside, [weight]))
    found["optimizer outside"] = message(lambda: STRATEGY.run(lambda: gradient_step(outside, [weight])))
    found["weight outside"] = message(lambda: STRATEGY.run(lambda: gradient_step(inside, [plain])))
    found["built outside"] = message(lambda: pyadam.Adam().build([weight]))
    compiled = tf.function(
        lambda: STRATEGY.run(lambda: gradient_step(inside, [weight])), jit_compile=True, autograph=False
    )
    found["compiled as a whole"] = message(compiled)
    central = tf.distribute.experimental.CentralStorageStrategy([f"CPU:{i}" for i in range(N)])
    with central.scope():
        found["CentralStorage"] = message(pyadam.Adam)
    with STRATEGY.scope():
        divided = pyadam.Adam(shard_state=True)
        divided.build([weight])
    found["clipnorm after the build"] = message(lambda: setattr(divided, "clipnorm", 1.0))
    backwards = tf.distribute.MirroredStrategy([f"CPU:{i}" for i in reversed(range(N))])
    with backwards.scope():
        found["devices out of order"] = message(pyadam.Adam)
    nested = tf.function(lambda: gradient_step(inside, [weight]), autograph=False)
    found["graph in eager"] = message(lambda: STRATEGY.run(lambda: nested()))

    def loop() -> None:
        tf.while_loop(lambda i: i < 2, lambda i: (gradient_step(inside, [weight]), i + 1)[1:], [0])

    in_loop = tf.function(lambda: STRATEGY.run(loop), autograph=False)
    found["loop in the function"] = message(in_loop)
    found |= different_on_replicas()
    with STRATEGY.scope():
        loose = tf.Variable(tf.zeros([3]), shape=tf.TensorShape([None]))
        found["unknown shape"] = message(lambda: pyadam.SGD(shard_state=True).build([loose]))
        table, cut = keras.Variable(np.zeros((100, 50)), name="table"), pyadam.Adam(shard_state=True)
        cut.build([table])
    row = lambda: tf.IndexedSlices(tf.ones([1, 50]), tf.constant([100]), tf.constant([100, 50]))  # noqa: E731
    found["row out of range"] = message(lambda: STRATEGY.run(lambda: cut.apply([row()], [table])))
    outside_of_table = tf.function(lambda: STRATEGY.run(lambda: cut.apply([row()], [table])), autograph=False)
    found["row out of range, graph"] = message(outside_of_table).replace("\n", " ")
    with STRATEGY.scope():
        found["foreign inner"] = message(lambda: pyadam.LossScaleOptimizer(keras.optimizers.Adam()))
    return found


def replica() -> int:
    return int(tf.get_static_value(tf.distribute.get_replica_context().replica_id_in_sync_group))


def in_graph(function: Any, *arguments: Any) -> str:
    return message(tf.function(lambda: STRATEGY.run(function, args=arguments), autograph=False))


def different_on_replicas() -> dict[str, str]:
    """Gradients that are missing on one replica alone, then a step that is right."""
    with STRATEGY.scope():
        ws = [keras.Variable(np.zeros(3), name=name) for name in ("a", "b")]
        optimizer = pyadam.SGD(1.0)
        optimizer.build(ws)

    def step(some: int, sparse: bool = False) -> None:
        gs = [tf.ones(3), tf.ones(3)]
        if sparse:
            gs[1] = tf.IndexedSlices(tf.ones(1), tf.constant([0]), tf.constant([3]))
        optimizer.apply([g if i == some or replica() == 0 else None for i, g in enumerate(gs)], ws)

    def one(some: int) -> None:
        optimizer.apply([tf.ones(3) if i == (some + replica()) % 2 else None for i in range(2)], ws)

    with STRATEGY.scope():
        twin = pyadam.SGD(1.0)
        twin.build(ws)

    def in_another_order() -> None:
        for each in (optimizer, twin) if replica() == 0 else (twin, optimizer):
            each.apply([tf.ones(3), tf.ones(3)], ws)

    found = {
        "missing on one": message(lambda: STRATEGY.run(step, args=(0,))),
        "missing on one, graph": in_graph(step, 0),
        "of equal size": message(lambda: STRATEGY.run(one, args=(0,))),
        "of equal size, graph": in_graph(one, 0),
        "sparse on one": in_graph(step, 0, True),
        "another order": in_graph(in_another_order),
        "one step more": in_graph(lambda: optimizer.apply([tf.ones(3)] * 2, ws) if replica() else None),
    }
    STRATEGY.run(lambda: optimizer.apply([tf.ones(3), tf.ones(3)], ws))
    assert in_graph(lambda: optimizer.apply([tf.ones(3), tf.ones(3)], ws)) == "nothing"
    assert [w.numpy().tolist() for w in ws] == [[-2.0 * N] * 3] * 2
    return found


@case("graph")
def graph() -> Any:
    """Nodes and collectives of a step over 40 variables, pyadam's and Keras'; programs."""

    def nodes(make: Any) -> Any:
        with STRATEGY.scope():
            ws = [keras.Variable(np.ones(8 + i, "float32")) for i in range(40)]
            optimizer = make()
            optimizer.build(ws)
        step = lambda gs: STRATEGY.run(optimizer.apply, args=(gs, ws))  # noqa: E731
        gradients = [per_replica(lambda r, w=w: tf.ones(w.shape)) for w in ws]
        function = tf.function(step, autograph=False).get_concrete_function(gradients)
        definition = function.graph.as_graph_def()
        every = [*definition.node, *(node for f in definition.library.function for node in f.node_def)]
        collectives = [op for op in function.graph.get_operations() if "Collective" in op.type]
        sent = {
            "CollectiveAllToAllV2": (N - 1) / N,
            "CollectiveGatherV2": N - 1,
        }  # of what a replica has, to the others
        elements = [sent.get(op.type, 0) * op.inputs[0].shape.num_elements() for op in collectives]
        return optimizer, len(every), len(collectives) // N, sum(elements) / N, sum(w.shape[0] for w in ws)

    theirs = nodes(lambda: keras.optimizers.Adam(0.01))
    ours = nodes(lambda: pyadam.Adam(0.01))
    return {
        "Keras' nodes": theirs[1],
        "nodes": ours[1],
        "collectives": ours[2],
        "sent": ours[3],
        "elements": ours[4],
        "programs": len(ours[0]._engine.programs),
        "traces": [program.traces for program in ours[0]._engine.programs],
    }


@case("growth")
def growth() -> Any:
    """Megabytes that the process grows by from step 500 to step 5,500, and traces."""
    with STRATEGY.scope():
        ws = [keras.Variable(np.ones(shape, "float32")) for shape in ((30, 20), (20,), (20, 5))]
        optimizer = pyadam.Adam(1e-4, global_clipnorm=1.0)
        optimizer.build(ws)
    gradients = [per_replica(lambda r, w=w: tf.ones(w.shape)) for w in ws]
    step = tf.function(lambda gs: STRATEGY.run(optimizer.apply, args=(gs, ws)), autograph=False)

    def megabytes() -> float:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    for number in range(5500):
        step(gradients)
        if number == 500:
            before = megabytes()
    return {"megabytes": megabytes() - before, "traces": [program.traces for program in optimizer._engine.programs]}


@case("many patterns")
def many_patterns() -> Any:
    """5,000 steps with missing gradients and numbers of rows that change: megabytes of growth, the sums."""
    rows = 60
    with STRATEGY.scope():
        dense, table = keras.Variable(np.zeros(8, "float32")), keras.Variable(np.zeros((rows, 3), "float32"))
        optimizers = [pyadam.SGD(1.0), pyadam.SGD(1.0)]  # on one wire, as in a GAN
        for optimizer in optimizers:
            optimizer.build([dense, table])

    def step(number: Any, has_dense: bool) -> None:
        sparse = tf.IndexedSlices(tf.ones([number, 3]), tf.range(number), tf.constant([rows, 3]))
        for optimizer in optimizers:
            optimizer.apply([tf.ones(8) if has_dense else None, sparse], [dense, table])

    run = tf.function(lambda *given: STRATEGY.run(step, args=given), autograph=False)

    def megabytes() -> float:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

    for number in range(5000):
        run(tf.constant(1 + number % rows), number // 1000 % 2 == 0)
        if number == 2000:
            before = megabytes()
    grown, sums = (
        megabytes() - before,
        [dense.numpy()[0].item(), table.numpy()[0, 0].item(), table.numpy()[-1, 0].item()],
    )
    right = [-2.0 * N * 3000, -2.0 * N * 5000, -2.0 * N * (5000 // rows)]
    return {"megabytes": grown, "sums": sums == right}


if __name__ == "__main__":
    print_cases(CASES, [name for name in CASES if any(fnmatch.fnmatch(name, pattern) for pattern in sys.argv[2:])])
