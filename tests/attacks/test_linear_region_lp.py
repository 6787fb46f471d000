"""Programs of a linear region with known answers."""

import numpy as np
import pytest

from reluopt.attacks.linear_region_lp import best_change
from reluopt.deadline import Deadline
from reluopt.questions.problems import Norm

ENDS = np.full(2, -1.0), np.ones(2)


def test_the_best_change_of_a_box_and_of_a_ball():
    """t = 2 a + b with a <= 0.5."""
    rows, rhs = np.array([[2.0, 1.0], [-1.0, 0.0]]), np.array([0.0, -0.5])
    gains = np.array([1.0, 0.0])
    free = best_change(rows, rhs, gains, ENDS, None)
    assert free == pytest.approx([0.5, 1.0])
    within = best_change(rows, rhs, gains, ENDS, (Norm.L1, 0.75))
    assert within == pytest.approx([0.5, 0.25])


def test_the_least_of_several_rows_counts():
    """The smaller of a and 0.5 - a."""
    rows, rhs = np.array([[1.0, 0.0], [-1.0, 0.0]]), np.array([0.0, -0.5])
    found = best_change(rows, rhs, np.ones(2), ENDS, None)
    assert found[0] == pytest.approx(0.25)


def test_nothing_is_found_where_rows_contradict_each_other_or_time_is_up():
    rows, rhs = np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([2.0, 0.0])
    gains = np.array([0.0, 1.0])
    assert best_change(rows, rhs, gains, ENDS, None) is None
    assert best_change(rows, rhs - 2.0, gains, ENDS, None, Deadline(0.0)) is None
