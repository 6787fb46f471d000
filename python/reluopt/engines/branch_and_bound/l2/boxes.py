r"""Does a box hold an input that meets conditions? Semidefinite relaxations over ellipsoids.

A box :math:`|\delta_j| \le h_j` about its middle lies in every ellipsoid
:math:`\sum_j w_j \delta_j^2 \le \sum_j w_j h_j^2` with :math:`w > 0`. Where the least
:math:`\sum_j w_j \delta_j^2` of all changes that meet the conditions is larger, the box holds none
of them: the program of :mod:`.program` for the network in coordinates
:math:`z_j = \sqrt{w_j}\, \delta_j`, the limits of the box included. The best weights are the
multipliers of :math:`\delta_j^2 \le h_j^2` in the semidefinite relaxation (Raghunathan, Steinhardt
and Liang 2018). They are found by turns: a weight rises where the second moment of
:math:`\delta_j` in the relaxation exceeds :math:`h_j^2`, and falls where it is smaller. Any weights
are valid, so that every node of a tree takes those that the one above it asks for.

What a triangle relaxation loses over a box it loses to many neurons at once, and this is what the
semidefinite one sees: a program takes hundreds of times as long as a bound by linear forms, and may
be worth millions of them.

*Rounding.* The weights :math:`W_{ij} / \sqrt{w_j}` are rounded, by less than an ulp each: sums of
the first layer are wrong by at most 2u times the sizes of their terms, which is added to what they
are wrong by in any case: programs take it from there. Bounds of neurons and conditions
(:mod:`~reluopt.numerics.propagate`) do not read these errors; they allow for 16 roundings more than
a sum of :math:`n_0` products has, of which this is one. Scales, and the middle in them, are given
numbers; ends in the new coordinates are rounded outward, and what the bound must exceed is the
largest :math:`|z|^2` between these.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from reluopt.deadline import NEVER, Deadline
from reluopt.engines.branch_and_bound.frame import Frame, sides
from reluopt.engines.branch_and_bound.l2.branching import Branching
from reluopt.engines.branch_and_bound.l2.inherited import Inherited
from reluopt.engines.branch_and_bound.l2.interior import SLACKNESS, Effort
from reluopt.engines.branch_and_bound.l2.program import curvature
from reluopt.engines.branch_and_bound.l2.relaxation import Cuts, L2Relaxation, Solved
from reluopt.engines.branch_and_bound.threads import each, thread_count
from reluopt.networks.flattening import flatten
from reluopt.networks.layers.base import Dense
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray
from reluopt.numerics.input_sets import BOX_ONLY, around
from reluopt.numerics.rounding import ROUNDOFF, TINY
from reluopt.questions.input_sets import Box, InputSet
from reluopt.questions.margins import LogitConditions
from reluopt.questions.norms.base import Norm
from reluopt.questions.tasks import Distance, Task

EFFORT = Effort(80, 1e-7, SLACKNESS)
"""How far programs are solved."""

PACE = 0.4
"""Power of a moment's ratio to its limit by which weights change."""

LEAST_RATIO, LEAST_SHARE = 0.05, 1e-6
"""Ratios below count as this; and no pixel has less of the sum of all ``w_j h_j^2``."""

NARROW = 1e-6
"""Pixels narrower than this share of the widest count as so wide: scales stay usual ones."""

TURNS, ENOUGH = 4, 0.02
"""Most programs at the root, and by what share of what is asked one must raise the bound for the
next."""

PRODUCTS = 0.15
"""Products handed to children, for each undecided neuron."""

TRUST = 8.0
"""A child whose predicted rise, so many times, does not close it is split without a program."""


class Ellipsoid:
    """A box in coordinates in which a ball about its middle holds it.

    Attributes:
        shares: of each pixel in ``sum(w h^2) = 1``, shape ``(n_0,)``.
        frame: network and box in the new coordinates.
    """

    def __init__(
        self, network: ReLUNetwork, ends: tuple[FloatArray, FloatArray], shares: FloatArray
    ) -> None:
        lower, upper = ends
        self.shares, self._ends = shares, ends
        self._middle = lower + 0.5 * (upper - lower)
        half = np.maximum(upper - self._middle, self._middle - lower)
        widest = float(half.max(initial=0.0)) or 1.0
        self._scale = np.sqrt(shares) / np.maximum(half, NARROW * widest)
        first, *rest = network.affine_layers
        weight = np.asarray(first.weight) / self._scale
        scaled = ReLUNetwork((Dense(weight, np.array(first.bias)), *rest))
        flat, center = flatten(scaled), self._middle * self._scale
        low = np.nextafter(lower * self._scale, -np.inf)
        high = np.nextafter(upper * self._scale, np.inf)
        inputs = around(flat, (low, high), center, BOX_ONLY, math.inf)
        errors = inputs.errors + 4.0 * ROUNDOFF * inputs.magnitudes + TINY
        task = Task(Distance(center, Norm.L2), InputSet(Box(low, high), center), ())
        self.frame = Frame(scaled, flat, task, inputs._replace(errors=errors), (scaled, task))

    def asked(self, solved: Solved) -> FloatArray:
        """The shares that a program asks for."""
        best = solved.answer.best
        cross = curvature(solved.program, best.theta).cross @ solved.program.basis
        spread = 0.5 * np.einsum("ij,ij->j", cross, best.moment @ cross)
        moments = best.delta**2 + np.maximum(spread, 0.0)
        ratios = np.maximum(moments / self.shares, LEAST_RATIO)
        shares = self.shares * ratios**PACE
        shares = np.maximum(shares / shares.sum(), LEAST_SHARE)
        found: FloatArray = shares / shares.sum()
        return found

    def input(self, solved: Solved) -> FloatArray:
        """Where a program's objective is least, as an input of the network."""
        found = self._middle + solved.answer.best.delta / self._scale
        return np.clip(found, *self._ends)


@dataclass(frozen=True, eq=False)
class OpenNode:
    """An open node.

    Attributes:
        lower, upper: bounds of all hidden neurons and logits.
        shares: of the pixels, as the program of the node above asks for.
        bound: of that program.
        cuts: products to start with.
        troubled: whether the program of the node above was not solved.
        above: what it hands to this node's.
    """

    lower: FloatArray
    upper: FloatArray
    shares: FloatArray
    bound: float
    cuts: Cuts
    troubled: bool = False
    above: Inherited | None = None


class BoxTree:
    """The search for an input of a box that meets some conditions.

    Args:
        network: dense layers.
        ends: of the box.
        conditions: what is asked of the logits.
        bounds: valid lower and upper bounds of all neurons over the box, the hidden ones first.
        look: told where relaxations are least; whether an input has been found there.
        deadline: when to stop.

    Attributes:
        root: the given bounds.
        count: programs solved.
        open: what is not shown to be empty.
        stuck: nodes with nothing to branch on, and those whose programs fail twice in a row.
    """

    def __init__(
        self,
        network: ReLUNetwork,
        ends: tuple[FloatArray, FloatArray],
        conditions: LogitConditions,
        bounds: tuple[FloatArray, FloatArray],
        look: Callable[[FloatArray], bool],
        deadline: Deadline,
    ) -> None:
        self._network, self._ends, self.root = network, ends, bounds
        self._conditions, self._look, self._deadline = conditions, look, deadline
        self._turns, self.count = TURNS, 0
        even = np.full(ends[0].size, 1.0 / ends[0].size)
        self._last = even, Ellipsoid(network, ends, even)
        self.open = [OpenNode(bounds[0].copy(), bounds[1].copy(), even, 0.0, Cuts.none())]
        self.stuck: list[OpenNode] = []

    def resume(self, left: Sequence[OpenNode]) -> None:
        """Begin with what a tree for the same conditions left open over a box around this one.

        All else of that box is shown to be empty, so that phases are what is open here, too. Bounds
        of neurons are those of this box. Nothing left is a tree that has not begun.
        """
        if not left:
            return
        self._turns, self.open = 0, []
        for node in left:
            lower = np.where(node.lower >= 0.0, np.maximum(self.root[0], 0.0), self.root[0])
            upper = np.where(node.upper <= 0.0, np.minimum(self.root[1], 0.0), self.root[1])
            if (lower <= upper).all():  # else the node holds nothing of this box
                self.open.append(replace(node, lower=lower, upper=upper, troubled=False))

    @property
    def empty(self) -> bool:
        """Whether it is shown that no input meets the conditions."""
        return not self.open and not self.stuck

    def grow(self, most: float = math.inf, until: Deadline = NEVER) -> bool:
        """Search until nothing is open, time is over or nodes are used; True for an input found."""
        while self.open and self.count < most and not (self._deadline.passed or until.passed):
            self.open.sort(key=lambda node: node.bound)
            taken, self.open = self.open[: thread_count()], self.open[thread_count() :]
            ready = [made for node in taken if (made := self._prepared(node)) is not None]
            answers = each(_Ready.solved, ready)
            self.count += len(ready)
            for place, (one, (solved, branching)) in enumerate(zip(ready, answers, strict=True)):
                if solved.bound > one.relaxation.largest:
                    continue
                if solved.usable and self._look(one.ellipsoid.input(solved)):
                    self.open += [left.node for left in ready[place:]]
                    return True
                self._left_open(one, solved, branching)
        return False

    def _prepared(self, node: OpenNode) -> _Ready | None:
        """With bounds that follow from the decided phases; None where nothing is left."""
        if self._last[0] is not node.shares:  # those of a node's sibling are the same
            self._last = node.shares, Ellipsoid(self._network, self._ends, node.shares)
        ellipsoid = self._last[1]
        frame = ellipsoid.frame
        lower, upper = node.lower.copy(), node.upper.copy()
        first_layer = 1 if self.count else 0
        if not frame.narrowed(math.inf, lower, upper, first_layer, self._conditions):
            return None
        relaxation = L2Relaxation(frame, self._conditions, *self.root)
        return _Ready(replace(node, lower=lower, upper=upper), ellipsoid, relaxation)

    def _left_open(self, one: _Ready, solved: Solved, branching: Branching | None) -> None:
        """Go on from a node that is not shown to be empty."""
        node, relaxation = one.node, one.relaxation
        if branching is None:
            self._left_blind(one)
            return
        risen = solved.bound - node.bound
        self._turns = self._turns - 1 if risen > ENOUGH else 0
        if branching.empty:
            return
        lower, upper = branching.narrowed(node.lower, node.upper)
        bound, shares = max(node.bound, solved.bound), one.ellipsoid.asked(solved)
        node = OpenNode(lower, upper, shares, bound, node.cuts, above=solved.legacy)
        if self._turns > 0:
            self.open.append(node)
            return
        node = replace(node, cuts=relaxation.handed(solved, relaxation.largest, PRODUCTS))
        if branching.changed:
            self.open.append(node)
            return
        missing = relaxation.largest - solved.bound
        rises = branching.rises[branching.order[0]]
        for rise, child in zip(rises, _sides(node, branching.neuron()), strict=True):
            if branching.order.size > 1 and TRUST * rise < missing:
                self.open += _sides(child, branching.neuron(1))
            else:
                self.open.append(child)

    def _left_blind(self, one: _Ready) -> None:
        """Split the widest neuron where a program fails, unless that was done above, or none is."""
        node, frame = one.node, one.ellipsoid.frame
        if node.troubled or not frame.undecided(node.lower, node.upper).any():
            self.stuck.append(replace(node, above=None))
            return
        self.open += _sides(replace(node, troubled=True), frame.widest(node.lower, node.upper))


def _sides(node: OpenNode, neuron: int) -> list[OpenNode]:
    """A node with a neuron inactive, and active."""
    return [
        replace(node, lower=lower, upper=upper)
        for lower, upper in sides(node.lower, node.upper, neuron)
    ]


@dataclass(frozen=True, eq=False)
class _Ready:
    """A node whose program can be solved, on any thread."""

    node: OpenNode
    ellipsoid: Ellipsoid
    relaxation: L2Relaxation

    def solved(self) -> tuple[Solved, Branching | None]:
        """Its program's answer, and how to go on where it leaves something that can be split."""
        node, goal = self.node, self.relaxation.largest
        given = node.lower, node.upper, node.cuts, goal, EFFORT, node.above
        solved = self.relaxation.solve(*given)
        if solved.bound > goal or not solved.usable or solved.model.neuron.size == 0:
            return solved, None
        return solved, self.relaxation.branching(solved, goal)
