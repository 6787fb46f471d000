"""Bounds of a layer's neurons by trees of their own."""

import itertools

import numpy as np
import pytest

from helpers.boxes import random_network
from reluopt.deadline import NEVER, Deadline
from reluopt.engines.branch_and_bound.dual import verdict
from reluopt.engines.branch_and_bound.dual.cutting import bound_last_with_planes
from reluopt.engines.branch_and_bound.dual.domains import BoxDomain
from reluopt.engines.branch_and_bound.dual.layers import bounded_chain
from reluopt.engines.branch_and_bound.dual.squeezing import squeeze_last
from reluopt.engines.branch_and_bound.dual.verdict import DomainSearch
from reluopt.engines.branch_and_bound.threads import limited_threads
from reluopt.questions.problems import Verification

SIZES = (4, 9, 7, 3)


def bounds(network, squeeze):
    """Bounds of the second layer over the unit box, by neuron of the network."""
    ends = []

    def tighten(chain):
        bound_last_with_planes(chain, chain.layers[-1].undecided, 2, 10)
        if squeeze:
            squeeze_last(chain, NEVER)
        ends.append((chain.layers[-1].lower, chain.layers[-1].upper))

    bounded_chain(network, BoxDomain(np.zeros(4), np.ones(4)), tighten)
    return ends[0]


@pytest.mark.parametrize("seed", range(6))
def test_ends_are_squeezed_to_what_inputs_reach(seed):
    network = random_network(np.random.default_rng(seed), SIZES)
    first, second = network.affine_layers[:2]
    inputs = np.random.default_rng(0).random((20000, 4))
    inputs[:10000] = np.round(inputs[:10000])
    hidden = np.maximum(inputs @ first.weight.T + first.bias, 0.0)
    values = hidden @ second.weight.T + second.bias
    lower, upper = bounds(network, squeeze=True)
    assert (lower <= values.min(axis=0)).all()
    assert (upper >= values.max(axis=0)).all()
    before = bounds(network, squeeze=False)
    assert (lower >= before[0]).all()
    assert (upper <= before[1]).all()
    undecided = (lower < 0.0) & (upper > 0.0)
    width, reached = upper - lower, values.max(axis=0) - values.min(axis=0)
    assert (width[undecided] <= 1.2 * reached[undecided] + 0.1).all()


@pytest.mark.parametrize("squeeze", [False, True])
def test_neurons_on_threads_get_the_same_bounds(squeeze):
    network = random_network(np.random.default_rng(1), SIZES)
    alone = bounds(network, squeeze)
    with limited_threads(3):
        together = bounds(network, squeeze)
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


def test_long_searches_squeeze_and_those_that_keep_proofs_do_not(monkeypatch):
    squeezed = []
    monkeypatch.setattr(verdict, "PLAIN_NODES", 0)
    monkeypatch.setattr(verdict, "LONG", 1)
    monkeypatch.setattr(verdict.programs, "MOST_UNDECIDED", -1)
    monkeypatch.setattr(verdict, "squeeze_last", lambda *args: squeezed.append(squeeze_last(*args)))
    agreed = 0
    for seed in range(12):
        generator = np.random.default_rng(seed)
        network = random_network(generator, (5, 12, 8, 3))
        image = generator.random(5)
        task = Verification(image, int(network.predict(image)), 0.25).task(network)
        ends = np.maximum(image - 0.25, 0.0), np.minimum(image + 0.25, 1.0)
        count = len(squeezed)
        kept = DomainSearch(network, BoxDomain(*ends), task.alternatives, NEVER, keep=True).run()
        assert len(squeezed) == count
        found = DomainSearch(network, BoxDomain(*ends), task.alternatives, NEVER).run()
        assert kept.empty == found.empty
        agreed += len(squeezed) > count and found.empty
    assert agreed > 0


def test_without_time_bounds_stay_what_they_are():
    network = random_network(np.random.default_rng(0), SIZES)
    clock = itertools.count()
    seen = []

    def tighten(chain):
        before = chain.layers[-1].lower.copy()
        squeeze_last(chain, Deadline(0.0, lambda: float(next(clock))))
        seen.append((before, chain.layers[-1].lower))

    bounded_chain(network, BoxDomain(np.zeros(4), np.ones(4)), tighten)
    assert (seen[0][0] == seen[0][1]).all()
