"""What a solved program says of a node's neurons: phases that are ruled out, and what to split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reluopt.numerics.arrays import BoolArray, FloatArray, IntArray

AGAIN = 0.1
"""A node of which this share of the undecided neurons has only one phase left is solved again."""


@dataclass(frozen=True, eq=False)
class Branching:
    """How to go on from a node that its program leaves open.

    Attributes:
        neurons: the undecided ones, shape ``(u,)``.
        out: which of their sides hold nothing of interest, the inactive ones and the active ones;
            shape ``(u, 2)``.
        order: places of the others in ``neurons``, the most promising first.
        rises: by how much the bound of each child is predicted to rise, shape ``(u, 2)``.
    """

    neurons: IntArray
    out: BoolArray
    order: IntArray
    rises: FloatArray

    @property
    def empty(self) -> bool:
        """Whether a neuron has no side left."""
        return bool(self.out.all(axis=1).any())

    @property
    def changed(self) -> bool:
        """Whether so many phases are fixed that the node is worth another program."""
        return bool(np.count_nonzero(self.out) >= AGAIN * self.neurons.size)

    def narrowed(self, lower: FloatArray, upper: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Bounds of a node without the sides that are ruled out."""
        lower, upper = lower.copy(), upper.copy()
        inactive, active = self.out.T
        low, high = self.neurons[inactive], self.neurons[active]
        lower[low], upper[high] = np.fmax(lower[low], 0.0), np.fmin(upper[high], 0.0)
        return lower, upper

    def neuron(self, rank: int = 0) -> int:
        """What to split, by its place among the best."""
        return int(self.neurons[self.order[rank]])
