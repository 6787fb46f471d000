"""The check believes nobody."""

from dataclasses import replace

import numpy as np
import pytest

from reluopt.answers.check import check_logit, check_perturbation
from reluopt.answers.solution import Status, relative_gap
from reluopt.networks.layers.base import Dense
from reluopt.networks.metadata import ActivationSource
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.problems import (
    AbsoluteMargin,
    Alternative,
    BareRelativeMargin,
    Box,
    FixedTarget,
    MinimalPerturbation,
    Norm,
)
from reluopt.questions.tasks import Task


@pytest.fixture
def network() -> ReLUNetwork:
    """Logits (x, 1 - x)."""
    return ReLUNetwork((Dense(np.array([[1.0], [-1.0]]), np.array([0.0, 1.0])),))


def _task(network, margin=AbsoluteMargin(0.2)):
    problem = MinimalPerturbation(np.array([0.1]), 1, FixedTarget(0), Norm.L1, margin)
    task = problem.task(network)
    return task, task.alternatives[0]


def test_true_answer_is_certified(network):
    certificate = check_perturbation(network, *_task(network), np.array([0.6]))
    assert certificate.certified
    assert certificate.failures == ()
    assert certificate.predicted == 0
    assert certificate.objective == pytest.approx(0.5)
    assert certificate.margin == pytest.approx(0.0, abs=1e-12)
    assert certificate.lead == pytest.approx(0.2)


def test_wrong_label_fails(network):
    certificate = check_perturbation(network, *_task(network), np.array([0.4]))
    assert not certificate.certified
    assert "answers 1, not 0" in certificate.failures[0]


def test_tie_is_no_success(network):
    task, alternative = _task(network, BareRelativeMargin(0.0))
    certificate = check_perturbation(network, task, alternative, np.array([0.5]))
    assert certificate.lead == 0.0
    assert not certificate.certified


def test_margin_box_and_claims_fail(network):
    task, alternative = _task(network)
    assert "margin" in check_perturbation(network, task, alternative, np.array([0.55])).failures[0]
    assert "box" in check_perturbation(network, task, alternative, np.array([1.5])).failures[0]
    nan = check_perturbation(network, task, alternative, np.array([np.nan]))
    assert any("NaN" in failure for failure in nan.failures)
    liar = check_perturbation(network, task, alternative, np.array([0.6]), claimed_objective=0.3)
    assert "claimed objective" in liar.failures[0]


def test_logit_check(network):
    box = Box.unit(1)
    assert check_logit(network, box, 0, np.array([1.0]), 1.0).certified
    assert not check_logit(network, box, 0, np.array([1.0]), 1.1).certified


def test_gap():
    assert relative_gap(2.0, 1.0) == 0.5
    assert relative_gap(0.0, 0.0) == 0.0
    assert relative_gap(np.inf, 1.0) == np.inf
    assert {s.value for s in Status} >= {"OPTIMAL", "FEASIBLE", "INFEASIBLE", "TIME_LIMIT"}


@pytest.fixture
def overflowing() -> ReLUNetwork:
    """A network of finite weights whose logits overflow to infinity, NaN and a number."""
    first = Dense(np.full((2, 1), 1e308), np.zeros(2))
    last = Dense(np.array([[1e308, 0.0], [1e308, -1e308], [0.0, 0.0]]), np.zeros(3))
    return ReLUNetwork((first, last))


@pytest.mark.parametrize("target", [0, 1, 2])
def test_logits_that_are_not_finite_are_never_certified(overflowing, target):
    """NaN and infinity pass every test that asks whether something is wrong."""
    margin = AbsoluteMargin(0.1)
    task = Task.nearest(
        np.array([0.5]), Box.unit(1), Norm.L1, (Alternative(target, margin.conditions(target, 3)),)
    )
    certificate = check_perturbation(overflowing, task, task.alternatives[0], np.array([1.0]))
    assert not certificate.certified
    assert "2 of 3 logits are NaN or infinite" in certificate.failures
    assert not check_logit(overflowing, Box.unit(1), target, np.array([1.0])).certified
    claimed = check_logit(overflowing, Box.unit(1), target, np.array([1.0]), np.inf)
    assert not claimed.certified


def test_claims_that_are_no_numbers_fail(network):
    certificate = check_perturbation(
        network, *_task(network), np.array([0.6]), claimed_objective=np.nan
    )
    assert not certificate.certified
    assert not check_logit(network, Box.unit(1), 0, np.array([1.0]), np.nan).certified


def test_margins_of_tiny_logits_have_tolerances_of_their_size():
    """An absolute 1e-6 would take any image for a margin of 1e-8 among logits of 1e-7."""
    network = ReLUNetwork((Dense(np.array([[1e-7], [-1e-7]]), np.array([0.0, 1e-7])),))
    task, alternative = _task(network, AbsoluteMargin(1e-8))
    missed = check_perturbation(network, task, alternative, np.array([0.5 + 0.04]))
    assert missed.lead > 0.0
    assert "margin" in missed.failures[0]
    assert check_perturbation(network, task, alternative, np.array([0.5 + 0.06])).certified


@pytest.mark.parametrize("source", ActivationSource)
def test_a_certificate_tells_how_the_activation_is_known(network, source):
    known = ReLUNetwork(network.layers, replace(network.metadata, activation=source))
    found = check_perturbation(known, *_task(known), np.array([0.6]))
    assert found.activation is source
    assert check_logit(known, Box.unit(1), 0, np.array([1.0])).activation is source
