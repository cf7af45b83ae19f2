"""Several replicas of one process: alike, equal to one process on the summed gradient; what is refused."""

import functools
from pathlib import Path

import pytest
from family import EVERY
from programs import found_by

HOSTS = ["keras", "tf_keras"]
PROGRAM = Path(__file__).with_name("in_replicas.py")
BITS = [
    *EVERY,
    "global_clipnorm",
    "clipnorm, decay",
    "clipvalue, loss scale",
    "accumulation, averages",
    "averages",
    "bfloat16 slots",
    "uncompiled",
    "schedule",
    "float64",
    "bfloat16",
    "float16",
    "eager",
    "sparse",
    "sparse, eager",
    "sparse, global_clipnorm",
    "sparse, LazyAdam",
    "sparse, float64",
    "missing",
    "missing, accumulation",
    "missing, accumulation, eager",
    "mixed dtypes, global_clipnorm",
    "nothing",  # variables without elements, whose collective would end the process
    "nothing, eager",
    "groups",
]
SHARDED = [*EVERY, "plain", "clipnorm", "global_clipnorm, accumulation", "averages, bfloat16 slots", "groups"]
SHARDED += ["sparse", "eager", "eager, norm", "missing", "nothing", "nothing, eager"]
SHARDED += ["missing, accumulation", "missing, accumulation, eager", "mixed dtypes, global_clipnorm"]
BITS += [f"sharded {name}" for name in SHARDED]
FIT = ["", " eager", " steps_per_execution", " function", " function, eager", " callback", " changed", " averages"]
FIT += [" mixed precision", " files", " sharded"]
ONLY_KERAS_3 = ["fit keras SwapEMAWeights", "fit keras no rows"]
QUICK = {f"bits {name}" for name in ("accumulation, averages", "nothing")}
QUICK |= {f"bits sharded {name}" for name in ("Muon", "missing, accumulation", "mixed dtypes, global_clipnorm")}
QUICK |= {"fit keras", "fit keras sharded", "fit tf_keras files"}


@functools.cache
def found(replicas, *names):
    """What the cases of these names found with so many replicas, in a process of its own."""
    return found_by(PROGRAM, replicas, *names)


def result_of(replicas, name):
    """What a case found; those that `make test` runs share a process, and the others of a kind share one."""
    kind = name.partition(" ")[0]
    every = (
        [f"bits {each}" for each in BITS]
        if kind == "bits"
        else [f"fit {host}{each}" for host in HOSTS for each in FIT] + ONLY_KERAS_3
    )
    chosen = QUICK if name in QUICK and replicas == 2 else set(every) - (QUICK if replicas == 2 else set())
    return found(replicas, *sorted(chosen))[name]


def cases(names):
    return [name if name in QUICK else pytest.param(name, marks=pytest.mark.long) for name in names]


@pytest.mark.parametrize(
    "replicas", [2, pytest.param(3, marks=pytest.mark.long), pytest.param(4, marks=pytest.mark.long)]
)
@pytest.mark.parametrize("name", cases([f"bits {name}" for name in BITS]))
def test_replicas_have_the_bits_of_one_process_and_one_program_each(name, replicas):
    result = result_of(replicas, name)
    assert (result["alike"], result["equal"]) == (True, True), result
    assert set(result["traces"]) == {1}


@pytest.mark.parametrize("name", cases([*(f"fit {host}{name}" for host in HOSTS for name in FIT), *ONLY_KERAS_3]))
def test_fit(name):
    result = result_of(2, name)
    assert all(value is True for value in result.values()), result


ALL = "ValueError: SGD: all replicas have to take the same steps, with gradients for the same variables; replica 0 "
REFUSED = {
    "cross-replica": "RuntimeError: Adam: a step of 2 replicas must be taken on each of them: make the model within the",
    "outside of run": "RuntimeError: Adam: a step of 2 replicas must be taken on each of them: make the model within the",
    "optimizer outside": "ValueError: Adam: the optimizer was not made within the scope of the MirroredStrategy that takes the",
    "weight outside": "ValueError: Adam: plain was not made within the scope of the optimizer's MirroredStrategy; make model",
    "built outside": "ValueError: Adam: the optimizer was not made within the scope of the MirroredStrategy that made weight;",
    "compiled as a whole": "ValueError: Adam: a train step that is compiled as a whole can't take place on several CPUs; set",
    "CentralStorage": "NotImplementedError: Adam: CentralStorageStrategy with 2 replicas is not supported; use Mirrored",
    "clipnorm after the build": "ValueError: Adam: clipnorm can't be changed once the optimizer is built, because its state",
    "devices out of order": "ValueError: Adam: the devices of MirroredStrategy must be in the order of their numbers, got",
    "graph in eager": "RuntimeError: Adam: a step in a tf.function that an eager strategy.run() calls would wait for ever,",
    "loop in the function": "RuntimeError: Adam: a step in a loop of the function that strategy.run() is given would wait for",
    "one step more": f"{ALL}has nothing where replica 1 has a step of SGD (optimizer 2)",
    "another order": f"{ALL}has a step of SGD (optimizer 2) where replica 1 has a step of SGD (optimizer 3)",
    "missing on one": f"{ALL}has a gradient for b where replica 1 has no gradient for b",
    "of equal size": f"{ALL}has a gradient for a where replica 1 has no gradient for a",
    "sparse on one": f"{ALL}has a sparse gradient for b where replica 1 has no gradient for b",
    "unknown shape": "ValueError: SGD: shard_state needs variables of a known shape, got (None,) for Variable:0; create it",
    "row out of range": "ValueError: Adam: the indices of the gradient of table must be in [0, 99], got some from 100 to 100",
    "row out of range, graph": "InvalidArgumentError:",
    "foreign inner": "NotImplementedError: LossScaleOptimizer: with 2 replicas the inner optimizer must be pyadam's and",
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused(what):
    assert found(2, "refused")["refused"][what].startswith(REFUSED[what])


def test_the_graph_is_small():
    """40 variables: fewer than a quarter of Keras' nodes, two collectives, and a program for each replica."""
    result = found(2, "graph")["graph"]
    assert 4 * result["nodes"] < result["Keras' nodes"]
    assert (result["collectives"], result["programs"], result["traces"]) == (2, 2, [1, 1])


@pytest.mark.parametrize("replicas", [2, pytest.param(3, marks=pytest.mark.long)])
def test_a_replica_sends_as_much_as_in_a_ring(replicas):
    result = found(replicas, "graph")["graph"]
    padded = -(-result["elements"] // replicas) * replicas
    assert result["sent"] == pytest.approx(2 * (replicas - 1) / replicas * padded)


@pytest.mark.parametrize("what", ["missing on one", "of equal size"])
def test_a_graph_refuses_the_same_gradients_as_eager_mode(what):
    refused = found(2, "refused")["refused"]
    assert refused[f"{what}, graph"] == refused[what]


@pytest.mark.long
def test_patterns_and_numbers_of_rows_may_change_at_any_step():
    """TensorFlow remembers the shape that a collective's key was used with, for ever."""
    result = found(2, "many patterns")["many patterns"]
    assert result["sums"] is True
    assert result["megabytes"] < 8


@pytest.mark.long
def test_5000_steps_take_no_more_memory():
    result = found(2, "growth")["growth"]
    assert result["megabytes"] < 8
    assert result["traces"] == [1, 1]
