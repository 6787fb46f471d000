"""L1 trees that grow large, taken over by dual bounds of many nodes at once.

The linear programs of :mod:`..l1` know how far away an input must lie, and few of them solve an
easy problem. A tree of thousands grows faster by bounds that cost a fiftieth of such a program,
over the ball that holds whatever beats the incumbent: an input of it is the next incumbent, and a
ball without any closes the gap.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from reluopt.engines.branch_and_bound.dual.attack import Witness
from reluopt.engines.branch_and_bound.dual.domains import SimplexDomain
from reluopt.engines.branch_and_bound.dual.threads import limited_threads
from reluopt.engines.branch_and_bound.dual.verdict import DomainSearch
from reluopt.engines.branch_and_bound.frame import Frame
from reluopt.engines.branch_and_bound.search import Search
from reluopt.numerics.arrays import AnyFloat, FloatArray, IntArray, SingleMatrix

PATIENCE = 150
"""Nodes of a tree of linear programs after which dual bounds take over."""


def takes(frame: Frame) -> bool:
    """Whether bounds over the ball can be used: not of what is folded or lifted."""
    return frame.fold_radius == math.inf and frame.bias_errors is None


@dataclass(eq=False)
class _Look:
    """Looks for images that beat the incumbent among the points where bounds are least.

    Attributes:
        best: the last one.
    """

    search: Search
    alternatives: Sequence[int]
    best: Witness | None = None

    def starts(self, alternatives: Sequence[int], restarts: int) -> tuple[SingleMatrix, IntArray]:
        """None: incumbents have been looked for."""
        return np.zeros((0, 0), dtype=np.float32), np.zeros(0, dtype=np.int64)

    def run(
        self, points: SingleMatrix, which: IntArray, steps: int | None = None
    ) -> Witness | None:
        """Points are looked at as they are."""
        return self.check(points, which, np.zeros(which.size))

    def check(self, points: AnyFloat, which: IntArray, slacks: FloatArray) -> Witness | None:
        """The first that becomes the incumbent."""
        for point, alternative in zip(points, which.tolist(), strict=True):
            image = np.asarray(point, dtype=np.float64)
            if self.search.offer(image, self.alternatives[alternative]):
                self.best = Witness(image, alternative, 0.0)
                return self.best
        return None


def finished(
    search: Search, alternatives: Sequence[int], descend: Callable[[FloatArray, int], None]
) -> bool:
    """Whether nothing that beats the incumbent is left of some alternatives.

    Args:
        search: with a finite cutoff; its incumbent becomes better on the way.
        alternatives: of its task, with open trees.
        descend: looks for better incumbents around an image that meets one of them.
    """
    frame = search.frame
    asked = [frame.task.alternatives[i] for i in alternatives]
    with limited_threads(1), search.step("dual bounds"):
        while not search.out_of_time:
            ends = frame.task.box.lower, frame.task.box.upper
            domain = SimplexDomain(*ends, np.array(frame.task.image), search.radius)
            look = _Look(search, alternatives)
            given = (frame.network, domain, asked, search.deadline)
            decision = DomainSearch(*given, attack=look).run()
            search.nodes += decision.nodes
            if decision.witness is None:
                return decision.empty
            found = decision.witness
            descend(found.image, alternatives[found.alternative])
    return False
