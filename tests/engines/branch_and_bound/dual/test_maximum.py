"""Worst cases over Linf balls against enumeration of all activation patterns."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.boxes import brute_slack, random_ball, random_network
from reluopt.answers.solution import Status
from reluopt.engines import get_engine
from reluopt.engines.base import EngineRequest
from reluopt.engines.options import EngineOptions
from reluopt.method import Method
from reluopt.networks.layers.base import Dense
from reluopt.networks.network import ReLUNetwork
from reluopt.pipeline import solve
from reluopt.questions.problems import (
    Alternative,
    Box,
    InputSet,
    LargestSlack,
    LinearForm,
    LogitConditions,
    Norm,
    Task,
    WorstCase,
)

SLOW = settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


def asked(seed, sizes, **settings_):
    generator = np.random.default_rng(seed)
    network = random_network(generator, sizes, integers=seed % 3 == 0)
    ball = random_ball(generator, network, Norm.LINF)
    return network, WorstCase(
        ball.image, ball.label, ball.eps, Norm.LINF, box=ball.box, **settings_
    )


@SLOW
@given(st.integers(0, 10**6), st.sampled_from([(2, 3, 2), (3, 4, 3, 3), (2, 5), (3, 2, 3, 2, 2)]))
def test_the_largest_lead_is_that_of_brute_force(seed, sizes):
    network, question = asked(seed, sizes)
    solution = solve(network, question, Method("bnb"))
    exact = brute_slack(network, question.task(network))
    assert solution.bound >= exact - 1e-7
    assert solution.status is Status.OPTIMAL
    assert solution.objective == pytest.approx(exact, abs=1e-6, rel=2e-6)


@SLOW
@given(st.integers(0, 10**6))
def test_the_largest_form_is_that_of_brute_force(seed):
    from reluopt.engines.branch_and_bound.dual.maximum import as_slack

    form = LinearForm(((0, 1.0), (1, -0.5)))
    network, question = asked(seed, (3, 4, 3, 2), objective=form)
    solution = solve(network, question, Method("bnb"))
    task = question.task(network)
    exact = brute_slack(network, as_slack(network, task))
    assert solution.status is Status.OPTIMAL
    assert solution.objective == pytest.approx(exact, abs=1e-6, rel=2e-6)


def test_a_worst_case_of_an_image_agrees_with_its_verdict(thesis, test_images):
    from reluopt.questions.problems import Verification

    image, label = test_images.image(0), test_images.label(0)
    worst = solve(thesis, WorstCase(image, label, 0.02), Method("bnb"))
    assert worst.status is Status.OPTIMAL
    assert worst.certified
    verdict = solve(thesis, Verification(image, label, 0.02))
    assert (verdict.status is Status.ROBUST) == (worst.objective < 0.0)


def test_conditions_are_left_to_others(thesis, test_images):
    question = WorstCase(test_images.image(0), 7, 0.02, objective=3, fooled=0.9)
    task = question.task(thesis)
    assert not get_engine("bnb").supports(task)
    assert get_engine("bnb").supports(replace(task, alternatives=()))


def test_many_conditions_do_not_round_the_bound_below_the_maximum():
    """1000 at x = 0.37, the least of 25 slacks 1000 + (x - 0.37) and 1000 - (x - 0.37)."""
    network = ReLUNetwork((Dense(np.eye(1), np.ones(1)), Dense(np.eye(1), -np.ones(1))))
    signs = np.where(np.arange(25) % 2, 1.0, -1.0)
    conditions = LogitConditions(signs[:, None], 0.37 * signs - 1000.0)
    inputs = InputSet(Box.unit(1), np.full(1, 0.5), Norm.LINF, 0.5)
    task = Task(LargestSlack(), inputs, (Alternative(0, conditions),))
    answer = get_engine("bnb").solve(EngineRequest(network, task, None, None, EngineOptions()))
    assert answer.bound >= 1000.0
    assert answer.bound == pytest.approx(1000.0, rel=1e-4)
