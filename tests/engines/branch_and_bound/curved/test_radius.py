"""The radius within which sums of squares exclude everything, against true distances."""

import numpy as np
import pytest

from helpers.convolutions import folded_question
from reluopt.answers.solution import Status
from reluopt.deadline import NEVER, Deadline
from reluopt.engines.branch_and_bound.curved import radius
from reluopt.engines.branch_and_bound.curved.radius import CurvedForms
from reluopt.engines.options import EngineOptions
from reluopt.method import Method
from reluopt.networks.layers import base
from reluopt.pipeline import solve
from reluopt.questions.problems import Norm


@pytest.fixture(autouse=True)
def sparse_maps(monkeypatch):
    """Small convolutions are sparse, too, so that networks are folded."""
    monkeypatch.setattr(base, "SMALL", 0)
    monkeypatch.setattr(base, "SPARSE_SHARE", 1.0)


def situation(seed, pooled=True, far=1.0):
    """A network, a question in L2 and its frame."""
    return folded_question(seed, Norm.L2, pooled, far)


@pytest.mark.parametrize("pooled", [True, False])
def test_no_radius_exceeds_the_distance(pooled):
    """Distances by the trees of small networks, whose programs know nothing of these squares."""
    shares = []
    for seed in range(6):
        network, question, frame = situation(seed, pooled)
        true = solve(network, question, Method("bnb", options=EngineOptions(time_limit=20.0)))
        shown = []
        found = CurvedForms(frame).excluded_radius(0.0, 5.0, NEVER, shown.append)
        assert shown == ([found] if found else [])
        if true.image is None:
            assert true.status is Status.INFEASIBLE
            continue
        distance = np.linalg.norm(np.array(true.image) - np.array(question.image))
        assert found <= distance * (1.0 + 1e-6)
        shares.append(found / distance)
    assert np.median(shares) > 0.2


def test_a_ball_in_which_nothing_is_possible_is_excluded():
    _, _, frame = situation(1, far=1e6)
    assert CurvedForms(frame).excluded_radius(0.0, 5.0, NEVER, lambda _: None) == 5.0


def test_after_its_time_nothing_is_shown():
    _, _, frame = situation(2)
    assert CurvedForms(frame).excluded_radius(0.0, 5.0, Deadline(0.0), lambda _: None) == 0.0


def test_more_than_enough_undecided_units_end_the_count():
    _, _, frame = situation(4)
    forms = CurvedForms(frame)
    whole = forms.undecided(5.0, 1000, NEVER)
    assert 0 < forms.undecided(5.0, 0, NEVER) < whole


def test_large_pictures_keep_what_is_known(monkeypatch):
    _, _, frame = situation(1, far=1e6)
    monkeypatch.setattr(radius, "MOST_PIXELS", 24)
    assert CurvedForms(frame).excluded_radius(0.5, 5.0, NEVER, lambda _: None) == 0.5
