"""The trees of one task: ball bounds, root relaxations, growth, restarts.

Anything better than the incumbent lies in the ball of its radius around the image, so bounds are
computed over that ball, and again whenever the incumbent has become clearly better.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from reluopt.answers.solution import Incumbent
from reluopt.attacks.start import starting_points
from reluopt.engines.branch_and_bound.ball import Ball, no_bounds
from reluopt.engines.branch_and_bound.events import TreeEvents
from reluopt.engines.branch_and_bound.norm_search import (
    Finisher,
    GrowingTree,
    LargeTrees,
    norm_search,
)
from reluopt.engines.branch_and_bound.plan import Plan, Recorder
from reluopt.engines.branch_and_bound.search import Search
from reluopt.numerics.arrays import FloatArray

RESTART_AT = 0.995
"""A tree restarts with new bounds once the incumbent has fallen below this share of its value at
the tree's root: bounds over the smaller ball then save more than the repeated work costs."""

MAX_RESTARTS = 6
"""Restarts of one tree."""

SMALL, DEEP = 64, 200
"""Hidden neurons of networks whose linear programs are so cheap, and of deep ones whose squeezed
bounds are so much better, that trees of them are tried once more."""

FEW_NODES, MORE_NODES = 4000, 1500
"""Nodes of the other way before that, and nodes of such a tree after which it goes on. 967 were the
most that an instance of ``dnn3`` took."""

SMALL_TREE = 20
"""Searches with more nodes (beyond one for each alternative) look harder for incumbents."""


UNSETTLED = "some leaves could not be settled in double precision"
"""Message of a search that ended before its time without closing the gap."""


class Forest:
    """Grows a tree for each alternative of a task.

    Attributes:
        search: what all trees share.
        bounds: proven bounds of the alternatives.
        size: of the largest root relaxation.
        message: why it ended before its time with an open gap.
    """

    message = UNSETTLED

    def __init__(
        self,
        search: Search,
        seed: int,
        keeps_proof: bool,
        starts: list[Incumbent] | None = None,
        excluded: frozenset[int] = frozenset(),
    ) -> None:
        self.search, self._seed = search, seed
        self._norm = norm_search(search.frame.task.norm)
        alternatives = len(search.frame.task.alternatives)
        self.bounds = [0.0] * alternatives
        self.size: dict[str, int] = {}
        self._recorders = [Recorder() for _ in range(alternatives)] if keeps_proof else []
        # Leaves of proofs are replayed with bounds over the ball alone.
        self._squeezer = None if keeps_proof else self._norm.squeezer(search.frame)
        finisher = None if keeps_proof else self._norm.finisher
        usable = finisher is not None and finisher.takes(search.frame)
        self._finisher = finisher if usable else None
        self._ball: Ball | None = None
        self._squeezed: dict[int, Ball] = {}
        self._starts, self._excluded = starts, excluded
        self._trees: list[GrowingTree | None] = []

    @property
    def bound(self) -> float:
        """Proven bound on the task's optimum."""
        return min(self.bounds)

    @property
    def plans(self) -> list[Plan]:
        """What was branched on, if a proof is kept."""
        return [recorder.root for recorder in self._recorders]

    def grow(self) -> None:
        """Solve all alternatives or run out of time."""
        search = self.search
        for index in range(len(self.bounds)):
            search.offer(np.array(search.frame.task.image), index)
        if search.objective <= 0.0:
            return
        if self._starts is None:
            self._starts = find_incumbents(search, self._seed) if search.best is None else []
        for index in range(len(self.bounds)):
            if search.out_of_time:
                return
            tree = self._plant(index)
            self._trees.append(tree)
            if search.out_of_time:
                return
            if tree is not None:
                tree.step()
                self.bounds[index] = tree.bound
            search.report(self.bound)
        roots = list(self.bounds)
        order = sorted(range(len(roots)), key=roots.__getitem__)
        if self._finisher is None:
            for index in order:
                self._finish(index, roots[index])
        else:
            self._finish_in_turns(self._finisher, order, roots)

    def _plant(self, index: int) -> GrowingTree | None:
        """A new tree for one alternative; None when it is known that nothing is in it."""
        ball = self._ball_bounds(index)
        before = self._trees[index] if index < len(self._trees) else None
        events = self._recorders[index] if self._recorders else TreeEvents()
        if ball.empty or index in self._excluded:
            self.bounds[index] = self.search.cutoff
            events.closed(events.planted())
            return None
        with self.search.step("root relaxations"):
            tree = self._norm.tree(self.search, index, ball, events, before)
        self.size = max(self.size, tree.size, key=lambda size: size.get("variables", 0))
        return tree

    def _finish(
        self, index: int, root_bound: float, most: float = math.inf, squeezes: bool = True
    ) -> None:
        """Work on one tree until it is done, restarting it when the incumbent falls.

        Or, where there is an incumbent, for so many nodes.
        """
        search, tree = self.search, self._trees[index]
        restarts, planted_at = 0, search.objective
        squeeze_at = -1
        if squeezes and self._squeezer is not None and tree is not None and tree.open:
            patience = self._squeezer.patience(search, tree, root_bound)
            squeeze_at = search.nodes + patience
        limit = search.nodes + most
        while tree is not None and tree.open:
            if search.out_of_time or (search.nodes >= limit and search.cutoff < math.inf):
                return
            fallen = search.objective < RESTART_AT * planted_at
            squeezed = search.nodes == squeeze_at and self._squeeze(index)
            if squeezed or (tree.replants and fallen and restarts < MAX_RESTARTS):
                tree = self._trees[index] = self._plant(index)
                planted_at = search.objective
                restarts += 1
                if tree is None:
                    return
            if self._starts and search.nodes >= SMALL_TREE + len(self.bounds):
                self._descend()
            tree.step()
            self.bounds[index] = max(self.bounds[index], min(tree.bound, search.cutoff))
            search.report(self.bound)

    def _finish_in_turns(
        self, finisher: Finisher, order: Sequence[int], roots: Sequence[float]
    ) -> None:
        """Trees by themselves, large ones by the finisher; those of small networks in turns."""
        search, most = self.search, finisher.PATIENCE
        for index in order:
            self._finish(index, roots[index], most, squeezes=False)
        late = self._left(order)
        again = search.frame.hidden <= (SMALL if self._squeezer is None else DEEP)
        few = FEW_NODES if again else finisher.FEW
        if late and self._large(finisher, late).tried(few):
            self._raise(late, search.cutoff)
            return
        for index in self._left(late) if again else ():
            self._finish(index, roots[index], MORE_NODES)
        late = self._left(late)
        if late:
            self._raise(late, self._large(finisher, late).proven())

    def _large(self, finisher: Finisher, which: Sequence[int]) -> LargeTrees:
        """Some alternatives as the finisher takes them."""
        return finisher.large_trees(self.search, which, self.bounds, self._descend_from)

    def _left(self, which: Sequence[int]) -> list[int]:
        """Alternatives that are not settled, where there is an incumbent: open or given up."""
        cutoff = self.search.cutoff
        return [index for index in which if self.bounds[index] < cutoff < math.inf]

    def _raise(self, which: Sequence[int], proven: float) -> None:
        """Take what is proven of some alternatives."""
        for index in which:
            self.bounds[index] = max(self.bounds[index], min(proven, self.search.cutoff))

    def _descend_from(self, image: FloatArray, index: int) -> None:
        """A better incumbent around an image that meets an alternative."""
        tree = self._trees[index]
        if tree is not None:
            tree.descend(image)

    def _descend(self) -> None:
        """Once a tree turns out not to be small: better incumbents from all starting points."""
        for start in self._starts or []:
            tree = self._trees[start.alternative]
            if tree is not None and not self.search.out_of_time:
                tree.descend(start.image)
        self._starts = []

    def _squeeze(self, index: int) -> bool:
        """Better bounds of one alternative; whether its tree gains by a new start."""
        search, squeezer = self.search, self._squeezer
        if squeezer is None or search.cutoff == math.inf:
            return False
        if not self._squeezed:
            with search.step("smaller balls"):
                open_ = [i for i, bound in enumerate(self.bounds) if bound < search.cutoff]
                radius = min(squeezer.proven_radius(search, open_), search.cutoff)
            self.bounds = [max(bound, radius) for bound in self.bounds]
        with search.step("squeezing"):
            ball, bound = squeezer.squeezed(search, index, self._ball_bounds(index))
        self.bounds[index] = max(self.bounds[index], min(bound, search.cutoff))
        self._squeezed[index] = ball
        return True

    def _ball_bounds(self, index: int) -> Ball:
        """Bounds over the ball of the present incumbent, for one alternative."""
        search = self.search
        known = self._squeezed.get(index, self._ball)
        if known is not None and known.radius <= search.radius:
            return known
        given = no_bounds(search.frame) if known is None else (known.lower, known.upper)
        with search.step("ball bounds"):
            ball: Ball = self._norm.ball(search.frame, search.radius, *given)
        if index in self._squeezed:
            self._squeezed[index] = ball
        else:
            self._ball = ball
        return ball


def find_incumbents(search: Search, seed: int) -> list[Incumbent]:
    """Offer the images that attacks find, and return them."""
    frame = search.frame
    with search.step("incumbents"):
        starts = starting_points(
            frame.network, frame.task, seed=seed, flat=frame.flat, deadline=search.deadline
        )
    for start in starts:
        search.offer(start.image, start.alternative)
    return starts
