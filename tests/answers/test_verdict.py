"""What may be claimed: nothing that rests on a number that is none."""

import math

import numpy as np
import pytest

from reluopt.answers.answer import EngineAnswer
from reluopt.answers.solution import Incumbent, Status
from reluopt.answers.verdict import (
    Claim,
    best_answer,
    compare_logits,
    judged,
    verdict,
    verdict_of_maximum,
    verdict_without_image,
)
from reluopt.engines.options import EngineOptions
from reluopt.errors import InputError
from reluopt.networks.layers.base import Dense
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.problems import (
    AbsoluteMargin,
    Box,
    FixedTarget,
    LinearForm,
    MinimalPerturbation,
    Norm,
    Verification,
    WorstCase,
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


def _asked(decides=True, eps=0.3):
    """The slack of x is 1 - 2 x: at 0.8 it is -0.6, and 0 at most within 0.3."""
    asked = Verification(np.array([0.8]), 0, eps) if decides else WorstCase(np.array([0.8]), 0, eps)
    return asked.task(NETWORK)


def _judged(task, images=(), **answer):
    claimed = EngineAnswer(
        **{"status": Status.TIME_LIMIT, "image": None, "alternative": 0} | answer
    )
    found = [Incumbent(np.array([image]), 0.0, 0) for image in images]
    return judged(Claim(NETWORK, task, claimed, found, EngineOptions().gap))


def test_a_verdict_needs_a_bound_below_zero_or_a_checked_witness():
    nothing = {"objective": -math.inf}
    robust = _judged(_asked(eps=0.1), bound=-0.4, status=Status.INFEASIBLE, **nothing)
    assert robust.status is Status.ROBUST
    assert robust.objective == -math.inf
    assert _judged(_asked(), bound=0.2, **nothing).status is Status.UNDECIDED
    assert _judged(_asked(), bound=0.0, **nothing).status is Status.UNDECIDED
    found = _judged(_asked(eps=0.4), [0.45], bound=math.inf, objective=0.1)
    assert found.status is Status.NOT_ROBUST
    assert found.objective == pytest.approx(0.1)
    assert found.certificate.distance == pytest.approx(0.35)
    assert found.target == 1


def test_a_tie_counts_against_robustness():
    network = ReLUNetwork((Dense(np.array([[1.0], [1.0]]), np.zeros(2)),))
    task = Verification(np.array([0.5]), 0, 0.0).task(network)
    claim = EngineAnswer(Status.FEASIBLE, None, 0, 0.0, math.inf)
    found = judged(Claim(network, task, claim, [Incumbent(np.array([0.5]), 0.0, 0)], 1e-6))
    assert found.status is Status.NOT_ROBUST
    assert found.objective == 0.0
    assert found.certificate.distance == 0.0


def test_a_verdict_that_contradicts_itself_is_numerical():
    both = _judged(_asked(eps=0.5), [0.4], bound=-0.1, objective=0.2, status=Status.INFEASIBLE)
    assert both.status is Status.NUMERICAL
    assert "excludes a checked input" in both.message
    for bound in (math.nan, 0.1, math.inf):
        claimed = _judged(_asked(), bound=bound, objective=-math.inf, status=Status.INFEASIBLE)
        assert claimed.status is Status.NUMERICAL
        assert claimed.message
    broken = _judged(_asked(), bound=-0.1, objective=-math.inf, status=Status.NUMERICAL)
    assert broken.status is Status.NUMERICAL


@pytest.mark.parametrize("image", [0.3, -0.2, math.nan, 0.75])
def test_images_outside_ball_or_box_and_images_that_miss_are_no_witnesses(image):
    refused = _judged(_asked(), [image], bound=math.inf, objective=0.1, status=Status.FEASIBLE)
    assert refused.status is Status.NUMERICAL
    assert "refused" in refused.message
    assert not refused.certified
    missed = _judged(_asked(), [image], bound=math.inf, objective=-0.1)
    assert missed.status is Status.UNDECIDED
    assert missed.image is None


def test_the_largest_slack_is_optimal_when_its_gap_is_closed():
    task = _asked(decides=False)
    closed = _judged(task, [0.6, 0.5], bound=0.0, objective=0.0, status=Status.OPTIMAL)
    assert closed.status is Status.OPTIMAL
    assert closed.objective == 0.0
    assert closed.image.tolist() == [0.5]
    assert closed.target == 1
    assert _judged(task, [0.6], bound=0.0, objective=-0.2).status is Status.FEASIBLE
    assert _judged(task, [0.5], bound=-0.1, objective=0.0).status is Status.NUMERICAL
    assert _judged(task, [0.5], bound=math.nan, objective=0.0).status is Status.NUMERICAL
    assert _judged(task, [0.2], bound=0.7, objective=0.6).status is Status.NUMERICAL
    assert _judged(task, bound=0.0, objective=-math.inf).objective == -math.inf


def test_a_form_needs_its_conditions():
    form = LinearForm(((0, 1.0),))
    task = WorstCase(np.array([0.8]), 0, 0.5, objective=form, fooled=0.5).task(NETWORK)
    met, missed = (
        _judged(task, [0.3], bound=0.3, objective=0.3),
        _judged(task, [0.8], bound=0.8, objective=0.8),
    )
    assert met.status is Status.OPTIMAL
    assert missed.status is Status.NUMERICAL
    assert "no alternative is met" in missed.message
    empty = _judged(task, bound=-math.inf, objective=-math.inf, status=Status.INFEASIBLE)
    assert empty.status is Status.INFEASIBLE


def test_a_worst_case_may_be_a_logit_or_the_lead_of_one_label():
    image = np.array([0.8])
    lead = WorstCase(image, 0, 0.5, target=1).task(NETWORK)
    assert lead.maximises_slack
    assert [each.target for each in lead.alternatives] == [1]
    assert WorstCase(image, 0, 0.5, objective=1).task(NETWORK).form.label == 1
    for wrong, message in (
        ({"target": 0}, "target: expected a label other than 0"),
        ({"target": 1, "objective": 1}, "target: expected without an objective"),
        ({"fooled": 0.9}, "fooled: expected with an objective"),
    ):
        with pytest.raises(InputError, match=message):
            WorstCase(image, 0, 0.5, **wrong).task(NETWORK)
