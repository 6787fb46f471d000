"""L1 trees taken over from their first nodes on end as those of linear programs do."""

import numpy as np
import pytest

from helpers.boxes import random_network
from reluopt import Dense, ReLUNetwork, load_images, load_network
from reluopt.engines.branch_and_bound.dual import within_ball
from reluopt.engines.options import EngineOptions
from reluopt.method import Method
from reluopt.pipeline import solve
from reluopt.questions.problems import (
    AnyTarget,
    Box,
    FixedTarget,
    MinimalPerturbation,
    Norm,
    RelativeMargin,
    Verification,
)

LIMIT = EngineOptions(time_limit=30.0)


@pytest.fixture
def at_once(monkeypatch):
    """Trees are handed over as soon as one node of them is not enough; counts the times."""
    taken = []
    tried = within_ball.LargeTrees.tried

    def counted(self, most):
        taken.append(list(self.alternatives))
        return tried(self, most)

    monkeypatch.setattr(within_ball, "PATIENCE", 0)
    monkeypatch.setattr(within_ball.LargeTrees, "tried", counted)
    return taken


@pytest.mark.parametrize("sizes", [(8, 30, 3), (6, 12, 9, 4), (9, 20, 20, 3)])
def test_distances_are_those_of_linear_programs(at_once, sizes, monkeypatch):
    for seed in range(12):
        generator = np.random.default_rng(seed)
        network = random_network(generator, sizes)
        box = Box.unit(sizes[0]) if seed % 2 else Box(-np.ones(sizes[0]), 2 * np.ones(sizes[0]))
        image = generator.uniform(box.lower, box.upper)
        label = int(network.predict(image))
        target = {} if seed % 3 else {"target": FixedTarget((label + 1) % sizes[-1])}
        margin = {} if seed % 4 else {"margin": RelativeMargin(0.1)}
        question = MinimalPerturbation(image, label, norm=Norm.L1, box=box, **target, **margin)
        found = solve(network, question, Method("bnb", options=LIMIT))
        with monkeypatch.context() as usual:
            usual.setattr(within_ball, "takes", lambda frame: False)
            expected = solve(network, question, Method("bnb", options=LIMIT))
        assert found.status is expected.status
        assert found.objective == pytest.approx(expected.objective, rel=2e-4, abs=1e-9)
        assert found.bound <= expected.objective * (1.0 + 1e-9)
    assert at_once


def test_verdicts_agree_with_distances(at_once):
    network, data = load_network("mlp-100"), load_images("test")
    for index in (105, 107, 112):
        image, label = data.image(index), data.label(index)
        question = MinimalPerturbation(image, label, AnyTarget(), Norm.L1, RelativeMargin(0.0))
        distance = solve(network, question, Method("bnb", options=LIMIT)).objective
        for share, status in ((0.999, "ROBUST"), (1.001, "NOT_ROBUST")):
            asked = Verification(image, label, distance * share, Norm.L1)
            found = solve(network, asked, Method("bnb", options=LIMIT))
            assert found.status.name == status
    assert at_once


def test_kept_proofs_are_made_by_linear_programs(at_once):
    network = random_network(np.random.default_rng(5), (5, 9, 9, 3))
    image = np.full(5, 0.5)
    question = MinimalPerturbation(image, int(network.predict(image)), norm=Norm.L1)
    keep = EngineOptions(time_limit=30.0, extra={"proof": True})
    found = solve(network, question, Method("bnb", options=keep))
    assert found.proof is not None
    assert at_once == []


def test_bounds_of_smaller_balls_are_known_when_time_is_up(at_once, monkeypatch):
    network, data = load_network("mlp-100"), load_images("test")
    question = MinimalPerturbation(data.image(102), data.label(102), norm=Norm.L1)
    ends, emptied = [], within_ball.LargeTrees._emptied

    def stopped(self, share, most):
        ends.append(share)
        return emptied(self, share, most) if share < 0.5 else False

    monkeypatch.setattr(within_ball, "SMALLER", (0.42, 0.45))
    monkeypatch.setattr(within_ball.LargeTrees, "_emptied", stopped)
    found = solve(network, question, Method("bnb", options=LIMIT))
    assert ends == [1.0, 0.42, 0.45, 1.0]
    assert found.bound == pytest.approx(0.45 * found.objective, rel=1e-5)
    assert found.status.name == "FEASIBLE"


def test_inputs_that_cannot_move_have_no_planes(at_once):
    generator = np.random.default_rng(2)
    point = generator.uniform(0.2, 0.8, 4)
    first = generator.normal(size=(5, 4))
    layers = (
        Dense(first, -first @ point),
        Dense(generator.normal(size=(4, 5)), np.zeros(4)),
        Dense(generator.normal(size=(2, 4)), np.array([1.0, 1.0 - 2.0**-53])),
    )
    network = ReLUNetwork(layers)
    for norm, box in (
        (Norm.LINF, None),
        (Norm.LINF, Box(point, point)),
        (Norm.L1, Box(point, point)),
    ):
        question = Verification(point, int(network.predict(point)), 0.0, norm, box)
        found = solve(network, question, Method("bnb", options=EngineOptions(time_limit=5.0)))
        assert found.status.name != "NOT_ROBUST"


def test_labels_that_a_larger_ball_excludes_are_not_asked_again(at_once, monkeypatch):
    """Of trees in turns: what the first look has settled; distances stay what they are."""
    asked, real, fallen = [], within_ball.DomainSearch, 0

    def noted(network, domain, alternatives, *given, **options):
        asked.append(len(alternatives))
        return real(network, domain, alternatives, *given, **options)

    monkeypatch.setattr(within_ball, "DomainSearch", noted)
    for seed in range(12):
        generator = np.random.default_rng(seed)
        network = random_network(generator, (12, 24, 24, 8))
        image = generator.random(12)
        given = image, int(network.predict(image)), AnyTarget(), Norm.L1, RelativeMargin(0.0)
        asked.clear()
        found = solve(network, MinimalPerturbation(*given), Method("bnb", options=LIMIT))
        fallen += len(asked) > 1 and asked[-1] < asked[0]
        with monkeypatch.context() as usual:
            usual.setattr(within_ball, "takes", lambda frame: False)
            expected = solve(network, MinimalPerturbation(*given), Method("bnb", options=LIMIT))
        assert found.status is expected.status
        assert found.objective == pytest.approx(expected.objective, rel=2e-4, abs=1e-9)
    assert fallen
