"""Which way boxes are searched."""

import numpy as np
import pytest

from helpers.convolutions import SIDE, folded_question, network_of
from reluopt.answers.solution import Status
from reluopt.deadline import Deadline
from reluopt.engines.branch_and_bound.dual import deciding
from reluopt.engines.branch_and_bound.dual.attack import BoxAttack
from reluopt.engines.branch_and_bound.dual.deciding import Effort, decided
from reluopt.engines.branch_and_bound.simplifying import Bounded
from reluopt.engines.options import EngineOptions
from reluopt.errors import InputError
from reluopt.method import Method
from reluopt.networks.layers.conv2d import Conv2d
from reluopt.networks.network import ReLUNetwork
from reluopt.pipeline import solve
from reluopt.questions.problems import AbsoluteMargin, AnyTarget, MinimalPerturbation, Norm


def box_of(task, radius):
    return np.maximum(task.image - radius, 0.0), np.minimum(task.image + radius, 1.0)


def refused(*_given, **_named):
    raise InputError("too many")


def unexpected(*_given):
    raise AssertionError("not this way")


def test_proofs_are_kept_without_envelopes(monkeypatch):
    monkeypatch.setattr(deciding.enveloped, "decided", unexpected)
    network, question, _ = folded_question(2, Norm.LINF)
    options = EngineOptions(time_limit=2.0, extra={"proof": True})
    found = solve(network, question, Method("bnb", options=options))
    assert found.status in (Status.OPTIMAL, Status.FEASIBLE)
    with pytest.raises(AssertionError, match="not this way"):
        solve(network, question, Method("bnb"))


def test_networks_that_cannot_be_folded_have_envelopes_left(monkeypatch):
    network, question, _ = folded_question(2, Norm.LINF)
    task = question.task(network)
    distance = solve(network, question, Method("bnb")).objective
    monkeypatch.setattr(Bounded, "folded", refused)
    for share in (0.5, 1.1):
        ends = box_of(task, share * distance)
        attack = BoxAttack(network, task.alternatives, *ends, 0)
        found = decided(network, task, ends, Deadline.after(60.0), attack, Effort())
        assert found.empty == (share < 1.0)
        assert (found.witness is not None) == (share > 1.0)
    monkeypatch.setattr(deciding, "takes", lambda network: False)
    with pytest.raises(InputError, match="too many"):
        decided(network, task, ends, Deadline.after(60.0), attack, Effort())


def test_networks_that_are_dense_grow_dual_trees(monkeypatch):
    monkeypatch.setattr(deciding.enveloped, "decided", unexpected)
    network = network_of("dense", np.random.default_rng(2))
    image = np.random.default_rng(2).random(SIDE * SIDE)
    label = int(network.predict(image))
    question = MinimalPerturbation(image, label, AnyTarget(), Norm.LINF, AbsoluteMargin(0.01))
    assert solve(network, question, Method("bnb")).status is Status.OPTIMAL


def test_what_scaling_lowers_is_not_searched_by_envelopes():
    network, question, _ = folded_question(2, Norm.LINF)
    conv, *others = network.layers
    large = Conv2d(1e6 * np.array(conv.weight), 1e6 * np.array(conv.bias), conv.windows)
    task, other = question.task(network), ReLUNetwork((large, *others))
    ends = box_of(task, 0.1)
    assert deciding._enveloped(network, task, ends) is not None
    scaled = deciding._enveloped(other, task, ends)
    assert scaled is None or deciding.takes(scaled[0])
