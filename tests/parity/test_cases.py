"""The case table covers every argument, and both languages read the same values from it."""

import functools

import pytest

from pyadam.optimizers import SPECS, arguments
from pyadam.parity import cases as parity_cases
from pyadam.parity.cases import Case, r_call, random_cases, select
from pyadam.parity.values import Clock, PerStep, python_value

table = functools.cache(parity_cases.table)


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("optimizer", SPECS)
def test_every_argument_of_every_optimizer_is_exercised(optimizer, whole):
    exercised = {name for case in table(whole) if case.optimizer == optimizer for name in case.arguments}
    assert exercised == set(arguments(SPECS[optimizer]))


@pytest.mark.parametrize("optimizer", SPECS)
def test_every_argument_is_exercised_in_both_dtypes_on_dense_gradients(optimizer):
    for dtype in ("float32", "float64"):
        cases = [c for c in table() if c.optimizer == optimizer and c.dtypes == (dtype,) and c.gradients == "dense"]
        expected = set(arguments(SPECS[optimizer])) - ({"slot_dtype"} if dtype == "float64" else set())
        assert {name for case in cases for name in case.arguments} == expected


def test_every_case_takes_fifty_steps_and_has_a_name_of_its_own():
    cases = table() + random_cases(50, seed=3)
    assert {case.steps for case in cases} == {50}
    assert len({case.name for case in cases}) == len(cases)


def test_random_cases_follow_from_the_seed_and_stay_in_range():
    assert random_cases(30, seed=7) == random_cases(30, seed=7)
    assert random_cases(30, seed=7)[:10] == random_cases(10, seed=7)
    assert random_cases(30, seed=7) != random_cases(30, seed=8)
    cases = random_cases(600, seed=1)
    for case in cases:
        SPECS[case.optimizer](**{name: python_value(value, Clock()) for name, value in case.arguments.items()})
    for optimizer in SPECS:
        drawn = {name for case in cases if case.optimizer == optimizer for name in case.arguments}
        assert drawn == set(arguments(SPECS[optimizer]))


def test_calls_read_as_r_users_write_them():
    given = {"learning_rate": 0.01, "ema_overwrite_frequency": 10, "clipnorm": None, "amsgrad": True}
    expected = "optimizer_adam(learning_rate = 0.01, ema_overwrite_frequency = 10, clipnorm = NULL, amsgrad = TRUE)"
    assert r_call(Case("a", "Adam", given)) == expected
    per_step = Case("b", "Nadam", {"learning_rate": PerStep(0.5, 0.25)})
    assert r_call(per_step) == "optimizer_nadam(learning_rate = function() 0.5 + 0.25 / step)"


def test_cases_are_selected_by_a_part_of_their_name():
    cases = table()
    assert {case.optimizer for case in select(cases, ["nadam"])} == {"Nadam"}
    assert {case.gradients for case in select(cases, ["adamw*sparse"])} == {"sparse"}
    assert select(cases, ["defaults", "*"]) == cases
