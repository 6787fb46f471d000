"""How long a run still takes, learnt from its own rows."""

import math

import numpy as np
import pytest

from reluopt.runs.progress import Forecaster


def _learnt(durations, pending, elapsed, fresh=True):
    forecaster = Forecaster()
    for seconds in durations:
        forecaster.add(seconds, fresh=fresh)
    return forecaster.now(pending, elapsed)


def test_nothing_is_guessed_from_nothing():
    assert math.isnan(_learnt([], 5, 0.0).after(0.0))
    assert _learnt([], 0, 0.0).after(0.0) == 0.0


def test_rows_one_after_the_other_take_their_mean():
    assert _learnt([1.0, 2.0, 3.0], 10, 6.0).after(0.0) == pytest.approx(20.0)
    # What is not in the rows takes time too: 9 s for 6 s of solves.
    assert _learnt([1.0, 2.0, 3.0], 10, 9.0).after(0.0) == pytest.approx(30.0)


def test_rows_of_earlier_sessions_teach_before_the_first_of_this_one():
    assert _learnt([1.0, 3.0], 10, 0.0, fresh=False).after(0.0) == pytest.approx(20.0)


def test_workers_share_what_is_left():
    assert _learnt([4.0] * 8, 16, 8.0).after(0.0) == pytest.approx(16.0)
    assert _learnt([4.0] * 8, 2, 8.0).after(1.0) == pytest.approx(3.0)


def test_a_long_one_goes_on():
    forecast = _learnt([0.01] * 99 + [60.0], 1, 61.0)
    assert forecast.after(0.0) < 1.0
    assert forecast.after(10.0) == pytest.approx(50.0, rel=0.02)
    assert forecast.after(100.0) == pytest.approx(100.0, rel=0.02)


def test_heavy_tails_are_not_told_by_the_median():
    """The guess after a quarter is within a factor of two, most of the time."""
    generator = np.random.default_rng(0)
    right = 0
    for _ in range(200):
        times = np.exp(1.5 * generator.normal(size=400))
        left = _learnt(times[:100], 300, float(times[:100].sum())).after(0.0)
        right += 0.5 < left / times[100:].sum() < 2.0
    assert right > 190
