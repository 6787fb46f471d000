"""Depth-first branch and bound on the ReLU phases of one alternative."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from reluopt.engines.branch_and_bound.ball import Ball, RelaxationFactory, make_ball
from reluopt.engines.branch_and_bound.frame import RegionPoint, Relaxation
from reluopt.engines.branch_and_bound.l1.branching import PseudoCosts, candidates, score
from reluopt.engines.branch_and_bound.search import Search, timed
from reluopt.numerics.arrays import BoolArray, FloatArray, IntArray
from reluopt.numerics.input_sets import with_radius
from reluopt.numerics.propagate import tighten

TIGHTER = 0.99
"""Bounds whose total width falls below this share were worth computing again."""


MAX_SOLVES = 10
"""Solves of one node, of :attr:`TreeOptions.solve_iterations` each, before it is branched on as it
is: ten times what the largest roots need."""

BETTER = 1.0 - 1e-6
"""A neighbouring region counts as better when its best point is, by this factor."""


@dataclass(frozen=True)
class TreeOptions:
    """How the tree spends its effort; the defaults are tuned on the bundled networks.

    Attributes:
        solve_iterations: iterations of one solve between two looks at the clock.
        probe_iterations: iterations of one strong branching probe.
        probes: neurons probed at a node.
        root_probes: neurons probed near the root.
        patience: probes in a row without a better neuron after which probing stops.
        root_depth: how deep "near the root" goes.
        reliable: probes after which a neuron's pseudo-costs are trusted deep in the tree.
        polish_every: attempts to polish a node's point: every so many nodes at first, ever more
            rarely while they fail.
        tighten_every: bounds are recomputed by linear forms every so many nodes at first, ever more
            rarely while that gives nothing.
        polish_rounds: linear regions visited by one attempt.
        descent_regions: most linear regions visited by one :meth:`Tree.descend`.
        replant_every: depth levels after which a subtree gets a relaxation of its own, built from
            the phases fixed so far.
        squeeze_after: nodes of one alternative after which its bounds are computed by linear
            programs (:mod:`squeezing`) and its tree starts anew.
        weak_root: that happens after :attr:`weak_after` nodes where the root's bound is below this
            share of the cutoff and at least :attr:`weak_neurons` neurons are undecided: such a tree
            would have thousands of nodes.
        weak_after, weak_neurons: see there.
    """

    solve_iterations: int = 300
    probe_iterations: int = 15
    probes: int = 16
    root_probes: int = 24
    patience: int = 5
    root_depth: int = 3
    reliable: int = 8
    polish_every: int = 4
    tighten_every: int = 4
    polish_rounds: int = 4
    descent_regions: int = 60
    replant_every: int = 1000
    squeeze_after: int = 250
    weak_root: float = 0.3
    weak_after: int = 20
    weak_neurons: int = 40


@dataclass(eq=False)
class Node:
    """An open node: bounds, a proven bound on its objective, and a warm start.

    Attributes:
        lower, upper: bounds of all neurons of the network; phases are part of them.
        bound: proven lower bound on the objective.
        depth: branchings above it.
        relaxation: relaxation of the subtree that it belongs to.
        planted: depth at which that relaxation was made.
        warm: snapshot of that relaxation, if any.
    """

    lower: FloatArray
    upper: FloatArray
    bound: float
    depth: int
    relaxation: Relaxation
    planted: int
    warm: Any = None

    def undecided(self, hidden: int) -> BoolArray:
        """Hidden neurons whose phase is open."""
        return np.asarray((self.lower[:hidden] < 0.0) & (self.upper[:hidden] > 0.0))


class Tree:
    """The tree of one alternative; :meth:`step` processes one node."""

    replants = True
    """Whether the driver should restart it when the incumbent has become clearly better."""

    def __init__(
        self,
        search: Search,
        factory: RelaxationFactory,
        alternative: int,
        ball: Ball,
        costs: PseudoCosts,
        options: TreeOptions,
    ) -> None:
        self.search, self.alternative = search, alternative
        self.options, self.costs, self._factory = options, costs, factory
        flat = search.frame.flat
        self._hidden = int(flat.neuron_offsets[-2])
        self._layers = int(flat.weight_offsets.size)
        self._magnitudes = np.empty(flat.biases.size)
        conditions = search.frame.task.alternatives[alternative].conditions
        relaxation = factory(search.frame, conditions, ball)
        self.size = relaxation.size()
        self.open: list[Node] = [Node(ball.lower.copy(), ball.upper.copy(), 0.0, 0, relaxation, 0)]
        self.floor = math.inf
        self.stuck = 0
        self._wait = options.polish_every
        self._next_polish = 0
        self._pause = options.tighten_every
        self._next_tightening = search.nodes

    @property
    def bound(self) -> float:
        """Proven bound of the alternative; at most the cutoff when nothing is open."""
        return min(self.floor, min((node.bound for node in self.open), default=math.inf))

    def step(self) -> None:
        """Process the newest open node."""
        node = self.open[-1]
        self.search.nodes += 1
        children = self._process(node)
        self.open.pop()
        self.open.extend(children)

    def _close(self, bound: float) -> list[Node]:
        """A leaf: nothing below ``bound`` (nor below the cutoff's ball) in it."""
        self.floor = min(self.floor, bound, self.search.cutoff)
        return []

    def _process(self, node: Node) -> list[Node]:
        """Bound the node, look for incumbents, branch; its children, the best one last."""
        search = self.search
        if node.depth - node.planted >= self.options.replant_every and not self._replant(node):
            return self._close(math.inf)
        relaxation = node.relaxation
        if node.warm is not None:
            relaxation.restore(node.warm)
        while True:
            if node.bound >= search.cutoff:
                return self._close(node.bound)
            if search.nodes >= self._next_tightening and not self._tighten(node):
                return self._close(math.inf)
            relaxation.set_bounds(node.lower[: self._hidden], node.upper[: self._hidden])
            solved = self._solve(node)
            if node.bound >= search.cutoff:
                return self._close(node.bound)
            if search.out_of_time:
                return [node]
            undecided = node.undecided(self._hidden)
            if not solved:
                return self._branch_blindly(node, undecided)
            image = relaxation.point()
            search.offer(image, self.alternative)
            x, s = relaxation.split()
            choice = candidates(undecided, x, s, self.costs, search.cutoff - node.bound)
            if choice.neurons.size == 0 or search.nodes >= self._next_polish:
                self._polish(node.relaxation, image)
            if node.bound >= search.cutoff:
                return self._close(node.bound)
            if choice.neurons.size == 0:
                return self._branch_blindly(node, undecided)
            neuron, gains, fixed = self._strong_branching(node, choice.neurons, choice.moved)
            if fixed.size == 0:
                return self._children(node, neuron, gains)
            if (fixed < 0).any():
                return self._close(math.inf)

    def _replant(self, node: Node) -> bool:
        """Give the node a relaxation of its own; False when it is proven empty."""
        if node.bound >= self.search.cutoff:
            return True
        frame = self.search.frame
        ball = make_ball(frame, self.search.radius, node.lower, node.upper)
        if ball.empty:
            return False
        conditions = frame.task.alternatives[self.alternative].conditions
        node.relaxation = self._factory(frame, conditions, ball)
        node.lower, node.upper = ball.lower.copy(), ball.upper.copy()
        node.planted, node.warm = node.depth, None
        return True

    @timed("node bounds")
    def _tighten(self, node: Node) -> bool:
        """Bounds of later layers given the phases; False when the node is proven empty."""
        frame, every = self.search.frame, self.options.tighten_every
        before = float((node.upper - node.lower)[: self._hidden].sum())
        region = with_radius(frame.region, self.search.radius)
        args = (frame.flat, region, node.lower, node.upper, self._magnitudes)
        if not tighten(*args, 1, self._layers - 1, False):
            self._pause, self._next_tightening = every, self.search.nodes + every
            return False
        after = float((node.upper - node.lower)[: self._hidden].sum())
        self._pause = every if after < TIGHTER * before else min(2 * self._pause, 64 * every)
        self._next_tightening = self.search.nodes + self._pause
        return True

    @timed("node programs")
    def _solve(self, node: Node) -> bool:
        """Solve the relaxation; whether it was solved."""
        cutoff = self.search.cutoff
        for _ in range(MAX_SOLVES):
            bound, solved = node.relaxation.solve(cutoff, self.options.solve_iterations)
            node.bound = max(node.bound, bound)
            if solved or node.bound >= cutoff or self.search.out_of_time:
                return solved
        return False

    @timed("polishing")
    def _polish(self, relaxation: Relaxation, image: FloatArray) -> None:
        """Try to polish ``image``; after a failure wait longer before the next attempt."""
        search = self.search
        before = search.objective
        self._visit_regions(relaxation, image)
        every = self.options.polish_every
        self._wait = every if search.objective < before else min(2 * self._wait, 64 * every)
        self._next_polish = search.nodes + self._wait

    def _visit_regions(self, relaxation: Relaxation, image: FloatArray) -> None:
        """Best point of the linear region of ``image``, then of promising neighbours."""
        search = self.search
        values = search.pre_activations(image)
        pattern = values[: self._hidden] > 0.0
        best = math.inf
        for _ in range(self.options.polish_rounds):
            found = relaxation.region(pattern, search.cutoff, self.options.solve_iterations)
            if found is None:
                return
            improved = search.offer(found.image, self.alternative)
            if (not improved and found.objective >= best) or found.flips.size == 0:
                return
            if search.out_of_time:
                return
            best = found.objective
            pattern[found.flips] ^= True

    @timed("polishing")
    def descend(self, image: FloatArray) -> None:
        """Walk from the linear region of ``image`` to better neighbours until there are none.

        A neighbour lies behind one of the neurons that sit at zero, or behind all of them.
        """
        if not self.open:
            return
        relaxation, search = self.open[-1].relaxation, self.search
        pattern = search.pre_activations(image)[: self._hidden] > 0.0
        found = self._region(relaxation, pattern, math.inf)
        tries = 0
        while found is not None:
            best, neighbours = found, [found.flips, *found.flips[:, None]]
            found = None
            for flips in neighbours if best.flips.size else []:
                tries += 1
                if tries > self.options.descent_regions or search.out_of_time:
                    return
                other = pattern.copy()
                other[flips] ^= True
                found = self._region(relaxation, other, best.objective * BETTER)
                if found is not None:
                    pattern = other
                    break

    def _region(
        self, relaxation: Relaxation, pattern: BoolArray, cutoff: float
    ) -> RegionPoint | None:
        """Best point of a linear region below ``cutoff``, offered as incumbent."""
        found = relaxation.region(pattern, cutoff, self.options.solve_iterations)
        if found is not None:
            self.search.offer(found.image, self.alternative)
        return found

    @timed("strong branching")
    def _strong_branching(
        self, node: Node, neurons: IntArray, moved: FloatArray
    ) -> tuple[int, FloatArray, IntArray]:
        """Probe candidates.

        Returns:
            The best neuron with its gains, and the neurons that a probe fixed (their bounds are
            set in ``node``); -1 among them means that both children of one were cut off.
        """
        options, search = self.options, self.search
        near_root = node.depth < options.root_depth
        count = options.root_probes if near_root else options.probes
        if not near_root:
            reliable = self.costs.count[neurons].min(axis=1) >= options.reliable
            if reliable[0] and node.depth > 6:
                count = 1
        cutoff = search.cutoff
        bounds = node.relaxation.probe(
            neurons[:count], cutoff, options.probe_iterations, options.patience
        )
        probed = ~np.isnan(bounds[:, 0])
        bounds, neurons = bounds[probed], neurons[: bounds.shape[0]][probed]
        moved = moved[: probed.size][probed]
        room = cutoff - node.bound
        gains = np.clip(bounds[:, :2] - bounds[:, 2:], 0.0, room if room < math.inf else None)
        cut = bounds[:, :2] == np.inf
        self.costs.learn(neurons, np.where(np.isfinite(gains), gains, 0.0), moved)
        for neuron, (inactive, active) in zip(neurons, cut, strict=True):
            if inactive:
                node.lower[neuron] = max(node.lower[neuron], 0.0)
            elif active:
                node.upper[neuron] = min(node.upper[neuron], 0.0)
        if cut.any():
            fixed = np.where(cut.all(axis=1), -1, neurons)[cut.any(axis=1)]
            return -1, gains[0], fixed
        best = int(np.argmax(score(gains, room)))
        return int(neurons[best]), gains[best], neurons[:0]

    def _children(self, node: Node, neuron: int, gains: FloatArray) -> list[Node]:
        """Both children, the one with the smaller gain last (it is processed first)."""
        warm = node.relaxation.snapshot()
        inactive, active = (
            Node(
                node.lower.copy(),
                node.upper.copy(),
                node.bound,
                node.depth + 1,
                node.relaxation,
                node.planted,
                warm,
            )
            for _ in range(2)
        )
        inactive.upper[neuron] = 0.0
        active.lower[neuron] = 0.0
        return [active, inactive] if gains[0] <= gains[1] else [inactive, active]

    def _branch_blindly(self, node: Node, undecided: BoolArray) -> list[Node]:
        """Branch on the widest neuron when the relaxation tells nothing; give up without one."""
        if not undecided.any():
            self.stuck += 1
            self.floor = min(self.floor, node.bound)
            return []
        width = np.minimum(-node.lower[: self._hidden], node.upper[: self._hidden])
        neuron = int(np.argmax(np.where(undecided, width, -math.inf)))
        return self._children(node, neuron, np.zeros(2))
