"""The engine: ball bounds, root relaxations, one tree for each alternative, restarts.

Anything better than the incumbent lies in the ball of its radius around the image, so bounds are
computed over that ball, and again whenever the incumbent has become clearly better.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace
from functools import cache
from importlib.metadata import version
from typing import Any, Protocol

import numpy as np

from reluopt.answers.answer import EngineAnswer
from reluopt.answers.solution import Incumbent, Status, relative_gap
from reluopt.attacks.start import starting_points
from reluopt.deadline import Deadline
from reluopt.engines.base import EngineRequest, EngineState, EngineTask
from reluopt.engines.branch_and_bound.ball import Ball, make_ball
from reluopt.engines.branch_and_bound.blend import lifted_frame, lifted_request, lowered_answer
from reluopt.engines.branch_and_bound.frame import Frame, make_frame
from reluopt.engines.branch_and_bound.l1.branching import PseudoCosts
from reluopt.engines.branch_and_bound.l1.relaxation import LPRelaxation
from reluopt.engines.branch_and_bound.l1.squeezing import LEAST_LAYERS, proven_radius, squeezed
from reluopt.engines.branch_and_bound.l1.tree import Tree, TreeOptions
from reluopt.engines.branch_and_bound.l2.tree import QPTree
from reluopt.engines.branch_and_bound.proof_search import (
    Plan,
    RecordingQPTree,
    RecordingTree,
    prove,
)
from reluopt.engines.branch_and_bound.search import Search
from reluopt.errors import UnsupportedProblemError
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.problems import Blend, Norm, PerturbationTask

RESTART_AT = 0.995
"""A tree restarts with new bounds once the incumbent has fallen below this share of its value at
the tree's root: bounds over the smaller ball then save more than the repeated work costs."""

ROUNDING = 1.0 + 1e-6
"""Slack of the test whether the gap has been reached: the cutoff is computed by a subtraction."""

GAP_SHARE = 0.999
"""Share of the asked gap that the search aims at: the gap of the answer is recomputed from rounded
numbers and must not come out a last digit above what was asked."""

SMALL_TREE = 20
"""Searches with more nodes (beyond one for each alternative) look harder for incumbents."""

LEAST_PROOF_SECONDS = 1.0
"""A kept proof is made after the search, in at most the search's time limit again, or this."""

UNSETTLED = "some leaves could not be settled in double precision"
"""Message of a search that ended before its time without closing the gap."""

MAX_RESTARTS = 6
"""Restarts of one tree."""


class GrowingTree(Protocol):
    """What the driver sees of a tree.

    Attributes:
        replants: whether to restart it when the incumbent has become clearly better.
        open: its open nodes.
    """

    replants: bool
    open: list[Any]

    @property
    def bound(self) -> float:
        """Proven bound of the alternative."""
        ...

    @property
    def size(self) -> dict[str, int]:
        """``variables`` and ``constraints`` of the root's relaxation."""
        ...

    def step(self) -> None:
        """Process one node."""
        ...


_version = cache(version)  # reads files, and auto asks for every image


class BranchAndBoundEngine:
    """Exact engine for L1, L2 and blends of both: see the modules of this package."""

    name = "bnb"
    self_contained = True
    formulations = ()

    def __init__(self, options: TreeOptions | None = None) -> None:
        self._options = options or TreeOptions()

    def kernels(self, task: EngineTask) -> tuple[str, ...]:
        """Those of the norm's relaxation; blends are L2 problems here."""
        l1 = isinstance(task, PerturbationTask) and task.norm is Norm.L1
        return ("l1",) if l1 else ("l2",)

    def state(self) -> EngineState:
        """Always usable."""
        detail = f"own branch and bound, compiled by numba {_version('numba')}; L1, L2 and blends"
        return EngineState(True, _version("reluopt"), detail)

    def supports(self, task: EngineTask) -> bool:
        """Perturbation tasks in L1, L2 and blends of both, without limits on the change."""
        if not isinstance(task, PerturbationTask) or task.limits is not None:
            return False
        return isinstance(task.norm, Blend) or task.norm in (Norm.L1, Norm.L2)

    def admits(self, task: EngineTask, network: ReLUNetwork) -> bool:
        """Always: there is no licence."""
        del task, network
        return True

    def solve(self, request: EngineRequest) -> EngineAnswer:
        """Solve the task; see :class:`reluopt.engines.base.Engine`.

        Raises:
            UnsupportedProblemError: not a perturbation task, or a norm without relaxation.
        """
        task = request.task
        if not isinstance(task, PerturbationTask) or not self.supports(task):
            raise UnsupportedProblemError(
                f"bnb: expected an L1, L2 or blend perturbation task, found {type(task).__name__}"
            )
        started = time.perf_counter()
        if isinstance(task.norm, Blend):
            frame, raised = lifted_frame(request.network, task)
            answer = self._search(frame, lifted_request(request, raised), raised.task, started)
            return lowered_answer(answer, raised)
        return self._search(make_frame(request.network, task), request, task, started)

    def _search(
        self, frame: Frame, request: EngineRequest, asked: PerturbationTask, started: float
    ) -> EngineAnswer:
        """Search an L1 or L2 task, and make a proof of it if asked."""
        search = Search(
            frame,
            request.options.gap * GAP_SHARE,
            Deadline(started + request.options.time_limit),
            request.progress,
            request.incumbent,
        )
        run = _Run(search, request, self._options)
        run.go()
        if not request.options.extra.get("proof"):
            return _answer(search, run, request, started)
        limit = max(request.options.time_limit, LEAST_PROOF_SECONDS)
        proof, proven = prove(search, request.network, asked, run.plans, limit)
        run.bounds = [proven]
        return replace(_answer(search, run, request, started), proof=proof)


class _Run:
    """One solve: all alternatives of a task."""

    def __init__(
        self,
        search: Search,
        request: EngineRequest,
        options: TreeOptions,
    ) -> None:
        self.search, self.options = search, options
        flat = search.frame.flat
        self._hidden = int(flat.neuron_offsets[-2])
        neurons = flat.biases.size
        self._given_lower, self._given_upper = np.full(neurons, -np.inf), np.full(neurons, np.inf)
        # Bounds of a network whose neurons had to be rescaled are in other units.
        if request.bounds is not None and search.frame.network is request.network:
            self._given_lower = np.concatenate(request.bounds.lower)
            self._given_upper = np.concatenate(request.bounds.upper)
        self._seed = request.options.seed
        alternatives = len(search.frame.task.alternatives)
        self.bounds = [0.0] * alternatives
        self.size: dict[str, int] = {}
        self._costs = [PseudoCosts(self._hidden) for _ in range(alternatives)]
        self._ball: Ball | None = None
        self._roots: list[float] = []
        self._squeezed: dict[int, Ball] = {}
        self._starts: list[Incumbent] = []
        self._trees: list[GrowingTree | None] = []
        self._keeps_proof = bool(request.options.extra.get("proof"))
        self.plans = [Plan() for _ in range(alternatives)]

    @property
    def bound(self) -> float:
        """Proven bound on the task's optimum."""
        return min(self.bounds)

    def go(self) -> None:
        """Solve all alternatives or run out of time."""
        search = self.search
        for index in range(len(self.bounds)):
            search.offer(np.array(search.frame.task.image), index)
        if search.objective <= 0.0:
            return
        if search.best is None:
            frame = search.frame
            with search.step("incumbents"):
                self._starts = starting_points(
                    frame.network,
                    frame.task,
                    seed=self._seed,
                    flat=frame.flat,
                    deadline=search.deadline,
                )
            for start in self._starts:
                search.offer(start.image, start.alternative)
        trees: list[GrowingTree | None] = []
        for index in range(len(self.bounds)):
            if search.out_of_time:
                return
            tree = self._plant(index)
            trees.append(tree)
            if search.out_of_time:
                return
            if tree is not None:
                tree.step()
                self.bounds[index] = tree.bound
            search.report(self.bound)
        self._trees = trees
        self._roots = list(self.bounds)
        order = sorted(range(len(trees)), key=lambda i: self.bounds[i])
        for index in order:
            tree = trees[index]
            if tree is not None:
                self._grow(index, tree)

    def _descend(self) -> None:
        """Once a tree turns out not to be small: better incumbents from all starting points."""
        for start in self._starts:
            tree = self._trees[start.alternative]
            if isinstance(tree, Tree) and not self.search.out_of_time:
                tree.descend(start.image)
        self._starts = []

    def _plant(self, index: int) -> GrowingTree | None:
        """A tree for one alternative; None when its root is proven empty."""
        ball = self._ball_bounds(index)
        if ball.empty:
            self.bounds[index] = self.search.cutoff
            self.plans[index] = Plan(closed=True)
            return None
        with self.search.step("root relaxations"):
            tree = self._new_tree(index, ball)
        self.size = max(self.size, tree.size, key=lambda size: size.get("variables", 0))
        return tree

    def _new_tree(self, index: int, ball: Ball) -> GrowingTree:
        tree: GrowingTree
        if self.search.frame.task.norm is Norm.L2:
            planter = RecordingQPTree if self._keeps_proof else QPTree
            tree = planter(self.search, index, ball.lower.copy(), ball.upper.copy())
        else:
            planted = RecordingTree if self._keeps_proof else Tree
            costs = self._costs[index]
            tree = planted(self.search, LPRelaxation, index, ball, costs, self.options)
        if isinstance(tree, RecordingTree | RecordingQPTree):
            self.plans[index] = tree.recorder.root
        return tree

    def _grow(self, index: int, tree: GrowingTree) -> None:
        """Work on one tree until it is done, restarting it when the incumbent falls."""
        search = self.search
        restarts = 0
        planted_at = search.objective
        squeeze_at = search.nodes + self._patience(index, tree) if tree.open else -1
        while tree.open:
            if search.out_of_time:
                return
            fallen = search.objective < RESTART_AT * planted_at
            squeezes = search.nodes == squeeze_at and self._squeeze(index, tree)
            if squeezes or (tree.replants and fallen and restarts < MAX_RESTARTS):
                replanted = self._plant(index)
                if replanted is None:
                    return
                tree, planted_at = replanted, search.objective
                restarts += 1
            if self._starts and search.nodes >= SMALL_TREE + len(self.bounds):
                self._descend()
            tree.step()
            self.bounds[index] = max(self.bounds[index], min(tree.bound, search.cutoff))
            search.report(self.bound)

    def _patience(self, index: int, tree: GrowingTree) -> int:
        """Nodes to process before bounds are squeezed."""
        options, root = self.options, tree.open[0]
        weak = self._roots[index] < options.weak_root * self.search.cutoff
        undecided = (root.lower[: self._hidden] < 0.0) & (root.upper[: self._hidden] > 0.0)
        large = int(np.count_nonzero(undecided)) >= options.weak_neurons
        return options.weak_after if weak and large else options.squeeze_after

    def _squeeze(self, index: int, tree: GrowingTree) -> bool:
        """Bounds of one alternative by linear programs; whether the tree gains by a new start.

        Not for proofs that are kept: their leaves are replayed with bounds over the ball alone.
        """
        search = self.search
        if self._keeps_proof or not isinstance(tree, Tree) or search.cutoff == math.inf:
            return False
        if len(search.frame.network.hidden_sizes) < LEAST_LAYERS:
            return False
        if not self._squeezed:
            with search.step("smaller balls"):
                open_ = [i for i, bound in enumerate(self.bounds) if bound < search.cutoff]
                radius = min(proven_radius(search, open_), search.cutoff)
            self.bounds = [max(bound, radius) for bound in self.bounds]
        with search.step("squeezing"):
            ball, bound = squeezed(search, index, self._ball_bounds(index))
        self.bounds[index] = max(self.bounds[index], min(bound, search.cutoff))
        self._squeezed[index] = ball
        return True

    def _ball_bounds(self, index: int) -> Ball:
        """Bounds over the ball of the present incumbent, for one alternative."""
        search = self.search
        radius = search.radius
        known = self._squeezed.get(index, self._ball)
        if known is not None and known.radius <= radius:
            return known
        if known is None:
            lower, upper = self._given_lower, self._given_upper
        else:
            lower, upper = known.lower, known.upper
        with search.step("ball bounds"):
            ball = make_ball(search.frame, radius, lower, upper)
        if index in self._squeezed:
            self._squeezed[index] = ball
        else:
            self._ball = ball
        return ball


def _answer(search: Search, run: _Run, request: EngineRequest, started: float) -> EngineAnswer:
    """What the search claims."""
    best = search.best
    found = best is not None and best is not request.incumbent
    objective = search.objective
    bound = min(run.bound, objective)
    closed = run.bound == math.inf or relative_gap(objective, bound) <= search.gap * ROUNDING
    unsettled = not closed and not search.out_of_time
    if best is None and not closed:
        status = Status.NUMERICAL if unsettled else Status.TIME_LIMIT
    elif best is None:
        status = Status.INFEASIBLE
    else:
        status = Status.OPTIMAL if closed else Status.FEASIBLE
    return EngineAnswer(
        status=status,
        image=best.image if best is not None and found else None,
        alternative=best.alternative if best is not None else 0,
        objective=objective,
        bound=bound,
        nodes=search.nodes,
        search_seconds=time.perf_counter() - started,
        size=run.size,
        message=UNSETTLED if unsettled else "",
        steps=search.steps,
    )
