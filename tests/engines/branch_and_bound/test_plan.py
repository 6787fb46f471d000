"""Trees tell what they do, and a recorder keeps what a proof is made of."""

import numpy as np
import pytest

from reluopt.engines import get_engine
from reluopt.engines.base import EngineOptions, EngineRequest
from reluopt.engines.branch_and_bound import forest
from reluopt.engines.branch_and_bound.events import TreeEvents
from reluopt.engines.branch_and_bound.leaf import LEAF
from reluopt.engines.branch_and_bound.plan import Recorder
from reluopt.questions.problems import (
    AbsoluteMargin,
    AnyTarget,
    Box,
    MinimalPerturbation,
    Norm,
)


def test_a_recorder_keeps_branchings_and_what_probes_fixed():
    recorder = Recorder()
    root = recorder.planted()
    recorder.refined(root)
    inactive, active = recorder.branched(root, 3)
    left = recorder.fixed(active, 5, active=False)
    recorder.closed(left)
    recorder.closed(inactive)
    assert recorder.root is root
    assert (root.neuron, root.refined, root.closed) == (3, True, False)
    assert root.children == (inactive, active)
    assert active.neuron == 5
    assert active.children[0] is left
    assert [child.closed for child in active.children] == [True, True]
    assert inactive.neuron == left.neuron == LEAF


def test_a_recorder_begins_anew_with_each_tree():
    recorder = Recorder()
    recorder.branched(recorder.planted(), 1)
    root = recorder.planted()
    assert recorder.root is root
    assert root.neuron == LEAF


class Counter(TreeEvents):
    """Counts open nodes by what it is told alone."""

    def __init__(self):
        self.open = 0
        self.marks = iter(range(10**6))
        self.known = set()

    def _new(self):
        mark = next(self.marks)
        self.known.add(mark)
        return mark

    def planted(self):
        self.open, self.known = 1, set()
        return self._new()

    def branched(self, mark, neuron):
        self.known.remove(mark)
        self.open += 1
        return self._new(), self._new()

    def fixed(self, mark, neuron, active):
        self.known.remove(mark)
        return self._new()

    def refined(self, mark):
        assert mark in self.known

    def closed(self, mark):
        self.known.remove(mark)
        self.open -= 1


@pytest.mark.parametrize("norm", [Norm.L1, Norm.L2])
@pytest.mark.parametrize("seed", range(4))
def test_what_trees_tell_is_complete(make_network, monkeypatch, norm, seed):
    """In the end a listener knows of no open node, whatever was branched, fixed or closed."""
    listeners = []

    def listen():
        listeners.append(Counter())
        return listeners[-1]

    monkeypatch.setattr(forest, "TreeEvents", listen)
    monkeypatch.setattr(forest, "MAX_RESTARTS", 0)  # what is given up for another tree stays open
    network = make_network((6, 7, 5, 3), seed)
    image = np.random.default_rng(seed).random(6)
    label = int(network.predict(image))
    margin = AbsoluteMargin(0.5)
    problem = MinimalPerturbation(image, label, AnyTarget(), norm, margin, Box.unit(6))
    options = EngineOptions(time_limit=60.0)
    get_engine("bnb").solve(EngineRequest(network, problem.task(network), None, options=options))
    assert listeners
    for each in listeners:
        assert each.open == 0
        assert not each.known
