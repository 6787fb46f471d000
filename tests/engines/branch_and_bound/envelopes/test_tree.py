"""Answers by envelopes are those of other engines, and of the network."""

import time

import numpy as np
import pytest

from helpers.convolutions import SIDE, network_of
from reluopt.answers.solution import Status
from reluopt.deadline import Deadline
from reluopt.engines.branch_and_bound import growth
from reluopt.engines.branch_and_bound.corners.units import units_of
from reluopt.engines.branch_and_bound.dual import enveloped
from reluopt.engines.branch_and_bound.dual.attack import BoxAttack
from reluopt.engines.branch_and_bound.dual.deciding import Effort, decided
from reluopt.engines.branch_and_bound.envelopes import tree as tree_module
from reluopt.engines.branch_and_bound.envelopes.nearest import nearest_tree, takes
from reluopt.engines.branch_and_bound.envelopes.patches import Changes, patches_of
from reluopt.engines.branch_and_bound.envelopes.program import NOTHING, EnvelopeProgram, Outcome
from reluopt.engines.branch_and_bound.envelopes.reading import split
from reluopt.engines.branch_and_bound.envelopes.tree import takes as takes_network
from reluopt.engines.branch_and_bound.forest import find_incumbents
from reluopt.engines.branch_and_bound.frame import make_frame
from reluopt.engines.branch_and_bound.search import Search
from reluopt.engines.options import EngineOptions
from reluopt.method import Method
from reluopt.networks.layers.base import Dense
from reluopt.networks.layers.conv2d import Conv2d
from reluopt.networks.layers.windows import Windows
from reluopt.networks.network import ReLUNetwork
from reluopt.pipeline import solve
from reluopt.questions.problems import (
    AbsoluteMargin,
    AnyTarget,
    MinimalPerturbation,
    Norm,
    Verification,
    WorstCase,
)

KINDS = ("pool", "pool of pools", "no pool", "one layer")


def question_of(kind, seed, norm):
    random = np.random.default_rng(seed)
    if kind in ("no pool", "one layer"):
        windows = Windows((1, SIDE, SIDE), (3, 3), (2, 2))
        conv = Conv2d(random.normal(size=(2, 1, 3, 3)), random.normal(size=2), windows)
        sizes = [(4, 8), (3, 4)] if kind == "no pool" else [(3, 8)]
        dense = [Dense(random.normal(size=s), random.normal(size=s[0])) for s in sizes]
        network = ReLUNetwork((conv, *dense))
    else:
        network = network_of(kind, random)
    image = random.random(SIDE * SIDE)
    label = int(network.predict(image))
    return network, MinimalPerturbation(image, label, AnyTarget(), norm, AbsoluteMargin(0.01))


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_distances_in_l1_are_those_of_programs(kind, seed):
    network, question = question_of(kind, seed, Norm.L1)
    task = question.task(network)
    frame = make_frame(network, task)
    assert takes(frame)
    search = Search(frame, 1e-6, Deadline(time.perf_counter() + 60.0))
    find_incumbents(search, 0)
    exact = solve(network, question, Method("highs"))
    if exact.status is Status.INFEASIBLE:
        assert search.best is None
        return
    tree = nearest_tree(search, 0.0)
    assert tree.bound >= search.cutoff
    assert search.objective == pytest.approx(exact.objective, rel=1e-5, abs=1e-6)
    assert tree.bound <= exact.objective * (1.0 + 1e-9)
    slack = task.alternatives[search.best.alternative].conditions.slack(
        network.forward(search.best.image)
    )
    assert slack.min() >= 0.0


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_verdicts_over_boxes_turn_at_the_distance_that_programs_find(kind, seed):
    network, question = question_of(kind, seed, Norm.LINF)
    task = question.task(network)
    exact = solve(network, question, Method("highs"))
    for share in (0.5, 0.99, 1.01) if exact.status is Status.OPTIMAL else ():
        radius = share * exact.objective
        ends = np.maximum(task.image - radius, 0.0), np.minimum(task.image + radius, 1.0)
        attack = BoxAttack(network, task.alternatives, *ends, 0)
        found = enveloped.decided(network, task, ends, Deadline.after(60.0), attack)
        assert found.empty == (share < 1.0)
        if share > 1.0:
            assert found.witness is not None
            assert (found.witness.image >= ends[0]).all()
            assert (found.witness.image <= ends[1]).all()
            asked = task.alternatives[found.witness.alternative].conditions
            assert asked.slack(network.forward(found.witness.image)).min() >= 0.0


@pytest.fixture
def trees(monkeypatch):
    """The trees that searches in L1 have grown, of networks of any size."""
    made, grow = [], growth.enveloped.nearest_tree

    def noted(*given):
        made.append(grow(*given))
        return made[-1]

    monkeypatch.setattr(growth, "LIGHT", -1)
    monkeypatch.setattr(growth.enveloped, "nearest_tree", noted)
    return made


@pytest.mark.parametrize("norm", [Norm.L1, Norm.LINF], ids=str)
def test_the_engine_takes_them(norm, trees):
    for seed in range(3):
        network, question = question_of("pool", seed, norm)
        found = solve(network, question, Method("bnb"))
        exact = solve(network, question, Method("highs"))
        assert found.proven
        assert found.objective == pytest.approx(exact.objective, rel=1e-5, abs=1e-6)
    assert bool(trees) == (norm is Norm.L1)


def test_verdicts_within_l1_balls_are_those_of_programs(trees):
    network, question = question_of("pool", 1, Norm.L1)
    distance = solve(network, question, Method("highs")).objective
    for share in (0.8, 1.1):
        trees.clear()
        asked = Verification(question.image, question.label, share * distance, Norm.L1)
        found, exact = (solve(network, asked, Method(name)) for name in ("bnb", "highs"))
        assert found.status is exact.status
        assert trees or found.image is not None  # an attack may find it


def test_worst_cases_over_l1_balls_are_those_of_programs(trees):
    network, question = question_of("pool", 1, Norm.L1)
    asked = WorstCase(question.image, question.label, 0.5, Norm.L1)
    found = solve(network, asked, Method("bnb"))
    exact = solve(network, asked, Method("highs"))
    assert found.proven
    assert found.objective == pytest.approx(exact.objective, rel=1e-5, abs=1e-6)
    assert trees


def test_proofs_in_l1_are_kept_without_envelopes(trees):
    network, question = question_of("pool", 1, Norm.L1)
    options = EngineOptions(time_limit=5.0, extra={"proof": True})
    solve(network, question, Method("bnb", options=options))
    assert not trees


@pytest.mark.parametrize("norm", [Norm.L1, Norm.LINF], ids=str)
def test_nothing_is_lost_when_time_ends(norm):
    network, question = question_of("pool", 1, norm)
    task = question.task(network)
    exact = solve(network, question, Method("highs")).objective
    if norm is Norm.L1:
        search = Search(make_frame(network, task), 1e-6, Deadline(time.perf_counter() + 60.0))
        find_incumbents(search, 0)
        search.deadline = Deadline.after(0.0)
        tree = nearest_tree(search, 0.1 * exact)
        assert tree.bound == pytest.approx(0.1 * exact)
        return
    ends = np.maximum(task.image - 0.9 * exact, 0.0), np.minimum(task.image + 0.9 * exact, 1.0)
    attack = BoxAttack(network, task.alternatives, *ends, 0)
    found = enveloped.decided(network, task, ends, Deadline.after(0.0), attack)
    assert found.witness is None
    assert found.slack == np.inf
    assert not found.empty


def test_which_networks_are_taken():
    random = np.random.default_rng(0)
    assert not takes_network(network_of("dense", random))
    assert not takes_network(network_of("pool before a ReLU", random))
    network, question = question_of("pool", 0, Norm.L2)
    assert takes_network(network)
    for name, most in (("MOST_SEEN", 8), ("MOST_PIECES", 31), ("MOST_NEURONS", 4)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tree_module, name, most)
            assert not takes_network(network)
            patch.setattr(tree_module, name, most + 1)
            assert takes_network(network)
    assert not takes(make_frame(network, question.task(network)))


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_networks_of_unusual_scales_inside_are_answered(factor):
    for seed in (1048, 1056):
        network, question = question_of("one layer", seed, Norm.LINF)
        conv, last = network.layers
        scaled = Conv2d(factor * np.array(conv.weight), factor * np.array(conv.bias), conv.windows)
        dense = Dense(np.array(last.weight) / factor, np.array(last.bias))
        other = ReLUNetwork((scaled, dense))
        task = question.task(other)
        exact = solve(network, question, Method("highs"))
        for share in (0.99, 1.01) if exact.status is Status.OPTIMAL else ():
            radius = share * exact.objective
            ends = np.maximum(task.image - radius, 0.0), np.minimum(task.image + radius, 1.0)
            attack = BoxAttack(other, task.alternatives, *ends, 0)
            found = decided(other, task, ends, Deadline.after(60.0), attack, Effort())
            assert found.empty == (share < 1.0)


def test_units_are_split_where_no_point_tells_which():
    network, question = question_of("pool", 1, Norm.L1)
    task = question.task(network)
    changes = Changes.within(make_frame(network, task).inputs, 1.0)
    first, *layers = units_of(network)
    program = EnvelopeProgram(changes, patches_of(first, changes), layers, task.alternatives)
    decisions, none = NOTHING, np.zeros(0)
    unsolved = Outcome(-np.inf, None, none, none)
    count = 0
    while sides := split(program, unsolved, decisions):
        decisions = sides[0]
        count += 1
    assert count >= sum(len(patch.pieces) > 1 for patch in program.patches)
    assert all(len(pieces) == 1 for pieces in decisions.pieces.values())
