"""Linf distances whose trees are large: smaller boxes come first, and are what is known in time."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from reluopt import EngineOptions, Method, load_images, load_network, solve
from reluopt.answers.solution import Status
from reluopt.engines.branch_and_bound import folding
from reluopt.engines.branch_and_bound.dual import distance, programs, verdict
from reluopt.networks.layers.base import Dense
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.input_sets import Box
from reluopt.questions.problems import (
    AbsoluteMargin,
    AnyTarget,
    MinimalPerturbation,
    Norm,
    RelativeMargin,
)


def _asked(index):
    images = load_images("test")
    given = images.image(index), images.label(index)
    return MinimalPerturbation(*given, AnyTarget(), Norm.LINF, RelativeMargin(0.0))


@pytest.fixture
def radii(monkeypatch):
    """Radii of the boxes that are searched, with the nodes that they may take."""
    found = []
    decide = distance.DistanceSearch._decide

    def noted(self, radius, chosen, until, most=float("inf")):
        found.append((radius, most))
        return decide(self, radius, chosen, until, most)

    monkeypatch.setattr(distance.DistanceSearch, "_decide", noted)
    monkeypatch.setattr(distance, "FEW", 500)
    monkeypatch.setattr(programs, "MOST_UNDECIDED", -1)
    return found


def test_a_large_tree_is_proven_after_smaller_boxes(radii):
    network = load_network("mlp-100")
    made = solve(network, _asked(113), Method("bnb", options=EngineOptions(60.0)))
    assert made.status is Status.OPTIMAL
    *_, first, _, _, last = radii
    last_radii = [radius / last[0] for radius, _ in radii[-4:]]
    assert last_radii == pytest.approx([1.0, *distance.SMALLER, 1.0], rel=1e-9)
    assert (first[1], last[1]) == (500, float("inf"))


def test_a_tree_of_programs_goes_on_after_smaller_boxes(radii, monkeypatch):
    """The outer search is not begun anew: its radius comes once."""
    monkeypatch.setattr(programs, "MOST_UNDECIDED", 300)
    monkeypatch.setattr(verdict, "FEW", 1)
    monkeypatch.setattr(distance, "LOOKS", 1)
    monkeypatch.setattr(verdict, "PATIENCE", 1)
    monkeypatch.setattr(verdict, "PLAIN_NODES", 0)
    made = solve(load_network("thesis-96"), _asked(102), Method("bnb"))
    assert made.status is Status.OPTIMAL
    *_, (outer, most), _, (last, _) = radii
    assert [radius / outer for radius, _ in radii[-3:]] == pytest.approx(
        [1.0, *distance.SMALLER], rel=1e-9
    )
    assert (most, last) == (500, pytest.approx(distance.SMALLER[-1] * made.objective, rel=1e-5))
    assert sum(radius == outer for radius, _ in radii) == 1


def test_a_smaller_box_is_what_is_known_in_time(radii, monkeypatch):
    """Time is over as soon as the second smaller box is empty."""
    report = distance.DistanceSearch.report

    def stop(self):
        report(self)
        if self.bound > 0.85 * self.cutoff:
            self.deadline = distance.Deadline.after(0.0)

    monkeypatch.setattr(distance.DistanceSearch, "report", stop)
    made = solve(load_network("mlp-100"), _asked(113), Method("bnb", options=EngineOptions(60.0)))
    assert made.status is Status.FEASIBLE
    assert made.bound == pytest.approx(0.9 * made.objective, rel=1e-5)


@pytest.mark.parametrize("keep", [False, True])
def test_labels_that_a_larger_box_excludes_are_not_asked_again(radii, monkeypatch, keep):
    """Except of a proof that is kept: it is about the last box."""
    asked, decided = [], distance.decided

    def noted(network, task, ends, until, attack, effort):
        decision = decided(network, task, ends, until, attack, effort)
        asked.append((len(task.alternatives), len(decision.excluded), decision.empty))
        return decision

    monkeypatch.setattr(distance, "decided", noted)
    options = EngineOptions(60.0, extra={"proof": keep})
    made = solve(load_network("mlp-100"), _asked(113), Method("bnb", options=options))
    assert made.status is Status.OPTIMAL
    assert asked[0][0] == 9
    assert any(gone and not empty for _, gone, empty in asked)
    assert (asked[-1][0] == 9) is keep


@pytest.mark.parametrize("seed", [2, 5, 11, 23, 47])
@pytest.mark.parametrize("margin", [RelativeMargin(0.2), AbsoluteMargin(1.0)])
def test_growing_boxes_end_at_the_same_image(seed, margin, monkeypatch):
    """Small boxes that one condition of each alternative leaves open are searched with all."""
    random = np.random.default_rng(seed)
    sizes, layers = (6, 10, 8, 5), []
    for inputs, outputs in itertools.pairwise(sizes):
        weight = random.normal(size=(outputs, inputs)) / (1.0 if inputs == 6 else 2.0)
        layers.append(Dense(weight, random.normal(size=outputs) * 0.3))
    network, image = ReLUNetwork(tuple(layers)), random.random(6)
    label = int(network.predict(image))
    box = Box(np.zeros(6), np.ones(6))
    asked = MinimalPerturbation(image, label, AnyTarget(), Norm.LINF, margin, box=box)
    whole = solve(network, asked, Method("bnb"))
    monkeypatch.setattr(folding, "MANY", 0)
    grown = solve(network, asked, Method("bnb"))
    assert grown.status is whole.status
    assert grown.objective == pytest.approx(whole.objective, rel=1e-5)


def test_margins_let_all_conditions_be_asked_for(monkeypatch):
    """An input leads one label by the margin, and others by less."""
    chosen, decide = [], distance.DistanceSearch._decide

    def noted(self, radius, rows, *rest):
        chosen.append(max(rows))
        return decide(self, radius, rows, *rest)

    monkeypatch.setattr(distance.DistanceSearch, "_decide", noted)
    question = replace(_asked(103), margin=RelativeMargin(0.2))
    made = solve(load_network("thesis"), question, Method("bnb", options=EngineOptions(60.0)))
    assert made.status is Status.OPTIMAL
    assert chosen[0] >= 0
    assert chosen == sorted(chosen, reverse=True)  # none is weakened again
    assert chosen[-1] == -1
    assert made.nodes < 200  # 1,100 and more where that takes a whole tree
