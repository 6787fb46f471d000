"""Boxes whose trees are large, by semidefinite programs over a chain's bounds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from reluopt.deadline import Deadline
from reluopt.engines.branch_and_bound.dual.chain import Chain
from reluopt.engines.branch_and_bound.dual.domains import BoxDomain
from reluopt.engines.branch_and_bound.l2.boxes import BoxTree
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray
from reluopt.questions.margins import LogitConditions

MOST_UNDECIDED = 300
"""Undecided neurons of the largest programs: a step takes 5 ms for 150 of them, eight times as long
for twice as many."""


def fit(chain: Chain) -> bool:
    """Whether programs over a chain's domain can be solved: a box, with few undecided neurons."""
    undecided = sum(layer.undecided.size for layer in chain.hidden)
    return isinstance(chain.domain, BoxDomain) and undecided <= MOST_UNDECIDED


def tree_over(
    network: ReLUNetwork,
    chain: Chain,
    conditions: LogitConditions,
    look: Callable[[FloatArray], bool],
    deadline: Deadline,
) -> BoxTree:
    """The tree of programs about some conditions over a box, with the bounds of a chain."""
    assert isinstance(chain.domain, BoxDomain)
    parts = []
    for layer, affine in zip(chain.hidden, network.affine_layers, strict=False):
        ends_of = np.full(affine.output_size, -np.inf), np.zeros(affine.output_size)
        for end, known in zip(ends_of, (layer.lower, layer.upper), strict=True):
            end[layer.places] = known
        parts.append(ends_of)
    free = np.full(network.output_size, np.inf)
    lower, upper = (np.concatenate(end) for end in zip(*parts, (-free, free), strict=True))
    return BoxTree(network, chain.domain.ends, conditions, (lower, upper), look, deadline)
