"""What a solved program says of a node's neurons."""

import numpy as np
import pytest

from reluopt.engines.branch_and_bound.l2.branching import AGAIN, Branching


def branching(count, out):
    """So many neurons, every other of the network's, of which some sides are ruled out."""
    sides = np.zeros((count, 2), dtype=np.bool_)
    for side in out:
        sides[side] = True
    order = np.flatnonzero(~sides.any(axis=1))[::-1]
    return Branching(2 * np.arange(count), sides, order, np.zeros((count, 2)))


def test_a_neuron_without_a_side_leaves_nothing():
    assert not branching(3, [(0, 0), (1, 1)]).empty
    assert branching(3, [(1, 0), (1, 1)]).empty


@pytest.mark.parametrize("count", [5, 10, 30])
def test_so_many_fixed_phases_are_worth_another_program(count):
    enough = int(np.ceil(AGAIN * count))
    sides = [(i, i % 2) for i in range(enough)]
    assert branching(count, sides).changed
    assert not branching(count, sides[1:]).changed


def test_bounds_lose_the_sides_and_are_never_loosened():
    lower, upper = np.array([-1.0, -1.0, -1.0, -1.0, 0.5]), np.array([1.0, 1.0, 1.0, 1.0, 2.0])
    made = branching(3, [(0, 0), (1, 1), (2, 0)])
    below, above = made.narrowed(lower, upper)
    assert below.tolist() == [0.0, -1.0, -1.0, -1.0, 0.5]
    assert above.tolist() == [1.0, 1.0, 0.0, 1.0, 2.0]
    assert lower[0] == -1.0, "the node's own bounds stay"


def test_neurons_are_told_by_rank():
    made = branching(4, [(2, 0)])
    assert [made.neuron(rank) for rank in range(3)] == [6, 2, 0]
