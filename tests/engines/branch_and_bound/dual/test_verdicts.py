"""Verdicts and Linf distances against enumeration of all activation patterns."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.boxes import brute_linf, brute_slack, random_ball, random_network
from reluopt.answers.solution import Incumbent, Status
from reluopt.deadline import NEVER, Deadline
from reluopt.engines.base import EngineRequest
from reluopt.engines.branch_and_bound.driver import BranchAndBoundEngine
from reluopt.engines.branch_and_bound.dual.attack import BoxAttack
from reluopt.engines.branch_and_bound.dual.domains import BoxDomain
from reluopt.engines.branch_and_bound.dual.verdict import DomainSearch
from reluopt.engines.options import EngineOptions
from reluopt.method import Method
from reluopt.networks.layers.base import Dense
from reluopt.networks.network import ReLUNetwork
from reluopt.pipeline import solve
from reluopt.questions.problems import (
    AbsoluteMargin,
    AnyTarget,
    Box,
    LogitConditions,
    MinimalPerturbation,
    Norm,
    RelativeMargin,
    ShiftTarget,
    Verification,
)
from reluopt.questions.tasks import Alternative

ENGINE = BranchAndBoundEngine()
CLOSE = 1e-7
"""Slacks this near to zero are left to rounding: the brute force keeps rows to 1e-7 itself."""

SLOW = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


def claim(network, task, **options):
    return ENGINE.solve(EngineRequest(network, task, None, None, EngineOptions(**options)))


@SLOW
@given(st.integers(0, 10**6), st.sampled_from([(2, 3, 2), (3, 4, 3, 3), (2, 5), (3, 2, 3, 2, 2)]))
def test_verdicts_in_linf_are_those_of_brute_force(seed, sizes):
    generator = np.random.default_rng(seed)
    network = random_network(generator, sizes, integers=seed % 2 == 0)
    question = random_ball(generator, network, Norm.LINF)
    task = question.task(network)
    answer, exact = claim(network, task), brute_slack(network, task)
    if answer.status is Status.INFEASIBLE:
        assert exact < CLOSE
        assert exact <= answer.bound + CLOSE
        assert answer.bound < 0.0
    elif answer.status is Status.FEASIBLE:
        assert exact > -CLOSE
        assert np.abs(answer.image - task.inputs.center).max() <= question.eps + 1e-12
        logits = network.forward(answer.image)
        alternative = task.alternatives[answer.alternative]
        assert alternative.conditions.slack(logits).min() >= 0.0
    else:
        assert abs(exact) < CLOSE


@SLOW
@given(st.integers(0, 10**6), st.sampled_from(["l1", "l2"]))
def test_verdicts_in_l1_and_l2_agree_with_distances(seed, norm):
    generator = np.random.default_rng(seed)
    network = random_network(generator, (3, 4, 3, 3))
    question = random_ball(generator, network, parse(norm))
    task = question.task(network)
    answer = claim(network, task)
    if norm == "l1":
        exact = brute_slack(network, task)
        assert exact < CLOSE if answer.status is Status.INFEASIBLE else exact > -CLOSE
    nearest = solve(
        network,
        MinimalPerturbation(question.image, question.label, AnyTarget(), norm, RelativeMargin(0.0)),
    )
    if nearest.certificate is not None and answer.status is Status.INFEASIBLE:
        assert nearest.certificate.distance > question.eps
    assert answer.status in (Status.INFEASIBLE, Status.FEASIBLE)


def parse(norm):
    return Norm(norm)


@SLOW
@given(
    st.integers(0, 10**6),
    st.sampled_from([AnyTarget(), ShiftTarget(1)]),
    st.sampled_from([0.0, 0.2]),
    st.sampled_from([(2, 3, 3), (3, 4, 3, 3)]),
)
def test_linf_distances_are_those_of_brute_force(seed, target, fraction, sizes):
    generator = np.random.default_rng(seed)
    network = random_network(generator, sizes, integers=seed % 3 == 0)
    image = generator.random(sizes[0])
    question = MinimalPerturbation(
        image, int(network.predict(image)), target, Norm.LINF, RelativeMargin(fraction)
    )
    exact = brute_linf(network, question.task(network))
    solution = solve(network, question, Method("bnb"))
    if exact == math.inf:
        assert solution.status is Status.INFEASIBLE
        return
    assert solution.status is Status.OPTIMAL
    assert solution.objective == pytest.approx(exact, abs=1e-6)
    assert solution.bound <= exact + CLOSE


def test_what_is_excluded_holds_nothing_whatever_ends_the_search():
    """A witness leaves trees in pieces: only what was settled before it counts."""
    witnesses, excluded = 0, 0
    for seed in range(20):
        generator = np.random.default_rng(seed)
        network = random_network(generator, (2, 4, 2, 4))
        task = random_ball(generator, network, Norm.LINF).task(network)
        attack = BoxAttack(network, task.alternatives, *task.inputs.ends, seed, rising=(1,))
        given = network, BoxDomain(*task.inputs.ends), task.alternatives, NEVER
        decision = DomainSearch(*given, attack=attack).run()
        for place in decision.excluded:
            alone = replace(task, alternatives=(task.alternatives[place],))
            assert brute_slack(network, alone) < CLOSE
        witnesses += decision.witness is not None
        excluded += len(decision.excluded)
        assert not decision.empty or len(decision.excluded) == len(task.alternatives)
    assert min(witnesses, excluded) > 0


def test_a_tie_counts_against_robustness():
    network = random_network(np.random.default_rng(0), (2, 2), integers=True)
    flat = type(network)((type(network.layers[0])(np.zeros((2, 2)), np.zeros(2)),))
    solution = solve(flat, Verification(np.full(2, 0.5), 0, 0.1), Method("bnb"))
    assert solution.status is Status.NOT_ROBUST
    assert solution.objective == 0.0


def test_a_misread_image_is_its_own_witness(thesis):
    image = np.zeros(784)
    wrong = (int(thesis.predict(image)) + 1) % 10
    solution = solve(thesis, Verification(image, wrong, 0.1))
    assert solution.status is Status.NOT_ROBUST
    assert solution.certificate.distance == 0.0
    assert solution.nodes == 0


def test_a_ball_of_radius_zero_is_its_centre(thesis):
    image = np.full(784, 0.25)
    solution = solve(thesis, Verification(image, int(thesis.predict(image)), 0.0))
    assert solution.status is Status.ROBUST
    assert solution.bound < 0.0


def test_without_time_nothing_is_decided_but_the_bound_holds():
    generator = np.random.default_rng(3)
    network = random_network(generator, (30, 40, 40, 4))
    image = generator.random(30)
    question = Verification(image, int(network.predict(image)), 0.02)
    answer = claim(network, question.task(network), time_limit=1e-9)
    points = image + generator.uniform(-0.02, 0.02, (2000, 30))
    logits = network.forward(np.clip(points, 0.0, 1.0))
    lead = np.delete(logits, question.label, axis=1).max(axis=1) - logits[:, question.label]
    assert answer.bound >= lead.max()


def test_the_box_may_be_any(thesis):
    image = np.full(784, 2.0)
    box = Box(np.full(784, -1.0), np.full(784, 3.0))
    solution = solve(thesis, Verification(image, int(thesis.predict(image)), 1e-3, box=box))
    assert solution.status is Status.ROBUST


@pytest.mark.parametrize("norm", list(Norm))
@pytest.mark.parametrize("eps", [0.0, 1e-12, 1e-7])
def test_tiny_balls_are_decided(thesis, test_images, norm, eps):
    image, label = test_images.image(0), test_images.label(0)
    assert solve(thesis, Verification(image, label, eps, norm)).status is Status.ROBUST


def test_a_distance_below_the_floor_of_the_gap_is_no_bound_of_its_own():
    """The gap closes by its floor; the bound stays what is proven."""
    weight, bias = np.array([[1.0], [-1.0]]), np.array([0.0, 4e-10])
    network = ReLUNetwork((Dense(weight, bias),))
    question = MinimalPerturbation(np.zeros(1), 1, AnyTarget(), Norm.LINF, AbsoluteMargin(1e-12))
    task = question.task(network)
    best = Incumbent(np.full(1, 9e-9), 9e-9, 0)
    request = EngineRequest(network, task, None, None, EngineOptions(gap=1e-2), incumbent=best)
    assert ENGINE.solve(request).bound <= 2.1e-10


def pairs(network, label):
    """Alternatives of two conditions each, which no tree is shared by."""
    others = [t for t in range(network.output_size) if t != label]
    unit = np.eye(network.output_size)
    rows = [np.array([unit[t] - unit[label], unit[t] - unit[u]]) for t in others for u in others]
    return [Alternative(0, LogitConditions(row, np.zeros(2))) for row in rows if row[1].any()]


@pytest.mark.parametrize(("eps", "limit"), [(0.6, math.inf), (1e-9, 0.0)])
def test_no_tree_is_planted_after_a_witness_or_the_deadline(monkeypatch, eps, limit):
    generator = np.random.default_rng(1)
    network = random_network(generator, (4, 8, 8, 4))
    image = generator.random(4)
    alternatives = pairs(network, int(network.predict(image)))
    ends = image - eps, image + eps
    planted = DomainSearch._planted
    late = []

    def noted(search, chain, group):
        late.append(search.decision.witness is not None or search._deadline.passed)
        return planted(search, chain, group)

    monkeypatch.setattr(DomainSearch, "_planted", noted)
    attack = BoxAttack(network, alternatives, *ends, 0, (1,))
    attack.starts = lambda *_: (np.zeros((0, 4), dtype=np.float32), np.zeros(0, dtype=np.int64))
    found = DomainSearch(
        network, BoxDomain(*ends), alternatives, Deadline.after(limit), attack=attack
    ).run()
    assert not any(late[1:])
    assert not found.empty
    assert (found.witness is None) == (limit == 0.0)
    assert found.slack == math.inf
