r"""Trees whose hard nodes get planes of their own.

Planes made at a root say less and less the deeper a node lies: two rounds of new ones lift a bound
that is sixteen nodes away from its root by a third of what it lacks. They cost as much as bounding
some :data:`WORTH` nodes, so a node gets them when its tree is expected to be larger, and what is
left of the tree grows as it is.

Trees grow exponentially with what their roots lack: :math:`e^{\rho \, (\text{threshold} -
\text{bound})}` nodes are expected (:class:`Pace`), with a rate that is learned from every tree.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from reluopt.deadline import Deadline
from reluopt.engines.branch_and_bound.dual.ascent import Model
from reluopt.engines.branch_and_bound.dual.branching import NONE
from reluopt.engines.branch_and_bound.dual.cutting import Cut, cut, without_planes
from reluopt.engines.branch_and_bound.dual.tree import LOOK_EVERY, Nodes, Record, Tree, joined
from reluopt.numerics.arrays import BoolArray, FloatArray, IntArray

WORTH = 300.0
"""Nodes that planes must be expected to stand for: what they cost, with what follows."""

SPREAD = 16
"""Nodes into which a root is split before any of them gets planes."""

LEARNED = 0.3
"""Share of what one tree tells in the rate."""

PATIENCE, FIRST = 3.0, 500
"""How many times as large as expected trees become, and nodes more, before their nodes count as
misjudged."""

TELLING = 20
"""Nodes of a tree that says something about the rate."""

LITTLE = 1e-4
"""What a root lacks, relative to the logits, that explains no size of a tree."""


class Pace:
    """How fast trees grow with what their roots lack.

    Attributes:
        rate: logarithm of nodes by unit of bound; 0 before anything is known.
    """

    def __init__(self) -> None:
        self.rate = 0.0

    def expected(self, lacks: FloatArray) -> float:
        """Nodes that trees take whose roots lack so much, hard ones left out."""
        return float(np.exp(np.minimum(self._sizes(lacks), math.log(WORTH))).sum())

    def hard(self, lacks: FloatArray) -> BoolArray:
        """Which roots are worth planes of their own."""
        found: BoolArray = self._sizes(lacks) > math.log(WORTH)
        return found

    def _sizes(self, lacks: FloatArray) -> FloatArray:
        """Logarithms of the nodes of trees; 0 where nothing is known of a root."""
        with np.errstate(over="ignore"):
            found: FloatArray = self.rate * np.where(np.isfinite(lacks), lacks, 0.0)
        return found

    def learn(self, lacks: FloatArray, nodes: int, finished: bool, little: float) -> None:
        """What some trees have taken, or, unfinished, at the least.

        What roots lack is taken for no less than ``little``.
        """
        if nodes < TELLING or not np.isfinite(lacks).all():
            return
        low, high = 0.0, math.log(nodes) / max(float(lacks.max()), little, 1e-9)
        with np.errstate(over="ignore"):
            for _ in range(30):
                middle = 0.5 * (low + high)
                less = np.exp(middle * lacks).sum() < nodes
                low, high = (middle, high) if less else (low, middle)
        if not finished or self.rate == 0.0:
            self.rate = max(self.rate, high)
        else:
            self.rate += LEARNED * (high - self.rate)


class Grove:
    """The search for one form; see the module.

    Attributes:
        record: what is kept for a proof, or None.
        count: nodes bounded so far.
        least: the least bound that has closed a node, shape ``(1,)``.
    """

    def __init__(
        self,
        model: Model,
        plant: Callable[[Cut | None, Record | None], Tree],
        record: Record | None,
        pace: Pace,
        over: Callable[[], bool],
        most: float = np.inf,
    ) -> None:
        """Args: the model without planes, a maker of trees, whether the search is over, and nodes.

        There are no more of these than ``most`` and a batch.
        """
        self.record, self.count, self.least = record, 0, np.full(1, np.inf)
        self._model, self._plant, self._pace, self._over = model, plant, pace, over
        self._most = most
        self._open: list[float] = []
        self._unseen = LOOK_EVERY

    def open_forms(self) -> IntArray:
        """As of a tree."""
        return np.zeros(min(len(self._open), 1), dtype=np.int64)

    def proven(self) -> FloatArray:
        """As of a tree."""
        found: FloatArray = np.minimum(self.least, min(self._open, default=np.inf))
        return found

    def grow(self, root: Nodes, deadline: Deadline) -> None:
        """Search until nothing is open, or the search is over."""
        hard = [(root, -np.inf)]
        while hard and not self._ended():
            node, _ = hard.pop()
            hard += self._replanted(node, deadline)
        self._open += [bound for _, bound in hard]

    def _ended(self, nodes: int = 0) -> bool:
        """Whether the search is over, or a tree of so many nodes has taken all that it may."""
        return self._over() or self.count + nodes >= self._most

    def _replanted(self, node: Nodes, deadline: Deadline) -> list[tuple[Nodes, float]]:
        """Grow the tree of a node with planes of its own; its hard nodes, with their bounds."""
        made = cut(self._model, node.batch)
        tree = self._plant(made, self.record)
        tree.unseen = self._unseen
        batch = without_planes(node.batch) if made is None else made.batch
        tree.bound(replace(node, batch=batch), 1)
        while 0 < tree.open < SPREAD and self._hard(tree).any() and not self._ended(tree.count):
            tree.widen()
        hard = self._taken(tree)
        while tree.stack and not self._ended(tree.count):
            lacks, before = _lacks(tree), tree.count
            most = before + FIRST + PATIENCE * self._pace.expected(lacks)
            tree.grow(deadline, min(most, self._most - self.count))
            self._pace.learn(lacks, tree.count - before, not tree.stack, LITTLE * tree.size)
            hard += self._taken(tree)
        self.count, self._unseen = self.count + tree.count, tree.unseen
        np.minimum(self.least, tree.least, out=self.least)
        if tree.open_forms().size:
            self._open.append(float(tree.proven()[0]))
        return sorted(hard, key=lambda each: float(each[0].bounds[0]))

    def _hard(self, tree: Tree) -> BoolArray:
        """Which of a tree's waiting nodes are."""
        inner: BoolArray = joined(tree.stack).split != NONE
        return inner & self._pace.hard(_lacks(tree))

    def _taken(self, tree: Tree) -> list[tuple[Nodes, float]]:
        """Take the hard nodes out of a tree."""
        if not tree.stack:
            return []
        nodes, hard = joined(tree.stack), self._hard(tree)
        if not hard.any():
            return []
        tree.stack = [] if hard.all() else [nodes.chosen(~hard)]
        which = np.flatnonzero(hard)
        bounds = tree.safe_bounds(nodes, which, nodes.batch.free)
        return [
            (nodes.chosen(np.array([b])), float(bound))
            for b, bound in zip(which, bounds, strict=True)
        ]


def _lacks(tree: Tree) -> FloatArray:
    """What the bounds of a tree's waiting nodes lack."""
    return tree.threshold - joined(tree.stack).bounds.astype(np.float64)
