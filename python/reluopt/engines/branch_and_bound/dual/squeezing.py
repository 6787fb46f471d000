"""Bounds of a layer's neurons by trees: what a long search gains from knowing its layers better.

The least value of one pre-activation over the box is a search like any other, and a small one.
A thousand nodes for each end of a neuron, the worst first, close most of what planes leave of its
bounds, and that lifts the roots of all alternatives. It takes some seconds, so it is for searches
that have taken longer; and proofs do not keep these trees.
"""

from __future__ import annotations

import itertools

import numpy as np

from reluopt.deadline import Deadline
from reluopt.engines.branch_and_bound.dual.ascent import Model
from reluopt.engines.branch_and_bound.dual.chain import Chain
from reluopt.engines.branch_and_bound.dual.cutting import cut
from reluopt.engines.branch_and_bound.dual.goals import Goal
from reluopt.engines.branch_and_bound.dual.layers import root_batch, signed_rows
from reluopt.engines.branch_and_bound.dual.tree import LOOK_EVERY, Tree
from reluopt.engines.branch_and_bound.threads import each
from reluopt.numerics.arrays import AnyFloat, IntArray

MOST_NODES = 1000
"""Nodes for each end of a neuron."""

CLOSE = 1e-3
"""How near a bound may stay to the least value that was seen, relative to it."""


def squeeze_last(chain: Chain, deadline: Deadline) -> None:
    """Tighten both ends of the undecided neurons of a chain's last layer, while there is time."""

    def ends(neuron: int) -> list[tuple[int, int, float]]:
        made: list[tuple[int, int, float]] = []
        for sign in (1, -1):
            if deadline.passed or (made and made[0][2] >= 0.0):  # decided by its first end
                break
            made.append((neuron, sign, _least(chain, neuron, sign, deadline)))
        return made

    made = list(itertools.chain(*each(ends, chain.layers[-1].undecided.tolist())))
    chain.tighten_last(
        np.array([neuron for neuron, _, _ in made], dtype=np.int64),
        np.array([sign for _, sign, _ in made], dtype=np.int8),
        np.array([bound for _, _, bound in made]),
    )


def _least(chain: Chain, neuron: int, sign: int, deadline: Deadline) -> float:
    """A proven lower bound on ``a`` or ``-a`` of one neuron of the last layer."""
    forms = signed_rows(chain, np.array([neuron]), np.array([sign], dtype=np.int8))
    batch = root_batch(chain, forms.rows.astype(np.float32), forms.constants)
    made = cut(Model.of(chain), batch)
    if made is None:
        return -np.inf

    def look(points: AnyFloat, _: IntArray) -> bool:
        values = points
        for layer in chain.layers[:-1]:
            values = np.maximum(values @ layer.weight.T + layer.bias, 0.0)
        last = chain.layers[-1]
        seen = float((sign * (values @ last.weight[neuron] + last.bias[neuron])).min())
        tree.threshold = min(tree.threshold, seen - CLOSE * abs(seen))
        return False

    goal = Goal(forms.rows, forms.constants)
    tree = Tree(Model.of(chain, made.planes), goal, made.planes, None, look)
    tree.plant(made.batch, np.zeros(1, dtype=np.int64), 1)
    while tree.stack and tree.count < MOST_NODES and not deadline.passed:
        tree.unseen = LOOK_EVERY
        tree.widen()
    return float(tree.proven()[0])
