"""Networks with poolings over balls: led and folded they compute the same, and distances stay."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import reluopt as ro
from helpers.convolutions import KINDS, SIDE, network_of
from reluopt.answers.solution import Status
from reluopt.engines.branch_and_bound import growth
from reluopt.engines.branch_and_bound.ball import bare_ball, folded
from reluopt.engines.branch_and_bound.dual import boxes
from reluopt.engines.branch_and_bound.dual import distance as distance_module
from reluopt.engines.branch_and_bound.dual.boxes import folded_over
from reluopt.engines.branch_and_bound.folding import is_folded
from reluopt.engines.branch_and_bound.frame import make_frame
from reluopt.engines.branch_and_bound.leading import led_over
from reluopt.engines.branch_and_bound.simplifying import bounded_over, is_simplified
from reluopt.engines.options import EngineOptions
from reluopt.method import Method
from reluopt.networks.layers.base import Dense
from reluopt.networks.layers.pooling import MaxPool2d
from reluopt.networks.layers.windows import Windows
from reluopt.networks.network import ReLUNetwork
from reluopt.pipeline import solve
from reluopt.questions.input_sets import InputSet
from reluopt.questions.problems import (
    AbsoluteMargin,
    AnyTarget,
    MinimalPerturbation,
    Norm,
    WorstCase,
)

POOLED = [kind for kind in KINDS if "pool" in kind]


def question_of(kind, seed, norm):
    random = np.random.default_rng(seed)
    network = network_of(kind, random)
    image = random.random(SIDE * SIDE)
    label = int(network.predict(image))
    return network, MinimalPerturbation(image, label, AnyTarget(), norm, AbsoluteMargin(0.01))


def changes_within(task, norm, radius, random, count):
    """Inputs of a ball cut by the box: some inside, most on the sphere."""
    for _ in range(count):
        change = random.normal(size=SIDE * SIDE) * (random.random(SIDE * SIDE) < 0.5)
        length = norm.lengths(change[None])[0]
        share = random.choice([random.random(), 1.0])
        yield task.box.clip(task.image + change * (share * radius / max(length, 1e-9)))


@given(
    st.integers(0, 10**6),
    st.sampled_from(POOLED),
    st.sampled_from([Norm.L1, Norm.L2]),
    st.sampled_from([0.01, 0.3, 2.0]),
)
@settings(max_examples=60, deadline=None)
def test_led_over_a_ball_a_network_computes_the_same_there(seed, kind, norm, radius):
    network, question = question_of(kind, seed, norm)
    task = question.task(network)
    frame = make_frame(network, task)
    ball = bare_ball(frame, radius)
    made = folded(frame, ball, leads=True)
    assert made.judge == frame.judge
    assert made.fold_radius == radius
    inputs = InputSet(task.box, np.array(task.image), norm, radius)
    bounded = bounded_over(network, task, inputs)
    assert bounded.is_led
    assert not bounded.is_empty
    random = np.random.default_rng(seed)
    for point in changes_within(task, norm, radius, random, 20):
        true = network.forward(point)
        assert np.abs(made.network.forward(point) - true).max() < 1e-11
        values, found = point, []
        for layer in bounded.network.affine_layers:
            values = layer.forward(values)
            found.append(values)
            values = np.maximum(values, 0.0)
        assert (np.concatenate(found) >= bounded.lower - 1e-12).all()
        assert (np.concatenate(found) <= bounded.upper + 1e-12).all()
    led = led_over(network, inputs)
    for old, new in zip(task.alternatives, bounded.task.alternatives, strict=True):
        given = np.abs(old.conditions.matrix) @ led.errors
        assert (new.conditions.rhs <= old.conditions.rhs - given).all()


def test_fewer_neurons_are_undecided_than_of_a_tournament():
    for kind in POOLED:
        counts = []
        for seed in range(5):
            network, question = question_of(kind, seed, Norm.L2)
            frame = make_frame(network, question.task(network))
            ball = bare_ball(frame, 0.1)
            led = folded(frame, ball, leads=True)
            bounds = bare_ball(led, 0.1)
            counts.append(
                [
                    np.count_nonzero(one.undecided(own.lower, own.upper))
                    for one, own in ((led, bounds), (frame, ball))
                ]
            )
        led_ones, others = np.sum(counts, axis=0)
        assert led_ones < 0.8 * others


def distance(network, question, engine="bnb", **extra):
    options = EngineOptions(time_limit=60.0, extra=extra)
    answer = solve(network, question, Method(engine, options=options))
    assert answer.status in (Status.OPTIMAL, Status.INFEASIBLE)
    return answer.objective


@pytest.mark.parametrize("kind", POOLED)
@pytest.mark.parametrize("norm", [Norm.L1, Norm.L2], ids=str)
def test_distances_are_those_of_the_network_as_it_lowers(kind, norm):
    """Searches that keep a proof know nothing of leading pieces."""
    seeds = (1, 3, 5) if norm is Norm.L1 else (1,)  # in L2 proofs take ten times as long
    for seed in seeds:
        network, question = question_of(kind, seed, norm)
        expected = distance(network, question, proof=True)
        assert distance(network, question) == pytest.approx(expected, rel=2e-6, abs=1e-9)


def scaled_network(random):
    """Dense layers about a pool, each with weights up to a thousand times as large or small."""
    sizes, pool = (6, 8, 8), MaxPool2d(Windows((2, 2, 2), (1, 2), (1, 1)))
    before = [Dense(random.normal(size=(n, m)), random.normal(size=n)) for m, n in pairwise(sizes)]
    behind = [
        Dense(random.normal(size=(n, m)), random.normal(size=n))
        for m, n in pairwise((pool.output_size, 4, 3))
    ]
    total, layers = 1.0, []
    for layer in (*before, *behind):
        scale = 10.0 ** random.uniform(-3.0, 3.0)
        total *= scale
        layers.append(Dense(scale * layer.weight, total * layer.bias))
    return ReLUNetwork((*layers[:2], pool, *layers[2:])), total


@pytest.mark.parametrize("norm", [Norm.L1, Norm.L2], ids=str)
def test_extreme_scales_are_settled_as_those_of_the_network_as_it_lowers(norm):
    """Led conditions are weaker by roundings that grow with the scales: images are repaired."""
    settled = 0
    for seed in (*range(8), 134, 136) if norm is Norm.L1 else range(5):
        random = np.random.default_rng(seed)
        network, scale = scaled_network(random)
        image = random.random(6)
        label = int(network.predict(image))
        question = MinimalPerturbation(
            image, label, AnyTarget(), norm, AbsoluteMargin(1e-3 * scale)
        )
        answers = []
        for proof in (True, False):
            options = EngineOptions(time_limit=60.0, extra={"proof": True} if proof else {})
            answers.append(solve(network, question, Method("bnb", options=options)))
        expected, found = answers
        if expected.status is Status.OPTIMAL:
            assert found.status is Status.OPTIMAL
            assert found.objective == pytest.approx(expected.objective, rel=5e-6, abs=1e-9)
            settled += 1
    assert settled >= (5 if norm is Norm.L1 else 2)


def test_linear_regions_are_walked_as_in_any_small_network(monkeypatch):
    """If only one region were walked, each new image would be nearer by one gap alone."""
    network, question = question_of("pool", 1, Norm.LINF)
    asked, walk = [], distance_module.improve_by_linear_regions

    def counted(network, task, start, most=None, **how):
        asked.append(most)
        return walk(network, task, start, most, **how)

    monkeypatch.setattr(distance_module, "improve_by_linear_regions", counted)
    distance(network, question)
    assert set(asked) == {None}


def test_what_conditions_are_weakened_by_is_known():
    network, question = question_of("pool", 1, Norm.L1)
    frame = make_frame(network, question.task(network))
    made = folded(frame, bare_ball(frame, 0.3), leads=True)
    assert frame.room == 0.0
    assert 0.0 < made.room < 1e-10


@pytest.mark.parametrize("norm", [Norm.L1, Norm.LINF], ids=str)
def test_distances_are_those_of_highs(norm):
    network, question = question_of("pool before a ReLU", 2, norm)
    expected = distance(network, question, "highs")
    assert distance(network, question) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("norm", [Norm.L1, Norm.L2, Norm.LINF], ids=str)
def test_verdicts_agree_with_distances(norm):
    network, question = question_of("pool", 5, norm)
    tied = MinimalPerturbation(
        question.image, question.label, AnyTarget(), norm, AbsoluteMargin(1e-6)
    )
    nearest = distance(network, tied)
    length = np.sqrt(nearest) if norm is Norm.L2 else nearest
    for share, robust in ((0.9, True), (1.1, False)):
        found = ro.verify(network, question.image, share * length, norm, label=question.label)
        assert found.robust is robust


def test_small_networks_with_poolings_are_led_where_no_proof_is_kept():
    network, question = question_of("pool", 0, Norm.LINF)
    dense = network_of("dense", np.random.default_rng(0))
    assert is_simplified(network, keeps_proof=False)
    assert not is_simplified(network, keeps_proof=True)
    assert not is_simplified(dense, keeps_proof=False)
    ends = question.image - 0.4, question.image + 0.4
    task = question.task(network)
    assert folded_over(network, task, ends, keeps_proof=True).network is network
    made = folded_over(network, task, ends, keeps_proof=False)
    assert made.is_led
    assert not made.empty


@pytest.mark.parametrize("norm", [Norm.L1, Norm.L2, Norm.LINF], ids=str)
def test_worst_cases_are_those_of_the_network_as_it_lowers(norm, monkeypatch):
    network, question = question_of("pool before a ReLU", 1, norm)
    radius = {Norm.L1: 0.2, Norm.L2: 0.05, Norm.LINF: 0.02}[norm]
    asked = WorstCase(question.image, question.label, radius, norm)
    values = []
    for led in (True, False):
        if not led:
            for module in (growth, boxes):
                monkeypatch.setattr(
                    module, "is_simplified", lambda own, _=None, **__: is_folded(own)
                )
        found = solve(network, asked, Method("bnb", options=EngineOptions(time_limit=60.0)))
        assert found.status is Status.OPTIMAL
        values.append(found.objective)
    assert values[0] == pytest.approx(values[1], rel=1e-5)


def test_poolings_that_cannot_be_led_are_searched_as_they_lower():
    """Two affine maps behind a pool are merged, rounded in another order: it is not led."""
    network, question = question_of("pool before a ReLU", 1, Norm.L1)
    (chain, last) = network.layers
    parts = (*chain.parts, Dense(np.eye(5), np.zeros(5)))
    other = ReLUNetwork((type(chain)(parts), last))
    assert not is_simplified(other, keeps_proof=False)
    assert distance(other, question) == pytest.approx(distance(network, question), rel=2e-6)
    linf = MinimalPerturbation(question.image, question.label, AnyTarget(), Norm.LINF)
    ends = question.image - 0.02, question.image + 0.02
    assert folded_over(other, linf.task(other), ends, keeps_proof=False).network is other
