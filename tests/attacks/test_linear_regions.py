"""Incumbents meet their conditions by a forward pass, and linear regions are solved exactly."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import linprog, minimize

from reluopt.answers.check import check_perturbation
from reluopt.attacks import dual_newton
from reluopt.attacks.dual_newton import FOUND, MAX_NEWTON_STEPS, NONE, OPEN, nearest_point
from reluopt.attacks.linear_regions import (
    find_incumbent,
    improve_by_linear_regions,
    linear_region_minimum,
    linear_region_rows,
    solve_linear_region,
)
from reluopt.attacks.start import starting_points
from reluopt.errors import InputError
from reluopt.images.mnist import Dataset
from reluopt.networks.flattening import flatten
from reluopt.networks.layers.base import Dense
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.problems import (
    AbsoluteMargin,
    AnyTarget,
    Box,
    FixedTarget,
    MinimalPerturbation,
    Norm,
    ShiftTarget,
    Task,
)

Vector = NDArray[np.float64]
MakeNetwork = Callable[[tuple[int, ...], int], ReLUNetwork]


def image_task(
    network: ReLUNetwork, data: Dataset, index: int, norm: Norm, target: object = None
) -> Task:
    image = np.asarray(data.images[index], dtype=np.float64).reshape(-1)
    asked = ShiftTarget(5) if target is None else target
    problem = MinimalPerturbation(image, int(data.labels[index]), asked, norm)  # type: ignore[arg-type]
    return problem.task(network)


def assert_meets(network: ReLUNetwork, task: Task, image: Vector, index: int) -> None:
    """Box, conditions (without any tolerance) and answer are what was asked."""
    alternative = task.alternatives[index]
    assert task.box.violation(image) == 0.0
    assert alternative.conditions.slack(network.forward(image)).min() >= 0.0
    assert check_perturbation(network, task, alternative, image).certified


@pytest.mark.parametrize("norm", list(Norm))
def test_incumbents_of_real_images(thesis: ReLUNetwork, test_images: Dataset, norm: Norm) -> None:
    for index in range(10 if norm is not Norm.LINF else 3):
        task = image_task(thesis, test_images, index, norm)
        starts = starting_points(thesis, task)
        assert len(starts) == 1
        found = find_incumbent(thesis, task)
        assert found is not None
        assert found.objective == pytest.approx(task.objective(found.image), rel=1e-12)
        assert found.objective <= starts[0].objective
        assert starts[0].objective <= 1.4 * found.objective
        assert_meets(thesis, task, starts[0].image, 0)
        assert_meets(thesis, task, found.image, found.alternative)


@pytest.mark.parametrize("norm", [Norm.L1, Norm.L2])
def test_untargeted_is_no_worse_than_any_target(
    thesis: ReLUNetwork, test_images: Dataset, norm: Norm
) -> None:
    for index in range(3):
        task = image_task(thesis, test_images, index, norm, AnyTarget())
        found = find_incumbent(thesis, task)
        assert found is not None
        assert_meets(thesis, task, found.image, found.alternative)
        for alternative in task.alternatives:
            single = find_incumbent(thesis, task.only(alternative))
            assert single is None or found.objective <= 1.02 * single.objective


def test_an_image_that_answers_already_needs_no_change(
    thesis: ReLUNetwork, test_images: Dataset
) -> None:
    image = np.asarray(test_images.images[0], dtype=np.float64).reshape(-1)
    label = int(thesis.predict(image))
    for norm in Norm:
        problem = MinimalPerturbation(
            image, (label + 1) % 10, FixedTarget(label), norm, AbsoluteMargin(1e-3)
        )
        found = find_incumbent(thesis, problem.task(thesis))
        assert found is not None
        assert found.objective == 0.0


def test_nothing_is_found_where_nothing_is() -> None:
    network = ReLUNetwork((Dense(np.zeros((2, 3)), np.array([1.0, 0.0])),))
    for norm in Norm:
        task = MinimalPerturbation(np.zeros(3), 0, FixedTarget(1), norm).task(network)
        assert starting_points(network, task) == []
        assert find_incumbent(network, task) is None
        assert linear_region_minimum(network, task, task.alternatives[0], ()) is None


def test_tasks_of_other_networks_are_refused(
    thesis: ReLUNetwork, make_network: MakeNetwork
) -> None:
    task = MinimalPerturbation(np.zeros(784), 0, FixedTarget(1)).task(thesis)
    for sizes in ((10, 4, 10), (784, 4, 3)):
        with pytest.raises(InputError, match="task: expected"):
            starting_points(make_network(sizes, 0), task)


def test_random_starts_reach_over_a_flat_valley() -> None:
    """At the image every neuron is dead, so gradients say nothing."""
    network = ReLUNetwork(
        (
            Dense(np.array([[1.0, 1.0], [1.0, 0.0]]), np.array([-1.2, -0.9])),
            Dense(np.array([[0.0, 0.0], [5.0, 5.0]]), np.array([0.5, 0.0])),
        )
    )
    for norm in Norm:
        task = MinimalPerturbation(np.zeros(2), 0, FixedTarget(1), norm, AbsoluteMargin(0.01)).task(
            network
        )
        found = find_incumbent(network, task)
        assert found is not None
        assert_meets(network, task, found.image, 0)
        same = find_incumbent(network, task, seed=0)
        assert same is not None
        np.testing.assert_array_equal(found.image, same.image)


def reference_objective(
    network: ReLUNetwork, task: Task, pattern: tuple[NDArray[np.bool_], ...]
) -> float | None:
    """The region's optimum by scipy, infeasible as None."""
    rows = linear_region_rows(network, task.image, task.alternatives[0], pattern)
    size = task.image.size
    low, high = task.box.lower - task.image, task.box.upper - task.image
    if task.norm is Norm.L2:
        inside = linprog(np.zeros(size), -rows.matrix, -rows.rhs, bounds=list(zip(low, high)))  # noqa: B905
        if inside.status != 0:
            return None
        best = minimize(
            lambda d: d @ d,
            inside.x,
            jac=lambda d: 2.0 * d,
            bounds=list(zip(low, high)),  # noqa: B905
            constraints={
                "type": "ineq",
                "fun": lambda d: rows.matrix @ d - rows.rhs,
                "jac": lambda d: rows.matrix,
            },
            method="SLSQP",
            options={"ftol": 1e-14, "maxiter": 500},
        )
        return float(best.fun)
    if task.norm is Norm.L1:
        matrix = np.hstack([rows.matrix, -rows.matrix])
        limits = [*((0.0, h) for h in high), *((0.0, -b) for b in low)]
        cost = np.ones(2 * size)
    else:
        one, edge = np.eye(size), np.ones((size, 1))
        matrix = np.vstack(
            [
                np.hstack([rows.matrix, np.zeros((len(rows.rhs), 1))]),
                np.hstack([-one, edge]),
                np.hstack([one, edge]),
            ]
        )
        limits = [*zip(low, high), (0.0, None)]  # noqa: B905
        cost = np.append(np.zeros(size), 1.0)
    rhs = np.append(rows.rhs, np.zeros(len(matrix) - len(rows.rhs)))
    best = linprog(cost, -matrix, -rhs, bounds=limits)
    return float(best.fun) if best.status == 0 else None


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), norm=st.sampled_from(list(Norm)))
def test_region_minimum_agrees_with_scipy(seed: int, norm: Norm) -> None:
    generator = np.random.default_rng(seed)
    sizes = [int(s) for s in generator.integers(2, 7, int(generator.integers(2, 4)))] + [3]
    network = ReLUNetwork(
        tuple(
            Dense(generator.normal(size=(b, a)), generator.normal(size=b))
            for a, b in itertools.pairwise(sizes)
        )
    )
    image = generator.random(sizes[0])
    margin = AbsoluteMargin(0.05)
    task = MinimalPerturbation(image, 0, FixedTarget(1), norm, margin).task(network)
    pattern = network.activation_pattern(generator.random(sizes[0]))
    expected = reference_objective(network, task, pattern)
    found = linear_region_minimum(network, task, task.alternatives[0], pattern)
    if expected is None:
        assert found is None
    elif found is not None:
        assert_meets(network, task, found, 0)
        assert task.objective(found) == pytest.approx(expected, abs=1e-6)
    else:
        # Only a region that is feasible by less than the safety may be missed.
        rows = linear_region_rows(network, task.image, task.alternatives[0], pattern)
        low, high = task.box.lower - task.image, task.box.upper - task.image
        size = image.size
        deepest = linprog(
            np.append(np.zeros(size), -1.0),
            np.hstack([-rows.matrix, np.ones((len(rows.rhs), 1))]),
            -rows.rhs,
            bounds=[*zip(low, high), (None, 1.0)],  # noqa: B905
        )
        assert -deepest.fun <= 1e-8


@pytest.mark.parametrize("norm", list(Norm))
def test_walks_through_regions_only_improve(
    thesis: ReLUNetwork, test_images: Dataset, norm: Norm
) -> None:
    task = image_task(thesis, test_images, 1, norm)
    start = starting_points(thesis, task, flat=flatten(thesis))[0]
    one = improve_by_linear_regions(thesis, task, start, max_regions=1)
    many = improve_by_linear_regions(thesis, task, start)
    assert many.objective <= one.objective <= start.objective
    optimum = solve_linear_region(
        thesis, task, task.alternatives[0], thesis.activation_pattern(start.image)
    )
    assert optimum is not None
    assert optimum.objective == pytest.approx(one.objective, rel=1e-9)
    assert optimum.duals.shape == (48,)
    assert (optimum.duals >= 0.0).all()


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), rows=st.integers(1, 12), size=st.integers(1, 20))
def test_nearest_point_meets_the_optimality_conditions(seed: int, rows: int, size: int) -> None:
    """Feasible, complementary, and the clipped combination of the rows: a proof of optimality."""
    generator = np.random.default_rng(seed)
    matrix = generator.normal(size=(rows, size))
    if rows > 2:
        matrix[1] = matrix[0]
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    low = -generator.random(size) * (generator.random(size) < 0.8)
    high = generator.random(size) * (generator.random(size) < 0.8)
    inside = low + (high - low) * generator.random(size)
    rhs = matrix @ inside - 0.1 * generator.random(rows) * (generator.random(rows) < 0.9)
    duals, delta = np.zeros(rows), np.empty(size)
    assert nearest_point(matrix, rhs, low, high, 0.0, 1e6, 1e-10, 30, duals, delta) == FOUND
    slack = matrix @ delta - rhs
    assert slack.min() >= -1e-7
    assert duals.min() >= 0.0
    assert np.abs(duals * slack).max() <= 1e-6 * (1.0 + duals.max())
    np.testing.assert_allclose(delta, np.clip(matrix.T @ duals, low, high), atol=1e-9)
    # One step a call ends with the same bits.
    again, ended = np.zeros(rows), OPEN
    for _ in range(MAX_NEWTON_STEPS):
        if ended == OPEN:
            given = (matrix, rhs, low, high, 0.0, 1e6, 1e-10, 1)
            ended = nearest_point(*given, again, point := np.empty(size))
    assert ended == FOUND
    assert (again == duals).all()
    assert (point == delta).all()


def test_nearest_point_gives_up_on_empty_sets_and_at_the_cutoff() -> None:
    matrix = np.array([[1.0, 0.0], [-1.0, 0.0]])
    low, high = -np.ones(2), np.ones(2)
    delta = np.empty(2)
    impossible = np.array([0.5, 0.5])
    given = (low, high, 0.0, 100.0, 1e-10, MAX_NEWTON_STEPS, np.zeros(2), delta)
    assert nearest_point(matrix, impossible, *given) == NONE
    far = np.array([0.9, -1.0])
    given = (matrix, far, low, high, 0.0)
    assert nearest_point(*given, 1.0, 1e-10, 30, np.zeros(2), delta) == FOUND
    assert delta[0] == pytest.approx(0.9)
    assert nearest_point(*given, 0.5, 1e-10, 30, np.zeros(2), delta) == NONE


@pytest.mark.parametrize("seed", range(12))
def test_a_failing_newton_call_costs_no_more_than_a_successful_one(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the polyhedron misses the box, theta grew through 100 ever dearer steps."""
    generator = np.random.default_rng(seed)
    rows, size = 60, 40
    matrix = generator.normal(size=(rows, size))
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    low, high = -generator.random(size), generator.random(size)
    inside = low + (high - low) * generator.random(size)
    rhs = matrix @ inside - 0.1 * generator.random(rows)
    rhs[-1] = 1.0 + np.maximum(matrix[-1] * low, matrix[-1] * high).sum()
    steps = []
    solve = dual_newton._newton_step

    def counted(*arguments: Vector) -> Vector:
        steps.append(1)
        return np.asarray(solve(*arguments))

    monkeypatch.setattr(dual_newton, "_newton_step", counted)
    monkeypatch.setattr(dual_newton, "_ascent", dual_newton._ascent.py_func)  # type: ignore[attr-defined]
    python = nearest_point.py_func  # type: ignore[attr-defined]
    found = []
    for count in (rows - 1, rows):
        steps.clear()
        delta, duals = np.empty(size), np.zeros(count)
        given = (matrix[:count], rhs[:count], low, high, 0.0, np.inf, 1e-10, MAX_NEWTON_STEPS)
        found.append((python(*given, duals, delta), len(steps)))
    assert [ended for ended, _ in found] == [FOUND, NONE]
    assert found[1][1] <= max(found[0][1], 10)


def test_boxes_of_any_kind(make_network: MakeNetwork) -> None:
    """A box with fixed inputs and negative values, and an image on its border."""
    network = make_network((6, 8, 3), 4)
    generator = np.random.default_rng(0)
    lower = generator.normal(size=6)
    upper = lower + 2.0
    upper[2] = lower[2]
    image = np.where(np.arange(6) % 2 == 0, lower, upper)
    label = int(network.predict(image))
    for norm in Norm:
        problem = MinimalPerturbation(
            image, label, AnyTarget(), norm, AbsoluteMargin(0.01), Box(lower, upper)
        )
        task = problem.task(network)
        found = find_incumbent(network, task)
        assert found is not None
        assert_meets(network, task, found.image, found.alternative)
        assert found.image[2] == lower[2]
