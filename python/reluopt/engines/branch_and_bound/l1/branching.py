"""Which neuron to branch on: pseudo-costs and strong branching.

The children of a node fix one undecided neuron to inactive (0) or active (1). A child's *gain* is
the rise of its bound over its parent's. Gains are predicted by pseudo-costs, the mean gain by unit
of what the relaxation has to give up (``x`` for inactive, ``s`` for active), and measured by short
solves (Achterberg, Koch and Martin 2005, Branching rules revisited).
"""

from __future__ import annotations

import numpy as np

from reluopt.numerics.arrays import BoolArray, FloatArray, IntArray

INTEGRAL = 1e-7
"""A neuron with ``min(x, s)`` below it behaves like a ReLU."""

FLOOR = 1e-6
"""Gains below it count as this much in a product of gains, so that the other child still counts."""


class PseudoCosts:
    """Mean gain by unit of ``x`` (column 0, inactive) or ``s`` (column 1, active)."""

    def __init__(self, hidden: int) -> None:
        self.total = np.zeros((hidden, 2))
        self.count = np.zeros((hidden, 2), dtype=np.int64)

    def learn(self, neurons: IntArray, gains: FloatArray, moved: FloatArray) -> None:
        """Add gains of both children, shape ``(n, 2)``, with the distances given up."""
        self.total[neurons] += gains / np.maximum(moved, FLOOR)
        self.count[neurons] += 1

    def predict(self, neurons: IntArray, moved: FloatArray) -> FloatArray:
        """Predicted gains, shape ``(n, 2)``; unknown neurons get the mean of the known ones."""
        count = self.count[neurons]
        known = self.count > 0
        if not known.any():
            return moved
        mean = float((self.total[known] / self.count[known]).mean())
        cost = np.where(count > 0, self.total[neurons] / np.maximum(count, 1), mean)
        return cost * moved


def candidates(
    undecided: BoolArray, x: FloatArray, s: FloatArray, costs: PseudoCosts, room: float
) -> tuple[IntArray, FloatArray]:
    """Undecided neurons whose relaxed ``(x, s)`` is no ReLU, by falling predicted score.

    Args:
        undecided: shape ``(H,)``.
        x: relaxed post-activations.
        s: relaxed negative parts.
        costs: pseudo-costs.
        room: gains count up to this much (what is missing to the cutoff).

    Returns:
        Their indices, and ``(x, s)`` of each, shape ``(n, 2)``.
    """
    neurons = np.flatnonzero(undecided & (np.minimum(x, s) > INTEGRAL)).astype(np.int64)
    moved = np.stack([x[neurons], s[neurons]], axis=1)
    scores = score(costs.predict(neurons, moved), room)
    order = np.argsort(-scores, kind="stable")
    return neurons[order], moved[order]


def score(gains: FloatArray, room: float) -> FloatArray:
    """Product of both gains, each between a floor and ``room``."""
    bounded = np.clip(gains, FLOOR, max(room, FLOOR))
    return np.asarray(bounded[:, 0] * bounded[:, 1])
