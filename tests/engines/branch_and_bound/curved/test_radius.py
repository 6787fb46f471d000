"""The radius within which sums of squares exclude everything, against true distances."""

import numpy as np
import pytest

from reluopt.answers.solution import Status
from reluopt.deadline import NEVER, Deadline
from reluopt.engines.branch_and_bound.curved import radius
from reluopt.engines.branch_and_bound.curved.radius import CurvedForms
from reluopt.engines.branch_and_bound.frame import make_frame
from reluopt.engines.options import EngineOptions
from reluopt.method import Method
from reluopt.networks.layers import base
from reluopt.networks.layers.base import Dense
from reluopt.networks.layers.conv2d import Conv2d
from reluopt.networks.layers.pooling import MaxPool2d
from reluopt.networks.layers.windows import Windows
from reluopt.networks.network import ReLUNetwork
from reluopt.pipeline import solve
from reluopt.questions.problems import AbsoluteMargin, AnyTarget, MinimalPerturbation, Norm


@pytest.fixture(autouse=True)
def sparse_maps(monkeypatch):
    """Small convolutions are sparse, too, so that networks are folded."""
    monkeypatch.setattr(base, "SMALL", 0)
    monkeypatch.setattr(base, "SPARSE_SHARE", 1.0)


def situation(seed, pooled=True, far=1.0):
    """A network, an untargeted question and its frame; logits lead by ``far`` more."""
    random = np.random.default_rng(seed)
    windows = Windows((1, 5, 5), (3, 3))
    conv = Conv2d(random.normal(size=(2, 1, 3, 3)), random.normal(size=2), windows)
    pool = [MaxPool2d(Windows((2, 3, 3), (2, 2), (1, 1)))] if pooled else []
    first = Dense(random.normal(size=(6, 8 if pooled else 18)), random.normal(size=6))
    last = Dense(random.normal(size=(3, 6)), random.normal(size=3))
    image = random.random(25)
    label = int(ReLUNetwork((conv, *pool, first, last)).predict(image))
    bias = np.array(last.bias) + far * (np.arange(3) == label)
    network = ReLUNetwork((conv, *pool, first, Dense(last.weight, bias)))
    question = MinimalPerturbation(image, label, AnyTarget(), Norm.L2, AbsoluteMargin(0.01))
    return network, question, make_frame(network, question.task(network))


@pytest.mark.parametrize("pooled", [True, False])
def test_no_radius_exceeds_the_distance(pooled):
    """Distances by the trees of small networks, whose programs know nothing of these squares."""
    shares = []
    for seed in range(6):
        network, question, frame = situation(seed, pooled)
        true = solve(network, question, Method("bnb", options=EngineOptions(time_limit=60.0)))
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
