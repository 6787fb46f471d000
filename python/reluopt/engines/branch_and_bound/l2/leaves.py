"""Leaves of L2 proofs: witnesses of safe quadratic bounds (:class:`~.certificate.Witness`)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from reluopt.engines.branch_and_bound.ball import Ball
from reluopt.engines.branch_and_bound.frame import Frame
from reluopt.engines.branch_and_bound.l2.certificate import (
    Witness,
    first_layer,
    safe_quadratic_bound,
)
from reluopt.engines.branch_and_bound.l2.interior import Effort
from reluopt.engines.branch_and_bound.l2.model import NEGATIVE, Model, build_model, make_setting
from reluopt.engines.branch_and_bound.l2.relaxation import Cuts, L2Relaxation
from reluopt.engines.branch_and_bound.l2.stated import STATED, stated
from reluopt.engines.branch_and_bound.l2.tree import STEPS, TOLERANCES
from reluopt.engines.branch_and_bound.leaf import BOUND, LEAF, Leaf, LeafCheck, Parts, Trial
from reluopt.numerics.arrays import FloatArray
from reluopt.numerics.input_sets import largest_square
from reluopt.questions.problems import LogitConditions

L2_PARTS: Parts = (
    *((name, np.float64) for name in ("delta", "x", "z", "psi")),
    *((name, np.int64) for name in ("term_at", "term_form")),
)
"""Fields of a :class:`~.certificate.Witness`."""

CUT_ROUNDS, CUTS_PER_NEURON, MORE_CUTS = 4, 1.5, 4
"""One node: rounds of products, and products added in each: so many for every undecided neuron, and
a few more."""


class L2Check:
    """Evaluates certificates."""

    def __init__(self, frame: Frame, conditions: LogitConditions, ball: Ball) -> None:
        self._setting = make_setting(frame, conditions, ball.lower, ball.upper)
        self._first, self._hidden = first_layer(frame.flat), frame.hidden
        self._largest = largest_square(frame.inputs)  # a larger bound proves a leaf empty

    def bound(self, leaf: Leaf, lower: FloatArray, upper: FloatArray) -> float:
        """See :class:`~reluopt.engines.branch_and_bound.leaf.LeafCheck`."""
        flat, inputs = self._setting.flat, self._setting.inputs
        model = build_model(self._setting, lower, upper)
        witness = Witness(*(np.array(part) for part in leaf.parts))
        if leaf.kind != BOUND or not _fits(witness, model, inputs.center.size):
            return -math.inf
        value = float(safe_quadratic_bound(flat, inputs, self._first, model, witness))
        return math.inf if value > self._largest else value

    def stated(self, leaf: Leaf, lower: FloatArray, upper: FloatArray) -> dict[str, FloatArray]:
        """See :class:`~reluopt.engines.branch_and_bound.leaf.LeafCheck`."""
        if not leaf.parts:
            return dict.fromkeys(STATED, np.zeros(0))
        model = build_model(self._setting, lower, upper)
        witness = Witness(*(np.array(part) for part in leaf.parts))
        return stated(model, witness, lower, upper, self._hidden)


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


class L2Prover:
    """Proves nodes by semidefinite relaxations with products."""

    def __init__(self, frame: Frame, conditions: LogitConditions, ball: Ball) -> None:
        self.check: LeafCheck = L2Check(frame, conditions, ball)
        self._hidden = frame.hidden
        self._relaxation = L2Relaxation(frame, conditions, ball.lower, ball.upper)

    def attempt(self, lower: FloatArray, upper: FloatArray, warm: Any, cutoff: float) -> Trial:
        """See :class:`~reluopt.engines.branch_and_bound.leaf.Prover`."""
        relaxation = self._relaxation
        cuts = Cuts.none() if warm is None else warm
        width = np.minimum(-lower, upper)[: self._hidden]
        widest = int(np.argmax(width)) if width.max(initial=0.0) > 0.0 else LEAF
        best = Trial(Leaf(BOUND), -math.inf, widest, cuts)
        goal = min(cutoff, relaxation.largest)
        for turn in range(CUT_ROUNDS):
            # The finest tolerance may be out of reach; then less is more.
            effort = Effort(STEPS, TOLERANCES[min(turn, 1)], 0.0)
            solved = relaxation.solve(lower, upper, cuts, goal, effort)
            leaf = Leaf(BOUND, tuple(np.array(part) for part in solved.witness))
            proven = self.check.bound(leaf, lower, upper)
            if proven > best.bound:
                best = best._replace(leaf=leaf, bound=proven)
            if proven >= cutoff:
                break
            cuts = relaxation.strong(solved)
            if not solved.usable:
                continue
            neurons = solved.model.neuron
            costs = relaxation.pulls(solved).prod(axis=1)
            neuron = int(neurons[np.argmax(costs)]) if neurons.size else LEAF
            best = best._replace(neuron=neuron, warm=cuts)
            more = relaxation.violated(
                solved, goal, int(CUTS_PER_NEURON * neurons.size) + MORE_CUTS
            )
            if len(more) == 0:
                break
            cuts = cuts.joined(more)
        return best
