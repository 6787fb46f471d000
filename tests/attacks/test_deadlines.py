"""Attacks stop within one kernel or one linear program of their deadline, with what they have."""

import numpy as np
import pytest

from helpers.clocks import FakeClock
from reluopt.attacks import linear_region_lp, linear_regions, start
from reluopt.attacks.linear_regions import (
    find_incumbent,
    improve_by_linear_regions,
    linear_region_minimum,
)
from reluopt.attacks.start import starting_points
from reluopt.deadline import Deadline
from reluopt.questions.problems import AnyTarget, Blend, MinimalPerturbation, Norm, RunnerUpTarget

KERNELS = ("greedy_pixels", "walk", "decoupled_steps", "undo_pixels")
SMOOTH = "L1 with limits"


@pytest.fixture
def clock(monkeypatch):
    """A clock that every kernel and every program of an attack advances by one second."""
    fake = FakeClock()
    for name in KERNELS:
        monkeypatch.setattr(start, name, fake.charge(getattr(start, name)))
    monkeypatch.setattr(linear_regions, "nearest_point", fake.charge(linear_regions.nearest_point))
    run = linear_region_lp.QuietHighs.run
    monkeypatch.setattr(linear_region_lp.QuietHighs, "run", fake.charge(run))
    return fake


@pytest.fixture
def task(thesis, test_images):
    def make(norm):
        smoothness = 0.1 if norm is SMOOTH else None
        measure = Norm.L1 if norm is SMOOTH else norm
        target = RunnerUpTarget() if norm is SMOOTH else AnyTarget()  # its programs are large
        return MinimalPerturbation(
            test_images.image(0), 7, target, measure, smoothness=smoothness
        ).task(thesis)

    return make


@pytest.mark.parametrize("norm", [*Norm, Blend(0.5), SMOOTH])
def test_no_work_after_the_deadline(thesis, task, clock, norm):
    assert find_incumbent(thesis, task(norm), deadline=Deadline.after(0.0, clock)) is None
    assert clock.calls == 0


@pytest.mark.parametrize("norm", [*Norm, Blend(0.5), SMOOTH])
def test_work_ends_at_the_deadline(thesis, task, clock, norm):
    """Whenever it comes: no kernel and no program starts after it, and the best found is kept."""
    asked = task(norm)
    unlimited = find_incumbent(thesis, asked)
    needed, best = clock.calls, np.inf
    assert needed > (4 if norm is SMOOTH else 12)  # smooth: one target alone
    for limit in sorted({1, 2, 5, needed // 2, needed - 1, needed}):
        clock.calls = 0
        found = find_incumbent(thesis, asked, deadline=Deadline.after(limit, clock))
        assert clock.calls == limit
        if found is not None:
            conditions = asked.alternatives[found.alternative].conditions
            assert conditions.slack(thesis.forward(found.image)).min() >= 0.0
            assert found.objective >= unlimited.objective
        # More time never gives a worse image.
        objective = np.inf if found is None else found.objective
        assert objective <= best
        best = objective
    assert best == unlimited.objective


def test_large_linear_regions_end_between_steps(thesis, task, clock, monkeypatch):
    """Newton's steps of thousands of rows take half a second each."""
    asked = task(Norm.L2)
    begin = starting_points(thesis, asked)[0]
    pattern = thesis.activation_pattern(begin.image)
    given = (thesis, asked, asked.alternatives[begin.alternative], pattern)
    whole = linear_region_minimum(*given)
    monkeypatch.setattr(linear_regions, "LARGE_ROWS", 0)
    clock.calls = 0
    assert (linear_region_minimum(*given) == whole).all()
    needed = clock.calls
    assert needed > 2
    for limit in range(1, needed):
        clock.calls = 0
        assert linear_region_minimum(*given, deadline=Deadline.after(limit, clock)) is None
        assert clock.calls == limit


def test_random_starts_end_too(make_network, clock):
    """Margins that nothing meets: walks from the image and from random inputs all fail."""
    network = make_network((4, 5, 3), 0)
    task = MinimalPerturbation(np.full(4, 0.5), int(network.predict(np.full(4, 0.5))), AnyTarget())
    task = task.task(network)
    for each in task.alternatives:
        object.__setattr__(each.conditions, "rhs", each.conditions.rhs + 1e3)
    assert starting_points(network, task) == []
    needed, clock.calls = clock.calls, 0
    assert starting_points(network, task, deadline=Deadline.after(3.0, clock)) == []
    assert clock.calls == 3 < needed


def test_walks_through_regions_keep_their_start(thesis, task, clock):
    asked = task(Norm.L1)
    begin = starting_points(thesis, asked)[0]
    late = Deadline.after(0.0, clock)
    clock.calls = 0
    assert improve_by_linear_regions(thesis, asked, begin, deadline=late) is begin
    pattern = thesis.activation_pattern(begin.image)
    alternative = asked.alternatives[begin.alternative]
    assert linear_region_minimum(thesis, asked, alternative, pattern, late) is None
    assert clock.calls == 0
