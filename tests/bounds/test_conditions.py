"""Alternatives that bounds rule out hold nothing, as engines and samples confirm."""

import numpy as np
import pytest

from reluopt.answers.solution import Status
from reluopt.bounds.conditions import hopeless_alternatives
from reluopt.bounds.linear import Linear
from reluopt.engines.options import EngineOptions
from reluopt.method import Method
from reluopt.pipeline import solve
from reluopt.questions.input_sets import InputSet
from reluopt.questions.problems import (
    AbsoluteMargin,
    AnyTarget,
    Box,
    FixedTarget,
    MinimalPerturbation,
    Norm,
)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("norm", [Norm.L1, Norm.LINF])
def test_hopeless_alternatives_are_farther_than_the_radius(make_network, seed, norm):
    network = make_network((5, 6, 5), seed)
    image = np.random.default_rng(seed).random(5)
    label = int(network.predict(image))
    task = MinimalPerturbation(image, label, AnyTarget(), norm).task(network)
    method = Method("highs", bounds="linear", options=EngineOptions(time_limit=30.0))
    nearest = {}
    for alternative in task.alternatives:
        problem = MinimalPerturbation(image, label, FixedTarget(alternative.target), norm)
        solution = solve(network, problem, method)
        assert solution.proven
        nearest[alternative.target] = solution.objective
    found = 0
    for radius in (0.01, 0.1, min(nearest.values()), 0.5):
        region = InputSet(Box.unit(5), image, norm, radius)
        hopeless = hopeless_alternatives(network, region, Linear().compute(network, region), task)
        found += len(hopeless)
        for index in hopeless:
            assert nearest[task.alternatives[index].target] > radius * (1.0 - 1e-6)
    assert found > 0


def test_an_incumbents_own_alternative_is_never_ruled_out(thesis, test_images):
    task = MinimalPerturbation(test_images.image(0), 7, AnyTarget()).task(thesis)
    solution = solve(thesis, MinimalPerturbation(test_images.image(0), 7, AnyTarget()))
    region = InputSet(task.box, task.image, Norm.L1, solution.objective * (1.0 + 1e-9))
    hopeless = hopeless_alternatives(thesis, region, Linear().compute(thesis, region), task)
    targets = [alternative.target for alternative in task.alternatives]
    assert targets.index(solution.target) not in hopeless
    assert len(hopeless) >= 3


def test_an_empty_region_rules_out_everything(make_network):
    network = make_network((3, 4, 3), 0)
    task = MinimalPerturbation(np.full(3, 0.5), 0, AnyTarget()).task(network)
    far = InputSet(Box.unit(3), np.full(3, 5.0), Norm.L1, 1.0)
    bounds = Linear().compute(network, far)
    assert bounds.empty
    assert hopeless_alternatives(network, far, bounds, task) == {0, 1}


def test_a_task_whose_targets_are_all_ruled_out_is_infeasible(make_network):
    """Engines are not asked when bounds over the box say it already."""
    network = make_network((4, 3, 2), 1)
    image = np.full(4, 0.5)
    problem = MinimalPerturbation(
        image, int(network.predict(image)), AnyTarget(), margin=AbsoluteMargin(1e3)
    )
    solution = solve(network, problem, Method("highs"))
    assert solution.status is Status.INFEASIBLE
    assert solution.size == {}
