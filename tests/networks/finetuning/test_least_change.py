"""Shortest vectors under linear conditions: what makes an optimum, and what is known of it."""

import numpy as np
import pytest

from reluopt.networks.finetuning.least_change import Conditions

RNG = np.random.default_rng(3)


@pytest.mark.parametrize("count", [1, 5, 30])
def test_the_optimum_meets_its_conditions_and_its_multipliers_fit(count):
    rows, point = RNG.normal(size=(count, 50)), RNG.normal(size=50)
    right = rows @ point - RNG.exponential(size=count)  # the point meets all of them
    conditions = Conditions(50)
    conditions.add(list(rows[: count // 2 + 1]), right[: count // 2 + 1])
    if count > 1:
        conditions.add(list(rows[count // 2 + 1 :]), right[count // 2 + 1 :])
    shortest, multipliers = conditions.shortest()
    slack = rows @ shortest - right
    assert slack.min() >= -1e-7
    assert (multipliers >= 0.0).all()
    assert np.abs(multipliers * slack).max() <= 1e-7
    assert np.allclose(shortest, multipliers @ rows)
    assert np.linalg.norm(shortest) <= np.linalg.norm(point)


def test_conditions_that_depend_on_each_other_are_no_trouble():
    conditions, row = Conditions(4), np.array([1.0, 2.0, 0.0, 0.0])
    conditions.add([row, row, 2.0 * row], [5.0, 1.0, 10.0])
    assert np.allclose(conditions.shortest()[0], row, atol=1e-6)


def test_what_is_left_out_no_longer_counts():
    conditions = Conditions(2)
    assert not conditions.shortest()[0].any()
    conditions.add([np.array([1.0, 0.0]), np.array([0.0, 1.0])], [1.0, 2.0])
    conditions.keep(np.array([False, True]))
    conditions.add([np.array([0.0, 2.0])], [6.0])
    assert np.allclose(conditions.shortest()[0], [0.0, 3.0])
