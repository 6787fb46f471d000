"""Gradient steps in boxes: how many a look may make."""

import numpy as np
import pytest

from reluopt.engines.branch_and_bound.dual.attack import STEPS, BoxAttack
from reluopt.networks.layers.base import Dense
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.margins import LogitConditions
from reluopt.questions.problems import AnyTarget, MinimalPerturbation, Norm
from reluopt.questions.tasks import Alternative


def test_first_looks_are_short(thesis, test_images, monkeypatch):
    question = MinimalPerturbation(
        test_images.image(0), test_images.label(0), AnyTarget(), Norm.LINF
    )
    task = question.task(thesis)
    lower, upper = (np.clip(task.image + each, 0.0, 1.0) for each in (-1e-3, 1e-3))
    attack = BoxAttack(thesis, task.alternatives, lower, upper, 0, rising=(1, 2))
    steps = []
    whole = attack._gradients.slacks

    def slacks(*args):
        steps.append(None)
        return whole(*args)

    monkeypatch.setattr(attack._gradients, "slacks", slacks)
    for expected in (1, 2, STEPS, STEPS):
        assert attack.run(*attack.starts([0], 1)) is None
        assert len(steps) == expected
        steps.clear()


def _ahead(label, others, by=0.0):
    """``x_label >= x_j + by`` for some others, of three logits."""
    matrix = np.zeros((len(others), 3))
    matrix[:, label] = 1.0
    matrix[np.arange(len(others)), others] = -1.0
    return Alternative(label, LogitConditions(matrix, np.full(len(others), by)))


@pytest.mark.parametrize(
    ("point", "by", "alternative", "slack"),
    [
        ([0.0, 0.25, 0.5], 0.0, 1, 0.25),  # 1 is ahead of 0, and 2 of both
        ([0.0, 0.25, 0.5], 0.1, 1, 0.15),
        ([0.0, 0.25, 0.5], 0.3, None, None),  # 1 is not far enough ahead of 0
        ([0.0, 0.5, 0.625], 0.5, 1, -0.375),  # it is, but neither 1 nor 2 is so of the other
    ],
)
def test_what_meets_a_weakened_alternative_ends_the_search(point, by, alternative, slack):
    """As a witness of any alternative, or as one whose slack is negative."""
    network = ReLUNetwork((Dense(np.eye(3), np.zeros(3)),))
    whole = [_ahead(1, [0, 2], by), _ahead(2, [0, 1], by)]
    weakened = [_ahead(1, [0], by), _ahead(2, [0], by)]
    attack = BoxAttack(network, whole, np.zeros(3), np.ones(3), 0, (1,), weakened)
    found = attack.check(np.array([point]), np.array([0]), np.zeros(1))
    if alternative is None:
        assert found is None
    else:
        assert (found.alternative, found.slack) == (alternative, pytest.approx(slack))
        assert found.image.tolist() == point
