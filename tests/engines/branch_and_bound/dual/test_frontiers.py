"""Trees of programs that go on over smaller boxes, and the attack that makes boxes smaller."""

import numpy as np
import pytest

from helpers.boxes import random_network
from reluopt import EngineOptions, Method, load_images, load_network, solve
from reluopt.answers.solution import Status
from reluopt.engines.branch_and_bound import folding
from reluopt.engines.branch_and_bound.dual import distance, frontiers, verdict
from reluopt.engines.branch_and_bound.dual.frontiers import Frontiers
from reluopt.engines.branch_and_bound.l2.boxes import BoxTree
from reluopt.questions.problems import AnyTarget, MinimalPerturbation, Norm, RelativeMargin


def test_what_is_open_is_known_of_boxes_that_are_a_little_smaller():
    made, nodes = Frontiers(), [object()]
    made.keep(1.0, [4, 2], [0, 0, 7, 0, -1], {1: nodes})
    rows = [0, 0, 7, 0, -1]
    assert made.within(1.0, [1, 2], rows) == {1: nodes}
    assert made.within(frontiers.NEAR, [2], rows) == {0: nodes}
    assert made.within(0.9 * frontiers.NEAR, [2], rows) == {}
    assert made.within(1.0001, [2], rows) == {}
    assert made.within(1.0, [2], [-1] * 5) == {}, "another condition"
    assert made.within(1.0, [4], rows) == {}


def asked(image, label, margin=0.0):
    return MinimalPerturbation(image, label, AnyTarget(), Norm.LINF, RelativeMargin(margin))


@pytest.fixture
def poor(monkeypatch):
    """Programs decide, first images are random, and only trees find others."""
    monkeypatch.setattr(verdict, "PLAIN_NODES", 0)
    monkeypatch.setattr(verdict, "FEW", 1)
    monkeypatch.setattr(distance, "LOOKS", 1)
    monkeypatch.setattr(distance, "AGAIN", 1)
    monkeypatch.setattr(verdict, "fan", lambda *_: None)
    monkeypatch.setattr(distance.DistanceSearch, "_nearer", lambda _: False)
    monkeypatch.setattr(frontiers, "NEAR", 0.0)

    def none(self, *_):
        return np.zeros((0, self._low.size), dtype=np.float32), np.zeros(0, dtype=np.int64)

    monkeypatch.setattr(distance.BoxAttack, "starts", none)

    def start(self):
        points = np.random.default_rng(1).random((200, self.task.image.size))
        for point in points:
            for place, each in enumerate(self.task.alternatives):
                if each.conditions.slack(self.network.forward(point)).min() >= 0.0:
                    self.take(point, place)
                    return

    monkeypatch.setattr(distance.DistanceSearch, "start", start)


@pytest.mark.parametrize("folds", [False, True])
def test_distances_are_those_of_a_solver_where_trees_go_on(poor, monkeypatch, folds):
    """Not those over folded networks, which are others over each box."""
    monkeypatch.setattr(folding, "MANY", 0 if folds else folding.MANY)
    resumed, resume = [], BoxTree.resume

    def noted(self, left):
        resume(self, left)
        resumed.append(len(left))

    monkeypatch.setattr(BoxTree, "resume", noted)
    for seed in range(30):
        generator = np.random.default_rng(seed)
        network = random_network(generator, [(4, 5, 3, 3), (3, 6, 3), (5, 4, 4, 3)][seed % 3])
        image = generator.random(network.input_size)
        question = asked(image, int(network.predict(image)), 0.0 if seed % 2 else 0.2)
        exact = solve(network, question, Method("highs"))
        found = solve(network, question, Method("bnb"))
        assert found.status is exact.status
        if exact.status is Status.OPTIMAL:
            assert found.objective == pytest.approx(exact.objective, rel=1e-4)
    if folds:
        assert resumed
        assert not any(resumed)
    else:
        assert sum(map(bool, resumed)) > 2


@pytest.mark.parametrize(("network", "index", "times"), [("mlp-100", 113, 1), ("thesis", 110, 0)])
def test_the_minimum_norm_attack_comes_once_where_a_tree_is_not_small(
    monkeypatch, network, index, times
):
    made, attack = [], distance.minimum_norm_starts
    monkeypatch.setattr(
        distance, "minimum_norm_starts", lambda *each: made.append(1) or attack(*each)
    )
    images = load_images("test")
    question = asked(images.image(index), images.label(index))
    found = solve(load_network(network), question, Method("bnb", options=EngineOptions(60.0)))
    assert found.status is Status.OPTIMAL
    assert len(made) == times
