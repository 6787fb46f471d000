"""How proofs are made: branching decisions are recorded, then their leaves are proven once more.

During the search bounds come from larger balls, in passing, and from probes whose numbers are gone
a moment later. So a search that keeps a proof records only *what it branched on*
(:class:`RecordingTree`, :class:`RecordingQPTree`). Afterwards :func:`prove` walks through the
recorded trees with the final incumbent's ball and exactly the bounds that
:func:`~.proof.replay` will use, and solves the relaxation at every node: where it is cut off the
node is a leaf (often above the place where the search, with its larger ball, found one), and what
the search closed but this walk cannot is split further.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np

from reluopt.answers.solution import Incumbent
from reluopt.deadline import NEVER, Deadline
from reluopt.engines.branch_and_bound.ball import Ball
from reluopt.engines.branch_and_bound.frame import Frame, make_frame
from reluopt.engines.branch_and_bound.l1 import tree as l1_tree
from reluopt.engines.branch_and_bound.l1.relaxation import LPRelaxation
from reluopt.engines.branch_and_bound.l2 import tree as l2_tree
from reluopt.engines.branch_and_bound.l2.relaxation import Cuts, Effort, QPRelaxation
from reluopt.engines.branch_and_bound.proof import (
    BOUND,
    EMPTY,
    FARKAS,
    LEAF,
    Leaf,
    LeafCheck,
    LinearCheck,
    Proof,
    QuadraticCheck,
    Refinement,
    TreeProof,
    child_bounds,
    objective_outside,
    proof_ball,
    refinement,
    task_fingerprint,
)
from reluopt.engines.branch_and_bound.search import Search
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray, IntArray
from reluopt.questions.problems import LogitConditions, Norm, PerturbationTask

SOLVES, ITERATIONS = 50, 300
"""One node: at most so many calls of the simplex method with so many pivots each."""

CUT_ROUNDS, CUTS_PER_NEURON = 4, 1.5
"""One L2 node: rounds of products, and products added in each for every undecided neuron."""


@dataclass(eq=False)
class Plan:
    """A node of a recorded tree.

    Attributes:
        neuron: what was branched on, ``LEAF`` for a leaf.
        children: inactive and active child.
        closed: whether the search was done with this leaf.
        refined: whether the search computed bounds anew here.
    """

    neuron: int = LEAF
    children: tuple[Plan, ...] = ()
    closed: bool = False
    refined: bool = False

    def split(self, neuron: int) -> tuple[Plan, Plan]:
        """Branch on a neuron."""
        self.neuron = neuron
        self.children = inactive, active = Plan(), Plan()
        return inactive, active


@dataclass(eq=False)
class Recorder:
    """The plan of a growing tree, and which of its nodes an open node stands for."""

    root: Plan = field(default_factory=Plan)
    places: dict[Any, Plan] = field(default_factory=dict)

    def after(self, node: Any, children: list[Any]) -> None:
        """Note what became of a node: closed, left open, or branched."""
        plan = self.places.pop(node)
        if not children:
            plan.closed = True
        elif len(children) == 1:
            self.places[children[0]] = plan
        else:
            differ = np.flatnonzero(children[0].upper != children[1].upper)
            neuron = int(differ[0])
            inactive, active = plan.split(neuron)
            for child in children:
                self.places[child] = inactive if child.upper[neuron] <= 0.0 else active

    def fixed(self, node: Any, neuron: int, active: bool) -> None:
        """Note that a probe cut off one child of a node, so that the node became the other."""
        children = self.places[node].split(neuron)
        children[not active].closed = True
        self.places[node] = children[active]


class RecordingTree(l1_tree.Tree):
    """A tree that records its branching."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.recorder = Recorder()
        self.recorder.places[self.open[0]] = self.recorder.root

    def _process(self, node: l1_tree.Node) -> list[l1_tree.Node]:
        children = super()._process(node)
        self.recorder.after(node, children)
        return children

    def _tighten(self, node: l1_tree.Node) -> bool:
        self.recorder.places[node].refined = True
        return super()._tighten(node)

    def _strong_branching(
        self, node: l1_tree.Node, neurons: IntArray, moved: FloatArray
    ) -> tuple[int, FloatArray, IntArray]:
        before = node.undecided(self._hidden)
        answer = super()._strong_branching(node, neurons, moved)
        after = node.undecided(self._hidden)
        for neuron in neurons[before[neurons] & ~after[neurons]].tolist():
            self.recorder.fixed(node, neuron, bool(node.lower[neuron] >= 0.0))
        return answer


class RecordingQPTree(l2_tree.QPTree):
    """An L2 tree that records its branching."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.recorder = Recorder()
        self.recorder.places[self.open[0]] = self.recorder.root

    def _process(self, node: l2_tree.Node) -> list[l2_tree.Node]:
        self.recorder.places[node].refined = True
        children = super()._process(node)
        self.recorder.after(node, children)
        return children


class Attempt(NamedTuple):
    """What one try at a node gave.

    Attributes:
        leaf: the certificate.
        bound: what it proves.
        neuron: what to branch on if that is not enough, ``LEAF`` if there is nothing.
        warm: warm start of the children.
    """

    leaf: Leaf
    bound: float
    neuron: int
    warm: Any


class Prover(Protocol):
    """Proves nodes of one alternative."""

    check: LeafCheck

    def attempt(self, lower: FloatArray, upper: FloatArray, warm: Any, cutoff: float) -> Attempt:
        """Try to prove that the node holds nothing below ``cutoff``."""
        ...


class LinearProver:
    """Proves L1 nodes by linear programs."""

    def __init__(self, frame: Frame, conditions: LogitConditions, ball: Ball) -> None:
        self.check: LeafCheck = LinearCheck(frame, conditions, ball)
        self._relaxation = LPRelaxation(frame, conditions, ball)
        self._hidden = int(frame.flat.neuron_offsets[-2])
        self._rows = ball.rows.neurons

    def attempt(self, lower: FloatArray, upper: FloatArray, warm: Any, cutoff: float) -> Attempt:
        """See :class:`Prover`."""
        relaxation, hidden = self._relaxation, self._hidden
        if warm is not None:
            relaxation.restore(warm)
        relaxation.set_bounds(lower[:hidden], upper[:hidden])
        for _ in range(SOLVES):
            bound, solved = relaxation.solve(cutoff, ITERATIONS)
            if solved or bound >= cutoff:
                break
        found = relaxation.multipliers()
        balls = np.zeros(hidden)
        balls[self._rows] = found.balls
        kind = FARKAS if found.farkas else BOUND
        leaf = Leaf(kind, (found.neurons, found.conditions, balls))
        proven = self.check.bound(leaf, lower, upper)
        if proven >= cutoff:
            return Attempt(leaf, proven, LEAF, None)
        x, s = relaxation.split()
        open_ = (lower[:hidden] < 0.0) & (upper[:hidden] > 0.0)
        both = np.where(open_, np.minimum(x, s), -1.0)
        neuron = int(np.argmax(both)) if open_.any() else LEAF
        return Attempt(leaf, proven, neuron, relaxation.snapshot())


class QuadraticProver:
    """Proves L2 nodes by semidefinite relaxations with products."""

    def __init__(self, frame: Frame, conditions: LogitConditions, ball: Ball) -> None:
        hidden = int(frame.flat.neuron_offsets[-2])
        self._hidden = hidden
        self.check: LeafCheck = QuadraticCheck(frame, conditions, ball)
        self._relaxation = QPRelaxation(
            frame, conditions, ball.lower[:hidden].copy(), ball.upper[:hidden].copy()
        )

    def attempt(self, lower: FloatArray, upper: FloatArray, warm: Any, cutoff: float) -> Attempt:
        """See :class:`Prover`."""
        relaxation, hidden = self._relaxation, self._hidden
        cuts = Cuts.none() if warm is None else warm
        width = np.minimum(-lower[:hidden], upper[:hidden])
        widest = int(np.argmax(width)) if width.max(initial=0.0) > 0.0 else LEAF
        best = Attempt(Leaf(BOUND), -math.inf, widest, cuts)
        goal = min(cutoff, relaxation.largest)
        for turn in range(CUT_ROUNDS):
            # The finest tolerance may be out of reach; then less is more.
            effort = Effort(l2_tree.STEPS, l2_tree.TOLERANCES[min(turn, 1)], 0.0)
            solved = relaxation.solve(lower[:hidden], upper[:hidden], cuts, goal, effort)
            witness = solved.witness
            leaf = Leaf(BOUND, tuple(np.array(part) for part in witness))
            proven = self.check.bound(leaf, lower, upper)
            if proven > best.bound:
                best = best._replace(leaf=leaf, bound=proven)
            if proven >= cutoff:
                break
            if not solved.usable:
                cuts = relaxation.strong(solved)
                continue
            neurons = solved.model.neuron
            costs = relaxation.pulls(solved).prod(axis=1)
            cuts = relaxation.strong(solved)
            neuron = int(neurons[np.argmax(costs)]) if neurons.size else LEAF
            best = best._replace(neuron=neuron, warm=cuts)
            more = relaxation.violated(solved, goal, int(CUTS_PER_NEURON * neurons.size) + 4)
            if len(more) == 0:
                break
            cuts = cuts.joined(more)
        return best


class _Task(NamedTuple):
    """A node still to be proven."""

    plan: Plan
    lower: FloatArray
    upper: FloatArray
    warm: Any
    inherited: Leaf


class _Walk:
    """Proves one alternative."""

    def __init__(
        self, prover: Prover, refine: Refinement, ball: Ball, cutoff: float, deadline: Deadline
    ) -> None:
        self._prover, self._refine, self._ball = prover, refine, ball
        self._cutoff, self._deadline = cutoff, deadline
        self._splits: list[int] = []
        self._refined: list[int] = []
        self._leaves: list[Leaf] = []
        self.bound = math.inf

    def go(self, plan: Plan) -> TreeProof:
        """Walk through a plan, depth first."""
        lower, upper = self._ball.lower.copy(), self._ball.upper.copy()
        stack = [_Task(plan, lower, upper, None, Leaf(EMPTY))]
        while stack:
            stack.extend(self._visit(stack.pop()))
        splits, refined = (np.array(v, dtype=np.int64) for v in (self._splits, self._refined))
        return TreeProof(splits, refined, tuple(self._leaves))

    def _visit(self, task: _Task) -> list[_Task]:
        """Prove a node or split it; its children, the active one first."""
        lower, upper = task.lower, task.upper
        plan = _reached(task.plan, lower, upper)
        refined = plan.refined
        if refined and not self._refine(lower, upper):
            return self._close(True, Leaf(EMPTY), math.inf)
        plan = _reached(plan, lower, upper)
        attempt = self._attempt(task)
        expected = plan.neuron == LEAF and plan.closed
        if expected and not refined and attempt.bound < self._cutoff:
            refined = True
            if not self._refine(lower, upper):
                return self._close(True, Leaf(EMPTY), math.inf)
            attempt = self._attempt(task)
        neuron = attempt.neuron if expected else plan.neuron
        if attempt.bound >= self._cutoff or neuron == LEAF or self._late:
            return self._close(refined, attempt.leaf, attempt.bound)
        self._splits.append(neuron)
        self._refined.append(int(refined))
        # A leaf that the search closed, but not this walk, is split like any other node.
        below = plan.children or (Plan(closed=True, refined=True),) * 2
        return [
            _Task(
                below[active],
                *child_bounds(lower, upper, neuron, bool(active)),
                attempt.warm,
                attempt.leaf,
            )
            for active in (1, 0)
        ]

    @property
    def _late(self) -> bool:
        return self._deadline.passed

    def _attempt(self, task: _Task) -> Attempt:
        """Solve the node's relaxation; out of time, what an ancestor's multipliers give here."""
        if not self._late or task.inherited.kind == EMPTY:
            return self._prover.attempt(task.lower, task.upper, task.warm, self._cutoff)
        proven = self._prover.check.bound(task.inherited, task.lower, task.upper)
        return Attempt(task.inherited, proven, LEAF, None)

    def _close(self, refined: bool, leaf: Leaf, bound: float) -> list[_Task]:
        self._splits.append(LEAF)
        self._refined.append(int(refined))
        self._leaves.append(leaf)
        self.bound = min(self.bound, bound)
        return []


def _reached(plan: Plan, lower: FloatArray, upper: FloatArray) -> Plan:
    """The plan of a node, past branchings that its bounds have decided already."""
    while plan.neuron != LEAF and not lower[plan.neuron] < 0.0 < upper[plan.neuron]:
        plan = plan.children[int(lower[plan.neuron] >= 0.0)]
    return plan


def _empty_tree() -> TreeProof:
    """The proof of an alternative whose ball is empty."""
    return TreeProof(np.array([LEAF]), np.array([0]), (Leaf(EMPTY),))


def prove(
    search: Search, network: ReLUNetwork, task: PerturbationTask, plans: list[Plan], limit: float
) -> tuple[Proof, float]:
    """Make the proof of a finished or interrupted search.

    Args:
        search: the search; its final incumbent sets the ball.
        network: the network as it was given.
        task: the task as it was given.
        plans: what was branched on, for each alternative.
        limit: leaves that are not reached within these seconds inherit an ancestor's certificate.

    Returns:
        The proof and the bound that it proves, on the scale of the objective.
    """
    deadline = Deadline.after(limit)
    frame, radius, cutoff = search.frame, max(search.radius, 0.0), search.cutoff
    norm = Norm.L2 if task.norm is Norm.L2 else Norm.L1
    bound = objective_outside(frame, radius)
    ball = proof_ball(frame, radius)
    trees = []
    prover_class = QuadraticProver if norm is Norm.L2 else LinearProver
    for plan, alternative in zip(plans, frame.task.alternatives, strict=True):
        if ball.empty:
            trees.append(_empty_tree())
            continue
        prover = prover_class(frame, alternative.conditions, ball)
        walk = _Walk(prover, refinement(frame, radius), ball, cutoff, deadline)
        trees.append(walk.go(plan))
        bound = min(bound, walk.bound)
    proof = Proof(norm, network.fingerprint, task_fingerprint(task), radius, tuple(trees))
    return proof, max(bound, 0.0)


def root_bound(
    network: ReLUNetwork, task: PerturbationTask, incumbent: Incumbent | None, gap: float
) -> float:
    """Safe bound of the root relaxations alone, over the ball of an incumbent.

    Args:
        network: the network.
        task: an L1 or L2 task.
        incumbent: a point that meets the task; None means that the ball is the whole box.
        gap: relative gap that is good enough.

    Returns:
        A lower bound on the objective, at most the incumbent's; infinite when the roots prove
        that nothing meets the task.
    """
    search = Search(make_frame(network, task), gap, NEVER, best=incumbent)
    plans = [Plan() for _ in task.alternatives]
    return prove(search, network, task, plans, math.inf)[1]
