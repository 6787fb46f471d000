"""Fans: their nodes share the linear regions of the node that they replace."""

import itertools

import numpy as np
import pytest

from helpers.boxes import random_network
from reluopt.engines.branch_and_bound.dual import fan as module
from reluopt.engines.branch_and_bound.dual.ascent import Model
from reluopt.engines.branch_and_bound.dual.domains import BoxDomain
from reluopt.engines.branch_and_bound.dual.fan import fan
from reluopt.engines.branch_and_bound.dual.goals import Goal
from reluopt.engines.branch_and_bound.dual.layers import bounded_chain
from reluopt.engines.branch_and_bound.dual.tree import Record, Tree


def planted(seed, record=None):
    """A tree whose root stays open: no form exceeds infinity."""
    network = random_network(np.random.default_rng(seed), (3, 5, 3, 2))
    chain = bounded_chain(network, BoxDomain(np.full(3, -1.0), np.full(3, 1.0)))
    goal = Goal(np.array([[1.0, -1.0]]), np.zeros(1))
    tree = Tree(Model.of(chain), goal, record=record)
    tree.threshold = 1e9
    climbed = tree.plant(goal.root(chain), np.zeros(1, dtype=np.int64), 3)
    return tree, climbed.points


@pytest.mark.parametrize("seed", range(8))
def test_every_linear_region_lies_in_one_node(seed):
    record = Record()
    tree, points = planted(seed, record)
    before = tree.stack[0].batch.phases[0].copy()
    undecided = np.flatnonzero(before == 0)
    fan(tree, points)
    nodes = np.concatenate([each.batch.phases for each in tree.stack])
    names = np.concatenate([each.names for each in tree.stack])
    assert len(nodes) == undecided.size + 1 if undecided.size > 1 else len(nodes) == 1
    for signs in itertools.product((-1, 1), repeat=undecided.size):
        whole = before.copy()
        whole[undecided] = signs
        inside = ((nodes == 0) | (nodes == whole)).all(axis=1)
        assert inside.sum() == 1
        name = 0
        while name in record.children:
            neuron, inactive, active = record.children[name]
            name = active if whole[neuron] > 0 else inactive
        assert name == names[inside][0]


def test_nodes_of_many_undecided_neurons_stay(monkeypatch):
    tree, points = planted(1)
    undecided = int((tree.stack[0].batch.phases == 0).sum())
    assert undecided > 1
    monkeypatch.setattr(module, "MOST", undecided - 1)
    fan(tree, points)
    assert tree.open == 1
