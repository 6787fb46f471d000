"""The linear relaxation of L1 problems: what the tree sees of :mod:`node`."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from reluopt.engines.branch_and_bound.ball import Ball
from reluopt.engines.branch_and_bound.frame import Frame, Multipliers, Outcome, RegionPoint
from reluopt.engines.branch_and_bound.l1 import node as node_kernels
from reluopt.engines.branch_and_bound.l1.basis import copy_state, refresh
from reluopt.engines.branch_and_bound.l1.build import (
    build,
    claim_magnitudes,
    load_bounds,
)
from reluopt.engines.branch_and_bound.l1.certificate import Claim
from reluopt.engines.branch_and_bound.l1.program import (
    LISTED,
    OBJECTIVE,
    State,
    copied,
    empty_state,
    empty_work,
)
from reluopt.engines.branch_and_bound.l1.simplex import OPTIMAL
from reluopt.engines.branch_and_bound.l1.squeeze import squeeze
from reluopt.numerics.arrays import BoolArray, FloatArray, IntArray
from reluopt.numerics.flat import forward
from reluopt.questions.problems import LogitConditions

KEEP_REDUCED_COST = 0.35
"""After the root, pixels with a larger reduced cost (a pixel's own cost is 1) are only looked at
once a node's program is solved; about one in five is left."""

KEEP_AT_LEAST = 64
"""Pixels that stay priced in any case."""


ROOT_PIVOTS = 1000
"""Pivots of a program between two layers whose neurons are squeezed: ten times what is usual."""


class Snapshot(NamedTuple):
    """A copy of a simplex state."""

    state: State


class LPRelaxation:
    """Triangle relaxation with objective ``sum|delta|``; see :mod:`program`."""

    def __init__(self, frame: Frame, conditions: LogitConditions, ball: Ball) -> None:
        self.frame = frame
        self._hidden = int(frame.flat.neuron_offsets[-2])
        lower, upper = ball.lower[: self._hidden], ball.upper[: self._hidden]
        self._program, self._layout = build(frame, conditions, lower, upper, ball.rows)
        rows, columns = self._program.rhs.size, self._program.cost.size
        kept = self._layout.kept.size
        self._state = empty_state(rows, columns, kept)
        self._trial = empty_state(rows, columns, kept)
        self._work = empty_work(rows, columns)
        neurons = frame.flat.biases.size
        wide_upper = np.concatenate([upper, np.zeros(neurons - upper.size)])
        claim = Claim(
            frame.flat,
            frame.region,
            np.array(conditions.matrix),
            np.array(conditions.rhs),
            claim_magnitudes(frame.flat, frame, wide_upper),
            ball.rows,
        )
        self._node = node_kernels.Node(
            claim,
            np.zeros(neurons),
            np.zeros(neurons),
            np.zeros(neurons),
            np.zeros(conditions.rhs.size),
            np.zeros(ball.rows.neurons.size),
            np.zeros(1, dtype=np.int64),
        )
        self._local = np.full(lower.size, -1, dtype=np.int64)
        self._local[self._layout.kept] = np.arange(self._layout.kept.size)
        self._shrunk = False
        values = np.empty(neurons)
        forward(frame.flat, frame.region.center, values)
        self._node.lower[: lower.size], self._node.upper[: lower.size] = lower, upper
        load_bounds(self._program, self._layout, self._node.lower, self._node.upper)
        node_kernels.start(self._program, self._layout, self._state, self._work, values > 0.0)
        self._stale = False

    def set_bounds(self, lower: FloatArray, upper: FloatArray) -> None:
        """See :class:`~.relaxation.Relaxation`."""
        node = self._node
        node.lower[: lower.size], node.upper[: upper.size] = lower, upper
        load_bounds(self._program, self._layout, node.lower, node.upper)
        self._stale = True

    def solve(self, cutoff: float, limit: int) -> Outcome:
        """See :class:`~.relaxation.Relaxation`."""
        if self._stale:
            refresh(self._program, self._state, self._work)
            self._stale = False
        bound, code = node_kernels.solve_node(
            self._program, self._layout, self._state, self._work, self._node, cutoff, limit
        )
        if code == OPTIMAL and not self._shrunk:
            node_kernels.keep_promising(
                self._program, self._state, KEEP_REDUCED_COST, KEEP_AT_LEAST
            )
            self._shrunk = True
        return Outcome(bound, code == OPTIMAL)

    def objective(self) -> float:
        """Objective of the last solve as the simplex method sees it."""
        return float(self._state.scalars[OBJECTIVE])

    def point(self) -> FloatArray:
        """See :class:`~.relaxation.Relaxation`."""
        return self._read(self._state)

    def split(self) -> tuple[FloatArray, FloatArray]:
        """See :class:`~.relaxation.Relaxation`."""
        kept = self._layout.kept
        x, s = np.zeros(self._hidden), np.zeros(self._hidden)
        x[kept] = self._state.x[: kept.size]
        s[kept] = self._state.x[kept.size : 2 * kept.size]
        return x, s

    def probe(self, neurons: IntArray, cutoff: float, limit: int, patience: int) -> FloatArray:
        """See :class:`~.relaxation.Relaxation`."""
        bounds = np.empty((neurons.size, 3))
        count = node_kernels.probe(
            self._program,
            self._layout,
            self._state,
            self._trial,
            self._work,
            self._node,
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
        kernel_arguments = (
            self._program,
            self._layout,
            self._state,
            self._trial,
            self._work,
            self._node,
        )
        starts = self.frame.flat.neuron_offsets
        for start, end in itertools.pairwise(starts[:-1]):
            self.set_bounds(lower, upper)
            bound = max(bound, self.solve(cutoff, ROOT_PIVOTS).bound)
            if bound >= cutoff:
                return bound
            open_ = start + np.flatnonzero((lower[start:end] < 0.0) & (upper[start:end] > 0.0))
            for neuron in self._local[open_]:
                if stop():
                    return bound
                if not squeeze(*kernel_arguments, neuron, cutoff):
                    return cutoff
            lower[:], upper[:] = self._node.lower[: lower.size], self._node.upper[: upper.size]
        return bound

    def region(self, pattern: BoolArray, cutoff: float, limit: int) -> RegionPoint | None:
        """See :class:`~.relaxation.Relaxation`."""
        program, trial = self._program, self._trial
        low, high = program.lower.copy(), program.upper.copy()
        copy_state(self._state, trial)
        flips = np.empty(self._layout.kept.size, dtype=np.int64)
        code, count = node_kernels.solve_region(
            program, self._layout, trial, self._work, pattern, cutoff, limit, flips
        )
        program.lower[:], program.upper[:] = low, high
        if code != OPTIMAL:
            return None
        objective = float(trial.scalars[OBJECTIVE])
        return RegionPoint(self._read(trial), objective, flips[:count].copy())

    def _read(self, state: State) -> FloatArray:
        """The input of a state, clipped to the box."""
        image = np.empty(self.frame.region.center.size)
        node_kernels.read_point(self._program, self._layout, state, self._node.claim, image)
        return self.frame.task.box.clip(image)

    def snapshot(self) -> Snapshot:
        """See :class:`~.relaxation.Relaxation`."""
        return Snapshot(copied(self._state))

    def restore(self, snapshot: Snapshot) -> None:
        """See :class:`~.relaxation.Relaxation`."""
        copy_state(snapshot.state, self._state)
        self._stale = True

    def multipliers(self) -> Multipliers:
        """See :class:`~.relaxation.Relaxation`."""
        node = self._node
        return Multipliers(
            node.pi[: self._hidden].copy(), node.mu.copy(), node.tau.copy(), bool(node.farkas[0])
        )

    def size(self) -> dict[str, int]:
        """See :class:`~.relaxation.Relaxation`."""
        kept = self._layout.kept.size
        pixels = self._layout.pixel.size
        return {"variables": 2 * kept + pixels, "constraints": int(self._program.rhs.size)}

    def statistics(self) -> dict[str, float]:
        """Pivots and priced pixels, for profiles."""
        counters = self._state.counters
        return {
            "pivots": float(counters[1]),
            "listed": float(counters[LISTED]),
            "gap": math.nan,
        }
