"""Incumbents under limits on the change: feasible, good, and the programs that they rest on."""

import numpy as np
import pytest
from scipy.optimize import linprog

from reluopt.answers.check import check_perturbation
from reluopt.attacks.dual_newton import FOUND, nearest_point
from reluopt.attacks.linear_region_lp import nearest_change
from reluopt.attacks.linear_regions import find_incumbent, improve_by_linear_regions
from reluopt.attacks.linearised import linearised_starts
from reluopt.networks.metadata import NetworkMetadata
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.change_limits import smoothness_limits
from reluopt.questions.problems import (
    AbsoluteMargin,
    AnyTarget,
    FixedTarget,
    MinimalPerturbation,
    Norm,
)


@pytest.mark.parametrize("smoothness", [0.5, 0.1])
def test_starts_are_certified_and_walks_improve_them(thesis, test_images, smoothness):
    for index in range(3):
        label = test_images.label(index)
        problem = MinimalPerturbation(test_images.image(index), label, smoothness=smoothness)
        task = problem.task(thesis)
        (start,) = linearised_starts(thesis, task)
        assert check_perturbation(thesis, task, task.alternatives[0], start.image).certified
        assert start.objective == pytest.approx(task.objective(start.image))
        walked = improve_by_linear_regions(thesis, task, start)
        assert check_perturbation(thesis, task, task.alternatives[0], walked.image).certified
        assert walked.objective <= start.objective


def test_one_start_for_each_target_nearest_first(thesis, test_images):
    task = MinimalPerturbation(test_images.image(4), 4, AnyTarget(), smoothness=0.2).task(thesis)
    starts = linearised_starts(thesis, task)
    assert len({start.alternative for start in starts}) == len(starts) > 1
    objectives = [start.objective for start in starts]
    assert objectives == sorted(objectives)


def test_an_image_that_is_an_answer_already_is_left_alone(thesis, test_images):
    problem = MinimalPerturbation(test_images.image(0), 2, FixedTarget(7), smoothness=0.1)
    (start,) = linearised_starts(thesis, problem.task(thesis))
    assert start.objective == 0.0


def test_where_nothing_can_be_met_nothing_is_found(make_network):
    plain = make_network((6, 4, 3), 0)
    network = ReLUNetwork(plain.layers, NetworkMetadata(input_shape=(2, 3)))
    task = MinimalPerturbation(
        np.full(6, 0.5), 0, FixedTarget(1), margin=AbsoluteMargin(1e3), smoothness=0.1
    ).task(network)
    assert linearised_starts(network, task) == []
    assert find_incumbent(network, task) is None


def _program(seed):
    """Rows that some change in a box meets within the limits."""
    generator = np.random.default_rng(seed)
    rows = generator.normal(size=(3, 12))
    rows /= np.linalg.norm(rows, axis=1)[:, None]
    limits = smoothness_limits((3, 4), 0.1)
    inside = 0.3 + 0.1 * generator.random(12)
    return rows, rows @ inside, np.full(12, -0.5), np.full(12, 0.6), limits


@pytest.mark.parametrize("seed", range(5))
def test_l1_and_linf_are_those_of_another_solver(seed):
    rows, rhs, low, high, limits = _program(seed)
    dense = limits.matrix.toarray()
    split = np.hstack([np.eye(12), -np.eye(12)])
    above = np.vstack([-rows, dense, -dense])
    sides = np.concatenate([-rhs, limits.limit, limits.limit])
    box = [(0.0, room) for room in np.append(high, -low)]
    exact = linprog(np.ones(24), above @ split, sides, bounds=box)
    delta, duals = nearest_change(rows, rhs, low, high, Norm.L1, limits)
    assert np.abs(delta).sum() == pytest.approx(exact.fun, abs=1e-8)
    assert limits.violation(delta) <= 1e-9
    assert duals.shape == (3,)
    edges = np.vstack([np.hstack([sign * np.eye(12), -np.ones((12, 1))]) for sign in (1, -1)])
    exact = linprog(
        np.eye(13)[12],
        np.vstack([np.hstack([above, np.zeros((len(above), 1))]), edges]),
        np.append(sides, np.zeros(24)),
        bounds=[*zip(low, high, strict=True), (0.0, 1.0)],
    )
    delta, _ = nearest_change(rows, rhs, low, high, Norm.LINF, limits)
    assert np.abs(delta).max() == pytest.approx(exact.fun, abs=1e-8)


@pytest.mark.parametrize("seed", range(5))
def test_l2_is_that_of_the_dual_newton_method(seed):
    rows, rhs, low, high, limits = _program(seed)
    dense = limits.matrix.toarray()
    scale = np.sqrt(2.0)  # rows of length 1
    stacked = np.vstack([rows, -dense / scale, dense / scale])
    sides = np.concatenate([rhs, np.tile(-limits.limit / scale, 2)])
    expected, duals = np.empty(12), np.zeros(sides.size)
    assert (
        nearest_point(stacked, sides, low, high, 0.0, np.inf, 1e-10, 30, duals, expected) == FOUND
    )
    delta, _ = nearest_change(rows, rhs, low, high, Norm.L2, limits)
    np.testing.assert_allclose(delta, expected, atol=1e-6)
