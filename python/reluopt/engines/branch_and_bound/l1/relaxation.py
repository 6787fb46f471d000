"""The linear relaxation of L1 problems: what the tree sees of :mod:`node`."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from reluopt.engines.branch_and_bound.frame import Frame
from reluopt.engines.branch_and_bound.l1 import node as node_kernels
from reluopt.engines.branch_and_bound.l1.ball import RowBall
from reluopt.engines.branch_and_bound.l1.basis import copy_state, refresh
from reluopt.engines.branch_and_bound.l1.build import build, load_bounds
from reluopt.engines.branch_and_bound.l1.certificate import make_setting
from reluopt.engines.branch_and_bound.l1.program import (
    OBJECTIVE,
    State,
    copied,
    empty_state,
    empty_work,
)
from reluopt.engines.branch_and_bound.l1.simplex import OPTIMAL
from reluopt.engines.branch_and_bound.l1.squeeze import squeeze
from reluopt.numerics.arrays import BoolArray, FloatArray, IntArray
from reluopt.numerics.passes import forward
from reluopt.questions.problems import LogitConditions

KEEP_REDUCED_COST = 0.35
"""After the root, pixels with a larger reduced cost (a pixel's own cost is 1) are only looked at
once a node's program is solved; about one in five is left."""

KEEP_AT_LEAST = 64
"""Pixels that stay priced in any case."""

ROOT_PIVOTS = 1000
"""Pivots of a program between two layers whose neurons are squeezed: ten times what is usual."""


class NodeBound(NamedTuple):
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
class LinearRegionPoint:
    """The best input of one linear region.

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
        balls: multipliers of the ball rows, >= 0.
        farkas: whether they prove emptiness (objective left out) instead of a bound.
    """

    neurons: FloatArray
    conditions: FloatArray
    balls: FloatArray
    farkas: bool


class L1Relaxation:
    """Triangle relaxation with objective ``sum|delta|`` of one alternative; see :mod:`program`.

    It can be solved again quickly as bounds change.
    """

    def __init__(self, frame: Frame, conditions: LogitConditions, ball: RowBall) -> None:
        self.frame = frame
        hidden, neurons = frame.hidden, frame.flat.biases.size
        lower, upper = ball.lower[:hidden], ball.upper[:hidden]
        lp, layout = build(frame, conditions, lower, upper, ball.rows)
        rows, columns, kept = lp.rhs.size, lp.cost.size, layout.kept.size
        self._state, self._trial = (empty_state(rows, columns, kept) for _ in range(2))
        self._node = node_kernels.NodeProgram(
            lp,
            layout,
            empty_work(rows, columns),
            make_setting(frame, conditions, ball),
            lower=np.zeros(neurons),
            upper=np.zeros(neurons),
            pi=np.zeros(neurons),
            mu=np.zeros(conditions.rhs.size),
            tau=np.zeros(ball.rows.neurons.size),
            farkas=np.zeros(1, dtype=np.int64),
        )
        self._local = np.full(hidden, -1, dtype=np.int64)
        self._local[layout.kept] = np.arange(kept)
        self._shrunk = False
        values = np.empty(neurons)
        forward(frame.flat, frame.inputs.center, values)
        self.set_bounds(lower, upper)
        node_kernels.start(lp, self._node.work, self._state, layout.kept, values > 0.0)
        self._stale = False

    def set_bounds(self, lower: FloatArray, upper: FloatArray) -> None:
        """Move to the node with these bounds of all (hidden) neurons, which are copied.

        Warm-start material of the last solve is kept.
        """
        node, hidden = self._node, self.frame.hidden
        node.lower[:hidden], node.upper[:hidden] = lower[:hidden], upper[:hidden]
        load_bounds(node.lp, node.layout, node.lower, node.upper)
        self._stale = True

    def solve(self, cutoff: float, limit: int) -> NodeBound:
        """Solve from the present warm start.

        Args:
            cutoff: stop as soon as the (safe) bound reaches it; may be infinite.
            limit: number of pivots after which to return with ``solved=False``; solving again goes
                on where it stopped.
        """
        lp = self._node.lp
        if self._stale:
            refresh(lp, self._state, self._node.work)
            self._stale = False
        bound, code = node_kernels.solve_node(self._node, self._state, cutoff, limit)
        if code == OPTIMAL and not self._shrunk:
            node_kernels.keep_promising(lp, self._state, KEEP_REDUCED_COST, KEEP_AT_LEAST)
            self._shrunk = True
        return NodeBound(bound, code == OPTIMAL)

    def point(self) -> FloatArray:
        """Input :math:`x^0` of the last solve, inside the box, shape ``(n_0,)``."""
        return self._read(self._state)

    def split(self) -> tuple[FloatArray, FloatArray]:
        """``(x, s)`` of the last solve, both of shape ``(H,)`` and >= 0."""
        lp, kept, value = self._node.lp, self._node.layout.kept, self._state.value
        x, s = np.zeros(self.frame.hidden), np.zeros(self.frame.hidden)
        x[kept] = value[: lp.first_s]
        s[kept] = value[lp.first_s : lp.first_pixel]
        return x, s

    def probe(self, neurons: IntArray, cutoff: float, limit: int, patience: int) -> FloatArray:
        """Strong branching: short solves of both children of every neuron given.

        Where one child is cut off the relaxation moves to the other one before it goes on; the
        caller does the same with the node's bounds. Probing stops when both children are cut off.

        Args:
            neurons: hidden neurons that the present bounds leave undecided, best first.
            cutoff: see :meth:`solve`.
            limit: pivots for each child.
            patience: probing stops after so many neurons in a row without a better one.

        Returns:
            One row for each neuron probed: bounds of the inactive child, of the active child, and
            of the node at that time. Infinite only where the safe bound proves that the child can
            be pruned; other values are estimates. NaN for neurons that were skipped.
        """
        bounds = np.empty((neurons.size, 3))
        count = node_kernels.probe(
            self._node,
            self._state,
            self._trial,
            self._local[neurons],
            cutoff,
            limit,
            patience,
            bounds,
        )
        return bounds[: abs(count)]

    def squeeze(
        self, lower: FloatArray, upper: FloatArray, cutoff: float, stop: Callable[[], bool]
    ) -> float:
        """Tighten bounds of hidden neurons over everything below ``cutoff``, layer after layer.

        Args:
            lower: shape ``(H,)``; raised in place.
            upper: shape ``(H,)``; lowered in place.
            cutoff: inputs with this objective are of no interest.
            stop: asked before every neuron whether to leave the rest as it is.

        Returns:
            Safe bound of the node with these bounds; from ``cutoff`` on, nothing of interest is
            left.
        """
        bound = -math.inf
        for start, end in itertools.pairwise(self.frame.flat.neuron_offsets[:-1]):
            self.set_bounds(lower, upper)
            bound = max(bound, self.solve(cutoff, ROOT_PIVOTS).bound)
            if bound >= cutoff:
                return bound
            open_ = start + np.flatnonzero((lower[start:end] < 0.0) & (upper[start:end] > 0.0))
            for neuron in self._local[open_]:
                if stop():
                    return bound
                if not squeeze(self._node, self._state, self._trial, neuron, cutoff):
                    return cutoff
            lower[:], upper[:] = self._node.lower[: lower.size], self._node.upper[: upper.size]
        return bound

    def best_of_region(
        self, pattern: BoolArray, cutoff: float, limit: int
    ) -> LinearRegionPoint | None:
        """Best input of the linear region with this activation pattern, shape ``(H,)``.

        The node's bounds are put aside (only the phases of ``pattern`` count); the relaxation is
        left as it was before. None when the region is empty or has nothing below ``cutoff``, or
        when ``limit`` pivots did not do.
        """
        lp, layout, work, trial = self._node.lp, self._node.layout, self._node.work, self._trial
        low, high = lp.lower.copy(), lp.upper.copy()
        copy_state(self._state, trial)
        flips = np.empty(lp.first_s, dtype=np.int64)
        code, count = node_kernels.solve_region(
            lp, layout, work, trial, pattern, cutoff, limit, flips
        )
        lp.lower[:], lp.upper[:] = low, high
        if code != OPTIMAL:
            return None
        objective = float(trial.scalars[OBJECTIVE])
        return LinearRegionPoint(self._read(trial), objective, flips[:count].copy())

    def _read(self, state: State) -> FloatArray:
        """The input of a state, clipped to the box."""
        image = np.empty(self.frame.inputs.center.size)
        node = self._node
        node_kernels.read_point(node.lp, node.layout, self.frame.inputs, state, image)
        return self.frame.task.box.clip(image)

    def snapshot(self) -> State:
        """Warm-start material of the last solve (a copy)."""
        return copied(self._state)

    def restore(self, snapshot: State) -> None:
        """Go back to a snapshot's warm start; the bounds stay those of :meth:`set_bounds`."""
        copy_state(snapshot, self._state)
        self._stale = True

    def multipliers(self) -> Multipliers:
        """The multipliers behind the bound of the last solve."""
        node, hidden = self._node, self.frame.hidden
        return Multipliers(
            node.pi[:hidden].copy(), node.mu.copy(), node.tau.copy(), bool(node.farkas[0])
        )

    def size(self) -> dict[str, int]:
        """``variables`` and ``constraints`` of the relaxation."""
        lp = self._node.lp
        return {"variables": lp.first_logical, "constraints": int(lp.rhs.size)}
