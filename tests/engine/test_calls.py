"""Lanes of one kind are traced once, and small variables share lanes of a bounded number."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from family import ONE_OF_EACH_KIND
from helpers import assert_same, gradients_of, run_python, values, variables

import pyadam
import pyadam.tf_keras
from pyadam.engine import step
from pyadam.engine.calls import Calls
from pyadam.engine.lanes import SMALL, make_lanes
from pyadam.engine.part import Part

LARGE = (SMALL // 32, 48)


def graph(optimizer):
    (concrete,) = optimizer._engine.programs[0]._function._list_all_concrete_functions()
    return concrete.graph


def operations_of(number, **arguments):
    vs = variables(*[LARGE] * number)
    optimizer = pyadam.Adam(**arguments)
    optimizer.apply(gradients_of(vs), vs)
    return len(graph(optimizer).get_operations())


IN_ONE_LOOP = """
import keras, numpy as np, pyadam, pyadam.xla
pyadam.xla.single_pass()
for number in (3, 9):
    vs = [keras.Variable(np.ones((128, 48), "float32")) for _ in range(number)]
    optimizer = pyadam.Adam()
    optimizer.apply(vs, vs)
    (concrete,) = optimizer._engine.programs[0]._function._list_all_concrete_functions()
    print(len(concrete.graph.get_operations()))
"""

ARGUMENTS = {
    "plain": {},
    "clipvalue": {"clipvalue": 0.01},
    "clipnorm": {"clipnorm": 0.1},
    "global": {"global_clipnorm": 0.1, "loss_scale_factor": 4.0},
    "accumulation": {"gradient_accumulation_steps": 2, "clipnorm": 0.1},
    "averages": {"weight_decay": 0.1, "use_ema": True, "ema_overwrite_frequency": 2},
    "rounded slots": {"slot_dtype": "bfloat16"},
}


@pytest.mark.parametrize("arguments", ARGUMENTS)
def test_a_further_variable_of_a_kind_costs_few_operations(arguments):
    """It is read, passed to a function that is there, and assigned: 11 operations of Adam, which had 31."""
    three, nine = (operations_of(number, **ARGUMENTS[arguments]) for number in (3, 9))
    assert (nine - three) / 6 <= 15


def test_so_it_does_with_a_single_pass():
    """Its number is passed, too, from which the function makes its scalars its own: 13 operations, which were 120."""
    done = run_python(IN_ONE_LOOP)
    three, nine = map(int, done.stdout.split())
    assert (nine - three) / 6 <= 15, done.stderr


def test_a_kind_is_what_variables_of_one_shape_dtype_and_treatment_have_in_common():
    vs = variables(LARGE, LARGE, LARGE, (70, 70), (70, 70), LARGE)
    vs += [keras.Variable(np.ones(LARGE), dtype=dtype) for dtype in ("float64", "float64", "bfloat16", "bfloat16")]
    optimizer = pyadam.Adam(weight_decay=0.1)
    optimizer.exclude_from_weight_decay([vs[0]])
    optimizer.apply(gradients_of(vs), vs)
    calls = [op.get_attr("f").name for op in graph(optimizer).get_operations() if op.type == "PartitionedCall"]
    assert sorted(map(calls.count, set(calls))) == [2, 2, 2, 3]  # the one without decay has no function


@pytest.mark.filterwarnings("ignore:.*Gradients do not exist")
@pytest.mark.sample(4)
@pytest.mark.parametrize("arguments", ARGUMENTS)
@pytest.mark.parametrize("name", ONE_OF_EACH_KIND)
def test_bits_are_those_of_lanes_traced_one_by_one(name, arguments, monkeypatch):
    def trained():
        rng = np.random.default_rng(5)
        vs = [keras.Variable(rng.normal(size=shape), dtype="float32") for shape in (*[LARGE] * 3, (5,), (4, 3))]
        optimizer = getattr(pyadam, name)(0.01, **ARGUMENTS[arguments])
        for k in range(5):
            gs = [tf.constant(rng.normal(size=v.shape), "float32") for v in vs]
            gs[1] = None if k in (1, 2) else gs[1]  # with masks, too
            optimizer.apply(gs, vs)
        return values([*vs, *optimizer.variables])

    once = trained()
    monkeypatch.setattr(Calls, "__call__", lambda self, *given: self._function(*given))
    assert_same(once, trained())


@pytest.mark.parametrize("library", [pyadam, pyadam.tf_keras], ids=["keras", "tf_keras"])
def test_at_most_128_small_variables_share_a_lane(monkeypatch, library):
    """Concatenations of 2,000 operands took TensorFlow's optimizer of graphs 10 s of a first step, in tf_keras until later."""
    made = []
    monkeypatch.setattr(step, "make_lanes", lambda *given: made.append(make_lanes(*given)) or made[-1])
    variable = keras.Variable if library is pyadam else tf.Variable
    vs = [variable(np.full((3, 2), k, "float32")) for k in range(300)]
    gs = [tf.fill((3, 2), 0.1 + k) for k in range(300)]
    alone = [variable(vs[k].numpy()) for k in (0, 150, 299)]
    optimizer = library.Adam(0.1)
    optimizer.build(vs)
    optimizer.apply_gradients(list(zip(gs, vs, strict=True)))
    assert [len(lane.targets) for lane in made[0]] == [100] * 3  # with tf_keras one of 300
    library.Adam(0.1).apply_gradients(list(zip([gs[0], gs[150], gs[299]], alone, strict=True)))
    assert_same(values(alone), values([vs[0], vs[150], vs[299]]))


def test_small_variables_share_their_memory_in_arenas():
    vs = [keras.Variable(np.full((3, 2), k, "float32")) for k in range(300)]
    optimizer = pyadam.Adam(0.1)
    optimizer.build(vs)
    arenas = {id(v.value.arena): v.value.arena for v in optimizer.variables if isinstance(v.value, Part)}
    assert sorted(len(arena.parts) for arena in arenas.values()) == [100] * 6
