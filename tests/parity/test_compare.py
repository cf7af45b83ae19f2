"""Distances in ULP, and the limits they are held to, are what their definitions say."""

import numpy as np
import pytest

from pyadam.parity.compare import History, apart, excess, limits, total_change, ulp


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_ulp_is_numpys_spacing(dtype):
    values = np.array([1.0, 1.5, 2.0, 0.1, 1000.0, -3.0, 0.0, 6e-8]).astype(dtype)
    np.testing.assert_array_equal(ulp(values.astype(float), dtype), np.spacing(np.abs(values)).astype(float))


def test_ulp_of_bfloat16_and_of_counts():
    np.testing.assert_array_equal(ulp(np.array([1.0, 3.0]), "bfloat16"), [2**-7, 2**-6])
    np.testing.assert_array_equal(ulp(np.array([1.0]), "int64"), [0.0])


@pytest.mark.parametrize(
    ("a", "b", "dtype", "expected"),
    [
        ([1.0, np.nan, np.inf], [1.0, np.nan, np.inf], "float32", 0.0),
        ([1.0], [1.0 + 2.0**-23], "float32", 1.0),
        ([1.0], [1.0 + 2.0**-52], "float64", 1.0),
        ([0.0], [-0.0], "float32", 1.0),
        ([np.nan], [1.0], "float32", np.inf),
        ([np.inf], [1.0], "float32", np.inf),
        ([1.0], [1.0, 1.0], "float32", np.inf),
        ([3.0], [3.0], "int64", 0.0),
        ([3.0], [4.0], "int64", np.inf),
        ([], [], "float32", 0.0),
    ],
)
def test_apart(a, b, dtype, expected):
    assert apart(np.array(a), np.array(b), dtype) == expected


def test_apart_on_the_scale_of_a_larger_value():
    assert apart(np.array([2.0**-30]), np.array([0.0]), "float32", scale=np.array([1.0])) == 2.0**-7


def test_the_total_change_is_the_length_of_the_way():
    """There and back by 1: 2 ULP for two steps, and a share of 2."""
    history = History("float32", [np.array([1.0]), np.array([2.0]), np.array([1.0])])
    np.testing.assert_array_equal(total_change(history), [[0.0], [1.0], [2.0]])
    np.testing.assert_allclose(limits(history, total_change(history), 0.5), [[0.0], [2.0**-22 + 0.5], [2.0**-21 + 1.0]])


def test_excess_is_one_at_the_limit_and_looks_at_every_step_but_the_start():
    ones, limit = [np.array([1.0])] * 3, [np.array([0.0]), np.array([0.5]), np.array([0.5])]
    assert excess(ones, [np.array([1.0]), np.array([1.5]), np.array([1.0])], limit) == 1.0
    assert excess(ones, [np.array([9.0]), np.array([1.0]), np.array([1.0])], limit) == 0.0
    assert excess(ones, [np.array([1.0]), np.array([np.nan]), np.array([1.0])], limit) == np.inf
    assert excess([np.array([np.nan])] * 3, [np.array([np.nan])] * 3, limit) == 0.0
