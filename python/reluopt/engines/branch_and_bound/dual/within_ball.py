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

FEW = 10_000
"""Nodes after which smaller balls come first: most trees are smaller."""

SMALLER = (0.8, 0.9)
"""Radii of these, as shares of the incumbent's: they take a fraction of its nodes, and are what is
known when time is up."""


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


def tried(
    search: Search,
    alternatives: Sequence[int],
    most: float,
    descend: Callable[[FloatArray, int], None],
) -> bool:
    """Whether so many nodes show that nothing better is left; see :func:`proven`."""
    with limited_threads(1), search.step("dual bounds"):
        return _emptied(search, alternatives, 1.0, most, descend) > 0.0


def proven(
    search: Search,
    alternatives: Sequence[int],
    known: float,
    descend: Callable[[FloatArray, int], None],
) -> float:
    """A proven lower bound on the objective of some alternatives; the cutoff where nothing is left.

    Args:
        search: with a finite cutoff; its incumbent becomes better on the way.
        alternatives: of its task, with open trees.
        known: what is proven already.
        descend: looks for better incumbents around an image that meets one of them.
    """
    with limited_threads(1), search.step("dual bounds"):
        for share in SMALLER if search.wants_bounds else ():
            if share * search.radius > known and not search.out_of_time:
                radius = _emptied(search, alternatives, share, math.inf, descend)
                known = max(known, radius)
        radius = _emptied(search, alternatives, 1.0, math.inf, descend)
        return search.cutoff if radius else known


def _emptied(
    search: Search,
    alternatives: Sequence[int],
    share: float,
    most: float,
    descend: Callable[[FloatArray, int], None],
) -> float:
    """The radius of a ball without any input, a share of the incumbent's; 0 where it is not shown.

    An input that is found is the next incumbent, and the ball shrinks.
    """
    frame = search.frame
    asked = [frame.task.alternatives[i] for i in alternatives]
    while not search.out_of_time and search.cutoff > 0.0:
        radius, look = share * search.radius, _Look(search, alternatives)
        ends = frame.task.box.lower, frame.task.box.upper
        domain = SimplexDomain(*ends, np.array(frame.task.image), radius)
        given = (frame.network, domain, asked, search.deadline)
        decision = DomainSearch(*given, attack=look, most=most).run()
        search.nodes += decision.nodes
        if decision.witness is None:
            return radius if decision.empty else 0.0
        descend(decision.witness.image, alternatives[decision.witness.alternative])
    return 0.0
