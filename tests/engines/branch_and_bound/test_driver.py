"""The engine's manners: limits, determinism, progress, interruption, special cases."""

import math
import time

import numpy as np
import pytest

from reluopt.answers.solution import Status
from reluopt.engines.base import EngineRequest, Task
from reluopt.engines.branch_and_bound.driver import BranchAndBoundEngine
from reluopt.engines.options import EngineOptions
from reluopt.errors import UnsupportedProblemError
from reluopt.method import Method
from reluopt.networks.layers.base import Dense
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.zoo import load_bundled
from reluopt.pipeline import solve as solve_and_check
from reluopt.questions.problems import (
    AbsoluteMargin,
    AnyTarget,
    Blend,
    Box,
    FixedTarget,
    MinimalPerturbation,
    Norm,
    RelativeMargin,
    ShiftTarget,
)

ENGINE = BranchAndBoundEngine()


@pytest.fixture(scope="module")
def hard(test_images):
    """A problem that takes minutes."""
    network = load_bundled("mlp-100")
    image, label = test_images.images[102].reshape(-1), int(test_images.labels[102])
    problem = MinimalPerturbation(image, label, ShiftTarget(5), Norm.L1, RelativeMargin(0.2))
    return network, problem.task(network)


@pytest.fixture(scope="module")
def digit(thesis, test_images):
    image = test_images.images[103].reshape(-1)
    task = MinimalPerturbation(
        image, int(test_images.labels[103]), ShiftTarget(5), Norm.L1, RelativeMargin(0.2)
    ).task(thesis)
    return thesis, task


def solve(network, task, **options):
    return ENGINE.solve(EngineRequest(network, task, None, options=EngineOptions(**options)))


@pytest.mark.parametrize("norm", [Norm.L1, Norm.L2, Blend(0.5)])
def test_no_kernel_starts_after_the_time_limit(make_network, monkeypatch, norm):
    def refuse(*_args, **_keywords):
        raise AssertionError("work after the time limit")

    place = "reluopt.engines.branch_and_bound."
    for name in ("l1.norm.make_row_ball", "l1.norm.L1Tree", "l2.norm.make_ball", "l2.norm.L2Tree"):
        monkeypatch.setattr(place + name, refuse)
    for name in ("greedy_pixels", "walk", "decoupled_steps"):
        monkeypatch.setattr("reluopt.attacks.start." + name, refuse)
    network = make_network((5, 6, 4), 1)
    image = np.full(5, 0.5)
    task = MinimalPerturbation(image, int(network.predict(image)), AnyTarget(), norm).task(network)
    answer = solve(network, task, time_limit=1e-9)
    assert (answer.status, answer.bound, answer.nodes) == (Status.TIME_LIMIT, 0.0, 0)


def test_time_limit_is_honoured_and_the_bound_stays_valid(hard):
    network, task = hard
    solve(network, task, time_limit=0.2)  # compiles
    for limit in (0.1, 1.0):
        started = time.perf_counter()
        answer = solve(network, task, time_limit=limit)
        assert time.perf_counter() - started < limit + 1.0  # 0.2 s on an idle machine
        assert answer.status in (Status.FEASIBLE, Status.TIME_LIMIT)
        assert 0.0 <= answer.bound <= answer.objective


def test_the_same_seed_gives_the_same_search(digit):
    first, second = (solve(*digit, seed=3) for _ in range(2))
    assert first.nodes == second.nodes
    assert first.objective == second.objective
    assert first.bound == second.bound
    assert (first.image == second.image).all()


def test_a_wider_gap_is_honoured(digit):
    answer = solve(*digit, gap=0.2)
    assert answer.status is Status.OPTIMAL
    assert answer.objective - answer.bound <= 0.2 * answer.objective * (1.0 + 1e-9)
    tight = solve(*digit, gap=0.0)
    assert tight.status is Status.OPTIMAL
    assert tight.objective <= answer.objective
    assert tight.bound >= answer.bound


def test_progress_tells_falling_objectives_and_rising_bounds(digit):
    seen = []
    network, task = digit
    ENGINE.solve(EngineRequest(network, task, None, progress=seen.append))
    assert seen
    assert all(p.bound <= p.objective for p in seen)
    assert [p.objective for p in seen] == sorted((p.objective for p in seen), reverse=True)


def test_interruption_is_handed_on(hard):
    network, task = hard

    def interrupt(progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ENGINE.solve(EngineRequest(network, task, None, progress=interrupt))


def test_an_image_that_meets_the_conditions_is_its_own_answer(thesis, test_images):
    image = test_images.images[0].reshape(-1)
    label = int(thesis.predict(image))
    task = MinimalPerturbation(
        image, (label + 1) % 10, FixedTarget(label), Norm.L1, AbsoluteMargin(1e-3)
    ).task(thesis)
    answer = solve(thesis, task)
    assert answer.status is Status.OPTIMAL
    assert answer.objective == 0.0
    assert answer.bound == 0.0
    assert (answer.image == image).all()


def test_a_network_without_hidden_layer_is_a_linear_program():
    network = ReLUNetwork((Dense(np.array([[1.0, 0.0], [0.0, 1.0]]), np.zeros(2)),))
    task = MinimalPerturbation(
        [0.5, 0.25], 0, FixedTarget(1), Norm.L1, AbsoluteMargin(0.25), Box.unit(2)
    ).task(network)
    answer = solve(network, task)
    assert answer.status is Status.OPTIMAL
    assert answer.objective == pytest.approx(0.5, abs=1e-9)


@pytest.mark.parametrize("norm", [Norm.L1, Norm.L2])
def test_large_logits_do_not_pass_for_a_lead(norm):
    """A violation of 1e-9 of the logits would make the image its own answer, by a lead of -5e-5."""
    network = ReLUNetwork((Dense([[0.0], [1.0]], [2e5, 2e5 - 5e-5]),))
    problem = MinimalPerturbation(np.zeros(1), 0, FixedTarget(1), norm, AbsoluteMargin(1e-4))
    solution = solve_and_check(network, problem, Method(engine="bnb"))
    assert solution.certified
    assert solution.certificate.distance == pytest.approx(1.5e-4, rel=0.02)
    # Rounding of logits of 2e5 is all that is missing.
    assert norm.distance_of(solution.bound) == pytest.approx(1.5e-4, rel=0.02)


def test_infeasible_is_proven():
    network = ReLUNetwork(
        (Dense(np.eye(2), np.zeros(2)), Dense(np.array([[1.0, 1.0], [0.0, 0.0]]), np.zeros(2)))
    )
    task = MinimalPerturbation(
        [0.5, 0.25], 0, FixedTarget(1), Norm.L1, AbsoluteMargin(0.1), Box.unit(2)
    ).task(network)
    answer = solve(network, task)
    assert answer.status is Status.INFEASIBLE
    assert answer.bound == math.inf
    assert answer.image is None


def test_a_box_of_one_point_is_decided():
    network = ReLUNetwork((Dense(np.eye(2), np.zeros(2)), Dense(np.eye(2), np.zeros(2))))
    box = Box(np.array([0.5, 0.2]), np.array([0.5, 0.2]))
    task = MinimalPerturbation(
        [0.5, 0.2], 0, FixedTarget(1), Norm.L1, AbsoluteMargin(0.1), box
    ).task(network)
    assert solve(network, task).status is Status.INFEASIBLE


def test_other_tasks_are_refused(thesis):
    task = Task.largest_logit(0, Box.unit(784))
    assert not ENGINE.supports(task)
    with pytest.raises(UnsupportedProblemError, match="expected a distance"):
        solve(thesis, task)


def test_conditions_that_miss_each_other_by_the_margin_alone_are_proven_infeasible():
    # Two rows touch exactly, so a ray that leans on these proves nothing; the margin does.
    weight = np.array(
        [
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            [-1, 2, -1, -1, 2, 1, 2, -2, -1, -1, 1],
            [1, 0, 2, 0, 2, -2, -2, 0, 1, -1, 0],
            [0, -2, -1, 2, -1, 0, -1, 2, 2, 1, -1],
        ]
    )
    network = ReLUNetwork((Dense(weight.astype(float), np.array([0.0, -1.0, -1.0, 1.0])),))
    image = [0.0, 1.4271900251328955, 0.0, 0.0, 1.7689580910974467, 1.7395773433779493]
    image += [0.11702675131047918, 0.6519148805964707, 1.5202036576517377, 1.8261447142737082, 0.0]
    upper = [0.0, 1.538407352097945, 0.0, 0.0, 1.7689580910974467, 1.7395773433779493]
    upper += [1.2490152800079035, 1.7613611536738443, 1.5202036576517377, 1.8261447142737082, 0.0]
    box = Box(np.zeros(11), np.array(upper))
    label = int(network.predict(np.array(image)))
    task = MinimalPerturbation(
        np.array(image), label, FixedTarget(0), Norm.L1, RelativeMargin(0.2), box
    ).task(network)
    answer = solve(network, task)
    assert answer.status is Status.INFEASIBLE
    assert answer.bound == math.inf
