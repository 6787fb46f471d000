"""Incumbents meet their conditions in float64, so no objective lies below the optimum."""

import math

import numpy as np
import pytest

from helpers.exact import exact_objective, exact_optimum
from helpers.instances import random_network, random_problem
from reluopt.answers.solution import Incumbent, Status
from reluopt.deadline import NEVER
from reluopt.engines.base import EngineRequest
from reluopt.engines.branch_and_bound.driver import BranchAndBoundEngine
from reluopt.engines.branch_and_bound.frame import make_frame
from reluopt.engines.branch_and_bound.proof import replay
from reluopt.engines.branch_and_bound.repair import repaired
from reluopt.engines.branch_and_bound.search import Search
from reluopt.engines.options import EngineOptions
from reluopt.networks.layers.base import Dense
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.problems import (
    AbsoluteMargin,
    AnyTarget,
    Box,
    FixedTarget,
    MinimalPerturbation,
    Norm,
    RelativeMargin,
    ShiftTarget,
)

ENGINE = BranchAndBoundEngine()
LINE = ReLUNetwork((Dense(np.array([[1.0, 0.5], [-1.0, 0.0]]), np.array([0.0, 1.0])),))


def line_task(norm=Norm.L1):
    return MinimalPerturbation(
        np.array([0.1, 0.1]), 1, ShiftTarget(1), norm, AbsoluteMargin(0.2)
    ).task(LINE)


@pytest.mark.parametrize("miss", [1e-9, 1e-12, 1e-16])
def test_a_missed_condition_is_met_with_the_changed_pixels_alone(miss):
    task = line_task()
    image = np.array([0.575 - miss, 0.1])
    point = repaired(LINE, task, task.alternatives[0], image)
    assert point[1] == 0.1
    assert task.alternatives[0].conditions.slack(LINE.forward(point)).min() >= 0.0
    assert np.abs(point - image).max() <= miss + 1e-13


def test_pixels_at_their_limits_leave_the_move_to_others():
    task = line_task()
    low = MinimalPerturbation(
        task.image, 1, ShiftTarget(1), Norm.L1, AbsoluteMargin(1.2 + 1e-10)
    ).task(LINE)
    point = repaired(LINE, low, low.alternatives[0], np.array([1.0, 0.4]))
    assert point[0] == 1.0
    assert 0.4 < point[1] < 0.4 + 1e-9


def test_what_cannot_be_met_is_not_repaired():
    impossible = MinimalPerturbation(
        np.array([0.1, 0.1]), 1, ShiftTarget(1), Norm.L1, AbsoluteMargin(1.5 + 1e-10)
    ).task(LINE)
    assert repaired(LINE, impossible, impossible.alternatives[0], np.array([1.0, 1.0])) is None


@pytest.mark.parametrize("index", [101, 110, 112])
def test_neurons_at_zero_stay_there(thesis, test_images, index):
    """The best point of a linear region sits on its sides; a step off them can lose the slack."""
    image, label = test_images.images[index].reshape(-1), int(test_images.labels[index])
    task = MinimalPerturbation(image, label, ShiftTarget(5)).task(thesis)
    best = ENGINE.solve(EngineRequest(thesis, task, None)).image
    conditions = task.alternatives[0].conditions
    assert conditions.slack(thesis.forward(best)).min() >= 0.0
    missing = task.box.clip(task.image + (1.0 - 1e-10) * (best - task.image))
    assert conditions.slack(thesis.forward(missing)).min() < 0.0
    point = repaired(thesis, task, task.alternatives[0], missing)
    assert conditions.slack(thesis.forward(point)).min() >= 0.0
    assert np.count_nonzero(point != image) <= np.count_nonzero(best != image)
    assert task.objective(point) <= task.objective(best) * (1.0 + 1e-9)


def test_offers_are_repaired_or_refused():
    search = Search(make_frame(LINE, line_task()), 1e-6, NEVER)
    assert not search.offer(np.array([0.5, 0.1]), 0)
    assert not search.offer(np.array([np.nan, 0.1]), 0)
    assert search.offer(np.array([0.575 - 1e-10, 0.1]), 0)
    conditions = search.frame.task.alternatives[0].conditions
    assert conditions.slack(LINE.forward(search.best.image)).min() >= 0.0
    assert search.objective >= 0.475 - 1e-16
    assert not search.offer(search.best.image, 0)


def test_incumbents_without_an_objective_count_as_none():
    start = Incumbent(np.array([0.6, 0.1]), math.nan, 0)
    assert Search(make_frame(LINE, line_task()), 1e-6, NEVER, best=start).best is None


def scaled(network, factor):
    """The same network with smaller or larger logits."""
    last = network.layers[-1]
    return ReLUNetwork(
        (*network.layers[:-1], Dense(factor * last.weight, factor * last.bias)), network.metadata
    )


@pytest.mark.parametrize("norm", [Norm.L1, Norm.L2])
@pytest.mark.parametrize("factor", [1e-9, 1e-7, 1e-4, 1e6, 1e30])
def test_logits_of_any_scale_have_the_same_optima(make_network, norm, factor):
    """Tolerances in logit units made objectives of tiny logits up to half too small."""
    for seed in range(4):
        network = make_network((5, 4, 3), seed)
        image = np.random.default_rng(seed).random(5)
        label = int(network.predict(image))
        small = scaled(network, factor)
        margin = AbsoluteMargin(0.05 * factor)
        task = MinimalPerturbation(image, label, AnyTarget(), norm, margin).task(small)
        answer = ENGINE.solve(EngineRequest(small, task, None))
        optimum = exact_optimum(small, task, answer.image)
        if optimum == math.inf:
            assert answer.status is Status.INFEASIBLE
            continue
        assert answer.status is Status.OPTIMAL
        assert exact_objective(task, answer.image) >= optimum * (1 - 1e-12)
        assert answer.bound <= optimum <= answer.bound + 1e-6 * max(answer.objective, 1e-6)


@pytest.mark.parametrize("norm", [Norm.L1, Norm.L2])
@pytest.mark.parametrize("factor", [1e-8, 1e8])
def test_proofs_about_scaled_logits_are_replayed(make_network, norm, factor):
    network = scaled(make_network((5, 4, 3), 3), factor)
    image = np.random.default_rng(3).random(5)
    label = int(network.predict(image))
    margin = AbsoluteMargin(0.3 * factor)
    task = MinimalPerturbation(image, label, AnyTarget(), norm, margin).task(network)
    options = EngineOptions(extra={"proof": True})
    answer = ENGINE.solve(EngineRequest(network, task, None, options=options))
    assert answer.status is Status.OPTIMAL
    assert replay(answer.proof, network, task) >= answer.bound * (1.0 - 1e-9)


@pytest.mark.parametrize("seed", range(40))
def test_bounds_and_objectives_enclose_the_exact_optimum(seed):
    """A handful of what `make fuzz` does ten thousand times."""
    generator = np.random.default_rng((1, seed))
    network = random_network(generator)
    task = random_problem(generator, network, (Norm.L1, Norm.L2)).task(network)
    answer = ENGINE.solve(EngineRequest(network, task, None))
    optimum = exact_optimum(network, task, answer.image)
    assert answer.bound <= optimum
    if answer.status is Status.OPTIMAL:
        assert exact_objective(task, answer.image) >= optimum * (1 - 1e-12)


@pytest.mark.parametrize("bias", np.linspace(7.9, 8.0, 9))
def test_logits_that_cancel_are_repaired_by_what_they_are_summed_from(bias):
    """Logits of 1e-4 that are sums of numbers near 1: a few of their own roundings move nothing."""
    layers = (
        Dense(np.array([[1.0]]), np.array([2.5])),
        Dense(np.array([[17.0]]), np.array([-bias])),
        Dense(np.array([[0.0], [-2.0]]), np.array([0.0, 1.0])),
    )
    network, box = ReLUNetwork(layers), Box(np.array([-3.0]), np.array([0.0]))
    margin = AbsoluteMargin(1e-4)
    task = MinimalPerturbation(np.array([-1.5]), 0, FixedTarget(1), Norm.L1, margin, box=box).task(
        network
    )
    (asked,) = task.alternatives
    image = np.array([(0.49995 + bias) / 17.0 - 2.5])
    while asked.conditions.slack(network.forward(image)).min() >= 0.0:
        image = np.nextafter(image, 0.0)
    point = repaired(network, task, asked, image)
    assert asked.conditions.slack(network.forward(point)).min() >= 0.0
    assert abs(point - image).max() <= 1e-13


def test_a_leaf_whose_optimum_is_missed_by_rounding_is_settled():
    weights = (
        "-1 0 -2 -1 0; -1 -1 2 1 2; 0 1 0 -2 1; -2 2 -2 0 0;"
        "2 -1 -1 0 0; 2 2 1 0 1; 1 -2 2 2 -1; -1 0 -2 -1 0",
        "-2 1 1 -1 2 -2 -1 1; 2 0 -2 1 -1 0 1 2; 1 -1 2 -1 1 2 1 -2; -1 -1 1 -1 0 2 1 2;"
        "1 1 0 -2 2 -1 2 -1; -2 1 2 -1 -1 -1 2 -2; 1 1 -1 2 -2 0 -1 -2; 0 2 2 1 -1 1 -1 1",
        "1 -2 1 -1 1 2 2 -1; 1 -1 -1 1 1 2 -1 -2; 0 -1 2 2 0 -1 -2 1; -1 0 0 -1 2 2 2 -2",
        "0 -1 0 -2; 0 -2 -2 1",
    )
    biases = ([-1, 0, -1, -1, -1, 0, 0, -1], [1, 1, -1, 0, 0, 1, 0, 1], [0, -1, -1, 0], [0, 1])
    layers = (
        Dense(np.array([[float(w) for w in row.split()] for row in rows.split(";")]), bias)
        for rows, bias in zip(weights, map(np.array, biases), strict=True)
    )
    network = ReLUNetwork(tuple(layers))
    box = Box(
        np.array([-1.24467452, -1.47268701, -0.80364741, -2.31049507, -1.45877066]),
        np.array([-0.55297031, -0.61785485, 0.94075182, -1.94813047, -1.06949832]),
    )
    image = np.array([-1.24467452, -1.27985843, 0.94075182, -2.2860742, -1.21051808])
    asked = MinimalPerturbation(image, 0, FixedTarget(1), Norm.L1, RelativeMargin(0.2), box=box)
    answer = ENGINE.solve(EngineRequest(network, asked.task(network), None, None, EngineOptions()))
    assert answer.status is Status.OPTIMAL
    assert answer.objective == pytest.approx(0.2825570705882, abs=1e-12)
