"""Bounds by linear programs hold for everything of interest, and change no answer."""

import numpy as np
import pytest

from helpers.deep import deep_case
from reluopt.answers.solution import Incumbent, Status
from reluopt.deadline import NEVER as UNLIMITED
from reluopt.engines.base import EngineRequest
from reluopt.engines.branch_and_bound.driver import BranchAndBoundEngine
from reluopt.engines.branch_and_bound.l1 import squeezing
from reluopt.engines.branch_and_bound.l1.relaxation import L1Relaxation
from reluopt.engines.branch_and_bound.l1.squeezing import proven_radius, squeezed
from reluopt.engines.branch_and_bound.search import Search
from reluopt.engines.options import EngineOptions

NEVER = 10**9


def solve(request, monkeypatch, after):
    """The engine's answer with bounds squeezed after so many nodes."""
    for name in ("AFTER", "WEAK_AFTER"):
        monkeypatch.setattr(squeezing, name, after)
    return BranchAndBoundEngine().solve(request)


def inputs_of_interest(frame, cutoff, generator, count):
    """Inputs that meet the conditions of the first alternative below the cutoff."""
    conditions = frame.task.alternatives[0].conditions
    image = np.array(frame.task.image)
    found = []
    for _ in range(count):
        keep = generator.random(image.size) < generator.choice([0.2, 0.5, 1.0])
        delta = np.where(keep, generator.normal(size=image.size), 0.0)
        delta *= cutoff * generator.random() / np.abs(delta).sum().clip(1e-9)
        point = frame.task.box.clip(image + delta)
        met = conditions.slack(frame.network.forward(point)).min() >= 0.0
        if met and frame.task.objective(point) < cutoff:
            found.append(point)
    return found


@pytest.mark.parametrize("seed", range(8))
def test_squeezed_bounds_hold_for_everything_of_interest(seed):
    radius = 2.0
    frame, ball = deep_case(seed, (6, 5, 5, 5, 3), radius)
    if ball.empty:
        pytest.skip("nothing within this radius")
    incumbent = Incumbent(np.array(frame.task.image), radius, 0)
    search = Search(frame, 1e-6, UNLIMITED, best=incumbent)
    tight, bound = squeezed(search, 0, ball)
    points = inputs_of_interest(frame, search.cutoff, np.random.default_rng(seed), 3000)
    assert not (tight.empty and points)
    for point in points:
        assert frame.task.objective(point) >= bound - 1e-9
        values = np.concatenate(frame.network.pre_activations(point))
        assert (values >= tight.lower - 1e-9).all()
        assert (values <= tight.upper + 1e-9).all()


@pytest.mark.parametrize("seed", range(8))
def test_nothing_is_nearer_than_the_proven_radius(seed, monkeypatch):
    frame, _ = deep_case(seed, (6, 5, 5, 5, 3))
    request = EngineRequest(frame.network, frame.task, None, options=EngineOptions(time_limit=60.0))
    answer = solve(request, monkeypatch, NEVER)
    if answer.status is not Status.OPTIMAL:
        pytest.skip("nothing meets the conditions")
    search = Search(frame, 1e-6, UNLIMITED, best=Incumbent(answer.image, 1.5 * answer.objective, 0))
    radius = proven_radius(search, [0])
    assert 0.05 * answer.objective < radius <= answer.objective


def test_a_search_that_does_not_end_has_a_bound():
    """The root's relaxation proves 0.11 of 2.0, a smaller ball far more."""
    frame, ball = deep_case(1)
    search = Search(frame, 1e-6, UNLIMITED, best=Incumbent(np.array(frame.task.image), 2.0, 0))
    hidden = int(frame.flat.neuron_offsets[-2])
    relaxation = L1Relaxation(frame, frame.task.alternatives[0].conditions, ball)
    relaxation.set_bounds(ball.lower[:hidden], ball.upper[:hidden])
    assert proven_radius(search, [0]) > 3.0 * relaxation.solve(np.inf, 5000).bound


def test_bounds_of_a_deep_network_shrink_and_the_root_rises():
    frame, ball = deep_case(2)
    search = Search(frame, 1e-6, UNLIMITED, best=Incumbent(np.array(frame.task.image), 2.0, 0))
    tight, bound = squeezed(search, 0, ball)

    def open_width(some):
        hidden = int(frame.flat.neuron_offsets[-2])
        return np.minimum(-some.lower[:hidden], some.upper[:hidden]).clip(0.0).sum()

    assert tight.empty or open_width(tight) < 0.6 * open_width(ball)
    assert bound > 0.5


@pytest.mark.parametrize("seed", range(6))
def test_answers_are_the_same_with_and_without(seed, monkeypatch):
    frame, _ = deep_case(seed, (10, 6, 6, 6, 6, 3))
    request = EngineRequest(frame.network, frame.task, None, options=EngineOptions(time_limit=60.0))
    plain = solve(request, monkeypatch, NEVER)
    quick = solve(request, monkeypatch, 1)
    assert quick.status is plain.status
    assert "squeezing" not in plain.steps
    if plain.status is Status.OPTIMAL:
        assert quick.objective == pytest.approx(plain.objective, rel=1e-5)
        assert quick.bound <= plain.objective + 1e-9
        assert plain.bound <= quick.objective + 1e-9
