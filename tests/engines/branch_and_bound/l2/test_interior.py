"""The interior point method: plain QPs against scipy, one neuron against its convex hull."""

import numpy as np
import pytest
from scipy.optimize import minimize

from reluopt.engines.branch_and_bound.l2.algebra import (
    backward_solve,
    cholesky,
    forward_solve,
    forward_solve_columns,
    gram,
    inverse_from_factor,
    is_positive_definite,
    lower_product,
    product,
)
from reluopt.engines.branch_and_bound.l2.interior import (
    CUT_OFF,
    SLACKNESS,
    SOLVED,
    Effort,
    solve_program,
)
from reluopt.engines.branch_and_bound.l2.iterate import start_iterate
from reluopt.engines.branch_and_bound.l2.program import QuadraticProgram, curvature

NO_INDEX = np.zeros(0, dtype=np.int64)


def plain_program(rows, rhs, low, high, tilt=0.0):
    """``min |delta|^2 + 2 tilt sum(delta)``, ``rows @ delta <= rhs`` in a box: no ReLU at all."""
    n, q = low.size, rhs.size
    return QuadraticProgram(
        np.eye(n),
        low,
        high,
        tilt,
        rows,
        np.zeros((q, 0)),
        rhs,
        rows.T.copy(),
        np.ones(q),
        np.arange(q),
        np.zeros(0),
        NO_INDEX,
        NO_INDEX,
        np.zeros(0),
        np.zeros((0, 0)),
        np.zeros((0, n)),
        np.zeros(0),
        np.zeros((0, 0)),
    )


@pytest.mark.parametrize("tilt", [0.0, 0.7])
@pytest.mark.parametrize("seed", range(8))
def test_plain_quadratic_programs_against_scipy(seed, tilt):
    generator = np.random.default_rng(seed)
    n, q = int(generator.integers(2, 8)), int(generator.integers(1, 6))
    rows = generator.normal(size=(q, n))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    inside = generator.uniform(-1.0, 1.0, n)
    rhs = rows @ inside + generator.uniform(0.0, 0.2, q)
    low, high = np.full(n, -1.0), np.full(n, 1.0)
    program = plain_program(rows, rhs, low, high, tilt)
    answer = solve_program(
        program, start_iterate(program, np.zeros(0)), 1e9, Effort(100, 1e-9, 0.0)
    )
    expected = minimize(
        lambda d: d @ d + 2.0 * tilt * d.sum(),
        inside,
        jac=lambda d: 2.0 * (d + tilt),
        bounds=np.stack([low, high], axis=1),
        constraints={"type": "ineq", "fun": lambda d: rhs - rows @ d, "jac": lambda d: -rows},
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    assert answer.status == SOLVED
    assert answer.objective == pytest.approx(expected.fun, rel=1e-6, abs=1e-7)
    assert answer.bound <= expected.fun + 1e-9


def test_an_empty_program_runs_into_the_cutoff():
    rows = np.array([[1.0, 0.0], [-1.0, 0.0]])
    program = plain_program(rows, np.array([-0.6, 0.4]), np.full(2, -1.0), np.full(2, 1.0))
    answer = solve_program(
        program, start_iterate(program, np.zeros(0)), 2.1, Effort(100, 1e-9, 0.0)
    )
    assert answer.status == CUT_OFF
    assert answer.bound >= 2.1


def one_neuron(weight, offset, demand):
    """``min |delta|^2`` with ``relu(weight @ delta + offset) >= demand``, x unbounded below U."""
    length = float(np.linalg.norm(weight))
    basis, on_y = (weight / length)[None, :], np.array([[length]])
    cap = length * 2.0 * np.sqrt(weight.size) + abs(offset)
    rows_y, rows_x = np.vstack([on_y, np.zeros((1, 1))]), np.array([[-1.0], [-1.0]])
    return QuadraticProgram(
        basis,
        np.full(weight.size, -2.0),
        np.full(weight.size, 2.0),
        0.0,
        rows_y,
        rows_x,
        np.array([-offset, -demand]),
        np.concatenate([rows_y, rows_x], axis=1).T.copy(),
        np.ones(2),
        np.arange(2),
        np.array([cap]),
        np.zeros(1, dtype=np.int64),
        np.zeros(1, dtype=np.int64),
        np.array([4.0]),
        np.array([[4.0]]),
        -4.0 * on_y,
        np.array([-4.0 * offset]),
        16.0 * on_y @ on_y.T,
    )


@pytest.mark.parametrize("demand", [0.1, 0.4, 0.9, 2.0])
def test_one_neuron_gives_its_convex_hull(demand):
    """Without a chord: the hull mixes staying (x = 0) with going to x = max(demand, -offset)."""
    weight, offset = np.array([1.0, -2.0, 0.5]), -0.7
    program = one_neuron(weight, offset, demand)
    begin = start_iterate(program, np.array([0.01]))
    answer = solve_program(program, begin, 1e9, Effort(100, 1e-9, 0.0))
    goal = max(demand, -offset)
    hull = demand / goal * (goal - offset) ** 2 / (weight @ weight)
    assert answer.status == SOLVED
    assert answer.bound == pytest.approx(hull, rel=1e-6)


def test_a_program_that_misses_its_goal_ends_early():
    """At a gap of the share of what is missing, and no further than it must."""
    program = one_neuron(np.array([1.0, -2.0, 0.5]), -0.7, 0.4)
    begin = start_iterate(program, np.array([0.01]))
    full = solve_program(program, begin, 2.0, Effort(100, 1e-9, 0.0))
    assert full.objective < 2.0  # the goal is out of reach
    early = solve_program(program, begin, 2.0, Effort(100, 1e-9, SLACKNESS))
    assert early.status == SOLVED
    assert early.bound <= full.bound
    assert early.objective - early.bound < SLACKNESS * (2.0 - early.objective)
    assert early.steps < full.steps


def test_multipliers_stay_convex():
    program = one_neuron(np.array([1.0, -2.0, 0.5]), -0.7, 0.4)
    begin = start_iterate(program, np.array([0.01]))
    answer = solve_program(program, begin, 1e9, Effort(100, 1e-9, 0.0))
    assert is_positive_definite(curvature(program, answer.best.theta).reduced)


@pytest.mark.parametrize("size", [0, 1, 7, 39, 40, 75, 130])
def test_factorisations(size):
    generator = np.random.default_rng(size)
    half = generator.normal(size=(size, size + 3))
    matrix = half @ half.T + np.eye(size)
    factor = matrix.copy()
    assert cholesky(factor)
    lower = np.tril(factor)
    np.testing.assert_allclose(lower @ lower.T, matrix, rtol=1e-12, atol=1e-10)
    vector = generator.normal(size=size)
    solution = vector.copy()
    forward_solve(factor, solution)
    backward_solve(factor, solution)
    np.testing.assert_allclose(matrix @ solution, vector, rtol=1e-9, atol=1e-9)
    columns = generator.normal(size=(size, 5))
    solved = columns.copy()
    forward_solve_columns(factor, solved)
    np.testing.assert_allclose(lower @ solved, columns, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(
        inverse_from_factor(factor) @ matrix, np.eye(size), rtol=1e-8, atol=1e-8
    )
    weights = generator.uniform(size=size + 3)
    for found in (gram(half, weights), lower_product(half * weights, half)):
        np.testing.assert_allclose(np.tril(found), np.tril((half * weights) @ half.T), atol=1e-10)


@pytest.mark.parametrize("size", [3, 60])
def test_indefinite_matrices_have_no_factor(size):
    matrix = np.eye(size)
    matrix[-1, -1] = -1e-3
    assert not is_positive_definite(matrix)
    assert matrix[0, 0] == 1.0


def test_products_of_nothing():
    assert product(np.zeros((3, 0)), np.zeros((0, 2))).shape == (3, 2)
