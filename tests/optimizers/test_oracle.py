"""pyadam matches the float64 oracle over the case table, and the oracle matches results worked out by hand."""

import numpy as np
import pytest

from pyadam.optimizers import SPECS, arguments
from pyadam.parity.cases import Case, random_cases, table
from pyadam.parity.inputs import Slices, draw
from pyadam.parity.oracle import Oracle
from pyadam.parity.papers import PAPERS


def by_name(cases: list[Case]):
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.name.replace(" ", "_"))


def check(case: Case) -> None:
    from pyadam.parity.report import compare
    from pyadam.parity.run_python import run_pyadam

    inputs = draw(case)
    difference, _ = compare(case, inputs, run_pyadam(case, inputs))
    assert difference.part <= 1, f"{difference} is more than allowed"


@pytest.mark.sample(2)
@by_name(table(whole=False)[::7])
def test_sample(case):
    check(case)


@pytest.mark.long
@by_name(table(whole=True))
def test_table(case):
    check(case)


@pytest.mark.long
@by_name(random_cases(60, seed=1))
def test_random(case):
    check(case)


def test_there_is_an_oracle_for_every_optimizer():
    assert set(PAPERS) == set(SPECS)


# --- the oracle by hand --------------------------------------------------------------------------------------------------


def oracle(optimizer="Adam", weights=(1.0,), dtypes=("float64",), **given) -> Oracle:
    defaults = {name: field.default for name, field in arguments(SPECS[optimizer]).items()}
    return Oracle(optimizer, {**defaults, **given}, [np.array(w) for w in weights], list(dtypes))


def stepped(oracle: Oracle, *calls) -> list[np.ndarray]:
    for gradients in calls:
        oracle(gradients)
    return oracle.weights


def test_adams_first_step_is_the_learning_rate():
    """With epsilon 0 both corrections cancel, and the step equals the paper's bound."""
    (weight,) = stepped(oracle(learning_rate=0.25, epsilon=0.0), [np.array(-7.0)])
    np.testing.assert_allclose(weight, 1.25, rtol=1e-12)


def test_adams_second_step():
    """Gradients 1 and 3, both betas 1/2: m = 1.75, v = 4.75, corrected by 3/4 each."""
    h = {"learning_rate": 0.5, "beta_1": 0.5, "beta_2": 0.5, "epsilon": 0.0}
    (weight,) = stepped(oracle(**h), [np.array(1.0)], [np.array(3.0)])
    np.testing.assert_allclose(weight, 1 - 0.5 - 0.5 * (1.75 / 0.75) / np.sqrt(4.75 / 0.75), rtol=1e-12)


def test_amsgrad_divides_by_the_largest_v():
    """Gradients 2 and 0, beta_2 1/2: v falls from 2 to 1, its maximum stays 2."""
    h = {"learning_rate": 0.5, "beta_1": 0.0, "beta_2": 0.5, "epsilon": 0.0, "amsgrad": True}
    model = oracle(**h)
    stepped(model, [np.array(2.0)], [np.array(0.0)])
    assert (model.slots[0]["v"], model.slots[0]["v_hat"]) == (1.0, 2.0)


def test_nadam_without_momentum_is_rmsprop_with_correction():
    """beta_1 = 0 leaves g / sqrt(v_hat): its first step is the learning rate, too."""
    (weight,) = stepped(oracle("Nadam", learning_rate=0.25, beta_1=0.0, epsilon=0.0), [np.array(5.0)])
    np.testing.assert_allclose(weight, 0.75, rtol=1e-12)


def test_nadams_first_step():
    """m_hat = u_2 m / (1 - u_1 u_2) + (1 - u_1) g / (1 - u_1) = g (1 + u_2 (1 - beta_1) / (1 - u_1 u_2))."""
    u_1, u_2 = (0.5 * (1 - 0.5 * 0.96**t) for t in (1, 2))
    (weight,) = stepped(oracle("Nadam", learning_rate=0.5, beta_1=0.5, epsilon=0.0), [np.array(2.0)])
    np.testing.assert_allclose(weight, 1 - 0.5 * (1 + u_2 * 0.5 / (1 - u_1 * u_2)), rtol=1e-12)


def test_decay_comes_first_and_is_scaled_by_the_learning_rate():
    (weight,) = stepped(oracle(learning_rate=0.5, weight_decay=0.25, epsilon=0.0), [np.array(1.0)])
    np.testing.assert_allclose(weight, 1 - 0.125 - 0.5, rtol=1e-12)


def test_rows_that_come_twice_are_summed():
    rows = Slices(np.array([[1.0], [2.0], [4.0]]), np.array([1, 1, 0]), (3, 1))
    start = np.ones((3, 1))
    sparse, dense = oracle(weights=[start]), oracle(weights=[start])
    np.testing.assert_array_equal(stepped(sparse, [rows]), stepped(dense, [np.array([[4.0], [3.0], [0.0]])]))


@pytest.mark.parametrize(
    ("clip", "norms"),
    [
        ({"clipnorm": 1.0}, (1.0, 0.5)),
        ({"global_clipnorm": 1.01**0.5}, (1.0, 0.1)),  # norm of the vector of both: 5 * 1.01^0.5
        ({"clipvalue": 3.0}, (18**0.5, 0.5)),
    ],
)
def test_clipping(clip, norms):
    """Gradients (3, 4) and (0.3, 0.4), with norms 5 and 0.5: the norms after clipping."""
    model = oracle(weights=[np.zeros(2), np.zeros(2)], dtypes=["float64"] * 2, beta_1=0.0, **clip)
    stepped(model, [np.array([3.0, 4.0]), np.array([0.3, 0.4])])
    np.testing.assert_allclose([np.linalg.norm(slots["m"]) for slots in model.slots], norms, rtol=1e-12)


def test_accumulated_calls_are_one_large_batch():
    small, large = oracle(gradient_accumulation_steps=3, clipvalue=1.0), oracle(clipvalue=1.0)
    stepped(small, *[[np.array(g)] for g in (0.5, -1.5, 7.0)])
    stepped(large, [np.array(2.0)])
    np.testing.assert_array_equal(small.weights, large.weights)
    assert (small.calls, small.updates) == (3, 1)


def test_average_starts_at_the_first_new_weight_and_overwrites():
    model = oracle(learning_rate=0.5, epsilon=0.0, use_ema=True, ema_momentum=0.75, ema_overwrite_frequency=2)
    stepped(model, [np.array(1.0)])
    np.testing.assert_allclose(model.averages[0], 0.5)
    (weight,) = stepped(model, [np.array(1.0)])
    np.testing.assert_allclose(weight, 0.75 * 0.5 + 0.25 * 0.0, atol=1e-15)


def test_total_change_counts_decay_and_rule_one_by_one():
    """Decay takes 0.5 from the weight 1, and the rule gives it back."""
    model = oracle(learning_rate=0.5, weight_decay=1.0, epsilon=0.0)
    np.testing.assert_allclose(stepped(model, [np.array(-1.0)]), [1.0])
    np.testing.assert_allclose(model.total_changes, [1.0])


def test_weights_of_16_bits_are_rounded_when_stored_and_averaged_before():
    model = oracle(dtypes=["bfloat16"], learning_rate=2.0**-9, epsilon=0.0, use_ema=True)
    (weight,) = stepped(model, [np.array(-1.0)])
    assert weight == 1.0
    np.testing.assert_allclose(model.averages, [1 + 2.0**-9], rtol=1e-12)


def test_functions_and_schedules_see_the_number_of_the_call():
    model = oracle(learning_rate=lambda step: step / 4, epsilon=0.0, beta_1=0.0)
    (weight,) = stepped(model, [np.array(1.0)], [np.array(1.0)])
    np.testing.assert_allclose(weight, 1 - 1 / 4 - 2 / 4, rtol=1e-12)


def test_a_weight_without_gradient_stays():
    model = oracle(weights=[1.0, 1.0], dtypes=["float64"] * 2, weight_decay=0.1)
    moved, kept = stepped(model, [np.array(1.0), None])
    assert moved != 1.0
    assert kept == 1.0
