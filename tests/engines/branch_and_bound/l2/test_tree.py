"""L2 optima of the engine against enumeration of activation patterns by an independent solver."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize

from helpers.regions import enumerate_patterns
from reluopt.answers.solution import Status
from reluopt.attacks.linear_regions import find_incumbent
from reluopt.engines.base import EngineRequest
from reluopt.engines.branch_and_bound.driver import BranchAndBoundEngine
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


def region_optimum(task, a, b):
    """Smallest ``sum delta^2`` in one linear region: HiGHS for a point, SLSQP from there."""
    low, high = task.box.lower - task.image, task.box.upper - task.image
    limits = np.stack([low, high], axis=1)
    feasible = linprog(np.zeros(low.size), A_ub=-a, b_ub=-b, bounds=limits, method="highs")
    if feasible.status != 0:
        return math.inf
    result = minimize(
        lambda d: float(d @ d),
        feasible.x,
        jac=lambda d: 2.0 * d,
        bounds=limits,
        constraints={"type": "ineq", "fun": lambda d: a @ d - b, "jac": lambda d: a},
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    worst = float((a @ result.x - b).min(initial=0.0))
    return float(result.fun) if worst > -1e-7 else float(feasible.x @ feasible.x)


def solve(network, task, incumbent=None, time_limit=60.0):
    return ENGINE.solve(
        EngineRequest(
            network=network,
            task=task,
            bounds=None,
            options=EngineOptions(time_limit=time_limit),
            incumbent=incumbent,
        )
    )


def check(network, task):
    """The engine's answer equals the enumerated optimum, and its image meets the conditions."""
    expected = enumerate_patterns(network, task, region_optimum)
    answer = solve(network, task)
    if expected == math.inf:
        # SLSQP and HiGHS accept violations of 1e-7; only clearly empty problems must agree.
        assert answer.status in (Status.INFEASIBLE, Status.OPTIMAL)
        return answer
    assert answer.status is Status.OPTIMAL
    assert answer.objective == pytest.approx(expected, rel=1e-5, abs=1e-7)
    assert answer.bound <= expected * (1.0 + 1e-6) + 1e-8
    if answer.image is not None:
        logits = network.forward(answer.image)
        conditions = task.alternatives[answer.alternative].conditions
        assert conditions.slack(logits).min() >= -1e-8
        assert task.box.violation(answer.image) == 0.0
    return answer


def odd_network(sizes, seed, oddity):
    """A random network with a degenerate part."""
    generator = np.random.default_rng(seed)
    layers = []
    for inputs, outputs in itertools.pairwise(sizes):
        weight = generator.normal(size=(outputs, inputs))
        bias = generator.normal(size=outputs) * 0.5
        if oddity == "integer":
            weight, bias = np.round(2.0 * weight), np.round(2.0 * bias)
        layers.append([weight, bias])
    if oddity == "zero row":
        layers[0][0][0] = 0.0
    if oddity == "duplicate":
        layers[0][0][-1], layers[0][1][-1] = layers[0][0][0], layers[0][1][0]
    if oddity == "dead":
        layers[0][1][0] = -100.0
    if oddity == "opposite":
        layers[0][0][-1], layers[0][1][-1] = -layers[0][0][0], -layers[0][1][0]
    return ReLUNetwork(tuple(Dense(weight, bias) for weight, bias in layers))


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    hidden=st.lists(st.integers(2, 3), min_size=0, max_size=3),
    inputs=st.integers(2, 5),
    seed=st.integers(0, 10_000),
    oddity=st.sampled_from(["none", "zero row", "duplicate", "dead", "integer", "opposite"]),
    margin=st.sampled_from([AbsoluteMargin(0.05), RelativeMargin(0.2)]),
    any_target=st.booleans(),
)
def test_random_networks_against_enumeration(hidden, inputs, seed, oddity, margin, any_target):
    network = odd_network((inputs, *hidden, 3), seed, oddity)
    image = np.random.default_rng(seed).uniform(size=inputs)
    label = int(np.argmax(network.forward(image)))
    target = AnyTarget() if any_target else ShiftTarget(1)
    task = MinimalPerturbation(image, label, target, Norm.L2, margin).task(network)
    check(network, task)


@pytest.mark.parametrize("sizes", [(6, 8, 2), (4, 5, 4, 2)])
@pytest.mark.parametrize("seed", range(3))
def test_wider_networks_against_enumeration(sizes, seed):
    network = odd_network(sizes, seed, "none")
    image = np.random.default_rng(seed).uniform(size=sizes[0])
    label = int(np.argmax(network.forward(image)))
    task = MinimalPerturbation(
        image, label, FixedTarget(1 - label), Norm.L2, AbsoluteMargin(0.1)
    ).task(network)
    check(network, task)


def test_pixels_that_may_not_change_stay():
    network = odd_network((4, 4, 2), 3, "none")
    image = np.full(4, 0.5)
    label = int(np.argmax(network.forward(image)))
    box = Box(np.array([0.5, -3.0, 0.5, -3.0]), np.array([0.5, 4.0, 0.5, 4.0]))
    task = MinimalPerturbation(
        image, label, FixedTarget(1 - label), Norm.L2, AbsoluteMargin(0.1), box
    ).task(network)
    answer = check(network, task)
    assert answer.image is not None
    assert answer.image[0] == answer.image[2] == 0.5


def test_an_impossible_target_is_proven_infeasible():
    network = odd_network((3, 4, 2), 0, "none")
    weight = network.layers[-1].weight
    last = Dense(np.vstack([weight[0], weight[0]]), np.array([1.0, 0.0]))
    network = ReLUNetwork((network.layers[0], last))
    task = MinimalPerturbation(
        np.full(3, 0.5), 0, FixedTarget(1), Norm.L2, AbsoluteMargin(0.5)
    ).task(network)
    answer = solve(network, task)
    assert answer.status is Status.INFEASIBLE
    assert answer.image is None
    assert answer.bound == math.inf


def test_thesis_optimum_is_proven_from_any_incumbent(thesis, test_images):
    image, label = test_images.images[100], int(test_images.labels[100])
    task = MinimalPerturbation(image, label, ShiftTarget(5), Norm.L2).task(thesis)
    alone = solve(thesis, task)
    warm = solve(thesis, task, incumbent=find_incumbent(thesis, task))
    for answer in (alone, warm):
        assert answer.status is Status.OPTIMAL
        assert answer.nodes < 40
    assert alone.objective == pytest.approx(warm.objective, rel=2e-6)


def test_the_bound_is_valid_when_time_runs_out(test_images):
    network = odd_network((784, 30, 30, 10), 1, "none")
    image = test_images.images[0].ravel()
    label = int(np.argmax(network.forward(image)))
    task = MinimalPerturbation(image, label, AnyTarget(), Norm.L2).task(network)
    short, long = solve(network, task, time_limit=0.02), solve(network, task, time_limit=20.0)
    assert short.bound <= long.objective * (1.0 + 1e-9)
    assert short.search_seconds < 2.0


def test_phases_are_fixed_where_no_proof_must_tell_them(thesis, test_images):
    image, label = test_images.image(138), test_images.label(138)
    question = MinimalPerturbation(image, label, ShiftTarget(5), Norm.L2, RelativeMargin(0.2))
    request = EngineRequest(thesis, question.task(thesis), None, options=EngineOptions(60.0))
    kept = replace(request, options=EngineOptions(60.0, extra={"proof": True}))
    fixed, told = ENGINE.solve(request), ENGINE.solve(kept)
    assert fixed.status == told.status == Status.OPTIMAL
    assert fixed.objective == pytest.approx(told.objective, rel=2e-6)
    assert fixed.nodes < 0.8 * told.nodes
    shown = ENGINE.replay(told.proof, thesis, request.task)
    assert shown == pytest.approx(told.bound, rel=1e-6)
    assert shown <= fixed.objective
