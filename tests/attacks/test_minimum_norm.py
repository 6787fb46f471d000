"""The minimum-norm attack: what it finds is what it says, and near; and large networks begin so."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.clocks import FakeClock
from helpers.convolutions import folded_question
from reluopt.attacks import minimum_norm, start
from reluopt.attacks.minimum_norm import STEPS, minimum_norm_starts
from reluopt.attacks.start import safe_sides, starting_points
from reluopt.deadline import Deadline
from reluopt.method import Method
from reluopt.networks.layers.base import Dense
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.zoo import load_bundled
from reluopt.pipeline import solve
from reluopt.questions.margins import LogitConditions
from reluopt.questions.problems import AnyTarget, MinimalPerturbation, Norm, RelativeMargin

NORMS = (Norm.L1, Norm.L2, Norm.LINF)


def random_wide(sizes, seed, size=1.0, bias=0.1):
    """A random network, the logits of which are about so large."""
    random, layers = np.random.default_rng(seed), []
    for inputs, outputs in pairwise(sizes):
        weight = random.normal(size=(outputs, inputs)) * np.sqrt(2.0 / inputs)
        layers.append(Dense(weight, bias * random.normal(size=outputs)))
    layers[-1] = Dense(size * layers[-1].weight, size * layers[-1].bias)
    return ReLUNetwork(tuple(layers))


def conditions_of(task):
    return [
        LogitConditions(each.conditions.matrix, safe_sides(each.conditions))
        for each in task.alternatives
    ]


def found_by(network, task, **options):
    given = (network, task, conditions_of(task), start.PROMISING)
    return minimum_norm_starts(*given, **options).incumbents


def assert_true(network, task, found):
    """Each meets its alternative, in the box, at the length told; and the nearest comes first."""
    for each in found:
        conditions = task.alternatives[each.alternative].conditions
        assert conditions.slack(network.forward(each.image)).min() >= 0.0
        assert task.box.violation(each.image) == 0.0
        assert each.objective == task.distance(each.image)
    assert [each.objective for each in found] == sorted(each.objective for each in found)
    assert len({each.alternative for each in found}) == len(found)


@pytest.mark.parametrize("norm", NORMS)
def test_real_images_are_near_the_optimum(thesis, test_images, norm):
    ratios = []
    for index in range(5):
        image = test_images.image(index)
        problem = MinimalPerturbation(image, int(thesis.predict(image)), AnyTarget(), norm)
        task = problem.task(thesis)
        found = found_by(thesis, task)
        assert_true(thesis, task, found)
        best = solve(thesis, problem, Method("bnb")).objective
        assert found[0].objective >= best * (1.0 - 1e-6)
        ratios.append(found[0].objective / best)
    assert np.median(ratios) < 1.1


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(NORMS), st.booleans())
def test_small_convolutions(seed, norm, pooled):
    network, problem, _ = folded_question(seed, norm, pooled)
    task = problem.task(network)
    found = found_by(network, task)
    assert_true(network, task, found)
    proven = solve(network, problem, Method("bnb")).bound
    assert all(each.objective >= proven * (1.0 - 1e-6) for each in found)


def test_what_is_met_already_needs_no_change(thesis, test_images):
    image = test_images.image(0)
    other = (int(thesis.predict(image)) + 1) % 10
    task = MinimalPerturbation(image, other, AnyTarget(), Norm.L1).task(thesis)
    assert found_by(thesis, task)[0].objective == 0.0


def test_without_gradients_nothing_is_found():
    network = ReLUNetwork((Dense(np.zeros((2, 3)), np.array([1.0, 0.0])),))
    for norm in NORMS:
        task = MinimalPerturbation(np.full(3, 0.5), 0, AnyTarget(), norm).task(network)
        assert found_by(network, task) == []


@pytest.mark.parametrize("size", [1e-200, 1e90])
def test_logits_of_any_scale(size):
    """What overflows ends no run with a warning, and no point is taken that is not what it says."""
    random = np.random.default_rng(0)
    network = ReLUNetwork((Dense(size * random.normal(size=(3, 6)), np.zeros(3)),))
    image = random.random(6)
    task = MinimalPerturbation(image, int(network.predict(image)), AnyTarget(), Norm.L2)
    task = task.task(network)
    assert_true(network, task, found_by(network, task))


@pytest.mark.parametrize("norm", NORMS)
def test_logits_of_any_size_are_checked_by_a_forward_pass(norm):
    """Rounding of logits of 1e30 exceeds what conditions are tightened by."""
    network = random_wide((30, 300, 300, 5), 0, size=1e30)
    image = np.random.default_rng(0).random(30)
    task = MinimalPerturbation(image, int(network.predict(image)), AnyTarget(), norm)
    task = task.task(network)
    assert_true(network, task, starting_points(network, task))


def test_alternatives_that_no_step_met_are_tried_by_walks():
    """Steps along the worst condition alone may stall between two: here for the nearest label."""
    network = random_wide((2, 261, 261, 10), 129, bias=0.0)
    image = np.array([0.31731621952867595, 0.45642259521502593])
    label = int(network.predict(image))
    problem = MinimalPerturbation(image, label, AnyTarget(), Norm.L2, RelativeMargin(0.5))
    task = problem.task(network)
    first = minimum_norm_starts(network, task, conditions_of(task), start.PROMISING)
    found = starting_points(network, task)
    assert_true(network, task, found)
    assert found[0].alternative in first.missed
    assert found[0].objective < 0.3 * first.incumbents[0].objective


def test_many_alternatives_take_turns(test_images, monkeypatch):
    network = load_bundled("mlp-100")
    image = test_images.image(2)
    task = MinimalPerturbation(image, int(network.predict(image)), AnyTarget(), Norm.L1)
    task = task.task(network)
    together = found_by(network, task)
    monkeypatch.setattr(minimum_norm, "TOGETHER", 2)
    apart = found_by(network, task)
    assert_true(network, task, apart)
    assert apart[0].objective == pytest.approx(together[0].objective, rel=0.02)


def test_a_deadline_ends_it(thesis, test_images, monkeypatch):
    clock = FakeClock()
    charged = clock.charge(ReLUNetwork.pre_activations)
    monkeypatch.setattr(ReLUNetwork, "pre_activations", charged)
    image = test_images.image(0)
    label = int(thesis.predict(image))
    task = MinimalPerturbation(image, label, AnyTarget(), Norm.L1).task(thesis)
    assert found_by(thesis, task, deadline=Deadline.after(0.0, clock)) == []
    clock.calls = 0
    best = np.inf
    for limit in (5, STEPS // 2, STEPS, 2 * STEPS):
        clock.calls = 0
        found = found_by(thesis, task, deadline=Deadline.after(limit, clock))
        assert clock.calls == limit
        objective = min((each.objective for each in found), default=np.inf)
        assert objective <= best
        best = objective
    assert best < np.inf


@pytest.mark.parametrize("norm", [Norm.L1, Norm.LINF])
def test_large_networks_begin_so(test_images, monkeypatch, norm):
    """Greedy moves alone end more than 5 % farther in L1; in Linf walks end within 2 %."""
    network = load_bundled("cnn-small")
    image = test_images.image(115)
    task = MinimalPerturbation(image, int(network.predict(image)), AnyTarget(), norm).task(network)
    found = starting_points(network, task)
    assert_true(network, task, found)
    monkeypatch.setattr(start, "WIDE", np.inf)
    before = starting_points(network, task)[0].objective
    assert found[0].objective < before * (0.95 if norm is Norm.L1 else 1.02)
