r"""Kept proofs: what a search claims, in a form that can be verified without trusting it.

A proof is about one task and one number, the radius r of a ball around the image. For each
alternative it holds a binary tree. An inner node names a hidden neuron: the inputs of the ball
that meet the alternative are those with the neuron inactive (:math:`a_h \le 0`) and those with it
active (:math:`a_h \ge 0`). A leaf holds multipliers. :func:`replay`

1. checks that every tree is complete, so that its leaves cover all inputs of the ball;
2. walks down from bounds over the ball; at every node the phase is intersected with the bounds of
   its parent, and at marked nodes later layers are bounded anew
   (:mod:`reluopt.numerics.propagate`);
3. evaluates a safe bound at every leaf: the Lagrangian of :mod:`certificate` for L1, the quadratic
   of :mod:`certificate` for L2; a leaf that claims to be empty must be proven so;
4. returns the least of these, and of the objective that lies outside the ball.

Nothing is taken from the search but neurons, marks and multipliers, and these may be anything:
other multipliers give another valid bound, a wrong neuron another tree that covers everything. So
the result is a lower bound on the task's optimum whatever stands in the file.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np

from reluopt.engines.branch_and_bound.ball import Ball, make_ball
from reluopt.engines.branch_and_bound.frame import Frame, make_frame
from reluopt.engines.branch_and_bound.l1.build import claim_magnitudes
from reluopt.engines.branch_and_bound.l1.certificate import (
    L1_OBJECTIVE,
    NO_OBJECTIVE,
    Claim,
    safe_bound,
)
from reluopt.engines.branch_and_bound.l2.certificate import (
    Witness,
    first_layer,
    safe_quadratic_bound,
)
from reluopt.engines.branch_and_bound.l2.model import NEGATIVE, Model, build_model
from reluopt.errors import InputError
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray, IntArray
from reluopt.numerics.input_sets import largest_square, with_radius
from reluopt.numerics.propagate import tighten
from reluopt.numerics.rounding import ROUNDOFF
from reluopt.questions.problems import LogitConditions, Norm, PerturbationTask

EMPTY, BOUND, FARKAS = 0, 1, 2
"""Kinds of leaves: empty by its bounds alone; bounded by multipliers; empty by multipliers."""

LEAF = -1
"""Marks a leaf in :attr:`TreeProof.splits`."""

Arrays: TypeAlias = tuple[np.ndarray, ...]  # float64 or int64, one for each part of a certificate


@dataclass(frozen=True, eq=False)
class Leaf:
    """What proves a leaf.

    Attributes:
        kind: ``EMPTY``, ``BOUND`` or ``FARKAS``.
        parts: the certificate (see :data:`PARTS`), or nothing for ``EMPTY``.
    """

    kind: int
    parts: Arrays = ()


PARTS = {
    Norm.L1: (("neurons", np.float64), ("conditions", np.float64), ("balls", np.float64)),
    Norm.L2: (
        ("delta", np.float64),
        ("x", np.float64),
        ("z", np.float64),
        ("psi", np.float64),
        ("term_at", np.int64),
        ("term_form", np.int64),
    ),
}
"""Names and types of a certificate's parts. L1: multipliers of all hidden neurons, of the
conditions, and of the ball rows (by neuron). L2: see :class:`~.certificate.Witness`."""


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
    leaves: Sequence[Leaf]


@dataclass(frozen=True, eq=False)
class Proof:
    """A proof that no input of a task has an objective below some bound.

    Attributes:
        norm: L1 or L2.
        network_sha256: fingerprint of the network.
        task_sha256: fingerprint of image, box and conditions, see :func:`task_fingerprint`.
        radius: length of the ball's radius.
        trees: one for each alternative.
    """

    norm: Norm
    network_sha256: str
    task_sha256: str
    radius: float
    trees: tuple[TreeProof, ...]

    @property
    def leaves(self) -> int:
        """Leaves of all trees."""
        return sum(len(tree.leaves) for tree in self.trees)


def task_fingerprint(task: PerturbationTask) -> str:
    """SHA-256 (hex) of everything that the task asks."""
    digest = hashlib.sha256(str(task.norm).encode())
    arrays = [task.image, task.box.lower, task.box.upper]
    for alternative in task.alternatives:
        arrays += [alternative.conditions.matrix, alternative.conditions.rhs]
    for array in arrays:
        digest.update(np.ascontiguousarray(array, dtype="<f8").tobytes())
    return digest.hexdigest()


class LeafCheck(Protocol):
    """Evaluates certificates of one alternative over one ball."""

    def bound(self, leaf: Leaf, lower: FloatArray, upper: FloatArray) -> float:
        """Safe bound of a leaf with these bounds of all neurons; -inf when it proves nothing.

        Infinite where the leaf is proven to be empty.
        """
        ...


class LinearCheck:
    """Evaluates L1 certificates."""

    def __init__(self, frame: Frame, conditions: LogitConditions, ball: Ball) -> None:
        hidden = int(frame.flat.neuron_offsets[-2])
        self._hidden, self._neurons = hidden, frame.flat.biases.size
        upper = np.concatenate([ball.upper[:hidden], np.zeros(self._neurons - hidden)])
        self._claim = Claim(
            frame.flat,
            frame.region,
            np.array(conditions.matrix),
            np.array(conditions.rhs),
            claim_magnitudes(frame.flat, frame, upper),
            ball.rows,
        )

    def bound(self, leaf: Leaf, lower: FloatArray, upper: FloatArray) -> float:
        """See :class:`LeafCheck`."""
        neurons, conditions, balls = leaf.parts
        sizes = (neurons.size, conditions.size, balls.size)
        if sizes != (self._hidden, self._claim.rhs.size, self._hidden):
            return -math.inf
        pi = np.zeros(self._neurons)
        pi[: self._hidden] = neurons
        tau = np.ascontiguousarray(balls[self._claim.balls.neurons])
        objective = NO_OBJECTIVE if leaf.kind == FARKAS else L1_OBJECTIVE
        value = float(
            safe_bound(self._claim, lower, upper, pi, np.array(conditions), tau, objective)
        )
        if leaf.kind == FARKAS:
            return math.inf if value > 0.0 else -math.inf
        return value


class QuadraticCheck:
    """Evaluates L2 certificates."""

    def __init__(self, frame: Frame, conditions: LogitConditions, ball: Ball) -> None:
        self._frame, self._hidden = frame, int(frame.flat.neuron_offsets[-2])
        self._matrix, self._rhs = np.array(conditions.matrix), np.array(conditions.rhs)
        self._open = (ball.lower < 0.0)[: self._hidden] & (ball.upper > 0.0)[: self._hidden]
        self._first = first_layer(frame.flat)
        self.largest = largest_square(frame.region)
        """Above any objective that the box allows: a larger bound proves a leaf empty."""

    def bound(self, leaf: Leaf, lower: FloatArray, upper: FloatArray) -> float:
        """See :class:`LeafCheck`."""
        hidden, region = self._hidden, self._frame.region
        model = build_model(
            self._frame.flat,
            region,
            self._matrix,
            self._rhs,
            lower[:hidden].copy(),
            upper[:hidden].copy(),
            self._open,
        )
        witness = Witness(*(np.array(part) for part in leaf.parts))
        if leaf.kind != BOUND or not _fits(witness, model, region.center.size):
            return -math.inf
        value = safe_quadratic_bound(self._frame.flat, region, self._first, model, witness)
        return math.inf if value > self.largest else float(value)


def _fits(witness: Witness, model: Model, inputs: int) -> bool:
    """Whether a witness has the shapes of a model, and its free terms are ``x_i s_i``."""
    u, forms, terms = model.neuron.size, model.constant.size, witness.psi.size
    at, form = witness.term_at, witness.term_form
    sizes = (witness.delta.size, witness.x.size, witness.z.size, at.size, form.size)
    if sizes != (inputs, u, forms, terms, terms) or terms < u:
        return False
    inside = (at >= 0).all() and (at < u).all() and (form >= 0).all() and (form < forms).all()
    if not inside:
        return False
    first = form[:u]
    relu = (model.kind[first] == NEGATIVE).all() and (model.owner[first] == model.neuron).all()
    return bool(relu and (at[:u] == np.arange(u)).all())


def leaf_check(frame: Frame, conditions: LogitConditions, ball: Ball) -> LeafCheck:
    """The check for the norm of the frame's task."""
    kind = QuadraticCheck if frame.task.norm is Norm.L2 else LinearCheck
    return kind(frame, conditions, ball)


def proof_ball(frame: Frame, radius: float) -> Ball:
    """Bounds over a ball, from nothing."""
    neurons = frame.flat.biases.size
    return make_ball(frame, radius, np.full(neurons, -np.inf), np.full(neurons, np.inf))


def objective_outside(frame: Frame, radius: float) -> float:
    """Lower bound on the objective of inputs outside the ball; infinite when there are none."""
    reach = np.maximum(np.abs(frame.region.low), np.abs(frame.region.high))
    if frame.task.norm is Norm.L1:
        return math.inf if radius > reach.sum() * (1.0 + 1e-9) else radius
    largest = float(reach @ reach) * (1.0 + 1e-9)
    square = radius * radius * (1.0 - 4.0 * ROUNDOFF)
    return math.inf if square > largest else square


Refinement: TypeAlias = Callable[[FloatArray, FloatArray], bool]


def refinement(frame: Frame, radius: float) -> Refinement:
    """How a node's bounds follow from its phases and its parent's bounds, in place.

    False when they prove the node empty.
    """
    region = with_radius(frame.region, radius)
    magnitudes = np.empty(frame.flat.biases.size)
    layers = int(frame.flat.weight_offsets.size)

    def refine(lower: FloatArray, upper: FloatArray) -> bool:
        return bool(tighten(frame.flat, region, lower, upper, magnitudes, 1, layers - 1, False))

    return refine


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


def replay(proof: Proof, network: ReLUNetwork, task: PerturbationTask) -> float:
    """Verify a proof; see the module.

    Returns:
        A lower bound on the task's objective that holds in exact arithmetic, whatever the numbers
        in the proof are; infinite when no input at all meets the task.

    Raises:
        InputError: the proof belongs to another network or task, or is malformed.
    """
    if proof.network_sha256 != network.fingerprint:
        raise InputError("proof: expected one about this network, found another fingerprint")
    if proof.norm is not task.norm or proof.task_sha256 != task_fingerprint(task):
        raise InputError("proof: expected one about this task, found another fingerprint")
    if len(proof.trees) != len(task.alternatives):
        raise InputError(
            f"proof: expected a tree for each of {len(task.alternatives)} alternatives, found "
            f"{len(proof.trees)}"
        )
    if not 0.0 <= proof.radius < math.inf:
        raise InputError(f"proof: expected a radius >= 0, found {proof.radius}")
    frame = make_frame(network, task)
    bound = objective_outside(frame, proof.radius)
    ball = proof_ball(frame, proof.radius)
    for tree, alternative in zip(proof.trees, frame.task.alternatives, strict=True):
        check_shape(tree, int(frame.flat.neuron_offsets[-2]))
        if not ball.empty:
            check = leaf_check(frame, alternative.conditions, ball)
            bound = min(bound, _replay_tree(tree, check, refinement(frame, proof.radius), ball))
    return max(bound, 0.0)


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


def _replay_tree(tree: TreeProof, check: LeafCheck, refine: Refinement, ball: Ball) -> float:
    """The least bound of the leaves."""
    bound, leaves = math.inf, iter(tree.leaves)
    stack = [(ball.lower.copy(), ball.upper.copy(), True)]
    for neuron, refined in zip(tree.splits.tolist(), tree.refined.tolist(), strict=True):
        lower, upper, alive = stack.pop()
        if alive and refined:
            alive = refine(lower, upper)
        if neuron != LEAF:
            for active in (True, False):
                children = child_bounds(lower, upper, neuron, active)
                stack.append((*children, alive))
            continue
        leaf = next(leaves)
        if alive:
            proven = -math.inf if leaf.kind == EMPTY else check.bound(leaf, lower, upper)
            bound = min(bound, proven)
    return bound
