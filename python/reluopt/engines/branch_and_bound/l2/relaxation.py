r"""Semidefinite relaxation of a node of an L2 task, with products as cutting planes.

:meth:`L2Relaxation.solve` solves the program of one node (:mod:`program`) with the ReLU terms
and given products, and certifies its bound (:mod:`certificate`). :meth:`L2Relaxation.violated`
finds the products :math:`x_i \ell_k \ge 0` that its last point violates most, and
:meth:`L2Relaxation.strong` those that hold it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from reluopt.engines.branch_and_bound.frame import Frame
from reluopt.engines.branch_and_bound.l2.branching import Branching
from reluopt.engines.branch_and_bound.l2.certificate import (
    FirstLayer,
    Witness,
    first_layer,
    safe_quadratic_bound,
)
from reluopt.engines.branch_and_bound.l2.fixing import ruled_out, springs_at
from reluopt.engines.branch_and_bound.l2.inherited import Inherited, hand_on, start_below
from reluopt.engines.branch_and_bound.l2.interior import (
    TROUBLE,
    Effort,
    InteriorPoint,
    solve_program,
)
from reluopt.engines.branch_and_bound.l2.iterate import start_iterate
from reluopt.engines.branch_and_bound.l2.model import (
    CONDITION,
    NEGATIVE,
    PHASE,
    POSITIVE,
    Model,
    build_model,
    make_setting,
)
from reluopt.engines.branch_and_bound.l2.program import (
    RELU_SCALE,
    FormTable,
    QuadraticProgram,
    build_program,
    product_values,
    start_multipliers,
    tabulate,
)
from reluopt.engines.branch_and_bound.l2.units import from_units, in_units, unit_of
from reluopt.networks.flattening import flatten
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import BoolArray, FloatArray, IntArray
from reluopt.numerics.input_sets import largest_square
from reluopt.numerics.jit import interrupts_wait
from reluopt.questions.problems import LogitConditions

SAFETY = 1e-8
"""Relative excess over the goal that the search aims at, so that the safe bound, which is lower
by its rounding terms, still reaches it."""

VIOLATION = 1e-5
"""Smallest violation of a product, relative to the goal, that is worth a cut."""

EXACT = 1e-6
"""Shares of what is missing to a goal below which neither costs of neurons nor rises of bounds are
told apart."""

HEIRS = 50, 300
"""Least and most undecided neurons of programs whose children begin at an iterate of theirs: to
make it takes 1 ms, to keep it up to 0.4 MB for both children."""


@dataclass(frozen=True, eq=False)
class Cuts:
    """Products in terms of the network: ``x[neuron] * form(kind, owner) >= 0``."""

    neuron: IntArray
    kind: IntArray
    owner: IntArray

    @classmethod
    def none(cls) -> Cuts:
        """No products."""
        empty = np.zeros(0, dtype=np.int64)
        return cls(empty, empty, empty)

    def __len__(self) -> int:
        return self.neuron.size

    def joined(self, other: Cuts) -> Cuts:
        """These and those."""
        return Cuts(
            np.concatenate([self.neuron, other.neuron]),
            np.concatenate([self.kind, other.kind]),
            np.concatenate([self.owner, other.owner]),
        )

    def chosen(self, keep: BoolArray) -> Cuts:
        """Those that a mask picks."""
        return Cuts(self.neuron[keep], self.kind[keep], self.owner[keep])


@dataclass(frozen=True, eq=False)
class Solved:
    """A solved program of a node.

    Attributes:
        model, table, program: the node's program.
        answer: what the interior point method found.
        witness: what proves ``bound``.
        bound: lower bound on the objective over the node, valid in exact arithmetic.
        cuts: the products in the program.
        legacy: what programs of children start from, unless it is not worth its time or memory.
    """

    model: Model
    table: FormTable
    program: QuadraticProgram
    answer: InteriorPoint
    witness: Witness
    bound: float
    cuts: Cuts
    legacy: Inherited | None

    @property
    def usable(self) -> bool:
        """Whether the interior point method did not fail."""
        return self.answer.status != TROUBLE


class L2Relaxation:
    """Relaxations of the nodes of one alternative."""

    def __init__(
        self, frame: Frame, conditions: LogitConditions, lower: FloatArray, upper: FloatArray
    ) -> None:
        self.frame = frame
        self._setting = make_setting(frame, conditions, lower, upper)
        self._basis, self._transform, self._first = _prepared(frame.network)
        self.largest = largest_square(frame.inputs)
        """Above any objective that the box allows: a larger bound proves a node empty."""

    @interrupts_wait()
    def solve(
        self,
        lower: FloatArray,
        upper: FloatArray,
        cuts: Cuts,
        goal: float,
        effort: Effort,
        above: Inherited | None = None,
    ) -> Solved:
        """Solve and certify a node.

        Args:
            lower: the node's lower bounds of all neurons.
            upper: the node's upper bounds.
            cuts: products of an ancestor; those that have become void are left out.
            goal: stop as soon as the bound reaches it.
            effort: when to stop otherwise.
            above: where to begin: what an ancestor's program handed on, if anything.
        """
        frame = self.frame
        lower, upper = lower[: frame.hidden], upper[: frame.hidden]
        model = build_model(self._setting, lower, upper)
        table = tabulate(model, self._transform, frame.inputs.values)
        cuts, cut_at, cut_form = _locate(model, cuts, lower)
        program = build_program(model, table, self._basis, frame.inputs, cut_at, cut_form)
        answer = _answer(model, program, goal, effort, above)
        z = np.zeros(model.constant.size)
        z[program.form] = answer.best.z / program.scale
        psi = program.term_scale * answer.best.theta
        witness = Witness(
            answer.best.delta, answer.best.x, z, psi, program.term_at, program.term_form
        )
        bound = safe_quadratic_bound(frame.flat, frame.inputs, self._first, model, witness)
        useful = unit_of(goal) == 1.0 and answer.status != TROUBLE and bound < goal
        legacy = None
        if useful and HEIRS[0] <= model.neuron.size <= HEIRS[1]:
            legacy = hand_on(model, program, answer.early)
        return Solved(model, table, program, answer, witness, max(bound, 0.0), cuts, legacy)

    def image(self, solved: Solved) -> FloatArray:
        """The relaxation's image, inside the box."""
        task = self.frame.task
        return task.box.clip(task.image + solved.answer.best.delta)

    def violated(self, solved: Solved, goal: float, amount: int) -> Cuts:
        """At most ``amount`` products that ``solved`` violates, the worst ones."""
        answer, model = solved.answer, solved.model
        values = product_values(
            solved.program,
            solved.table,
            answer.best.theta,
            answer.best.delta,
            answer.best.x,
            answer.best.moment,
        )
        count = model.neuron.size
        # Equations need no cut, x_i x_j appears twice, and a square is never negative.
        values[np.arange(count), 2 * count + np.arange(count)] = 0.0
        values[:, :count][np.tril_indices(count)] = 0.0
        values[solved.program.term_at[count:], solved.program.term_form[count:]] = 0.0
        flat = values.ravel()
        amount = min(amount, flat.size)
        worst = np.argpartition(flat, amount - 1)[:amount] if amount > 0 else np.zeros(0, dtype=int)
        worst = worst[flat[worst] < -VIOLATION * goal]
        at, form = np.unravel_index(worst, values.shape)
        return Cuts(model.neuron[at], model.kind[form], model.owner[form])

    def strong(self, solved: Solved) -> Cuts:
        """The products of ``solved`` whose multipliers exceed what they leave."""
        count = solved.model.neuron.size
        keep = solved.answer.best.theta[count:] > solved.answer.best.room[count:]
        return solved.cuts.chosen(keep)

    def handed(self, solved: Solved, goal: float, share: float) -> Cuts:
        """Products for children: those that hold this relaxation, and those it violates most.

        Of the latter so many for each undecided neuron.
        """
        violated = self.violated(solved, goal, int(share * solved.model.neuron.size))
        return self.strong(solved).joined(violated)

    @interrupts_wait()
    def branching(self, solved: Solved, goal: float, *, fixes: bool = True) -> Branching:
        """What to branch on where a program's bound misses ``goal``, the best neuron first.

        Those that cost the relaxation much (:meth:`pulls`) and whose children promise to rise.

        Args:
            solved: the node's program, which is usable.
            goal: an objective above its bound.
            fixes: whether phases may be fixed; a proof does not show them.
        """
        missing = goal - solved.bound
        springs = springs_at(solved.program, solved.answer.best)
        out = np.zeros(springs.gain.shape, dtype=np.bool_)
        if fixes and unit_of(goal) == 1.0:  # not of programs that were solved in units of theirs
            node, proven = (solved.model, solved.program), (solved.witness, solved.bound)
            out = ruled_out(self.frame, self._first, node, springs, proven, goal)
        cost = self.pulls(solved).prod(axis=1)
        rises = np.clip(springs.gain, EXACT * missing, missing)
        order = np.argsort(-rises.prod(axis=1) * np.sqrt(cost), kind="stable")
        order = order[~out[order].any(axis=1)]
        return Branching(solved.model.neuron, out, order, rises)

    def pulls(self, solved: Solved) -> FloatArray:
        r"""What each undecided neuron costs the relaxation, shape ``(u, 2)``.

        The product of both columns is the penalty :math:`4 \theta_i x_i s_i` that the relaxation
        pays for a neuron that is both active and inactive; the columns split it by the distances
        ``x`` (to inactive) and ``s`` (to active).
        """
        count = solved.model.neuron.size
        table, answer = solved.table, solved.answer
        negative = slice(2 * count, 3 * count)
        s = table.constant[negative] + table.on_x[negative] @ answer.best.x
        s += table.on_y[negative] @ (self._basis @ answer.best.delta)
        weight = np.sqrt(RELU_SCALE * np.maximum(answer.best.theta[:count], 0.0))
        both = np.stack([answer.best.x, np.maximum(s, 0.0)], axis=1)
        result: FloatArray = weight[:, None] * both
        return result


def _answer(
    model: Model,
    program: QuadraticProgram,
    goal: float,
    effort: Effort,
    above: Inherited | None,
) -> InteriorPoint:
    """What the interior point method finds, from the iterate above or, where that fails, anew."""
    theta = start_multipliers(program, model.layer)
    unit = unit_of(goal)
    cutoff = goal / unit**2
    cutoff += SAFETY * max(1.0, cutoff)
    scaled = in_units(program, unit)
    begin = None if above is None or unit != 1.0 else start_below(above, model, program, theta)
    start = start_iterate(scaled, theta) if begin is None else begin
    answer = solve_program(scaled, start, cutoff, effort)
    left = effort.steps - answer.steps
    if begin is not None and answer.status == TROUBLE and left > 0:
        effort = effort._replace(steps=left)
        again = solve_program(scaled, start_iterate(scaled, theta), cutoff, effort)
        better = again if again.status != TROUBLE or again.bound > answer.bound else answer
        answer = better._replace(steps=again.steps + answer.steps)
    return from_units(answer, unit)


@lru_cache(maxsize=8)
def _prepared(network: ReLUNetwork) -> tuple[FloatArray, FloatArray, FirstLayer]:
    """What all relaxations of a network share: row basis, transform, first layer's products."""
    basis, transform = _row_basis(network.affine_layers[0].weight)
    return basis, transform, first_layer(flatten(network))


def _row_basis(weight: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Orthonormal rows Q and T with ``weight = T @ Q`` (up to rounding)."""
    basis, triangle = np.linalg.qr(weight.T)
    return np.ascontiguousarray(basis.T), np.ascontiguousarray(triangle.T)


def _locate(model: Model, cuts: Cuts, lower: FloatArray) -> tuple[Cuts, IntArray, IntArray]:
    """Where products of an ancestor stand in this model; void ones are left out.

    A ``x_j`` or ``s_j`` whose neuron has been decided lives on as the form of its phase.
    """
    count, hidden = model.neuron.size, lower.size
    place = np.full(hidden + 1, -1)
    place[model.neuron] = np.arange(count)
    phase = np.full(hidden + 1, -1)
    phases = np.flatnonzero(model.kind == PHASE)
    phase[model.owner[phases]] = phases
    first_condition = model.kind.size - np.count_nonzero(model.kind == CONDITION)
    neuron_owner = np.where(cuts.kind == CONDITION, hidden, cuts.owner)
    decided = np.append(lower >= 0.0, False)[neuron_owner]
    lives_on = (
        (cuts.kind == PHASE)
        | ((cuts.kind == POSITIVE) & decided)
        | ((cuts.kind == NEGATIVE) & ~decided)
    )
    owner_place = place[neuron_owner]
    form = np.where(lives_on, phase[neuron_owner], -1)
    form = np.where((cuts.kind < PHASE) & (owner_place >= 0), cuts.kind * count + owner_place, form)
    form = np.where(cuts.kind == CONDITION, first_condition + cuts.owner, form)
    at = place[cuts.neuron]
    keep = (at >= 0) & (form >= 0)
    at, form = at[keep].astype(np.int64), form[keep].astype(np.int64)
    return Cuts(cuts.neuron[keep], model.kind[form], model.owner[form]), at, form
