"""Which way boxes are searched."""

import numpy as np
import pytest

from helpers.convolutions import folded_question
from reluopt.answers.solution import Status
from reluopt.deadline import Deadline
from reluopt.engines.branch_and_bound.dual import deciding
from reluopt.engines.branch_and_bound.dual.attack import BoxAttack
from reluopt.engines.branch_and_bound.dual.deciding import Effort, decided
from reluopt.engines.options import EngineOptions
from reluopt.errors import InputError
from reluopt.method import Method
from reluopt.pipeline import solve
from reluopt.questions.problems import Norm


def box_of(task, radius):
    return np.maximum(task.image - radius, 0.0), np.minimum(task.image + radius, 1.0)


def refused(*_given, **_named):
    raise InputError("too many")


def unexpected(*_given):
    raise AssertionError("not this way")


def test_proofs_are_kept_without_envelopes(monkeypatch):
    monkeypatch.setattr(deciding.boxed, "decided", unexpected)
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
    monkeypatch.setattr(deciding, "folded_over", refused)
    for share in (0.5, 1.1):
        ends = box_of(task, share * distance)
        attack = BoxAttack(network, task.alternatives, *ends, 0)
        found = decided(network, task, ends, Deadline.after(60.0), attack, Effort())
        assert found.empty == (share < 1.0)
        assert (found.witness is not None) == (share > 1.0)
    with pytest.raises(InputError, match="too many"):
        decided(network, task, ends, Deadline.after(60.0), attack, Effort(keep=True))


def test_networks_that_are_dense_grow_dual_trees(monkeypatch):
    monkeypatch.setattr(deciding.boxed, "decided", unexpected)
    monkeypatch.setattr(deciding, "takes", lambda network: False)
    network, question, _ = folded_question(2, Norm.LINF)
    assert solve(network, question, Method("bnb")).status is Status.OPTIMAL
