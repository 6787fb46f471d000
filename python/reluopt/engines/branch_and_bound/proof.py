r"""Kept proofs: what a search claims, in a form that can be verified without trusting it.

A proof is about one task and one number, the radius r of a ball around the image. For each
alternative it holds a binary tree. An inner node names a hidden neuron: the inputs of the ball
that meet the alternative are those with the neuron inactive (:math:`a_h \le 0`) and those with it
active (:math:`a_h \ge 0`). A leaf holds multipliers. :func:`replay`

1. checks that every tree is complete, so that its leaves cover all inputs of the ball;
2. walks down from bounds over the ball; at every node the phase is intersected with the bounds of
   its parent, and at marked nodes later layers are bounded anew
   (:mod:`reluopt.numerics.propagate`);
3. evaluates a safe bound at every leaf: the Lagrangian of :mod:`.l1.certificate`, the quadratic of
   :mod:`.l2.certificate`; a leaf that claims to be empty must be proven so;
4. returns the least of these, and of the objective that lies outside the ball.

Nothing is taken from the search but neurons, marks and multipliers, and these may be anything:
other multipliers give another valid bound, a wrong neuron another tree that covers everything. So
the result is a lower bound on the task's optimum whatever stands in the file.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from reluopt.engines.branch_and_bound.ball import Ball, bare_ball, folded, no_bounds
from reluopt.engines.branch_and_bound.folding import is_folded
from reluopt.engines.branch_and_bound.frame import Frame, make_frame
from reluopt.engines.branch_and_bound.leaf import EMPTY, LEAF, Leaf, LeafCheck
from reluopt.engines.branch_and_bound.norm_search import norm_search
from reluopt.errors import InputError
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray, IntArray
from reluopt.questions.problems import Norm, Task


@dataclass(frozen=True, eq=False)
class TreeProof:
    """The proof of one alternative.

    Attributes:
        splits: the tree in preorder, inactive child first: hidden neuron of an inner node,
            ``LEAF`` for a leaf.
        refined: which of these nodes are marked, 0 or 1, same shape.
        leaves: in the same order.
    """

    splits: IntArray
    refined: IntArray
    leaves: Collection[Leaf]


@dataclass(frozen=True, eq=False)
class Proof:
    """A proof that no input of a task has an objective below some bound.

    Attributes:
        norm: L1 or L2.
        network_sha256: fingerprint of the network.
        task_sha256: fingerprint of image, box and conditions, see :func:`task_fingerprint`.
        radius: length of the ball's radius.
        trees: one for each alternative.
        fold_radius: over the ball of which radius the network was folded (:mod:`.folding`);
            infinite where it was not.
    """

    norm: Norm
    network_sha256: str
    task_sha256: str
    radius: float
    trees: tuple[TreeProof, ...]
    fold_radius: float = math.inf

    @property
    def leaves(self) -> int:
        """Leaves of all trees."""
        return sum(len(tree.leaves) for tree in self.trees)


def task_fingerprint(task: Task) -> str:
    """SHA-256 (hex) of everything that the task asks."""
    digest = hashlib.sha256(str(task.norm).encode())
    arrays = [task.image, task.box.lower, task.box.upper]
    for alternative in task.alternatives:
        arrays += [alternative.conditions.matrix, alternative.conditions.rhs]
    for array in arrays:
        digest.update(np.ascontiguousarray(array, dtype="<f8").tobytes())
    return digest.hexdigest()


def proof_ball(frame: Frame, radius: float) -> Ball:
    """Bounds over a ball, from nothing."""
    ball: Ball = norm_search(frame.task.norm).ball(frame, radius, *no_bounds(frame))
    return ball


def child_bounds(
    lower: FloatArray, upper: FloatArray, neuron: int, active: bool
) -> tuple[FloatArray, FloatArray]:
    """Copies of a node's bounds with one phase fixed."""
    lower, upper = lower.copy(), upper.copy()
    if active:
        lower[neuron] = max(lower[neuron], 0.0)
    else:
        upper[neuron] = min(upper[neuron], 0.0)
    return lower, upper


def replay(proof: Proof, network: ReLUNetwork, task: Task) -> float:
    """Verify a proof; see the module.

    Returns:
        A lower bound on the task's objective that holds in exact arithmetic, whatever the numbers
        in the proof are; infinite when no input at all meets the task.

    Raises:
        InputError: the task is no distance in the proof's norm, or the proof belongs to another
            network or task, or is malformed.
    """
    if proof.network_sha256 != network.fingerprint:
        raise InputError("proof: expected one about this network, found another fingerprint")
    if not (task.minimises_distance and task.norm is proof.norm):
        found = f"one about a distance in {proof.norm}"
        raise InputError(f"proof: expected one about this kind of task, found {found}")
    if proof.task_sha256 != task_fingerprint(task):
        raise InputError("proof: expected one about this task, found another fingerprint")
    if len(proof.trees) != len(task.alternatives):
        raise InputError(
            f"proof: expected a tree for each of {len(task.alternatives)} alternatives, found "
            f"{len(proof.trees)}"
        )
    if not 0.0 <= proof.radius < math.inf:
        raise InputError(f"proof: expected a radius >= 0, found {proof.radius}")
    frame, norm = replayed_frame(proof, network, task), norm_search(task.norm)
    bound = norm.objective_outside(frame, proof.radius)
    ball = proof_ball(frame, proof.radius)
    for tree, alternative in zip(proof.trees, frame.task.alternatives, strict=True):
        check_shape(tree, frame.hidden)
        if not ball.empty:
            check = norm.check(frame, alternative.conditions, ball)
            bound = min(bound, _tree_bound(tree, check, frame, ball))
    return max(bound, 0.0)


def replayed_frame(proof: Proof, network: ReLUNetwork, task: Task) -> Frame:
    """The frame in which a proof was made.

    Raises:
        InputError: its ball is larger than that over which the network was folded.
    """
    frame = make_frame(network, task)
    if proof.fold_radius == math.inf:
        if is_folded(frame.network):
            raise InputError("proof: expected the radius over which the network is folded")
        return frame
    if not 0.0 <= proof.radius <= proof.fold_radius:
        raise InputError(
            f"proof: expected a radius up to {proof.fold_radius} (the network is folded over that "
            f"ball), found {proof.radius}"
        )
    return folded(frame, bare_ball(frame, proof.fold_radius))


def check_shape(tree: TreeProof, hidden: int) -> None:
    """Whether the splits are one complete binary tree with a leaf's worth of numbers each.

    Raises:
        InputError: they are not.
    """
    missing = 1 if tree.refined.shape == tree.splits.shape else -1
    for neuron in tree.splits.tolist():
        # A path splits each neuron once; a longer one would make replay keep ever more bounds.
        if not 0 < missing <= hidden + 1 or not LEAF <= neuron < hidden:
            missing = -1
            break
        missing += -1 if neuron == LEAF else 1
    if missing != 0 or np.count_nonzero(tree.splits == LEAF) != len(tree.leaves):
        raise InputError("proof: expected a complete binary tree, found that leaves are missing")


class Node(NamedTuple):
    """A node as replay sees it.

    Attributes:
        lower, upper: bounds of all neurons.
        alive: whether these and what its ancestors knew do not show that it is empty.
        refined: whether it is marked.
        leaf: the certificate of a leaf, None of an inner node.
    """

    lower: FloatArray
    upper: FloatArray
    alive: bool
    refined: bool
    leaf: Leaf | None


def _tree_bound(tree: TreeProof, check: LeafCheck, frame: Frame, ball: Ball) -> float:
    """The least bound of the leaves."""
    bound = math.inf
    for node in walk(tree, frame, ball):
        if node.leaf is not None and node.alive:
            empty = node.leaf.kind == EMPTY
            proven = -math.inf if empty else check.bound(node.leaf, node.lower, node.upper)
            bound = min(bound, proven)
    return bound


def walk(tree: TreeProof, frame: Frame, ball: Ball) -> Iterator[Node]:
    """All nodes of a tree that :func:`check_shape` has passed, in preorder."""
    leaves = iter(tree.leaves)
    stack = [(ball.lower.copy(), ball.upper.copy(), True)]
    for neuron, refined in zip(tree.splits.tolist(), tree.refined.tolist(), strict=True):
        lower, upper, alive = stack.pop()
        if alive and refined:
            alive = frame.tighten(ball.radius, lower, upper)
        yield Node(lower, upper, alive, bool(refined), next(leaves) if neuron == LEAF else None)
        if neuron != LEAF:
            for active in (True, False):
                children = child_bounds(lower, upper, neuron, active)
                stack.append((*children, alive))
