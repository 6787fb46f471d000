r"""Branch and bound for L2 tasks: few nodes, each with a nearly tight relaxation.

The semidefinite relaxation closes most of the gap at the root already; solving a child costs as
much as probing it. So there is no strong branching: a node that one program leaves open loses the
phases that the program rules out (:mod:`.fixing`; not where a proof is kept), and is branched on a
neuron that costs the relaxation much and whose children promise to rise
(:meth:`~relaxation.L2Relaxation.branching`). The products that it violates where it ends go to the
children: programs that they would strengthen must be solved in any case. The open node with the
lowest bound comes first, which makes the proven bound rise steadily; incumbents come from the
linear regions of the relaxations' images.

Bounds over the ball of the incumbent are part of a node and are computed again when the incumbent
has become better, which replaces restarts.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from reluopt.answers.solution import Incumbent
from reluopt.attacks.linear_regions import improve_by_linear_regions
from reluopt.engines.branch_and_bound.ball import Ball
from reluopt.engines.branch_and_bound.events import Mark, TreeEvents
from reluopt.engines.branch_and_bound.frame import sides
from reluopt.engines.branch_and_bound.l2.branching import Branching
from reluopt.engines.branch_and_bound.l2.inherited import Inherited
from reluopt.engines.branch_and_bound.l2.interior import SLACKNESS, Effort
from reluopt.engines.branch_and_bound.l2.relaxation import EXACT, Cuts, L2Relaxation, Solved
from reluopt.engines.branch_and_bound.search import Search, timed
from reluopt.engines.branch_and_bound.threads import each, thread_count
from reluopt.numerics.arrays import FloatArray, IntArray

STEPS = 80
"""Most steps of the interior point method for one program; 5 to 15 are usual, 25 to the end."""

GAP_SHARE = 0.1
"""Programs are solved to this share of the search's relative gap, within :data:`TOLERANCES`."""

TOLERANCES = (1e-10, 1e-7)
"""What the interior point method can deliver, and what is cheap."""

SMALLER_BALL = 0.999
"""Bounds are computed again once the radius has fallen below this share of theirs."""

STEP_SECONDS = 2e-9
"""Guess of the seconds of one step, for each undecided neuron to the third power; until one has
been timed."""

SHORTEST_STEP = 1e-6
"""No step takes less."""

PRODUCTS = 0.3
"""Products handed to children, for each undecided neuron."""

REGIONS = 6
"""Linear regions visited from a relaxation's image."""


@dataclass(frozen=True, eq=False)
class L2Node:
    """An open node.

    Attributes:
        lower, upper: bounds of all neurons.
        radius: of the ball for which they were computed.
        bound: proven bound.
        depth: branchings above it.
        cuts: products to start with.
        mark: the listener's.
        above: what the program of the node above hands to this node's.
    """

    lower: FloatArray
    upper: FloatArray
    radius: float
    bound: float
    depth: int
    cuts: Cuts
    mark: Mark
    above: Inherited | None = None


_Left: TypeAlias = tuple[L2Node, Solved | None]
"""An open node, and the program to choose a neuron by; None without a usable one."""


class L2Tree:
    """The tree of one alternative; :meth:`step` processes one node."""

    replants = False
    """The driver need not restart it: nodes follow the incumbent's ball themselves."""

    def __init__(self, search: Search, alternative: int, ball: Ball, events: TreeEvents) -> None:
        self.search, self.alternative, self._events = search, alternative, events
        self._conditions = conditions = search.frame.conditions(alternative)
        lower, upper = ball.lower.copy(), ball.upper.copy()
        self._relaxation = L2Relaxation(search.frame, conditions, lower, upper)
        undecided = int(np.count_nonzero((lower < 0.0) & (upper > 0.0)))
        pixels = int(search.frame.inputs.center.size)
        self.size = {
            "variables": pixels + undecided,
            "constraints": 2 * undecided + conditions.rhs.size,
        }
        root = L2Node(lower, upper, math.inf, 0.0, 0, Cuts.none(), events.planted())
        self.open: list[L2Node] = [root]
        self._floor = math.inf
        self._pace = 0.0

    @property
    def bound(self) -> float:
        """Proven bound of the alternative; at most the cutoff when nothing is open."""
        return min(self._floor, min((node.bound for node in self.open), default=math.inf))

    def descend(self, image: FloatArray) -> None:
        """Nothing: every node visits the linear regions around its relaxation's image."""

    def step(self) -> None:
        """Process the open nodes with the lowest bounds, as many as there are threads."""
        self.open.sort(key=lambda node: (node.bound, -node.depth))
        taken = self.open[: thread_count()]
        self.search.nodes += len(taken)
        found: list[L2Node] = []
        ready: list[L2Node] = []
        for node in taken:
            self._events.refined(node.mark)
            within = node.bound < self.search.cutoff
            tightened = self._tighten(node) if within else None
            if tightened is None:
                self._close(node, math.inf if within else node.bound)
            else:
                ready.append(tightened)
        with self.search.step("node programs"):
            solved = each(self._solve, ready)
        results = map(self._process, ready, solved)
        left = [one for one in results if one is not None]
        if self.search.out_of_time:
            found.extend(node for node, _ in left)
        else:
            found.extend(self._branched(left))
        self.open[: len(taken)] = found

    @property
    def _goal(self) -> float:
        """A bound from which on a node needs no further work."""
        return min(self.search.cutoff, self._relaxation.largest)

    def _close(self, node: L2Node, bound: float) -> None:
        """A leaf: nothing below ``bound`` (nor below the cutoff) in it."""
        self._events.closed(node.mark)
        self._floor = min(self._floor, bound, self.search.cutoff)

    def _process(self, node: L2Node, solved: Solved) -> _Left | None:
        """Close a node whose program has been solved (None), or return what is to be branched."""
        search, relaxation = self.search, self._relaxation
        last, exact = None, False
        while True:
            exact = exact or not self._undecided(node).size
            node = replace(node, bound=max(node.bound, solved.bound))
            if solved.bound > relaxation.largest:
                self._close(node, math.inf)
                return None
            if node.bound >= search.cutoff:
                self._close(node, node.bound)
                return None
            if search.out_of_time:
                return node, None
            if not solved.usable:
                break
            if not self._improve(solved):
                last = solved
                if exact or not self._tight(node, solved):
                    break
                exact = True
            elif node.bound >= search.cutoff:
                self._close(node, node.bound)
                return None
            tightened = self._tighten(node)
            if tightened is None:
                self._close(node, math.inf)
                return None
            node = tightened
            with search.step("node programs"):
                solved = self._solve(node, exact)
        return node, last

    @timed("node bounds")
    def _tighten(self, node: L2Node) -> L2Node | None:
        """Bounds given the phases and the incumbent's ball; None when proven empty."""
        frame, radius = self.search.frame, self.search.radius
        smaller = radius < SMALLER_BALL * node.radius
        lower, upper = node.lower.copy(), node.upper.copy()
        if not frame.narrowed(radius, lower, upper, 0 if smaller else 1, self._conditions):
            return None
        return replace(node, lower=lower, upper=upper, radius=radius if smaller else node.radius)

    def _undecided(self, node: L2Node) -> IntArray:
        """Hidden neurons whose phase is open."""
        return np.flatnonzero(self.search.frame.undecided(node.lower, node.upper))

    def _tight(self, node: L2Node, solved: Solved) -> bool:
        """Whether the relaxation is exact where it ends, so that only accuracy is missing."""
        missing = self._goal - node.bound
        return bool(self._relaxation.pulls(solved).prod(axis=1).max(initial=0.0) <= EXACT * missing)

    def _solve(self, node: L2Node, exact: bool = False) -> Solved:
        """Solve the relaxation within the time that is left; on any thread."""
        search = self.search
        exact = exact or not self._undecided(node).size
        started = time.perf_counter()
        pace = self._pace or STEP_SECONDS * self._undecided(node).size ** 3
        steps = int(min(STEPS, max(search.deadline.left / max(pace, SHORTEST_STEP), 1.0)))
        tolerance = min(max(GAP_SHARE * search.gap, TOLERANCES[0]), TOLERANCES[1])
        effort = Effort(steps, tolerance, 0.0 if exact else SLACKNESS)
        given = node.lower, node.upper, node.cuts, self._goal, effort, node.above
        solved = self._relaxation.solve(*given)
        taken = (time.perf_counter() - started) / (solved.answer.steps + 1)
        self._pace = max(taken, 0.5 * self._pace)
        return solved

    @timed("polishing")
    def _improve(self, solved: Solved) -> bool:
        """Look for a better incumbent around the relaxation's image."""
        search, frame = self.search, self.search.frame
        image = self._relaxation.image(solved)
        objective = search.objective
        search.offer(image, self.alternative)
        start = Incumbent(image, math.inf, self.alternative)
        found = improve_by_linear_regions(
            frame.network, frame.task, start, REGIONS, search.deadline
        )
        if math.isfinite(found.objective):
            search.offer(found.image, self.alternative)
        return search.objective < objective * SMALLER_BALL

    @timed("branching")
    def _branched(self, left: Sequence[_Left]) -> list[L2Node]:
        """What takes the place of nodes that programs leave open.

        Those that a node beside them has settled, by a better incumbent, are closed.
        """
        cutoff = self.search.cutoff
        for node, _ in left:
            if node.bound >= cutoff:
                self._close(node, node.bound)
        left = [one for one in left if one[0].bound < cutoff]
        branchings = each(self._branching, left)
        pairs = zip(left, branchings, strict=True)
        return [child for one, branching in pairs for child in self._split(*one, branching)]

    def _branching(self, left: _Left) -> Branching | None:
        """What a node's program says of its neurons, if anything; on any thread."""
        node, solved = left
        if solved is None or self._tight(node, solved) or not solved.model.neuron.size:
            return None
        fixes = not self._events.keeps_proof
        return self._relaxation.branching(solved, self._goal, fixes=fixes)

    def _split(
        self, node: L2Node, solved: Solved | None, branching: Branching | None
    ) -> list[L2Node]:
        """The node without phases that are ruled out, or both children on its best neuron."""
        if not self._undecided(node).size:
            self._events.closed(node.mark)
            self._floor = min(self._floor, node.bound)
            return []
        if branching is not None and branching.empty:
            self._close(node, math.inf)
            return []
        if solved is not None:
            cuts = self._relaxation.handed(solved, self._goal, PRODUCTS)
            node = replace(node, cuts=cuts, above=solved.legacy)
        if branching is not None:
            lower, upper = branching.narrowed(node.lower, node.upper)
            node = replace(node, lower=lower, upper=upper)
            if branching.changed:
                return [node]
        neuron = self._chosen(node, branching)
        marks, deeper = self._events.branched(node.mark, neuron), node.depth + 1
        return [
            replace(node, lower=lower, upper=upper, depth=deeper, mark=mark)
            for (lower, upper), mark in zip(
                sides(node.lower, node.upper, neuron), marks, strict=True
            )
        ]

    def _chosen(self, node: L2Node, branching: Branching | None) -> int:
        """The most promising neuron, or the widest where nothing is promised or it is decided."""
        frame = self.search.frame
        if branching is not None:
            best = branching.neuron()
            if frame.undecided(node.lower, node.upper)[best]:
                return best
        return frame.widest(node.lower, node.upper)
