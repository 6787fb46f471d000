"""The radius within which forms at corners exclude everything, against true distances."""

from dataclasses import replace

import numpy as np
import pytest

from reluopt.deadline import NEVER, Deadline
from reluopt.engines.branch_and_bound.ball import bare_ball
from reluopt.engines.branch_and_bound.corners import radius
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


def situation(seed, pooled=True, far=0.0):
    """A network, an untargeted question and its frame; logits lead by ``far`` more."""
    random = np.random.default_rng(seed)
    conv = Conv2d(
        random.normal(size=(2, 1, 3, 3)), random.normal(size=2), Windows((1, 5, 5), (3, 3))
    )
    pool = [MaxPool2d(Windows((2, 3, 3), (2, 2), (1, 1)))] if pooled else []
    first = Dense(random.normal(size=(6, 8 if pooled else 18)), random.normal(size=6))
    last = Dense(random.normal(size=(3, 6)), random.normal(size=3))
    image = random.random(25)
    network = ReLUNetwork((conv, *pool, first, last))
    label = int(network.predict(image))
    bias = np.array(last.bias) + far * (np.arange(3) == label)
    network = ReLUNetwork((conv, *pool, first, Dense(last.weight, bias)))
    question = MinimalPerturbation(image, label, AnyTarget(), Norm.L1, AbsoluteMargin(0.01))
    return network, question, make_frame(network, question.task(network))


@pytest.mark.parametrize("pooled", [True, False])
def test_no_radius_exceeds_the_distance(pooled):
    """Distances by another program, whose binaries know nothing of corners."""
    shares = []
    for seed in range(6):
        network, question, frame = situation(seed, pooled, far=2.0)
        options = EngineOptions(time_limit=60.0)
        true = solve(network, question, Method("highs", options=options)).objective
        shown = []
        found = radius.excluded_radius(frame, 25.0, NEVER, shown.append)
        assert found <= true * (1.0 + 1e-6)
        assert shown == sorted(shown)
        assert shown[-1:] == ([found] if found else [])
        shares.append(found / true)
    assert np.median(shares) > 0.3


def test_slopes_enlarge_the_radius(monkeypatch):
    _, _, frame = situation(2, far=3.0)
    found = radius.excluded_radius(frame, 25.0, NEVER, lambda _: None)
    monkeypatch.setattr(radius, "GROWTHS", ())
    assert found > 1.01 * radius.excluded_radius(frame, 25.0, NEVER, lambda _: None) > 0.0


def test_a_ball_in_which_nothing_is_possible_is_excluded_at_once():
    _, _, frame = situation(1, far=1e4)
    assert radius.excluded_radius(frame, 25.0, NEVER, lambda _: None) == 25.0


def test_a_deadline_leaves_what_was_shown():
    _, _, frame = situation(2, far=3.0)
    assert radius.excluded_radius(frame, 25.0, Deadline(0.0), lambda _: None) == 0.0


@pytest.mark.parametrize("pooled", [True, False])
def test_phases_that_are_decided_hold(pooled):
    network, question, frame = situation(4, pooled)
    ball = bare_ball(frame, 0.2)
    better = radius.narrowed(frame, ball)
    assert not better.empty
    assert (better.lower >= ball.lower).all()
    assert (better.upper <= ball.upper).all()
    if not pooled:
        assert radius.undecided(frame, 0.2) >= frame.undecided(better.lower, better.upper).sum()
    random = np.random.default_rng(0)
    image = np.array(question.image)
    for _ in range(200):
        change = random.normal(size=25) * (random.random(25) < 0.2)
        change *= 0.2 / max(np.abs(change).sum(), 1e-9)
        values = np.concatenate(network.pre_activations(np.clip(image + change, 0.0, 1.0)))
        hidden = values[: frame.hidden]
        assert (hidden >= better.lower[: frame.hidden] - 1e-9).all()
        assert (hidden <= better.upper[: frame.hidden] + 1e-9).all()


def test_numbers_that_overflow_exclude_nothing():
    """Sums become infinite, or not a number."""
    network, _, frame = situation(3)
    large = [
        Dense(np.array(layer.weight) * 1e200, np.array(layer.bias) * 1e200)
        for layer in network.layers[2:]
    ]
    huge = ReLUNetwork((*network.layers[:2], *large))
    assert radius.excluded_radius(replace(frame, network=huge), 25.0, NEVER, lambda _: None) == 0.0
