"""Limits on neighbouring changes: which pairs, what is violated, what they leave of a box."""

from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from reluopt.errors import InputError
from reluopt.networks.layers.base import Dense
from reluopt.networks.metadata import NetworkMetadata
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.change_limits import ChangeLimits, smoothness_limits
from reluopt.questions.problems import Blend, Box, FixedTarget, MinimalPerturbation


def neighbours(rows, columns):
    """All pairs of pixels that share an edge, the slow way."""
    places = [(r, c) for r in range(rows) for c in range(columns)]
    return {
        (columns * r + c, columns * q + d)
        for r, c in places
        for q, d in places
        if abs(r - q) + abs(c - d) == 1 and (r, c) < (q, d)
    }


@pytest.mark.parametrize("shape", [(28, 28), (2, 3), (1, 4), (1, 1)])
def test_every_pair_that_shares_an_edge_has_one_row(shape):
    limits = smoothness_limits(shape, 0.25)
    dense = limits.matrix.toarray()
    pairs = {(int(np.argmax(row)), int(np.argmin(row))) for row in dense}
    assert pairs == neighbours(*shape)
    assert limits.rows == len(pairs)
    assert (np.abs(dense).sum(axis=1) == 2.0).all()
    assert (limits.limit == 0.25).all()
    if shape == (28, 28):
        assert limits.rows == 1512


def test_violation_is_the_worst_excess():
    limits = smoothness_limits((2, 2), 0.25)
    assert limits.violation(np.full(4, 0.7)) == 0.0
    assert limits.violation(np.array([0.0, 0.25, -0.25, 0.0])) == 0.0
    assert limits.violation(np.array([0.0, 1.0, 0.0, 0.0])) == pytest.approx(0.75)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.05, 0.3, 1.0]))
def test_reach_is_the_range_of_every_pixel(seed, smoothness):
    """Chained limits leave exactly what linear programs find."""
    generator = np.random.default_rng(seed)
    low, high = -generator.random(6), generator.random(6)
    low[generator.random(6) < 0.3] = 0.0
    high[generator.random(6) < 0.3] = 0.0
    limits = smoothness_limits((2, 3), smoothness)
    lower, upper = limits.reach(low, high)
    rows = sp.vstack([limits.matrix, -limits.matrix])
    sides = np.tile(limits.limit, 2)
    for pixel in range(6):
        cost = np.eye(6)[pixel]
        for sign, found in ((1.0, lower[pixel]), (-1.0, upper[pixel])):
            exact = linprog(sign * cost, rows, sides, bounds=list(zip(low, high, strict=True)))
            assert found == pytest.approx(sign * exact.fun, abs=1e-9)


@pytest.mark.parametrize("scale", [1.0, 1e6, 1e9])
def test_what_limits_leave_of_a_box_is_rounded_outward(scale):
    """The same change of all pixels meets every limit, however large the pixels are."""
    network = ReLUNetwork(
        (Dense(np.ones((2, 6)), np.zeros(2)),), NetworkMetadata(input_shape=(2, 3))
    )
    for seed in range(100):
        generator = np.random.default_rng(seed)
        lower = np.full(6, scale * generator.normal())
        upper = lower + scale * generator.random()
        image = np.clip(lower + (upper - lower) * generator.random(6), lower, upper)
        asked = MinimalPerturbation(image, 0, FixedTarget(1), box=Box(lower, upper), smoothness=0.0)
        box = asked.task(network).box
        point = [Fraction(v) for v in image.tolist()]
        for ends, choose in ((upper, min), (lower, max)):
            rooms = [Fraction(e) - v for e, v in zip(ends.tolist(), point, strict=True)]
            moved = [v + choose(rooms) for v in point]
            assert all(v <= Fraction(u) for v, u in zip(moved, box.upper.tolist(), strict=True))
            assert all(v >= Fraction(e) for v, e in zip(moved, box.lower.tolist(), strict=True))


def test_tasks_carry_limits_and_the_box_that_they_leave(make_network):
    plain = make_network((6, 4, 3), 0)
    network = ReLUNetwork(plain.layers, NetworkMetadata(input_shape=(2, 3)))
    image = np.array([1.0, 0.0, 0.5, 0.0, 0.0, 0.0])
    task = MinimalPerturbation(image, 0, FixedTarget(1), smoothness=0.1).task(network)
    assert task.limits is not None
    assert task.only(task.alternatives[0]).limits is task.limits
    assert task.box.upper[[0, 1, 4]] == pytest.approx([1.0, 0.1, 0.2])
    assert task.box.violation(image) == 0.0
    free = MinimalPerturbation(image, 0, FixedTarget(1)).task(network)
    assert free.limits is None
    assert (free.box.upper == 1.0).all()


@pytest.mark.parametrize("smoothness", [-0.1, np.nan, np.inf])
def test_a_limit_is_a_number_from_0(thesis, test_images, smoothness):
    problem = MinimalPerturbation(test_images.image(0), 7, smoothness=smoothness)
    with pytest.raises(InputError, match="smoothness: expected a limit >= 0"):
        problem.task(thesis)


def test_inputs_need_rows_and_columns(make_network):
    with pytest.raises(InputError, match=r"inputs have rows and columns, found input shape \(6,\)"):
        MinimalPerturbation(np.zeros(6), 0, FixedTarget(1), smoothness=0.1).task(
            make_network((6, 4, 3), 0)
        )


def test_blends_take_no_limit(thesis, test_images):
    problem = MinimalPerturbation(test_images.image(0), 7, norm=Blend(0.5), smoothness=0.1)
    with pytest.raises(InputError, match="smoothness: expected norm l1, l2 or linf, found a blend"):
        problem.task(thesis)


def test_limits_that_do_not_fit_are_refused():
    matrix = sp.csr_array(np.array([[1.0, -1.0]]))
    with pytest.raises(InputError, match="one limit a row"):
        ChangeLimits(matrix, np.zeros(2))
    with pytest.raises(InputError, match="finite limits >= 0"):
        ChangeLimits(matrix, np.array([-1.0]))
