"""Linf distances whose trees are large: smaller boxes come first, and are what is known in time."""

import pytest

from reluopt import EngineOptions, Method, load_images, load_network, solve
from reluopt.answers.solution import Status
from reluopt.engines.branch_and_bound.dual import distance
from reluopt.questions.problems import AnyTarget, MinimalPerturbation, Norm, RelativeMargin


def _asked(index):
    images = load_images("test")
    given = images.image(index), images.label(index)
    return MinimalPerturbation(*given, AnyTarget(), Norm.LINF, RelativeMargin(0.0))


@pytest.fixture
def radii(monkeypatch):
    """Radii of the boxes that are searched, with the nodes that they may take."""
    found = []
    decide = distance._Search._decide

    def noted(self, radius, chosen, most=float("inf")):
        found.append((radius, most))
        return decide(self, radius, chosen, most)

    monkeypatch.setattr(distance._Search, "_decide", noted)
    monkeypatch.setattr(distance, "FEW", 500)
    return found


def test_a_large_tree_is_proven_after_smaller_boxes(radii):
    network = load_network("mlp-100")
    made = solve(network, _asked(113), Method("bnb", options=EngineOptions(60.0)))
    assert made.status is Status.OPTIMAL
    *_, first, _, _, last = radii
    last_radii = [radius / last[0] for radius, _ in radii[-4:]]
    assert last_radii == pytest.approx([1.0, *distance.SMALLER, 1.0], rel=1e-9)
    assert (first[1], last[1]) == (500, float("inf"))


def test_a_smaller_box_is_what_is_known_in_time(radii, monkeypatch):
    """Time is over as soon as the second smaller box is empty."""
    report = distance._Search.report

    def stop(self):
        report(self)
        if self.bound > 0.85 * self.cutoff:
            self.deadline = distance.Deadline.after(0.0)

    monkeypatch.setattr(distance._Search, "report", stop)
    made = solve(load_network("mlp-100"), _asked(113), Method("bnb", options=EngineOptions(60.0)))
    assert made.status is Status.FEASIBLE
    assert made.bound == pytest.approx(0.9 * made.objective, rel=1e-5)
