r"""The L2 relaxation behind the tree's interface: semidefinite bounds by cutting planes.

One solve is: the program with ReLU terms and the products inherited from the parent, then, while
it pays, rounds in which the products :math:`x_i \ell_k \ge 0` that the relaxation violates most are
added (:func:`qp_program.product_values`), and the safe bound of every round's best iterate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from reluopt.attacks.region import solve_region
from reluopt.engines.branch_and_bound.qp_certificate import (
    Witness,
    first_layer,
    safe_quadratic_bound,
)
from reluopt.engines.branch_and_bound.qp_interior import Answer, solve_program
from reluopt.engines.branch_and_bound.qp_model import (
    CONDITION,
    NEGATIVE,
    PHASE,
    POSITIVE,
    IntArray,
    Model,
    build_model,
)
from reluopt.engines.branch_and_bound.qp_program import (
    FormTable,
    Program,
    build_program,
    product_values,
    start_multipliers,
    tabulate,
)
from reluopt.engines.branch_and_bound.relaxation import Frame, Multipliers, Outcome, RegionPoint
from reluopt.network import BoolArray, FloatArray
from reluopt.problems import Alternative, LogitConditions

RANK = 1e-9
"""Singular values of the first layer below this share of the largest count as zero."""

SAFETY = 1e-8
"""Relative excess over the cutoff that the search aims at, so that the safe bound, which is lower
by its rounding terms, still reaches it."""

TOLERANCE = 1e-7
"""Relative gap of a program at which it counts as solved: a tenth of the default MIP gap."""

SLACKNESS = 0.03
"""Share of what is missing to the cutoff at which more accuracy would not change the branching."""

VIOLATION = 1e-5
"""Smallest violation of a product, relative to the incumbent's objective, that is worth a cut."""

KEPT_SHARE = 1e-4
"""Products whose multiplier falls below this share of the largest are dropped."""


@dataclass(frozen=True)
class QPOptions:
    """How much effort goes into products.

    Attributes:
        root_rounds: most rounds of products at the root.
        node_rounds: the same below.
        share: products added in a round, for each undecided neuron.
        progress: a further round needs the last one to have closed this share of the gap.
    """

    root_rounds: int = 8
    node_rounds: int = 1
    share: float = 1.5
    progress: float = 0.2


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


@dataclass(frozen=True, eq=False)
class _Solved:
    """A solved program of a node with its safe bound."""

    model: Model
    table: FormTable
    program: Program
    answer: Answer
    bound: float
    cuts: Cuts = field(default_factory=Cuts.none)


class QPRelaxation:
    """Semidefinite relaxation of one alternative of an L2 task; see the module."""

    def __init__(
        self,
        frame: Frame,
        conditions: LogitConditions,
        lower: FloatArray,
        upper: FloatArray,
        options: QPOptions | None = None,
    ) -> None:
        self._frame, self._options = frame, options or QPOptions()
        self._conditions = Alternative(0, conditions)
        self._matrix, self._rhs = np.array(conditions.matrix), np.array(conditions.rhs)
        self._open_at_root = (lower < 0.0) & (upper > 0.0)
        self._basis, self._transform = _row_basis(frame.network.layers[0].weight)
        self._first = first_layer(frame.flat)
        ends = np.maximum(np.abs(frame.region.low), np.abs(frame.region.high))
        self._largest = float(ends @ ends) * (1.0 + 1e-9) + 1e-9
        self._lower, self._upper = lower.copy(), upper.copy()
        self._cuts = Cuts.none()
        self._last: _Solved | None = None
        self._at_root = True

    def set_bounds(self, lower: FloatArray, upper: FloatArray) -> None:
        """See :class:`~relaxation.Relaxation`."""
        self._at_root = bool(((lower < 0.0) & (upper > 0.0))[self._open_at_root].all())
        self._lower, self._upper = lower.copy(), upper.copy()

    def solve(self, cutoff: float, limit: int) -> Outcome:
        """Solve the node and add products while that pays."""
        del limit
        options = self._options
        goal = min(cutoff, self._largest)
        last = best = self._solve_with(self._cuts, goal)
        rounds = options.root_rounds if self._at_root else options.node_rounds
        for _ in range(rounds):
            if best.bound >= goal or last.answer.objective >= goal or not math.isfinite(last.bound):
                break
            cuts = self._violated(last, goal)
            if cuts.neuron.size == last.cuts.neuron.size:
                break
            before = best.bound
            last = self._solve_with(cuts, goal)
            if last.bound > best.bound:
                best = last
            if best.bound - before < options.progress * (goal - before):
                break
        self._last, self._cuts = best, self._strong(best)
        bound = math.inf if best.bound > self._largest else best.bound
        return Outcome(bound, bound < goal and math.isfinite(bound))

    def _solve_with(self, cuts: Cuts, goal: float) -> _Solved:
        """Solve the program with the given products and certify it."""
        frame = self._frame
        model = build_model(
            frame.flat,
            frame.region,
            self._matrix,
            self._rhs,
            self._lower,
            self._upper,
            self._open_at_root,
        )
        table = tabulate(model, self._transform, frame.region.values)
        cuts, cut_at, cut_form = _locate(model, cuts, self._lower)
        program = build_program(
            model, table, self._basis, frame.region.low, frame.region.high, cut_at, cut_form
        )
        theta = start_multipliers(program, model.layer)
        above = goal + SAFETY * max(1.0, goal)
        answer = solve_program(program, theta, above, TOLERANCE, SLACKNESS, 80)
        z = np.zeros(model.constant.size)
        z[program.form] = answer.z / program.scale
        psi = program.term_scale * answer.theta
        witness = Witness(answer.delta, answer.x, z, psi, program.term_at, program.term_form)
        bound = safe_quadratic_bound(frame.flat, frame.region, self._first, model, witness)
        return _Solved(model, table, program, answer, max(bound, 0.0), cuts)

    def _violated(self, solved: _Solved, goal: float) -> Cuts:
        """The products of ``solved`` and those that it violates most."""
        answer, model = solved.answer, solved.model
        values = product_values(
            solved.program, solved.table, answer.theta, answer.delta, answer.x, answer.moment
        )
        count = model.neuron.size
        values[:, model.kind == NEGATIVE] = np.where(
            np.eye(count, dtype=np.bool_), 0.0, values[:, model.kind == NEGATIVE]
        )
        # x_i x_j appears twice, and a square needs no cut.
        values[:, :count][np.tril_indices(count)] = 0.0
        terms = slice(count, None)
        values[solved.program.term_at[terms], solved.program.term_form[terms]] = 0.0
        flat = values.ravel()
        amount = min(int(self._options.share * count) + 4, flat.size)
        worst = np.argpartition(flat, amount - 1)[:amount]
        worst = worst[flat[worst] < -VIOLATION * goal]
        at, form = np.unravel_index(worst, values.shape)
        old = solved.cuts
        return Cuts(
            np.concatenate([old.neuron, model.neuron[at]]),
            np.concatenate([old.kind, model.kind[form]]),
            np.concatenate([old.owner, model.owner[form]]),
        )

    def _strong(self, solved: _Solved) -> Cuts:
        """The products whose multipliers matter."""
        theta = solved.answer.theta[solved.model.neuron.size :]
        keep = theta > KEPT_SHARE * theta.max(initial=0.0)
        cuts = solved.cuts
        return Cuts(cuts.neuron[keep], cuts.kind[keep], cuts.owner[keep])

    def point(self) -> FloatArray:
        """See :class:`~relaxation.Relaxation`."""
        image = self._frame.task.image + self._solved.answer.delta
        return self._frame.task.box.clip(image)

    @property
    def _solved(self) -> _Solved:
        """The last solve."""
        assert self._last is not None, "solve before asking for its results"
        return self._last

    def split(self) -> tuple[FloatArray, FloatArray]:
        """See :class:`~relaxation.Relaxation`."""
        solved = self._solved
        model, answer, table = solved.model, solved.answer, solved.table
        x, s = np.zeros(self._lower.size), np.zeros(self._lower.size)
        count = model.neuron.size
        y = self._basis @ answer.delta
        negative = slice(2 * count, 3 * count)
        value = table.constant[negative] + table.on_x[negative] @ answer.x
        x[model.neuron] = answer.x
        s[model.neuron] = np.maximum(value + table.on_y[negative] @ y, 0.0)
        return x, s

    def probe(self, neurons: IntArray, cutoff: float, limit: int) -> FloatArray:
        """See :class:`~relaxation.Relaxation`."""
        del limit
        goal = min(cutoff, self._largest)
        lower, upper = self._lower, self._upper
        bounds = np.empty((neurons.size, 2))
        for row, neuron in enumerate(neurons):
            for active in (0, 1):
                self._lower, self._upper = lower.copy(), upper.copy()
                if active:
                    self._lower[neuron] = 0.0
                else:
                    self._upper[neuron] = 0.0
                child = self._solve_with(self._cuts, goal)
                bounds[row, active] = math.inf if child.bound >= goal else child.bound
            if np.isinf(bounds[row]).any():
                bounds = bounds[: row + 1]
                break
        self._lower, self._upper = lower, upper
        rest = np.full((neurons.size - bounds.shape[0], 2), self._solved.bound)
        return np.concatenate([bounds, rest])

    def region(self, pattern: BoolArray, cutoff: float, limit: int) -> RegionPoint | None:
        """See :class:`~relaxation.Relaxation`."""
        del limit
        frame = self._frame
        cuts = np.cumsum(frame.network.hidden_sizes)[:-1]
        phases = tuple(np.split(pattern.copy(), cuts)) if frame.network.hidden_sizes else ()
        best = solve_region(frame.network, frame.task, self._conditions, phases, cutoff)
        if best is None:
            return None
        helpful = best.duals > 1e-6 * best.duals.max(initial=0.0)
        flips = np.flatnonzero(helpful) if best.duals.max(initial=0.0) > 0.0 else np.zeros(0)
        return RegionPoint(best.image, best.objective, flips.astype(np.int64))

    def snapshot(self) -> Cuts:
        """The products to start a child with."""
        return self._cuts

    def restore(self, snapshot: Cuts) -> None:
        """See :meth:`snapshot`."""
        self._cuts = snapshot

    def multipliers(self) -> Multipliers:
        """Multipliers of the rows alone; the products are not part of this form of proof."""
        raise NotImplementedError

    def size(self) -> dict[str, int]:
        """See :class:`~relaxation.Relaxation`."""
        undecided = int(np.count_nonzero(self._open_at_root))
        return {
            "variables": int(self._frame.region.center.size) + undecided,
            "constraints": 2 * undecided + int(self._rhs.size),
        }


def _row_basis(weight: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Orthonormal rows Q and T with ``weight = T @ Q`` (up to rounding)."""
    left, singular, right = np.linalg.svd(weight, full_matrices=False)
    keep = singular > RANK * singular.max(initial=0.0)
    return np.ascontiguousarray(right[keep]), np.ascontiguousarray(left[:, keep] * singular[keep])


def _locate(model: Model, cuts: Cuts, lower: FloatArray) -> tuple[Cuts, IntArray, IntArray]:
    """Where products of an ancestor stand in this model; those that have become void are left out.

    A ``x_j`` or ``s_j`` whose neuron has been decided lives on as the form of its phase.
    """
    count = model.neuron.size
    place = {int(h): i for i, h in enumerate(model.neuron)}
    phase = {int(h): f for f, h in enumerate(model.owner) if model.kind[f] == PHASE}
    first_condition = int(model.kind.size - np.count_nonzero(model.kind == CONDITION))
    kept, at, form = [], [], []
    for k in range(cuts.neuron.size):
        neuron, kind, owner = int(cuts.neuron[k]), int(cuts.kind[k]), int(cuts.owner[k])
        if neuron not in place:
            continue
        if kind == CONDITION:
            where = first_condition + owner
        elif kind != PHASE and owner in place:
            where = kind * count + place[owner]
        elif owner in phase and (
            kind == PHASE
            or (kind == POSITIVE and lower[owner] >= 0.0)
            or (kind == NEGATIVE and lower[owner] < 0.0)
        ):
            where = phase[owner]
        else:
            continue
        kept.append(k)
        at.append(place[neuron])
        form.append(where)
    index = np.array(kept, dtype=np.int64)
    left = Cuts(cuts.neuron[index], model.kind[form], model.owner[form])
    return left, np.array(at, dtype=np.int64), np.array(form, dtype=np.int64)
