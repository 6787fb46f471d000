"""Trees of many nodes, and what they keep for proofs."""

import weakref

import numpy as np

from helpers.boxes import random_network
from reluopt.engines.branch_and_bound.dual.ascent import Model
from reluopt.engines.branch_and_bound.dual.cutting import cut
from reluopt.engines.branch_and_bound.dual.domains import BoxDomain
from reluopt.engines.branch_and_bound.dual.goals import Goal
from reluopt.engines.branch_and_bound.dual.layers import bounded_chain
from reluopt.engines.branch_and_bound.dual.tree import Record


def test_records_keep_of_planes_what_makes_them_again():
    network = random_network(np.random.default_rng(0), (3, 5, 2))
    chain = bounded_chain(network, BoxDomain(np.full(3, -1.0), np.full(3, 1.0)))
    goal = Goal(np.array([[1.0, -1.0]]), np.zeros(1))
    made = cut(Model.of(chain), goal.root(chain))
    record, held = Record(), [weakref.ref(made.planes), weakref.ref(made.batch.multipliers)]
    assert record.add(made) == 0
    shares = made.recipe.shares
    del made
    assert [each() for each in held] == [None, None]
    assert record.cuts[0].shares is shares
