"""Depth-first branch and bound on the ReLU phases of one alternative, with strong branching."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from reluopt.engines.branch_and_bound.events import Mark, TreeEvents
from reluopt.engines.branch_and_bound.l1.ball import RowBall
from reluopt.engines.branch_and_bound.l1.branching import PseudoCosts, candidates, score
from reluopt.engines.branch_and_bound.l1.program import State
from reluopt.engines.branch_and_bound.l1.relaxation import L1Relaxation, LinearRegionPoint
from reluopt.engines.branch_and_bound.search import Search, timed
from reluopt.numerics.arrays import BoolArray, FloatArray, IntArray

SOLVE_PIVOTS, MAX_SOLVES = 300, 10
"""Pivots of one solve between two looks at the clock, and solves of one node before it is branched
on as it is: ten times what the largest roots need."""

PROBE_PIVOTS = 15
"""Pivots of one strong branching probe."""

PROBES, ROOT_PROBES, ROOT_DEPTH = 16, 24, 3
"""Neurons probed at a node, and at nodes of less than this depth."""

PATIENCE = 5
"""Probes in a row without a better neuron after which probing stops."""

RELIABLE, DEEP = 8, 6
"""Below this depth a neuron that has been probed so often is trusted: one probe does."""

POLISH_EVERY, TIGHTEN_EVERY = 4, 4
"""A node's point is polished, and bounds are recomputed by linear forms, every so many nodes."""

RAREST = 64
"""What fails is done ever more rarely, but no more rarely than by this factor."""

TIGHTER = 0.99
"""Bounds whose total width falls below this share were worth computing again."""

POLISH_ROUNDS = 4
"""Linear regions visited by one attempt to polish."""

DESCENT_REGIONS = 60
"""Most linear regions visited by one :meth:`L1Tree.descend`."""

BETTER = 1.0 - 1e-6
"""A neighbouring linear region counts as better when its best point is, by this factor."""


@dataclass(eq=False)
class L1Node:
    """An open node: bounds, a proven bound on its objective, and a warm start.

    Attributes:
        lower, upper: bounds of all neurons of the network; phases are part of them.
        bound: proven lower bound on the objective.
        depth: branchings above it.
        mark: the listener's.
        warm: snapshot of the relaxation, if any.
    """

    lower: FloatArray
    upper: FloatArray
    bound: float
    depth: int
    mark: Mark
    warm: State | None = None


class _Rhythm:
    """Something that is done every few nodes, and ever more rarely while it fails."""

    def __init__(self, every: int, first: int) -> None:
        self._every = self._wait = every
        self._next = first

    def due(self, nodes: int) -> bool:
        """Whether it is time."""
        return nodes >= self._next

    def done(self, nodes: int, worth: bool) -> None:
        """It was done, and was worth it or not."""
        self._wait = self._every if worth else min(2 * self._wait, RAREST * self._every)
        self._next = nodes + self._wait


class L1Tree:
    """The tree of one alternative; :meth:`step` processes one node."""

    replants = True
    """Whether the driver should restart it when the incumbent has become clearly better."""

    def __init__(
        self,
        search: Search,
        alternative: int,
        ball: RowBall,
        costs: PseudoCosts,
        events: TreeEvents,
    ) -> None:
        self.search, self.alternative, self.costs = search, alternative, costs
        self._events, self._hidden = events, search.frame.hidden
        self._relaxation = L1Relaxation(search.frame, search.frame.conditions(alternative), ball)
        self.size = self._relaxation.size()
        root = L1Node(ball.lower.copy(), ball.upper.copy(), 0.0, 0, events.planted())
        self.open: list[L1Node] = [root]
        self._floor = math.inf
        self._polishing = _Rhythm(POLISH_EVERY, 0)
        self._tightening = _Rhythm(TIGHTEN_EVERY, search.nodes)

    @property
    def bound(self) -> float:
        """Proven bound of the alternative; at most the cutoff when nothing is open."""
        return min(self._floor, min((node.bound for node in self.open), default=math.inf))

    def step(self) -> None:
        """Process the newest open node."""
        node = self.open[-1]
        self.search.nodes += 1
        children = self._process(node)
        self.open.pop()
        self.open.extend(children)

    def _close(self, node: L1Node, bound: float) -> list[L1Node]:
        """A leaf: nothing below ``bound`` (nor below the cutoff's ball) in it."""
        self._events.closed(node.mark)
        self._floor = min(self._floor, bound, self.search.cutoff)
        return []

    def _process(self, node: L1Node) -> list[L1Node]:
        """Bound the node, look for incumbents, branch; its children, the best one last."""
        search, relaxation = self.search, self._relaxation
        if node.warm is not None:
            relaxation.restore(node.warm)
        while True:
            if node.bound >= search.cutoff:
                return self._close(node, node.bound)
            if self._tightening.due(search.nodes) and not self._tighten(node):
                return self._close(node, math.inf)
            relaxation.set_bounds(node.lower, node.upper)
            solved = self._solve(node)
            if node.bound >= search.cutoff:
                return self._close(node, node.bound)
            if search.out_of_time:
                return [node]
            undecided = search.frame.undecided(node.lower, node.upper)
            if not solved:
                return self._branch_blindly(node, undecided)
            image = relaxation.point()
            search.offer(image, self.alternative)
            x, s = relaxation.split()
            room = search.cutoff - node.bound
            neurons, moved = candidates(undecided, x, s, self.costs, room)
            if neurons.size == 0 or self._polishing.due(search.nodes):
                self._polish(image)
            if node.bound >= search.cutoff:
                return self._close(node, node.bound)
            if neurons.size == 0:
                return self._branch_blindly(node, undecided)
            neuron, gains, fixed = self._strong_branching(node, neurons, moved)
            if fixed.size == 0:
                return self._children(node, neuron, gains)
            if (fixed < 0).any():
                return self._close(node, math.inf)

    @timed("node bounds")
    def _tighten(self, node: L1Node) -> bool:
        """Bounds of later layers given the phases; False when the node is proven empty."""
        search = self.search
        self._events.refined(node.mark)
        before = float((node.upper - node.lower)[: self._hidden].sum())
        if not search.frame.tighten(search.radius, node.lower, node.upper):
            self._tightening.done(search.nodes, worth=True)
            return False
        after = float((node.upper - node.lower)[: self._hidden].sum())
        self._tightening.done(search.nodes, worth=after < TIGHTER * before)
        return True

    @timed("node programs")
    def _solve(self, node: L1Node) -> bool:
        """Solve the relaxation; whether it was solved."""
        cutoff = self.search.cutoff
        for _ in range(MAX_SOLVES):
            bound, solved = self._relaxation.solve(cutoff, SOLVE_PIVOTS)
            node.bound = max(node.bound, bound)
            if solved or node.bound >= cutoff or self.search.out_of_time:
                return solved
        return False

    @timed("polishing")
    def _polish(self, image: FloatArray) -> None:
        """Best point of the linear region of ``image``, then of promising neighbours."""
        search = self.search
        before, best = search.objective, math.inf
        pattern = search.pre_activations(image)[: self._hidden] > 0.0
        for _ in range(POLISH_ROUNDS):
            found = self._relaxation.best_of_region(pattern, search.cutoff, SOLVE_PIVOTS)
            if found is None:
                break
            improved = search.offer(found.image, self.alternative)
            if (not improved and found.objective >= best) or found.flips.size == 0:
                break
            if search.out_of_time:
                break
            best = found.objective
            pattern[found.flips] ^= True
        self._polishing.done(search.nodes, worth=search.objective < before)

    @timed("polishing")
    def descend(self, image: FloatArray) -> None:
        """Walk from the linear region of ``image`` to better neighbours until there are none.

        A neighbour lies behind one of the neurons that sit at zero, or behind all of them.
        """
        if not self.open:
            return
        pattern = self.search.pre_activations(image)[: self._hidden] > 0.0
        found = self._visit(pattern, math.inf)
        tries = 0
        while found is not None:
            best, neighbours = found, [found.flips, *found.flips[:, None]]
            found = None
            for flips in neighbours if best.flips.size else []:
                tries += 1
                if tries > DESCENT_REGIONS or self.search.out_of_time:
                    return
                other = pattern.copy()
                other[flips] ^= True
                found = self._visit(other, best.objective * BETTER)
                if found is not None:
                    pattern = other
                    break

    def _visit(self, pattern: BoolArray, cutoff: float) -> LinearRegionPoint | None:
        """Best point of a linear region below ``cutoff``, offered as incumbent."""
        found = self._relaxation.best_of_region(pattern, cutoff, SOLVE_PIVOTS)
        if found is not None:
            self.search.offer(found.image, self.alternative)
        return found

    @timed("strong branching")
    def _strong_branching(
        self, node: L1Node, neurons: IntArray, moved: FloatArray
    ) -> tuple[int, FloatArray, IntArray]:
        """Probe candidates.

        Returns:
            The best neuron with its gains, and the neurons that a probe fixed (their bounds are
            set in ``node``); -1 among them means that both children of one were cut off.
        """
        cutoff = self.search.cutoff
        count = ROOT_PROBES if node.depth < ROOT_DEPTH else PROBES
        if node.depth > DEEP and self.costs.count[neurons[0]].min() >= RELIABLE:
            count = 1
        bounds = self._relaxation.probe(neurons[:count], cutoff, PROBE_PIVOTS, PATIENCE)
        probed = ~np.isnan(bounds[:, 0])
        bounds, neurons = bounds[probed], neurons[: bounds.shape[0]][probed]
        moved = moved[: probed.size][probed]
        room = cutoff - node.bound
        gains = np.clip(bounds[:, :2] - bounds[:, 2:], 0.0, room if room < math.inf else None)
        cut = bounds[:, :2] == np.inf
        self.costs.learn(neurons, np.where(np.isfinite(gains), gains, 0.0), moved)
        if cut.any():
            self._fix(node, neurons, cut)
            fixed = np.where(cut.all(axis=1), -1, neurons)[cut.any(axis=1)]
            return -1, gains[0], fixed
        best = int(np.argmax(score(gains, room)))
        return int(neurons[best]), gains[best], neurons[:0]

    def _fix(self, node: L1Node, neurons: IntArray, cut: BoolArray) -> None:
        """Take over the phases of neurons whose (inactive, active) child was cut off."""
        for neuron, (inactive, active) in zip(neurons.tolist(), cut, strict=True):
            if inactive:
                node.lower[neuron] = max(node.lower[neuron], 0.0)
            elif active:
                node.upper[neuron] = min(node.upper[neuron], 0.0)
            if inactive or active:
                node.mark = self._events.fixed(node.mark, neuron, bool(inactive))

    def _children(self, node: L1Node, neuron: int, gains: FloatArray) -> list[L1Node]:
        """Both children, the one with the smaller gain last (it is processed first)."""
        marks = self._events.branched(node.mark, neuron)
        warm = self._relaxation.snapshot()
        inactive, active = (
            replace(
                node,
                lower=node.lower.copy(),
                upper=node.upper.copy(),
                depth=node.depth + 1,
                mark=mark,
                warm=warm,
            )
            for mark in marks
        )
        inactive.upper[neuron] = 0.0
        active.lower[neuron] = 0.0
        return [active, inactive] if gains[0] <= gains[1] else [inactive, active]

    def _branch_blindly(self, node: L1Node, undecided: BoolArray) -> list[L1Node]:
        """Branch on the widest neuron when the relaxation tells nothing; give up without one."""
        if not undecided.any():
            self._events.closed(node.mark)
            self._floor = min(self._floor, node.bound)
            return []
        neuron = self.search.frame.widest(node.lower, node.upper)
        return self._children(node, neuron, np.zeros(2))
