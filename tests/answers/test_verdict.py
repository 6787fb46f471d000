"""What may be claimed: nothing that rests on a number that is none."""

import math

import numpy as np
import pytest

from reluopt.answers.answer import EngineAnswer
from reluopt.answers.solution import Incumbent, Status
from reluopt.answers.verdict import (
    best_answer,
    compare_logits,
    verdict,
    verdict_of_maximum,
    verdict_without_image,
)
from reluopt.engines.options import EngineOptions
from reluopt.networks.layers.base import Dense
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.problems import (
    AbsoluteMargin,
    Box,
    FixedTarget,
    MinimalPerturbation,
    Norm,
)

NETWORK = ReLUNetwork((Dense(np.array([[1.0], [-1.0]]), np.array([0.0, 1.0])),))
TASK = MinimalPerturbation(np.array([0.1]), 1, FixedTarget(0), Norm.L1, AbsoluteMargin(0.2)).task(
    NETWORK
)


def _answer(bound, status=Status.OPTIMAL):
    return EngineAnswer(status, np.array([0.6]), 0, 0.5, bound)


def _best(image=0.6):
    point = np.array([image])
    return best_answer(NETWORK, TASK, [Incumbent(point, TASK.objective(point), 0)], bare=False)


@pytest.mark.parametrize(
    ("bound", "status"),
    [
        (0.5, Status.OPTIMAL),
        (0.4, Status.FEASIBLE),
        (-math.inf, Status.FEASIBLE),
        (0.6, Status.NUMERICAL),
        (math.inf, Status.NUMERICAL),
        (math.nan, Status.NUMERICAL),
    ],
)
def test_bounds(bound, status):
    assert verdict(_answer(bound), _best(), EngineOptions().gap, bare=False)[0] is status


def test_images_that_are_no_numbers_are_no_answers():
    best = _best(math.nan)
    assert not best.certificate.certified
    assert verdict(_answer(0.0), best, EngineOptions().gap, bare=True)[0] is Status.NUMERICAL


@pytest.mark.parametrize("bound", [math.nan, 1.0])
@pytest.mark.parametrize("claim", [Status.OPTIMAL, Status.FEASIBLE])
def test_nothing_is_optimal_without_an_image(bound, claim):
    assert verdict_without_image(_answer(bound, claim))[0] is Status.NUMERICAL
    assert verdict(_answer(bound, claim), None, EngineOptions().gap, False)[0] is Status.NUMERICAL


def test_infeasible_needs_a_bound_that_is_a_number():
    assert verdict_without_image(_answer(math.nan, Status.INFEASIBLE))[0] is Status.NUMERICAL
    assert verdict_without_image(_answer(math.inf, Status.INFEASIBLE))[0] is Status.INFEASIBLE


def test_a_maximum_with_a_bound_that_is_no_number_is_numerical():
    certificate = compare_logits(NETWORK, Box.unit(1), np.array([1.0]), np.array([1.0, 0.0]))
    assert certificate.certified
    claims = (
        verdict_of_maximum(_answer(b), certificate, EngineOptions().gap) for b in (1.0, math.nan)
    )
    assert [claim[0] for claim in claims] == [Status.OPTIMAL, Status.NUMERICAL]


@pytest.mark.parametrize("output", [math.nan, math.inf, 1.1])
def test_logits_of_a_program_that_are_no_numbers_differ(output):
    certificate = compare_logits(NETWORK, Box.unit(1), np.array([1.0]), np.array([output, 0.0]))
    assert not certificate.certified
