"""The dual simplex method on deep networks: stalls end, unfinished programs have bounds."""

from dataclasses import replace

import numpy as np
import pytest

from helpers.deep import deep_case
from reluopt.answers.solution import Status
from reluopt.engines.base import EngineRequest
from reluopt.engines.branch_and_bound.driver import BranchAndBoundEngine
from reluopt.engines.branch_and_bound.l1 import tree
from reluopt.engines.branch_and_bound.l1.ball import no_ball_rows
from reluopt.engines.branch_and_bound.l1.program import PIVOTS
from reluopt.engines.branch_and_bound.l1.relaxation import L1Relaxation
from reluopt.engines.options import EngineOptions


def root_relaxation(frame, ball):
    hidden = int(frame.flat.neuron_offsets[-2])
    relaxation = L1Relaxation(frame, frame.task.alternatives[0].conditions, ball)
    relaxation.set_bounds(ball.lower[:hidden], ball.upper[:hidden])
    return relaxation


@pytest.mark.parametrize("seed", range(3))
def test_a_degenerate_root_is_solved_in_few_pivots(seed):
    """Without ball rows no change at all is optimal, in thousands of bases.

    It took 254, 160 and more than 5000 pivots without perturbation.
    """
    frame, ball = deep_case(seed)
    relaxation = root_relaxation(frame, replace(ball, rows=no_ball_rows()))
    outcome = relaxation.solve(np.inf, 5000)
    assert outcome.solved
    assert outcome.bound == pytest.approx(0.0, abs=1e-9)
    assert relaxation._state.counters[PIVOTS] <= 150


@pytest.mark.parametrize("seed", range(3))
def test_costs_are_true_again_after_a_stall(seed):
    frame, ball = deep_case(seed)
    relaxation = root_relaxation(frame, replace(ball, rows=no_ball_rows()))
    before = relaxation._node.lp.cost.copy()
    for limit in (35, 40, 45, 5000):
        relaxation.solve(np.inf, limit)
        assert (relaxation._node.lp.cost == before).all()


@pytest.mark.parametrize("seed", range(3))
def test_the_root_of_a_deep_network_has_a_positive_bound(seed):
    frame, ball = deep_case(seed)
    relaxation = root_relaxation(frame, ball)
    outcome = relaxation.solve(np.inf, 5000)
    assert outcome.solved
    assert outcome.bound > 0.05
    assert relaxation._state.counters[PIVOTS] <= 300


def test_rows_are_exact_at_the_image_in_every_layer():
    frame, ball = deep_case(0)
    values = np.concatenate(frame.network.pre_activations(np.array(frame.task.image)))
    deepest = int(frame.flat.neuron_offsets[-3])
    assert (ball.rows.neurons >= deepest).any()
    at_image = np.maximum(values[ball.rows.neurons], 0.0)
    assert (ball.rows.offset >= at_image).all()
    np.testing.assert_allclose(ball.rows.offset, at_image, atol=1e-9)


def test_a_program_that_is_not_solved_has_a_valid_bound_too():
    frame, ball = deep_case(2)
    best = root_relaxation(frame, ball).solve(np.inf, 5000).bound
    relaxation = root_relaxation(frame, ball)
    bounds = []
    for _ in range(100):
        outcome = relaxation.solve(np.inf, 5)
        bounds.append(outcome.bound)
        if outcome.solved:
            break
    assert len(bounds) > 10
    assert outcome.solved  # a stall is noticed across calls
    assert np.isfinite(bounds).all()
    assert max(bounds) <= best + 1e-9
    assert outcome.bound == pytest.approx(best, abs=1e-7)
    assert max(bounds[:-1]) > 0.5 * best


@pytest.mark.parametrize("seed", range(4))
def test_the_tree_goes_on_where_programs_do_not_end(seed, monkeypatch):
    """With one pivot a solve hardly any program is solved; the answer is the same."""
    frame, _ = deep_case(seed, (6, 4, 4, 4, 3))
    request = EngineRequest(frame.network, frame.task, None, options=EngineOptions(time_limit=60.0))
    answer = BranchAndBoundEngine().solve(request)
    monkeypatch.setattr(tree, "SOLVE_PIVOTS", 1)
    hasty = BranchAndBoundEngine().solve(request)
    assert hasty.status is answer.status
    assert hasty.status in (Status.OPTIMAL, Status.INFEASIBLE)
    if answer.status is Status.OPTIMAL:
        assert hasty.objective == pytest.approx(answer.objective, rel=1e-5)
