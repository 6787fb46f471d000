r"""Branch and bound for L2 tasks: few nodes, each with a nearly tight relaxation.

The semidefinite relaxation closes most of the gap at the root already, and products close most of
what is left; solving a child costs as much as probing it. So there is no strong branching: a node
is strengthened by products while that closes its gap quickly, and then branched on a neuron that
costs the relaxation much and whose children promise to rise
(:meth:`~relaxation.QPRelaxation.pulls`, :meth:`~relaxation.QPRelaxation.gains`). The open
node with the lowest bound comes first, which makes the proven bound rise steadily; incumbents come
from the linear regions of the relaxations' images.

Bounds over the ball of the incumbent are part of a node and are computed again when the incumbent
has become better, which replaces restarts.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace

import numpy as np

from reluopt.answers.solution import Incumbent
from reluopt.attacks.region import improve_by_regions
from reluopt.engines.branch_and_bound.l2.relaxation import Cuts, Effort, QPRelaxation, Solved
from reluopt.engines.branch_and_bound.search import Search, timed
from reluopt.numerics.arrays import FloatArray, IntArray
from reluopt.numerics.input_sets import with_radius
from reluopt.numerics.propagate import condition_maxima, tighten

STEPS = 80
"""Most steps of the interior point method for one program; 15 to 45 are usual."""

SLACKNESS = 0.03
"""Share of what is missing to the cutoff at which more accuracy would not change the branching."""

GAP_SHARE = 0.1
"""Programs are solved to this share of the search's relative gap, within :data:`TOLERANCES`."""

TOLERANCES = (1e-10, 1e-7)
"""What the interior point method can deliver, and what is cheap."""

SMALLER_BALL = 0.999
"""Bounds are computed again once the radius has fallen below this share of theirs."""

EXACT = 1e-6
"""A neuron pulls at the relaxation when it costs more than this share of the gap."""


@dataclass(frozen=True)
class QPTreeOptions:
    """How the tree spends its effort; the defaults are tuned on the bundled networks.

    Attributes:
        root_rounds: most rounds of products at the root.
        rounds: the same below.
        share: products added in a round, for each undecided neuron.
        progress: another round needs the last one to have closed this share of the node's gap.
        regions: linear regions visited from a relaxation's image.
    """

    root_rounds: int = 8
    rounds: int = 2
    share: float = 0.75
    progress: float = 0.25
    regions: int = 6


@dataclass(frozen=True, eq=False)
class Node:
    """An open node.

    Attributes:
        lower, upper: bounds of all neurons.
        radius: of the ball for which they were computed.
        bound: proven bound.
        depth: branchings above it.
        cuts: products to start with.
    """

    lower: FloatArray
    upper: FloatArray
    radius: float
    bound: float
    depth: int
    cuts: Cuts


STEP_SECONDS = 2e-9
"""Guess of the seconds of one step, for each undecided neuron to the third power; until one has
been timed."""

SHORTEST_STEP = 1e-6
"""No step takes less."""


class QPTree:
    """The tree of one alternative; :meth:`step` processes one node."""

    replants = False
    """The driver need not restart it: nodes follow the incumbent's ball themselves."""

    def __init__(
        self,
        search: Search,
        alternative: int,
        lower: FloatArray,
        upper: FloatArray,
        options: QPTreeOptions | None = None,
    ) -> None:
        self.search, self.alternative = search, alternative
        self._options = options or QPTreeOptions()
        frame = search.frame
        self._hidden = int(frame.flat.neuron_offsets[-2])
        self._layers = int(frame.flat.weight_offsets.size)
        self._magnitudes = np.empty(frame.flat.biases.size)
        conditions = frame.task.alternatives[alternative].conditions
        self._matrix, self._rhs = np.array(conditions.matrix), np.array(conditions.rhs)
        self._maxima = np.empty(self._rhs.size)
        self.relaxation = QPRelaxation(
            frame, conditions, lower[: self._hidden], upper[: self._hidden]
        )
        self.open: list[Node] = [Node(lower, upper, math.inf, 0.0, 0, Cuts.none())]
        self.floor = math.inf
        self.stuck = 0
        self._pace = 0.0

    @property
    def bound(self) -> float:
        """Proven bound of the alternative; at most the cutoff when nothing is open."""
        return min(self.floor, min((node.bound for node in self.open), default=math.inf))

    @property
    def size(self) -> dict[str, int]:
        """Variables and rows of the root's relaxation."""
        root = self.open[0]
        undecided = int(np.count_nonzero((root.lower < 0.0) & (root.upper > 0.0)))
        pixels = int(self.search.frame.region.center.size)
        return {"variables": pixels + undecided, "constraints": 2 * undecided + self._rhs.size}

    def step(self) -> None:
        """Process the open node with the lowest bound."""
        index = min(range(len(self.open)), key=lambda i: (self.open[i].bound, -self.open[i].depth))
        self.search.nodes += 1
        node = self.open[index]
        children = self._process(node)
        self.open.pop(index)
        self.open.extend(children)

    def _close(self, bound: float) -> list[Node]:
        """A leaf: nothing below ``bound`` (nor below the cutoff) in it."""
        self.floor = min(self.floor, bound, self.search.cutoff)
        return []

    def _process(self, node: Node) -> list[Node]:
        """Strengthen, close or branch; what remains open."""
        search, relaxation = self.search, self.relaxation
        rounds = self._options.rounds if node.depth else self._options.root_rounds
        last, exact = None, False
        while True:
            if node.bound >= search.cutoff:
                return self._close(node.bound)
            tightened = self._tighten(node)
            if tightened is None:
                return self._close(math.inf)
            node, before = tightened, node.bound
            exact = exact or not self._undecided(node).size
            solved = self._solve(node, exact)
            node = replace(node, bound=max(node.bound, solved.bound))
            if solved.bound > relaxation.largest:
                return self._close(math.inf)
            if node.bound >= search.cutoff:
                return self._close(node.bound)
            if search.out_of_time:
                return [node]
            if not solved.usable:
                break
            if self._improve(solved):
                continue
            last = solved
            missing = search.cutoff - node.bound
            enough = self._options.progress * (missing + node.bound - before)
            if not exact and self._tight(node, solved):
                exact = True
                continue
            if rounds == 0 or (len(node.cuts) > 0 and node.bound - before < enough):
                break
            rounds -= 1
            node = replace(node, cuts=relaxation.strong(solved))
            amount = int(self._options.share * solved.model.neuron.size) + 4
            cuts = relaxation.violated(solved, min(search.cutoff, relaxation.largest), amount)
            if len(cuts) == 0:
                break
            node = replace(node, cuts=node.cuts.joined(cuts))
        return self._branch(node, last)

    @timed("node bounds")
    def _tighten(self, node: Node) -> Node | None:
        """Bounds given the phases and the incumbent's ball; None when proven empty."""
        frame, radius = self.search.frame, self.search.radius
        smaller = radius < SMALLER_BALL * node.radius
        lower, upper = node.lower.copy(), node.upper.copy()
        args = (frame.flat, with_radius(frame.region, radius), lower, upper, self._magnitudes)
        if not tighten(*args, 0 if smaller else 1, self._layers - 1, False):
            return None
        if not condition_maxima(*args, self._matrix, self._rhs, self._maxima):
            return None
        return replace(node, lower=lower, upper=upper, radius=radius if smaller else node.radius)

    def _undecided(self, node: Node) -> IntArray:
        """Hidden neurons whose phase is open."""
        hidden = self._hidden
        return np.flatnonzero((node.lower[:hidden] < 0.0) & (node.upper[:hidden] > 0.0))

    def _tight(self, node: Node, solved: Solved) -> bool:
        """Whether the relaxation is exact at its optimum, so that only accuracy is missing."""
        missing = min(self.search.cutoff, self.relaxation.largest) - node.bound
        return bool(self.relaxation.pulls(solved).prod(axis=1).max(initial=0.0) <= EXACT * missing)

    @timed("node programs")
    def _solve(self, node: Node, exact: bool) -> Solved:
        """Solve the relaxation within the time that is left."""
        search = self.search
        started = time.perf_counter()
        pace = self._pace or STEP_SECONDS * self._undecided(node).size ** 3
        steps = int(min(STEPS, max(search.deadline.left / max(pace, SHORTEST_STEP), 1.0)))
        goal = min(search.cutoff, self.relaxation.largest)
        hidden = self._hidden
        tolerance = min(max(GAP_SHARE * search.gap, TOLERANCES[0]), TOLERANCES[1])
        effort = Effort(steps, tolerance, 0.0 if exact else SLACKNESS)
        solved = self.relaxation.solve(
            node.lower[:hidden], node.upper[:hidden], node.cuts, goal, effort
        )
        taken = (time.perf_counter() - started) / (solved.answer.steps + 1)
        self._pace = max(taken, 0.5 * self._pace)
        return solved

    @timed("polishing")
    def _improve(self, solved: Solved) -> bool:
        """Look for a better incumbent around the relaxation's image."""
        search, task = self.search, self.search.frame.task
        image = self.relaxation.image(solved)
        objective = search.objective
        search.offer(image, self.alternative)
        start = Incumbent(image, math.inf, self.alternative)
        found = improve_by_regions(
            search.frame.network, task, start, self._options.regions, search.deadline
        )
        if math.isfinite(found.objective):
            search.offer(found.image, self.alternative)
        return search.objective < objective * SMALLER_BALL

    @timed("branching")
    def _branch(self, node: Node, solved: Solved | None) -> list[Node]:
        """Both children of a node on its most costly neuron."""
        undecided = self._undecided(node)
        if undecided.size == 0:
            self.stuck += 1
            self.floor = min(self.floor, node.bound)
            return []
        width = np.minimum(-node.lower[undecided], node.upper[undecided])
        neuron = int(undecided[np.argmax(width)])
        if solved is not None:
            missing = min(self.search.cutoff, self.relaxation.largest) - node.bound
            cost = self.relaxation.pulls(solved).prod(axis=1)
            gains = np.clip(self.relaxation.gains(solved), EXACT * missing, missing)
            if not self._tight(node, solved):
                neuron = int(solved.model.neuron[np.argmax(gains.prod(axis=1) * np.sqrt(cost))])
            node = replace(node, cuts=self.relaxation.strong(solved))
        lower, upper = node.lower.copy(), node.upper.copy()
        lower[neuron], upper[neuron] = 0.0, 0.0
        return [
            replace(node, upper=upper, depth=node.depth + 1),
            replace(node, lower=lower, depth=node.depth + 1),
        ]
