"""Boxes whose trees are large, by semidefinite programs over a chain's bounds, or by linear ones.

Poolings make chains of ReLUs of which few patterns of phases are possible. Of those that are not,
an ascent shows little, as the multipliers that exclude them have no limit, and linear programs all:
small networks with pools have trees of ten programs where thousands of nodes of dual bounds are
open.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from reluopt.deadline import Deadline
from reluopt.engines.branch_and_bound.dual.chain import Chain
from reluopt.engines.branch_and_bound.dual.domains import BoxDomain, Domain
from reluopt.engines.branch_and_bound.dual.layers import ITERATIONS
from reluopt.engines.branch_and_bound.dual.slots import Batch
from reluopt.engines.branch_and_bound.dual.tree import Nodes, Tree
from reluopt.engines.branch_and_bound.forest import Forest
from reluopt.engines.branch_and_bound.frame import make_frame
from reluopt.engines.branch_and_bound.l2.boxes import BoxTree
from reluopt.engines.branch_and_bound.search import Search
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray, FloatMatrix
from reluopt.questions.input_sets import Box, InputSet
from reluopt.questions.margins import LogitConditions
from reluopt.questions.norms.base import Norm
from reluopt.questions.tasks import Alternative, Distance, Task

MOST_UNDECIDED = 300
"""Undecided neurons of the largest programs: a step takes 5 ms for 150 of them, eight times as long
for twice as many."""

MOST_BELOW = 10_000
"""Nodes of dual bounds, 1 s, for what programs leave; more of them are worth planes."""

MOST_LINEAR, LINEAR_SHARE = 64, 0.1
"""Undecided neurons of folded networks whose boxes get a tree of linear programs, and its share of
the time left: where it helps it takes a moment."""

ANY_IMAGE = 1.0
"""Relative gap that the first image closes."""

USUAL = 150
"""Undecided neurons of programs that take as long as 500 nodes of dual bounds."""

DEEPER = 3.0
"""How many times the usual nodes go before programs of more than two hidden layers."""


def fit(chain: Chain) -> bool:
    """Whether programs over a chain's domain can be solved: a box, with few undecided neurons."""
    return isinstance(chain.domain, BoxDomain) and _undecided(chain) <= MOST_UNDECIDED


def _undecided(chain: Chain) -> int:
    return sum(layer.undecided.size for layer in chain.hidden)


class Linear(NamedTuple):
    """What a tree of linear programs ends with.

    Attributes:
        empty: whether it is shown that no input of the box meets an alternative.
        image: one that does, up to rounding, or None.
        nodes: of the tree.
    """

    empty: bool = False
    image: FloatArray | None = None
    nodes: int = 0


def linear(
    network: ReLUNetwork,
    domain: Domain,
    known: Sequence[FloatMatrix],
    asked: Sequence[Alternative],
    deadline: Deadline,
) -> Linear:
    """The least L1 distance from the middle of a box: none where the box holds no input.

    Nothing is tried of anything but boxes of small networks, ``known`` by their bounds.
    """
    undecided = sum(int(np.count_nonzero((low < 0.0) & (high > 0.0))) for low, high in known)
    if not isinstance(domain, BoxDomain) or undecided > MOST_LINEAR:
        return Linear()
    lower, upper = domain.ends
    middle = lower + 0.5 * (upper - lower)
    inputs = InputSet(Box(lower, upper), middle)
    frame = make_frame(network, Task(Distance(middle, Norm.L1), inputs, tuple(asked)))
    search = Search(frame, ANY_IMAGE, deadline.share(LINEAR_SHARE), None, None)
    forest = Forest(search, 0, False)
    forest.grow()
    best = search.best
    return Linear(forest.bound == math.inf, None if best is None else best.image, search.nodes)


def nodes_before(chain: Chain, usual: float) -> float:
    """How many nodes go before programs: more of large ones, which take longer.

    Of more than two hidden layers three times the usual number: programs are worth less there.
    """
    if len(chain.hidden) > 2:
        return DEEPER * usual
    return usual * (_undecided(chain) / USUAL) ** 2


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


def finish(
    tree: BoxTree, network: ReLUNetwork, below: Tree, root: Batch, deadline: Deadline
) -> None:
    """Search what a tree of programs leaves stuck by dual bounds: leaves, mostly.

    A leaf is a linear program over the box, which an ellipsoid about it only comes near to.

    Args:
        tree: of programs; loses its stuck nodes where these hold no input.
        network: its network.
        below: a tree of dual bounds for the same conditions, without nodes yet.
        root: a root of it.
        deadline: when to stop.
    """
    hidden = below.model.chain.hidden
    starts = np.cumsum([0, *(affine.output_size for affine in network.affine_layers)])
    if not hidden:
        return
    names = np.concatenate([a + layer.places for a, layer in zip(starts, hidden, strict=False)])
    open_ = np.concatenate([(layer.lower < 0.0) & (layer.upper > 0.0) for layer in hidden])
    lower, upper = (
        np.array([node.lower[names] for node in tree.stuck]),
        np.array([node.upper[names] for node in tree.stuck]),
    )
    form = np.zeros(len(tree.stuck), dtype=np.int64)
    batch = root.chosen(form)
    batch.phases[(lower >= 0.0) & open_] = 1
    batch.phases[(upper <= 0.0) & open_] = -1
    below.bound(Nodes.roots(batch, form, None), ITERATIONS)
    below.grow(deadline, MOST_BELOW)
    if not below.open and not below.stuck:
        tree.stuck = []
