"""Each replica gets gradients of its own, and one process gets their sums, added in the order of the replicas."""

import dataclasses

import numpy as np
import pytest

from pyadam.parity.cases import LARGE, Case
from pyadam.parity.inputs import Inputs, Slices, draw, save, summed

SPARSE = Case("a", "Adam", gradients="sparse", shapes=((3, 4), (5,), LARGE), steps=2)
DENSE = Case("b", "Adam", shapes=((1,),), steps=1)


def given(*numbers):
    return [Inputs([np.zeros(1)], [[np.array([number])]]) for number in numbers]


def test_replicas_draw_other_numbers():
    first, second = (draw(dataclasses.replace(DENSE, shapes=((3, 4),)), replica) for replica in range(2))
    assert not np.isin(first.gradients[0][0], second.gradients[0][0]).any()


def test_replicas_draw_rows_some_of_them_twice_and_each_another_number_of_them():
    found = [draw(SPARSE, replica).gradients[0] for replica in range(4)]
    assert [len(gradients[0].indices) for gradients in found] == [4, 3, 2, 1]
    assert [len(gradients[2].indices) for gradients in found] == [50, 49, 48, 47]
    assert all(len(set(gradients[2].indices)) < len(gradients[2].indices) for gradients in found)
    assert not any(isinstance(gradients[1], Slices) for gradients in found)


def test_the_same_gradients_are_none_on_all_replicas():
    case = Case("c", "Adam", gradients="some none", steps=6)
    missing = [[[g is None for g in step] for step in draw(case, replica).gradients] for replica in range(4)]
    assert missing[0] == missing[1] == missing[2] == missing[3]
    assert np.any(missing[0])
    assert [[g is None for g in step] for step in summed(case, [draw(case)] * 2).gradients] == missing[0]


@pytest.mark.parametrize(
    ("dtype", "numbers", "total"),
    [
        ("float32", (1e8, 1.0, -1e8), 0.0),
        ("float32", (1e8, -1e8, 1.0), 1.0),
        ("float64", (1e8, 1.0, -1e8), 1.0),
        ("bfloat16", (1.0, 2.0**-9), 1.0 + 2.0**-9),  # added in float32
    ],
)
def test_dense_gradients_are_added_in_order(dtype, numbers, total):
    case = dataclasses.replace(DENSE, dtypes=(dtype,))
    assert summed(case, given(*numbers)).gradients == [[np.array([total])]]


def test_rows_are_kept_in_order():
    replicas = [draw(SPARSE, replica) for replica in range(3)]
    total = summed(SPARSE, replicas).gradients[1][0]
    parts = [inputs.gradients[1][0] for inputs in replicas]
    np.testing.assert_array_equal(total.indices, np.concatenate([part.indices for part in parts]))
    np.testing.assert_array_equal(total.values, np.concatenate([part.values for part in parts]))


def test_r_reads_the_gradients_of_all_replicas_from_one_file(tmp_path):
    save([draw(SPARSE, replica) for replica in range(2)], tmp_path / "in.npz")
    with np.load(tmp_path / "in.npz") as arrays:
        assert {name for name in arrays.files if name[0] == "w"} == {"w0", "w1", "w2"}
        assert {name for name in arrays.files if name.endswith("_2_0")} == {"g0_2_0", "i0_2_0", "g1_2_0", "i1_2_0"}
        np.testing.assert_array_equal(arrays["g1_1_1"], draw(SPARSE, 1).gradients[0][1])
