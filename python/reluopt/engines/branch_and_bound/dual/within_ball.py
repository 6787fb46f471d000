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
from reluopt.engines.branch_and_bound.dual.verdict import DomainSearch
from reluopt.engines.branch_and_bound.folding import is_folded
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
    """Whether bounds over the ball can be used: not of what is large or lifted."""
    return not is_folded(frame.judge[0]) and frame.bias_errors is None


@dataclass(eq=False)
class _Look:
    """Looks for images that beat the incumbent among the points where bounds are least.

    Attributes:
        known: proven bound that is reported meanwhile.
        best: the last one.
    """

    search: Search
    alternatives: Sequence[int]
    known: float
    best: Witness | None = None

    def starts(self, alternatives: Sequence[int], restarts: int) -> tuple[SingleMatrix, IntArray]:
        """None: incumbents have been looked for."""
        return np.zeros((0, 0), dtype=np.float32), np.zeros(0, dtype=np.int64)

    def check(self, points: AnyFloat, which: IntArray, slacks: FloatArray) -> Witness | None:
        """None: all points are run from, too."""
        return None

    def run(
        self, points: SingleMatrix, which: IntArray, steps: int | None = None
    ) -> Witness | None:
        """The first point that becomes the incumbent; they are not moved."""
        self.search.report(self.known)
        for point, alternative in zip(points, which.tolist(), strict=True):
            image = np.asarray(point, dtype=np.float64)
            if self.search.offer(image, self.alternatives[alternative]):
                self.best = Witness(image, alternative, 0.0)
                return self.best
        return None


@dataclass(eq=False)
class LargeTrees:
    """Alternatives of a task whose trees have grown large.

    Attributes:
        search: with a finite cutoff; its incumbent becomes better on the way.
        alternatives: which.
        bounds: proven lower bounds on the objectives of all alternatives of the task, raised in
            place.
        descend: looks for better incumbents around an image that meets one of them.
    """

    search: Search
    alternatives: Sequence[int]
    bounds: list[float]
    descend: Callable[[FloatArray, int], None]

    @property
    def _known(self) -> float:
        """Proven bound on the objectives of these alternatives."""
        return min(self.bounds[i] for i in self.alternatives)

    def tried(self, most: float) -> bool:
        """Whether so many nodes show that nothing better is left."""
        return self._emptied(1.0, most)

    def proven(self) -> float:
        """A proven lower bound on the objectives; the cutoff where nothing better is left."""
        search = self.search
        for share in SMALLER if search.wants_bounds else ():
            if share * search.radius > self._known and not search.out_of_time:
                self._emptied(share, math.inf)
        return search.cutoff if self._emptied(1.0, math.inf) else self._known

    def _emptied(self, share: float, most: float) -> bool:
        """Whether a ball is shown to hold no input, of a share of the incumbent's radius.

        An input that is found is the next incumbent, and the ball shrinks. Alternatives that are
        known to be farther away are left out.
        """
        search, frame = self.search, self.search.frame
        ends = frame.task.box.lower, frame.task.box.upper
        last = search.nodes + most
        while not search.out_of_time and search.cutoff > 0.0 and search.nodes < last:
            radius = share * search.radius
            left = [i for i in self.alternatives if self.bounds[i] < share * search.cutoff]
            if not left:
                return True
            if radius > frame.fold_radius:
                raise ValueError(f"folded over radius {frame.fold_radius}, asked about {radius}")
            look = _Look(search, left, self._known)
            domain = SimplexDomain(*ends, np.array(frame.task.image), radius)
            asked = [frame.task.alternatives[i] for i in left]
            given = (frame.network, domain, asked, search.deadline)
            with search.step("dual bounds"):
                decision = DomainSearch(*given, attack=look, most=last - search.nodes).run()
            decision = decision.among(left)
            search.nodes += decision.nodes
            for index in decision.excluded:
                self.bounds[index] = max(self.bounds[index], min(radius, search.cutoff))
            found = decision.witness
            if found is None:
                return decision.empty
            if not search.out_of_time:
                self.descend(found.image, found.alternative)
        return False


large_trees = LargeTrees
"""How a search takes over trees (:class:`~..norm_search.Finisher`)."""
