"""The radius within which forms at corners exclude everything, against true distances."""

import math
from dataclasses import replace

import numpy as np
import pytest

from helpers.convolutions import folded_question
from reluopt.answers.solution import Status
from reluopt.deadline import NEVER, Deadline
from reluopt.engines.branch_and_bound import growth
from reluopt.engines.branch_and_bound.ball import bare_ball
from reluopt.engines.branch_and_bound.corners import radius
from reluopt.engines.branch_and_bound.corners.radius import CornerForms
from reluopt.engines.branch_and_bound.corners.units import are_neurons, units_of
from reluopt.engines.branch_and_bound.frame import make_frame
from reluopt.engines.options import EngineOptions
from reluopt.method import Method
from reluopt.networks.layers import base
from reluopt.networks.layers.base import Dense
from reluopt.networks.layers.chain import Chain
from reluopt.networks.layers.conv2d import Conv2d
from reluopt.networks.layers.elementwise import LeakyReLU
from reluopt.networks.layers.pooling import MaxPool2d
from reluopt.networks.layers.windows import Windows
from reluopt.networks.network import ReLUNetwork
from reluopt.pipeline import solve
from reluopt.questions.problems import AbsoluteMargin, AnyTarget, Box, MinimalPerturbation, Norm


@pytest.fixture(autouse=True)
def sparse_maps(monkeypatch):
    """Small convolutions are sparse, too, so that networks are folded."""
    monkeypatch.setattr(base, "SMALL", 0)
    monkeypatch.setattr(base, "SPARSE_SHARE", 1.0)


def situation(seed, pooled=True, far=0.0):
    """A network, a question in L1 and its frame."""
    return folded_question(seed, Norm.L1, pooled, far)


@pytest.mark.parametrize("pooled", [True, False])
def test_no_radius_exceeds_the_distance(pooled):
    """Distances by another program, whose binaries know nothing of corners."""
    shares = []
    for seed in range(6):
        network, question, frame = situation(seed, pooled, far=2.0)
        options = EngineOptions(time_limit=60.0)
        true = solve(network, question, Method("highs", options=options)).objective
        shown = []
        found = CornerForms(frame).excluded_radius(0.0, 25.0, NEVER, shown.append)
        assert found <= true * (1.0 + 1e-6)
        assert shown == sorted(shown)
        assert shown[-1:] == ([found] if found else [])
        shares.append(found / true)
    assert np.median(shares) > 0.3


def test_slopes_enlarge_the_radius(monkeypatch):
    _, _, frame = situation(2, far=3.0)
    found = CornerForms(frame).excluded_radius(0.0, 25.0, NEVER, lambda _: None)
    monkeypatch.setattr(radius, "PATIENCE", 0)
    assert found > 1.01 * CornerForms(frame).excluded_radius(0.0, 25.0, NEVER, lambda _: None) > 0.0


def test_a_ball_in_which_nothing_is_possible_is_excluded_at_once():
    _, _, frame = situation(1, far=1e4)
    assert CornerForms(frame).excluded_radius(0.0, 25.0, NEVER, lambda _: None) == 25.0


def test_a_deadline_leaves_what_was_shown():
    _, _, frame = situation(2, far=3.0)
    assert CornerForms(frame).excluded_radius(0.0, 25.0, Deadline(0.0), lambda _: None) == 0.0


@pytest.mark.parametrize("pooled", [True, False])
def test_phases_that_are_decided_hold(pooled):
    network, question, frame = situation(4, pooled)
    ball = bare_ball(frame, 0.2)
    better = CornerForms(frame).narrowed(ball, NEVER)
    assert not better.empty
    assert (better.lower >= ball.lower).all()
    assert (better.upper <= ball.upper).all()
    if not pooled:
        assert (
            CornerForms(frame).undecided(0.2, 1000, NEVER)
            >= frame.undecided(better.lower, better.upper).sum()
        )
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
    assert (
        CornerForms(replace(frame, network=huge)).excluded_radius(0.0, 25.0, NEVER, lambda _: None)
        == 0.0
    )


def test_units_of_a_last_pool_or_rectifier_are_no_logits():
    """What follows the last affine map counts, too: such networks are taken as they lower."""
    pool = MaxPool2d(Windows((2, 2, 2), (2, 2)))
    conv = Conv2d(np.ones((2, 1, 2, 2)), np.array([0.0, 1.0]), Windows((1, 3, 3), (2, 2)))
    leaky = LeakyReLU(2, 0.0)
    for network in (
        ReLUNetwork((conv, pool)),
        ReLUNetwork((Chain((conv, pool)),)),
        ReLUNetwork((Chain((Dense(np.eye(2), [-0.2, -5.0]), leaky)),)),
    ):
        units = units_of(network)
        assert sum(own.pieces.output_size for own in units) == sum(network.sizes[1:])
        assert units[-1].pieces.output_size == network.output_size
        assert are_neurons(units, network)


def test_phases_are_not_given_to_other_neurons():
    """A leaky ReLU of slope 0 is one unit and two neurons of what the network lowers to."""
    conv = Conv2d(np.ones((1, 1, 1, 1)), np.zeros(1), Windows((1, 1, 2), (1, 1)))
    first = Chain((conv, LeakyReLU(2, 0.0), Dense(np.eye(2), np.zeros(2))))
    network = ReLUNetwork((first, Dense(np.eye(2), np.zeros(2))))
    question = MinimalPerturbation(
        np.array([0.9, 0.5]), 0, AnyTarget(), Norm.L1, AbsoluteMargin(0.01)
    )
    frame = make_frame(network, question.task(network))
    ball = bare_ball(frame, 0.3)
    better = CornerForms(frame).narrowed(ball, NEVER)
    assert np.array_equal(better.lower, ball.lower)
    assert not better.empty


@pytest.mark.parametrize("kind", ["no hidden layer", "nothing moves", "no radius"])
def test_degenerate_questions_are_answered(kind):
    conv = Conv2d(np.ones((1, 1, 1, 1)), np.zeros(1), Windows((1, 1, 2), (1, 1)))
    image, box, margin = np.array([0.7, 0.5]), None, AbsoluteMargin(0.01)
    layers = (conv,) if kind == "no hidden layer" else (conv, Dense(np.eye(2), np.zeros(2)))
    if kind == "no radius":
        image, margin = np.array([0.5, 0.5]), AbsoluteMargin(1e-12)
        layers = (conv, Dense(np.eye(2), [0.0, -1e-13]))
    if kind == "nothing moves":
        box = Box(image, image)
    network = ReLUNetwork(layers)
    given = {} if box is None else {"box": box}
    question = MinimalPerturbation(image, 0, AnyTarget(), Norm.L1, margin, **given)
    found = solve(network, question, Method("bnb", options=EngineOptions(time_limit=30.0)))
    if kind == "nothing moves":
        assert found.status is Status.INFEASIBLE
    else:
        assert found.status is Status.OPTIMAL
    if kind == "no hidden layer":
        assert found.objective == pytest.approx(0.21)


def test_narrow_boxes_keep_linear_forms(monkeypatch):
    """In hidden layers corners know nothing of a box, of which linear forms exclude all."""
    random = np.random.default_rng(0)
    conv = Conv2d(
        random.normal(size=(4, 1, 3, 3)), random.normal(size=4), Windows((1, 12, 12), (3, 3))
    )
    last = Dense(random.normal(size=(3, 400)) / 20.0, np.array([2.0, 0.0, 0.0]))
    network = ReLUNetwork((conv, last))
    image = random.random(144)
    label = int(network.predict(image))
    box = Box(np.maximum(image - 2e-3, 0.0), np.minimum(image + 2e-3, 1.0))
    question = MinimalPerturbation(
        image, label, AnyTarget(), Norm.L1, AbsoluteMargin(1e-3), box=box
    )
    monkeypatch.setattr(CornerForms, "excluded_radius", lambda _, known, *__: max(known, 1e-3))
    monkeypatch.setattr(CornerForms, "undecided", lambda *_: 10**6)
    monkeypatch.setattr(growth.enveloped, "takes", lambda _: False)  # envelopes show it, too
    method, found = Method("bnb", options=EngineOptions(time_limit=20.0)), []
    for narrow in (growth.NARROW, math.inf):
        monkeypatch.setattr(growth, "NARROW", narrow)
        found.append(solve(network, question, method).status)
    assert found == [Status.INFEASIBLE, Status.NUMERICAL]


def test_enough_undecided_units_end_the_count():
    _, _, frame = situation(4)
    whole = CornerForms(frame).undecided(25.0, 1000, NEVER)
    assert 0 < CornerForms(frame).undecided(25.0, 0, NEVER) < whole
