r"""The linear program of a node, with planes above the first units.

A node decides which pieces of a unit may lead, and phases of neurons above. Of a unit of which one
piece is left :math:`x = a_q + w_q p`; planes :math:`x \le g p + h` are as high as the pieces that
are left ask for, so that those of the root serve all nodes. Every row holds for every input of the
set that meets a node's decisions, and the bound (:mod:`reluopt.numerics.safe_bounds`) is a theorem.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from reluopt.engines.branch_and_bound.corners.units import Units
from reluopt.engines.branch_and_bound.envelopes.layout import lay_out, narrowed
from reluopt.engines.branch_and_bound.envelopes.patches import Changes, Patch
from reluopt.engines.branch_and_bound.envelopes.planes import planes_at
from reluopt.numerics.arrays import FloatArray, IntArray
from reluopt.numerics.linear_programs import highs_model
from reluopt.numerics.quiet_highs import warm_started
from reluopt.numerics.safe_bounds import safe_bound
from reluopt.questions.tasks import Alternative

VIOLATED = 1e-6
"""How far above a plane a unit must be, relative to its range, for the plane to be worth a row."""

TOLERANCE = 1e-9
"""HiGHS' tolerances. What multipliers miss costs bound: a row has a thousand terms."""

COUNTS = 1e-9
"""Multipliers from which on a plane counts as used."""

MOST_IDLE = 40
"""Solves in succession that do not use a plane after which it may be dropped."""

CROWDED = 300
"""Planes up to which none is dropped."""


@dataclass(frozen=True)
class Fixed:
    """What a node has decided.

    Attributes:
        pieces: of some units those that may lead, as places among all.
        phases: of some neurons above, counted from the first one, whether they are active.
    """

    pieces: dict[int, tuple[int, ...]] = field(default_factory=dict)
    phases: dict[int, bool] = field(default_factory=dict)

    @property
    def any(self) -> bool:
        """Whether there are any."""
        return bool(self.pieces or self.phases)


NOTHING = Fixed()
"""The root's."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a program showed.

    Attributes:
        bound: on the objective, a theorem; infinite where nothing is left.
        point: of all variables, None where there is no solution.
        duals: multipliers' sizes, of all rows but planes.
        worth: what the planes of each first unit count for in the bound.
    """

    bound: float
    point: FloatArray | None
    duals: FloatArray
    worth: FloatArray


@dataclass(eq=False)
class Plane:
    """A plane above a unit.

    Attributes:
        unit: which one.
        slopes: of the changes that it sees.
        heights: above each of its pieces.
        idle: solves since it was used.
    """

    unit: int
    slopes: FloatArray
    heights: FloatArray
    idle: int = 0

    def top(self, pieces: tuple[int, ...] | None) -> float:
        """Its constant where some pieces may lead; None for all."""
        return float(self.heights.max() if pieces is None else self.heights[list(pieces)].max())


@dataclass(frozen=True, eq=False)
class ProgramLimits:
    """Limits of rows and variables, as :class:`~reluopt.numerics.safe_bounds.Limits`."""

    row_lower: FloatArray
    row_upper: FloatArray
    lower: FloatArray
    upper: FloatArray

    def copy(self) -> ProgramLimits:
        """Limits that can be changed."""
        return ProgramLimits(*(np.array(end) for end in vars(self).values()))

    def with_rows(self, lower: FloatArray, upper: FloatArray) -> ProgramLimits:
        """The same with rows behind the others."""
        limits = np.append(self.row_lower, lower), np.append(self.row_upper, upper)
        return replace(self, row_lower=limits[0], row_upper=limits[1])

    def of_rows(self, rows: IntArray) -> ProgramLimits:
        """The same for some rows."""
        return replace(self, row_lower=self.row_lower[rows], row_upper=self.row_upper[rows])


class EnvelopeProgram:
    """Linear programs over one set of changes.

    Attributes:
        changes: the set.
        patches: the first units, and ``ranges`` of their values.
        layers: what stands above, the logits last.
        alternatives: what is asked.
        lower, upper: bounds of the neurons above.
        planes: those that there are, in the order of their rows.
        layout: where everything stands; planes come last.
    """

    def __init__(
        self,
        changes: Changes,
        patches: Sequence[Patch],
        layers: Sequence[Units],
        alternatives: Sequence[Alternative],
    ) -> None:
        self.changes, self.patches, self.layers = changes, patches, layers
        self.alternatives = alternatives
        self.ranges = np.array([patch.upper - patch.lower for patch in patches])
        unknown = np.full(sum(own.pieces.output_size for own in layers), np.inf)
        self.lower, self.upper = narrowed(patches, layers, -unknown, unknown)
        self._build([])

    def _build(self, planes: Sequence[Plane]) -> None:
        """The program for the present bounds, with some planes."""
        given = self.changes, self.patches, self.layers, (self.lower, self.upper)
        self.layout = lay_out(*given, self.alternatives)
        self.planes: list[Plane] = []
        made = self.layout.program
        self._matrix = made.matrix
        self._root = ProgramLimits(made.row_lower, made.row_upper, made.lower, made.upper)
        self._now = self._root.copy()
        self._solver: Any = warm_started(highs_model(made))
        for name in ("primal_feasibility_tolerance", "dual_feasibility_tolerance"):
            self._solver.setOptionValue(name, TOLERANCE)
        self._append(planes, NOTHING)

    def rebuild(self, lower: FloatArray, upper: FloatArray) -> None:
        """The same for better bounds of neurons."""
        self.lower, self.upper = narrowed(self.patches, self.layers, lower, upper)
        self._build(self.planes)

    @property
    def size(self) -> dict[str, int]:
        """``variables`` and ``constraints``."""
        rows, columns = self._matrix.shape
        return {"variables": columns, "constraints": rows}

    @property
    def first_plane(self) -> int:
        """Row of the first plane."""
        return int(self.layout.program.row_lower.size)

    def narrow(self, radius: float) -> None:
        """Look at a smaller set from now on; planes are lowered, too."""
        self.changes = replace(self.changes, radius=radius)
        self._root.row_upper[self.layout.budget] = radius
        for row, plane in enumerate(self.planes, self.first_plane):
            plane.heights = self.patches[plane.unit].heights(self.changes, plane.slopes)
            self._root.row_upper[row] = plane.top(None)

    def decide(self, alternative: int | None, decisions: Fixed) -> None:
        """Move to a node of an alternative, or of none."""
        ends, layout = self._root.copy(), self.layout
        if alternative is not None:
            asked = self.alternatives[alternative].conditions
            ends.row_lower[layout.conditions[alternative]] = asked.rhs
        for unit, pieces in decisions.pieces.items():
            if len(pieces) == 1:
                patch, row = self.patches[unit], layout.pieces[unit][pieces[0]]
                ends.row_upper[row] = patch.constants[pieces[0]] + patch.error
        for row, plane in enumerate(self.planes, self.first_plane):
            if plane.unit in decisions.pieces:
                ends.row_upper[row] = plane.top(decisions.pieces[plane.unit])
        for neuron, active in decisions.phases.items():
            z, x = layout.z[neuron], layout.x[neuron]
            if active:
                ends.row_upper[layout.rises[neuron]] = 0.0
                ends.lower[z] = max(ends.lower[z], 0.0)
            else:
                ends.upper[x], ends.upper[z] = 0.0, min(ends.upper[z], 0.0)
        self._move(ends)

    def _move(self, ends: ProgramLimits) -> None:
        """Tell the solver what has changed."""
        now, self._now = self._now, ends
        rows = np.flatnonzero((now.row_lower != ends.row_lower) | (now.row_upper != ends.row_upper))
        columns = np.flatnonzero((now.lower != ends.lower) | (now.upper != ends.upper))
        if rows.size:
            own = rows.astype(np.int32)
            limits = ends.row_lower[rows], ends.row_upper[rows]
            self._solver.changeRowsBounds(rows.size, own, *limits)
        if columns.size:
            own = columns.astype(np.int32)
            limits = ends.lower[columns], ends.upper[columns]
            self._solver.changeColsBounds(columns.size, own, *limits)

    def solve(self, seconds: float, cost: FloatArray | None = None) -> Outcome:
        """Minimise the distance, the negative slack, or another cost, where the program stands."""
        import highspy

        solver, known = self._solver, highspy.HighsModelStatus
        cost = self.layout.program.cost if cost is None else cost
        solver.changeColsCost(cost.size, np.arange(cost.size, dtype=np.int32), cost)
        solver.limit(seconds)
        solver.run()
        status = solver.getModelStatus()
        if status not in (known.kOptimal, known.kInfeasible, known.kTimeLimit):
            solver.clearSolver()  # what it had factorised was of no use
            solver.run()
            status = solver.getModelStatus()
        none = np.zeros(0)
        if status == known.kInfeasible:
            return Outcome(self._farkas(), None, none, none)
        solution = solver.getSolution()
        duals = np.asarray(solution.row_dual)
        if duals.size != self._matrix.shape[0]:
            return Outcome(-np.inf, None, none, none)
        bound = safe_bound(self._matrix, self._now, cost, duals)
        duals, own = np.split(np.abs(duals), [self.first_plane])
        for plane, size in zip(self.planes, own, strict=True):
            plane.idle = 0 if size > COUNTS else plane.idle + 1
        units = np.array([plane.unit for plane in self.planes], dtype=np.int64)
        worth = np.bincount(units, own, minlength=len(self.patches)).astype(np.float64)
        solved = status == known.kOptimal
        point = np.asarray(solution.col_value) if solved else None
        return Outcome(bound, point, duals, worth)

    def _farkas(self) -> float:
        """Infinity where a ray shows that nothing is feasible."""
        _, known, ray = self._solver.getDualRay()
        largest = float(np.abs(ray).max(initial=0.0)) if known else 0.0
        if not 0.0 < largest < np.inf:
            return -np.inf
        nothing = np.zeros(self._matrix.shape[1])
        signed = (sign / largest * np.asarray(ray) for sign in (1.0, -1.0))
        shown = max(safe_bound(self._matrix, self._now, nothing, each) for each in signed)
        return np.inf if shown > 0.0 else -np.inf

    def allowed(self, unit: int, decisions: Fixed) -> tuple[int, ...]:
        """The pieces of a unit that may lead."""
        return decisions.pieces.get(unit, self.patches[unit].pieces)

    def excess(self, point: FloatArray) -> FloatArray:
        """How far each first unit is above what it is at a point, shape ``(units,)``."""
        p, x = point[self.layout.p], point[self.layout.units]
        own = np.array([patch.values(p).max() for patch in self.patches])
        found: FloatArray = np.maximum(x - own, 0.0)
        return found

    def add_planes(self, solved: Outcome, decisions: Fixed, most: int, seconds: float) -> int:
        """Planes that cut a point off, of the units that count most; how many there are.

        Args:
            solved: a program's solution.
            decisions: where the program stands.
            most: units that are looked at.
            seconds: how many that may take.
        """
        assert solved.point is not None
        excess, p = self.excess(solved.point), solved.point[self.layout.p]
        units = np.flatnonzero(excess > VIOLATED * self.ranges)
        if units.size > most:
            counts = excess * solved.worth
            units = units[np.argsort(-counts[units], kind="stable")[:most]]
        asked = [(unit, self.allowed(unit, decisions)) for unit in units.tolist()]
        asked = [(unit, pieces) for unit, pieces in asked if len(pieces) > 1]
        pairs = [(self.patches[unit], np.array(pieces)) for unit, pieces in asked]
        found = []
        for (unit, pieces), slopes in zip(
            asked, planes_at(self.changes, pairs, p, seconds), strict=True
        ):
            patch = self.patches[unit]
            plane = Plane(unit, slopes, patch.heights(self.changes, slopes))
            height = float(slopes @ p[patch.columns]) + plane.top(pieces)
            if solved.point[self.layout.units[unit]] > height + VIOLATED * self.ranges[unit]:
                found.append(plane)
        self._drop()
        self._append(found, decisions)
        return len(found)

    def _append(self, planes: Sequence[Plane], decisions: Fixed) -> None:
        """Rows of planes."""
        import scipy.sparse as sp

        if not planes:
            return
        columns = [self.layout.p[self.patches[plane.unit].columns] for plane in planes]
        entries = [np.append(-plane.slopes, 1.0) for plane in planes]
        places = [
            np.append(own, self.layout.units[p.unit])
            for own, p in zip(columns, planes, strict=True)
        ]
        starts = np.cumsum([0, *(each.size for each in entries)])
        parts = np.concatenate(entries), np.concatenate(places), starts
        fresh = sp.csr_array(parts, shape=(len(planes), self._matrix.shape[1]))
        self._matrix = sp.csr_array(sp.vstack([self._matrix, fresh]))
        none, tops = np.full(len(planes), -np.inf), np.array([plane.top(None) for plane in planes])
        now = np.array([plane.top(decisions.pieces.get(plane.unit)) for plane in planes])
        self._root, self._now = self._root.with_rows(none, tops), self._now.with_rows(none, now)
        self.planes += planes
        parts = fresh.indptr.astype(np.int32), fresh.indices.astype(np.int32), fresh.data
        self._solver.addRows(len(planes), none, now, fresh.nnz, *parts)

    def _drop(self) -> None:
        """Forget planes that have long been of no use, where there are many."""
        idle = [place for place, plane in enumerate(self.planes) if plane.idle > MOST_IDLE]
        if len(self.planes) <= CROWDED or 4 * len(idle) < len(self.planes):
            return
        rows = self.first_plane + np.array(idle, dtype=np.int64)
        kept = np.delete(np.arange(self._matrix.shape[0]), rows)
        self._matrix = self._matrix[kept]
        self._root, self._now = self._root.of_rows(kept), self._now.of_rows(kept)
        gone = set(idle)
        self.planes = [plane for place, plane in enumerate(self.planes) if place not in gone]
        self._solver.deleteRows(rows.size, rows.astype(np.int32))
