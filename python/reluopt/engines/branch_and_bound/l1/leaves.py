"""Leaves of L1 proofs: multipliers of all hidden neurons, the conditions, and the ball rows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from reluopt.engines.branch_and_bound.frame import Frame
from reluopt.engines.branch_and_bound.l1.ball import RowBall
from reluopt.engines.branch_and_bound.l1.certificate import (
    L1_OBJECTIVE,
    NO_OBJECTIVE,
    make_setting,
    safe_bound,
)
from reluopt.engines.branch_and_bound.l1.relaxation import L1Relaxation
from reluopt.engines.branch_and_bound.leaf import BOUND, FARKAS, LEAF, Leaf, LeafCheck, Parts, Trial
from reluopt.numerics.arrays import FloatArray
from reluopt.questions.problems import LogitConditions

L1_PARTS: Parts = (("neurons", np.float64), ("conditions", np.float64), ("balls", np.float64))
"""The ball rows' multipliers stand at their neurons."""

SOLVES, ITERATIONS = 50, 300
"""One node: at most so many calls of the simplex method with so many pivots each."""


class L1Check:
    """Evaluates certificates."""

    def __init__(self, frame: Frame, conditions: LogitConditions, ball: RowBall) -> None:
        self._hidden = frame.hidden
        self._setting = make_setting(frame, conditions, ball)

    def bound(self, leaf: Leaf, lower: FloatArray, upper: FloatArray) -> float:
        """See :class:`~reluopt.engines.branch_and_bound.leaf.LeafCheck`."""
        neurons, conditions, balls = leaf.parts
        sizes = (neurons.size, conditions.size, balls.size)
        if sizes != (self._hidden, self._setting.rhs.size, self._hidden):
            return -math.inf
        pi = np.zeros(lower.size)
        pi[: self._hidden] = neurons
        tau = np.ascontiguousarray(balls[self._setting.balls.neurons])
        objective = NO_OBJECTIVE if leaf.kind == FARKAS else L1_OBJECTIVE
        value = float(
            safe_bound(self._setting, lower, upper, pi, np.array(conditions), tau, objective)
        )
        if leaf.kind == FARKAS:
            return math.inf if value > 0.0 else -math.inf
        return value

    def stated(self, leaf: Leaf, lower: FloatArray, upper: FloatArray) -> dict[str, FloatArray]:
        """See :class:`~reluopt.engines.branch_and_bound.leaf.LeafCheck`: nothing but the parts."""
        del leaf, lower, upper
        return {}


class L1Prover:
    """Proves nodes by linear programs."""

    def __init__(self, frame: Frame, conditions: LogitConditions, ball: RowBall) -> None:
        self.check: LeafCheck = L1Check(frame, conditions, ball)
        self._frame, self._rows = frame, ball.rows.neurons
        self._relaxation = L1Relaxation(frame, conditions, ball)

    def attempt(self, lower: FloatArray, upper: FloatArray, warm: Any, cutoff: float) -> Trial:
        """See :class:`~reluopt.engines.branch_and_bound.leaf.Prover`."""
        relaxation = self._relaxation
        if warm is not None:
            relaxation.restore(warm)
        relaxation.set_bounds(lower, upper)
        for _ in range(SOLVES):
            bound, solved = relaxation.solve(cutoff, ITERATIONS)
            if solved or bound >= cutoff:
                break
        found = relaxation.multipliers()
        balls = np.zeros(self._frame.hidden)
        balls[self._rows] = found.balls
        kind = FARKAS if found.farkas else BOUND
        leaf = Leaf(kind, (found.neurons, found.conditions, balls))
        proven = self.check.bound(leaf, lower, upper)
        if proven >= cutoff:
            return Trial(leaf, proven, LEAF, None)
        open_ = self._frame.undecided(lower, upper)
        both = np.where(open_, np.minimum(*relaxation.split()), -1.0)
        neuron = int(np.argmax(both)) if open_.any() else LEAF
        return Trial(leaf, proven, neuron, relaxation.snapshot())
