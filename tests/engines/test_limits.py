"""Smallest changes under limits on neighbouring changes, by every engine that knows them."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from helpers.regions import enumerate_patterns, l1_optimum
from reluopt.answers.check import LIMIT_TOLERANCE, check_perturbation
from reluopt.answers.solution import Status
from reluopt.attacks.linear_regions import find_incumbent
from reluopt.bounds import BOUNDING_METHODS
from reluopt.engines import choose_engine, engines_for
from reluopt.engines.options import EngineOptions
from reluopt.errors import UnsupportedProblemError
from reluopt.method import Method
from reluopt.networks.metadata import NetworkMetadata
from reluopt.networks.network import ReLUNetwork
from reluopt.pipeline import solve
from reluopt.questions.input_sets import InputSet
from reluopt.questions.problems import (
    AbsoluteMargin,
    AnyTarget,
    FixedTarget,
    MinimalPerturbation,
    Norm,
)

PATIENT = EngineOptions(time_limit=300.0)


@pytest.fixture
def small(make_network):
    """A function that gives a network on images of 2 x 3 pixels, an image, and its label."""

    def make(seed):
        plain = make_network((6, 4, 3, 3), seed)
        network = ReLUNetwork(plain.layers, NetworkMetadata(input_shape=(2, 3)))
        image = np.random.default_rng(seed).random(6)
        return network, image, int(network.predict(image))

    return make


def limited_optimum(task, matrix, rhs):
    """The smallest L1 change within one linear region that keeps the task's limits."""
    differences, limit = task.limits.matrix.toarray(), task.limits.limit
    rows = np.vstack([matrix, differences, -differences])
    return l1_optimum(task, rows, np.concatenate([rhs, -limit, -limit]))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("smoothness", [0.05, 0.3])
def test_engines_agree_with_brute_force(small, seed, smoothness):
    network, image, label = small(seed)
    problem = MinimalPerturbation(
        image, label, AnyTarget(), Norm.L1, AbsoluteMargin(0.05), smoothness=smoothness
    )
    expected = enumerate_patterns(network, problem.task(network), limited_optimum)
    for method in (
        Method("highs", options=PATIENT),
        Method("highs", "thesis", "interval", options=PATIENT),
        Method("scip", options=PATIENT),
        Method("gurobi", attack=False, bounds="linear", options=PATIENT),
    ):
        solution = solve(network, problem, method)
        if np.isinf(expected):
            assert solution.status is Status.INFEASIBLE
            continue
        assert solution.status is Status.OPTIMAL
        assert solution.objective == pytest.approx(expected, rel=1e-5, abs=1e-6)
        delta = solution.image - image
        steps = [np.abs(np.diff(delta.reshape(2, 3), axis=axis)).max() for axis in (0, 1)]
        assert max(steps) <= smoothness + LIMIT_TOLERANCE


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("norm", [Norm.L2, Norm.LINF])
def test_other_norms_agree_and_keep_the_limit(small, seed, norm):
    network, image, label = small(seed)
    problem = MinimalPerturbation(
        image, label, AnyTarget(), norm, AbsoluteMargin(0.05), smoothness=0.1
    )
    names = [name for name in ("highs", "scip", "gurobi") if norm is Norm.LINF or name != "highs"]
    solutions = [solve(network, problem, Method(name, options=PATIENT)) for name in names]
    assert len({solution.status for solution in solutions}) == 1
    if solutions[0].status is Status.INFEASIBLE:
        return
    assert solutions[0].status is Status.OPTIMAL
    limits = problem.task(network).limits
    for solution in solutions:
        assert solution.objective == pytest.approx(solutions[0].objective, rel=1e-5, abs=1e-7)
        assert limits.violation(solution.image - image) <= LIMIT_TOLERANCE


@pytest.mark.parametrize("seed", range(4))
def test_a_loose_limit_changes_nothing_and_a_tight_one_costs(small, seed):
    network, image, label = small(seed)
    problem = MinimalPerturbation(image, label, AnyTarget(), margin=AbsoluteMargin(0.05))
    free = solve(network, problem, Method("highs", options=PATIENT))
    distances = []
    for smoothness in (2.0, 0.3, 0.1, 0.0):
        solution = solve(
            network, replace(problem, smoothness=smoothness), Method("highs", options=PATIENT)
        )
        assert solution.proven
        distances.append(solution.objective)
    assert distances[0] == pytest.approx(free.objective, rel=1e-6)
    assert all(before <= after * (1 + 1e-6) for before, after in itertools.pairwise(distances))


def test_a_limit_of_zero_leaves_the_same_change_everywhere():
    # The first logit is the mean of the image: only brightening all of it will do.
    network = ReLUNetwork(
        (_dense([[0.25] * 4, [0.0] * 4], [0.0, 0.5]),), NetworkMetadata(input_shape=(2, 2))
    )
    image = np.array([0.1, 0.2, 0.3, 0.4])
    problem = MinimalPerturbation(
        image, 1, FixedTarget(0), margin=AbsoluteMargin(0.05), smoothness=0.0
    )
    solution = solve(network, problem, Method("highs", options=PATIENT))
    assert solution.status is Status.OPTIMAL
    np.testing.assert_allclose(solution.image - image, 0.3, atol=1e-6)


def _dense(weight, bias):
    from reluopt.networks.layers.base import Dense

    return Dense(np.array(weight), np.array(bias))


@pytest.mark.parametrize("norm", list(Norm))
def test_incumbents_of_real_digits_keep_the_limit(thesis, test_images, norm):
    problem = MinimalPerturbation(test_images.image(1), 2, norm=norm, smoothness=0.1)
    task = problem.task(thesis)
    incumbent = find_incumbent(thesis, task)
    alternative = task.alternatives[incumbent.alternative]
    assert check_perturbation(thesis, task, alternative, incumbent.image).certified
    steep = find_incumbent(thesis, replace(problem, smoothness=None).task(thesis))
    assert steep.objective <= incumbent.objective * (1 + 1e-6)


def test_the_check_refuses_what_exceeds_the_limit(thesis, test_images):
    problem = MinimalPerturbation(test_images.image(1), 2)
    free = find_incumbent(thesis, problem.task(thesis))
    task = replace(problem, smoothness=0.1).task(thesis)
    certificate = check_perturbation(thesis, task, task.alternatives[0], free.image)
    assert not certificate.certified
    assert any("neighbouring changes differ by" in failure for failure in certificate.failures)


@pytest.mark.parametrize("radius", [2.0, np.inf])
def test_bounds_with_limits_hold_and_are_tighter(thesis, test_images, radius):
    image = test_images.image(1).ravel()
    task = MinimalPerturbation(image, 2, smoothness=0.1).task(thesis)
    region = InputSet(task.box, task.image, Norm.L1, radius, task.limits)
    bounds = BOUNDING_METHODS.get("lp").compute(thesis, region)
    loose = BOUNDING_METHODS.get("linear").compute(thesis, region)
    widths = [
        np.concatenate(b.upper).sum() - np.concatenate(b.lower).sum() for b in (bounds, loose)
    ]
    assert widths[0] < 0.99 * widths[1]
    generator = np.random.default_rng(0)
    for _ in range(50):
        # Differences along an axis of a running maximum of such changes stay within the limit.
        peak, row, column = generator.random(), *generator.integers(28, size=2)
        rows, columns = np.mgrid[:28, :28]
        cone = np.maximum(0.0, peak - 0.1 * (abs(rows - row) + abs(columns - column))).ravel()
        delta = np.minimum(cone, task.box.upper - image)
        delta *= min(1.0, radius / max(delta.sum(), 1e-9))
        assert task.limits.violation(delta) <= 1e-9
        for a, low, up in zip(
            thesis.pre_activations(image + delta), bounds.lower, bounds.upper, strict=True
        ):
            assert (a >= low - 1e-9).all()
            assert (a <= up + 1e-9).all()


def test_engines_that_know_no_limits_say_so(thesis, test_images, monkeypatch, tmp_path):
    monkeypatch.delenv("GRB_LICENSE_FILE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    task = MinimalPerturbation(test_images.image(1), 2, smoothness=0.1).task(thesis)
    assert engines_for(task, thesis) == ("scip", "highs")
    for name in ("bnb", "julia"):
        with pytest.raises(UnsupportedProblemError, match="L1 problems with limits on neighbour"):
            choose_engine(name, task, thesis)
    with pytest.raises(UnsupportedProblemError, match="linear constraints"):
        solve(
            thesis,
            MinimalPerturbation(test_images.image(1), 2, smoothness=0.1),
            Method("gurobi", bounds="interval", options=PATIENT),
        )
