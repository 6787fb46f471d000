"""The loop over alternatives: time returns, bounds only rise, and nothing is claimed early."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from helpers.clocks import FakeClock
from reluopt.answers.answer import EngineAnswer
from reluopt.answers.solution import Incumbent, Status
from reluopt.attacks.linear_model import linear_distances
from reluopt.deadline import Deadline
from reluopt.engines.alternatives import promising_first, settle
from reluopt.engines.base import EngineRequest
from reluopt.networks.layers.base import Dense
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.problems import AnyTarget, MinimalPerturbation, Norm

LIMIT = 60.0


class FakeSolver:
    """Needs ``seconds[index]`` of a fake clock in one go; its optima are ``optima[index]``."""

    def __init__(self, seconds, optima=None):
        self.seconds = dict(enumerate(seconds))
        self.optima = dict(enumerate(optima or [1.0 + index for index in range(len(seconds))]))
        self.clock = FakeClock()
        self.attempts = []

    def __call__(self, index, so_far, deadline):
        given, needed, optimum = deadline.left, self.seconds[index], self.optima[index]
        self.attempts.append((index, given, so_far.cutoff))
        used = min(needed, given)
        self.clock.seconds += used
        common = {"alternative": 0, "nodes": 10, "build_seconds": 0.0, "search_seconds": used}
        common["size"] = {"variables": 5 + index, "constraints": 1, "binaries": 1}
        if used < needed:
            bound = optimum * used / needed
            return EngineAnswer(Status.TIME_LIMIT, None, objective=math.inf, bound=bound, **common)
        if optimum >= so_far.cutoff:
            cutoff = so_far.cutoff
            return EngineAnswer(Status.INFEASIBLE, None, objective=math.inf, bound=cutoff, **common)
        image = np.full(4, float(index))
        return EngineAnswer(Status.OPTIMAL, image, objective=optimum, bound=optimum, **common)

    def indices(self):
        return [index for index, _, _ in self.attempts]


@pytest.fixture
def request_of(make_network):
    """A request with ten logits, so nine alternatives, and its task."""

    def make(**changes):
        network = make_network((4, 6, 10), 3)
        image = np.full(4, 0.5)
        task = MinimalPerturbation(image, int(network.predict(image)), AnyTarget()).task(network)
        return EngineRequest(network, task, None, **changes), task

    return make


def run(solver, request_of, limit=LIMIT, **changes):
    request, task = request_of(**changes)
    return settle(request, task, solver, Deadline.after(limit, solver.clock))


def test_time_that_easy_alternatives_leave_goes_to_the_hard_one(request_of):
    solver = FakeSolver([0.5] * 4 + [20.0] + [0.5] * 4)
    answer = run(solver, request_of)
    assert answer.status is Status.OPTIMAL
    assert (answer.objective, answer.bound, answer.alternative) == (1.0, 1.0, 0)
    assert solver.clock.seconds <= LIMIT
    assert answer.nodes == 10 * len(solver.attempts)
    assert answer.search_seconds == pytest.approx(solver.clock.seconds)
    assert answer.size["variables"] == 13
    assert answer.message == ""


@pytest.mark.parametrize("hard", [1, 2, 3, 5])
def test_several_hard_alternatives_are_settled(request_of, hard):
    solver = FakeSolver([10.0] * hard + [0.1] * (9 - hard))
    assert run(solver, request_of).status is Status.OPTIMAL
    assert solver.clock.seconds <= LIMIT


def test_feasible_is_said_when_the_limit_is_used_up(request_of):
    solver = FakeSolver([0.5, 1000.0] + [0.5] * 7, [5.0, 3.0] + [6.0] * 7)
    answer = run(solver, request_of)
    assert answer.status is Status.FEASIBLE
    assert answer.objective == 5.0
    assert 0.0 < answer.bound < 3.0
    assert solver.clock.seconds == pytest.approx(LIMIT)
    # Every attempt at the open one lasts at least twice as long as the one before.
    given = [seconds for index, seconds, _ in solver.attempts if index == 1]
    assert len(given) >= 2
    assert all(later >= 2.0 * earlier for earlier, later in itertools.pairwise(given))


def test_a_single_alternative_gets_all_the_time(request_of):
    solver = FakeSolver([55.0])
    request, task = request_of()
    single = task.only(task.alternatives[0])
    answer = settle(request, single, solver, Deadline.after(LIMIT, solver.clock))
    assert answer.status is Status.OPTIMAL
    assert solver.attempts == [(0, LIMIT, math.inf)]


def test_images_are_cutoffs_for_the_others(request_of):
    solver = FakeSolver([1.0] * 9, [9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0])
    answer = run(solver, request_of)
    assert (answer.status, answer.objective, answer.alternative) == (Status.OPTIMAL, 1.0, 8)
    np.testing.assert_array_equal(answer.image, np.full(4, 8.0))
    cutoffs = [cutoff for _, _, cutoff in solver.attempts]
    assert cutoffs == sorted(cutoffs, reverse=True)
    assert len(cutoffs) == 9


def test_bounds_are_kept_when_a_later_attempt_proves_less(request_of):
    bounds = iter([0.4, 0.1, 0.0, 0.0, 0.0, 0.0])
    clock = FakeClock()

    def attempt(index, so_far, deadline):
        clock.seconds += deadline.left
        return EngineAnswer(Status.TIME_LIMIT, None, 0, math.inf, next(bounds))

    request, task = request_of()
    pair = replace(task, alternatives=task.alternatives[:2])
    answer = settle(request, pair, attempt, Deadline.after(LIMIT, clock))
    assert answer.status is Status.TIME_LIMIT
    assert answer.bound == 0.1
    assert next(bounds, None) == 0.0


def test_hopeless_alternatives_are_not_tried(request_of):
    solver = FakeSolver([1.0] * 9)
    start = Incumbent(np.full(4, 0.25), 1.5, 0)
    answer = run(solver, request_of, incumbent=start, hopeless=frozenset(range(1, 9)))
    assert solver.indices() == [0]
    assert (answer.status, answer.objective, answer.bound) == (Status.OPTIMAL, 1.0, 1.0)
    solver = FakeSolver([1.0] * 9)
    answer = run(solver, request_of, incumbent=start, hopeless=frozenset(range(9)))
    assert solver.attempts == []
    assert (answer.status, answer.objective, answer.bound) == (Status.OPTIMAL, 1.5, 1.5)
    assert answer.image is None
    answer = run(solver, request_of, hopeless=frozenset(range(9)))
    assert (answer.status, answer.bound) == (Status.INFEASIBLE, math.inf)


def test_nothing_is_tried_after_the_deadline(request_of):
    solver = FakeSolver([1.0] * 9)
    answer = run(solver, request_of, limit=0.0)
    assert solver.attempts == []
    assert (answer.status, answer.bound) == (Status.TIME_LIMIT, 0.0)
    start = Incumbent(np.full(4, 0.25), 1.5, 0)
    answer = run(solver, request_of, limit=0.0, incumbent=start)
    assert (answer.status, answer.objective, answer.bound) == (Status.FEASIBLE, 1.5, 0.0)


def test_a_solver_that_stops_on_its_own_is_not_asked_again(request_of):
    clock = FakeClock()
    asked = []

    def attempt(index, so_far, deadline):
        asked.append(index)
        clock.seconds += 0.1
        return EngineAnswer(Status.TIME_LIMIT, None, 0, math.inf, 0.5)

    request, task = request_of(incumbent=Incumbent(np.full(4, 0.25), 1.5, 0))
    for limit in (LIMIT, math.inf):
        asked.clear()
        answer = settle(request, task, attempt, Deadline.after(limit, clock))
        assert sorted(asked) == list(range(9))
        assert answer.status is Status.FEASIBLE
        assert answer.message == "the solver stopped before its time without a proof"


def test_a_solver_in_trouble_is_not_asked_again(request_of):
    asked = []

    def attempt(index, so_far, deadline):
        asked.append(index)
        return EngineAnswer(Status.NUMERICAL, np.full(4, 0.6), 0, 0.1, 0.0, message="trouble")

    request, task = request_of()
    answer = settle(request, task, attempt, Deadline.after(LIMIT, FakeClock()))
    assert sorted(asked) == list(range(9))
    assert (answer.status, answer.message) == (Status.NUMERICAL, "trouble")
    # Its image is shown to the check, but it is no incumbent.
    assert answer.image is not None
    assert answer.objective == math.inf


def test_an_image_settles_alternatives_whose_bounds_exceed_it(request_of):
    """All stop with a bound of 2; then one finds 1.5, and no other needs a second attempt."""
    clock = FakeClock()
    asked = []

    def attempt(index, so_far, deadline):
        asked.append(index)
        clock.seconds += deadline.left
        if len(asked) <= 9:
            return EngineAnswer(Status.TIME_LIMIT, None, 0, math.inf, 2.0)
        return EngineAnswer(Status.OPTIMAL, np.full(4, 0.25), 0, 1.5, 1.5)

    request, task = request_of()
    answer = settle(request, task, attempt, Deadline.after(LIMIT, clock))
    assert len(asked) == 10
    assert (answer.status, answer.objective, answer.bound) == (Status.OPTIMAL, 1.5, 1.5)


@pytest.mark.parametrize("norm", list(Norm))
def test_promising_alternatives_come_first(norm):
    """Logits (0, x_0 - 1, x_0 + x_1 - 0.3, 4 x_1 - 2): at 0 the others are 1, 0.3 and 0.5 away."""
    weight = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 4.0]])
    network = ReLUNetwork((Dense(weight, np.array([0.0, -1.0, -0.3, -2.0])),))
    task = MinimalPerturbation(np.zeros(2), 0, AnyTarget(), norm).task(network)
    order = [task.alternatives[index].target for index in promising_first(network, task)]
    assert order == [2, 3, 1]


def test_linear_distances_are_exact_for_a_linear_network():
    network = ReLUNetwork((Dense(np.array([[3.0, 4.0], [0.0, 0.0]]), np.array([0.0, -1.0])),))
    matrix, rhs = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]), np.array([12.0, 0.0, 0.0])
    expected = {Norm.L1: 3.0, Norm.L2: 2.4, Norm.LINF: 12.0 / 7.0}
    for norm, distance in expected.items():
        found = linear_distances(network, np.zeros(2), matrix, rhs, norm)
        np.testing.assert_allclose(found, [distance, np.inf, 0.0])
