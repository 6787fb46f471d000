r"""What the tree asks of a convex relaxation, whatever its norm.

A node of the tree is a pair of vectors ``(lower, upper)``: pre-activation bounds of all hidden
neurons, layer after layer in one vector of length H. They carry the branching decisions too:

* ``lower[h] >= 0``: the neuron is active, ``x_h = a_h``;
* ``upper[h] <= 0``: the neuron is inactive, ``x_h = 0``;
* otherwise ``(x_h, s_h)`` with ``a_h = x_h - s_h`` lies in the triangle with the corners
  ``(0, 0)``, ``(upper[h], 0)`` and ``(0, -lower[h])``.

A relaxation belongs to one alternative (one set of logit conditions) of one task. The tree changes
its bounds, solves it, probes children, and keeps snapshots for warm restarts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import numpy as np

from reluopt.bounds.scaling import balanced, balanced_logits
from reluopt.errors import InputError
from reluopt.networks.flattening import flatten
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import BoolArray, FloatArray, IntArray
from reluopt.numerics.flat import FlatNetwork
from reluopt.numerics.input_sets import FlatInputSet
from reluopt.questions.input_sets import flat_input_set
from reluopt.questions.problems import Alternative, Blend, Box, LogitConditions, PerturbationTask


@dataclass(frozen=True, eq=False)
class Frame:
    """What all relaxations of one task share.

    Attributes:
        network: the network, with neurons and logits brought to a usual scale.
        flat: the same for kernels.
        task: what is asked, in units of these logits.
        region: image and box for kernels, without a ball.
    """

    network: ReLUNetwork
    flat: FlatNetwork
    task: PerturbationTask
    region: FlatInputSet


def make_frame(network: ReLUNetwork, task: PerturbationTask) -> Frame:
    """Network, task and box as kernels take them, centred at the image.

    Raises:
        InputError: the task minimises a blend, which has to be lifted (:mod:`blend`).
    """
    if isinstance(task.norm, Blend):
        raise InputError(f"bnb: expected norm l1 or l2 here, found {task.norm}")
    norm, largest = task.norm, largest_input(task.box)
    network, factor = balanced_logits(balanced(network, largest), largest)
    if factor != 1.0:
        task = replace(task, alternatives=tuple(_multiplied(a, factor) for a in task.alternatives))
    flat = flatten(network)
    wide = float((task.box.upper - task.box.lower).sum()) + 1.0
    region = flat_input_set(flat, task.box, np.array(task.image), norm, wide)
    return Frame(network, flat, task, region)


def largest_input(box: Box) -> float:
    """The largest absolute value that an input of the box can have."""
    return float(np.maximum(np.abs(box.lower), np.abs(box.upper)).max(initial=0.0))


def _multiplied(alternative: Alternative, factor: float) -> Alternative:
    """The alternative for logits that were multiplied by a power of two."""
    conditions = alternative.conditions
    return replace(
        alternative, conditions=LogitConditions(conditions.matrix, factor * conditions.rhs)
    )


class Outcome(NamedTuple):
    """What one solve of a relaxation proved.

    Attributes:
        bound: lower bound on the objective over the node, valid in exact arithmetic; infinite
            when the node is proven to be empty.
        solved: whether the relaxation was solved to optimality, so that its point means something
            (False: cut off, infeasible, out of iterations, or numerical trouble).
    """

    bound: float
    solved: bool


@dataclass(frozen=True, eq=False)
class RegionPoint:
    """The best input of one linear region, found by :meth:`Relaxation.region`.

    Attributes:
        image: shape ``(n_0,)``, inside the box.
        objective: its objective as the relaxation sees it.
        flips: indices of hidden neurons that sit at zero and whose flip promises a better region.
    """

    image: FloatArray
    objective: float
    flips: IntArray


@dataclass(frozen=True, eq=False)
class Multipliers:
    """Dual multipliers from which a bound of a node can be recomputed by :mod:`certificate`.

    Attributes:
        neurons: multipliers of ``x_h - s_h = W_h x + b_h``, shape ``(H,)``, free in sign.
        conditions: multipliers of the logit conditions, shape ``(conditions,)``, >= 0.
        balls: multipliers of additional rows of the relaxation, >= 0.
        farkas: whether they prove emptiness (objective left out) instead of a bound.
    """

    neurons: FloatArray
    conditions: FloatArray
    balls: FloatArray
    farkas: bool


class Relaxation(Protocol):
    """A convex relaxation of one alternative that can be re-solved quickly as bounds change."""

    def set_bounds(self, lower: FloatArray, upper: FloatArray) -> None:
        """Move to the node with these pre-activation bounds; both of shape ``(H,)``, copied.

        Warm-start material of the last solve is kept.
        """
        ...

    def solve(self, cutoff: float, limit: int) -> Outcome:
        """Solve from the present warm start.

        Args:
            cutoff: stop as soon as the (safe) bound reaches it; may be infinite.
            limit: number of iterations after which to return with ``solved=False``; solving again
                goes on where it stopped.
        """
        ...

    def point(self) -> FloatArray:
        """Input :math:`x^0` of the last solve, inside the box, shape ``(n_0,)``."""
        ...

    def split(self) -> tuple[FloatArray, FloatArray]:
        """``(x, s)`` of the last solve, both of shape ``(H,)`` and >= 0."""
        ...

    def probe(self, neurons: IntArray, cutoff: float, limit: int, patience: int) -> FloatArray:
        """Strong branching: short solves of both children of every neuron given.

        Where one child is cut off the relaxation moves to the other one before it goes on; the
        caller does the same with the node's bounds. Probing stops when both children are cut off.

        Args:
            neurons: hidden neurons that the present bounds leave undecided, best first.
            cutoff: see :meth:`solve`.
            limit: iterations for each child.
            patience: probing stops after so many neurons in a row without a better one.

        Returns:
            One row for each neuron probed: bounds of the inactive child, of the active child, and
            of the node at that time. Infinite only where the safe bound proves that the child can
            be pruned; other values are estimates. NaN for neurons that were skipped.
        """
        ...

    def region(self, pattern: BoolArray, cutoff: float, limit: int) -> RegionPoint | None:
        """Best input of the linear region with this activation pattern, shape ``(H,)``.

        The node's bounds are put aside (only the phases of ``pattern`` count); the relaxation is
        left as it was before. None when the region is empty or has nothing below ``cutoff``, or
        when ``limit`` iterations did not do.
        """
        ...

    def snapshot(self) -> Any:
        """Warm-start material of the last solve (a copy)."""
        ...

    def restore(self, snapshot: Any) -> None:
        """Go back to a snapshot's warm start; the bounds stay those of :meth:`set_bounds`."""
        ...

    def multipliers(self) -> Multipliers:
        """The multipliers behind the bound of the last solve."""
        ...

    def size(self) -> dict[str, int]:
        """``variables`` and ``constraints`` of the relaxation."""
        ...
