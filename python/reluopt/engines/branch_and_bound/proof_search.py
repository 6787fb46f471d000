"""How proofs are made: branching decisions are recorded, then their leaves are proven once more.

During the search bounds come from larger balls, in passing, and from probes whose numbers are gone
a moment later. So a search that keeps a proof records only *what it branched on* (:mod:`plan`).
Afterwards :func:`prove` walks through the recorded trees with the final incumbent's ball and
exactly the bounds that :func:`~.proof.replay` will use, and solves the relaxation at every node:
where it is cut off the node is a leaf (often above the place where the search, with its larger
ball, found one), and what the search closed but this walk cannot is split further.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from reluopt.answers.solution import Incumbent
from reluopt.deadline import NEVER, Deadline
from reluopt.engines.branch_and_bound.ball import Ball, bare_ball, folded
from reluopt.engines.branch_and_bound.folding import is_folded
from reluopt.engines.branch_and_bound.frame import Frame, make_frame
from reluopt.engines.branch_and_bound.leaf import EMPTY, LEAF, Leaf, Prover, Trial
from reluopt.engines.branch_and_bound.norm_search import norm_search
from reluopt.engines.branch_and_bound.plan import Plan
from reluopt.engines.branch_and_bound.proof import (
    Proof,
    TreeProof,
    child_bounds,
    proof_ball,
    task_fingerprint,
)
from reluopt.engines.branch_and_bound.search import Search
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray
from reluopt.questions.problems import Task

LEAST_PROOF_SECONDS = 1.0
"""Least time for a proof that is made after its search."""


class _Unproven(NamedTuple):
    """A node still to be proven, and the certificate of its parent."""

    plan: Plan
    lower: FloatArray
    upper: FloatArray
    warm: Any
    inherited: Leaf


class _TreeWalk:
    """Proves one alternative."""

    def __init__(
        self, frame: Frame, prover: Prover, ball: Ball, cutoff: float, deadline: Deadline
    ) -> None:
        self._frame, self._prover, self._ball = frame, prover, ball
        self._cutoff, self._deadline = cutoff, deadline
        self._splits: list[int] = []
        self._refined: list[int] = []
        self._leaves: list[Leaf] = []
        self.bound = math.inf

    def go(self, plan: Plan) -> TreeProof:
        """Walk through a plan, depth first."""
        lower, upper = self._ball.lower.copy(), self._ball.upper.copy()
        stack = [_Unproven(plan, lower, upper, None, Leaf(EMPTY))]
        while stack:
            stack.extend(self._visit(stack.pop()))
        splits, refined = (np.array(v, dtype=np.int64) for v in (self._splits, self._refined))
        return TreeProof(splits, refined, tuple(self._leaves))

    def _visit(self, node: _Unproven) -> list[_Unproven]:
        """Prove a node or split it; its children, the active one first."""
        lower, upper = node.lower, node.upper
        plan = _reached(node.plan, lower, upper)
        refined = plan.refined
        if refined and not self._refine(node):
            return self._close(True, Leaf(EMPTY), math.inf)
        plan = _reached(plan, lower, upper)
        attempt = self._attempt(node)
        expected = plan.neuron == LEAF and plan.closed
        if expected and not refined and attempt.bound < self._cutoff:
            refined = True
            if not self._refine(node):
                return self._close(True, Leaf(EMPTY), math.inf)
            attempt = self._attempt(node)
        neuron = attempt.neuron if expected else plan.neuron
        if attempt.bound >= self._cutoff or neuron == LEAF or self._deadline.passed:
            return self._close(refined, attempt.leaf, attempt.bound)
        self._splits.append(neuron)
        self._refined.append(int(refined))
        # A leaf that the search closed, but not this walk, is split like any other node.
        below = plan.children or (Plan(closed=True, refined=True),) * 2
        return [
            _Unproven(
                below[active],
                *child_bounds(lower, upper, neuron, bool(active)),
                attempt.warm,
                attempt.leaf,
            )
            for active in (1, 0)
        ]

    def _refine(self, node: _Unproven) -> bool:
        """Bounds given the phases, in place; False when they prove the node empty."""
        return self._frame.tighten(self._ball.radius, node.lower, node.upper)

    def _attempt(self, node: _Unproven) -> Trial:
        """Solve the node's relaxation; out of time, what an ancestor's multipliers give here."""
        if not self._deadline.passed or node.inherited.kind == EMPTY:
            return self._prover.attempt(node.lower, node.upper, node.warm, self._cutoff)
        proven = self._prover.check.bound(node.inherited, node.lower, node.upper)
        return Trial(node.inherited, proven, LEAF, None)

    def _close(self, refined: bool, leaf: Leaf, bound: float) -> list[_Unproven]:
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


def prove(
    search: Search,
    network: ReLUNetwork,
    task: Task,
    plans: Sequence[Plan],
    limit: float,
) -> tuple[Proof, float]:
    """Make the proof of a finished or interrupted search.

    Args:
        search: the search; its final incumbent sets the ball.
        network: the network as it was given.
        task: the task as it was given.
        plans: what was branched on, for each alternative.
        limit: leaves that are not reached within these seconds (at least
            :data:`LEAST_PROOF_SECONDS`) inherit an ancestor's certificate.

    Returns:
        The proof and the bound that it proves, on the scale of the objective.
    """
    deadline = Deadline.after(max(limit, LEAST_PROOF_SECONDS))
    frame, radius, norm = search.frame, max(search.radius, 0.0), norm_search(task.norm)
    bound = norm.objective_outside(frame, radius)
    ball = proof_ball(frame, radius)
    trees = []
    for plan, alternative in zip(plans, frame.task.alternatives, strict=True):
        if ball.empty:
            trees.append(TreeProof(np.array([LEAF]), np.array([0]), (Leaf(EMPTY),)))
            continue
        prover = norm.prover(frame, alternative.conditions, ball)
        walk = _TreeWalk(frame, prover, ball, search.cutoff, deadline)
        trees.append(walk.go(plan))
        bound = min(bound, walk.bound)
    fingerprints = network.fingerprint, task_fingerprint(task)
    proof = Proof(task.norm, *fingerprints, radius, tuple(trees), frame.fold_radius)
    return proof, max(bound, 0.0)


def root_bound(network: ReLUNetwork, task: Task, incumbent: Incumbent | None, gap: float) -> float:
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
    if is_folded(search.frame.network):
        search.frame = folded(search.frame, bare_ball(search.frame, search.radius))
    return prove(search, network, task, [Plan() for _ in task.alternatives], math.inf)[1]
