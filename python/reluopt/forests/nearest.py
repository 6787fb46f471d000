r"""The nearest input that a forest answers otherwise, as a mixed-integer program.

After Kantchelian, Tygar, Joseph, *Evasion and hardening of tree ensemble classifiers*, ICML 2016:
a binary for every split that may be decided otherwise than at the image, ordered along each input,
and a share :math:`l_{tj}` for every leaf j of tree t, of which splits leave one:

.. math:: \sum_j l_{tj} = 1, \qquad \sum_{j\ \text{needs}\ c} l_{tj} \le c, \qquad
          \sum_{j\ \text{forbids}\ c} l_{tj} \le 1 - c, \qquad
          \sum_{tj} (v_{tjk} - v_{tjd})\, l_{tj} \ge lead \ \text{for some}\ k \ne d .

Splits cost what the input has to move, so that L1 and Linf are linear. The program is written for a
ball, out of which leaves and splits are left, and the ball grows until it holds an answer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp

from reluopt.answers.solution import Status
from reluopt.deadline import Deadline
from reluopt.engines import ENGINES
from reluopt.engines.options import EngineOptions
from reluopt.engines.program_engine import ProgramEngine, ProgramTask
from reluopt.errors import InputError
from reluopt.forests.forest import Forest, Leaves, Values, leaves_of
from reluopt.numerics.arrays import FloatArray
from reluopt.numerics.linear_programs import IndexArray, Program, ProgramBuilder
from reluopt.questions.problems import Norm

LEAD = 1e-6
"""By how much the sum of shares of another class must exceed that of the label, over all trees:
far above solvers' tolerances, far below what one training image counts in a leaf."""

FIRST_RADIUS, GROWTH = 2.0 / 255.0, 4.0
"""Radius of the first ball, and how much larger each following one is."""

DISTANCE_TOLERANCE = 1e-6
"""Largest relative difference between a claimed and a recomputed distance."""


@dataclass(frozen=True, eq=False)
class ForestAnswer:
    """What became of an image.

    Attributes:
        status: OPTIMAL where ``image`` is checked and proven nearest.
        distance, bound: its distance, and what is proven of every other; infinity without.
        image: shape ``(inputs,)``, values of float32.
        target: what scikit-learn answers there.
        nodes: of all programs.
        size: of the last program.
    """

    status: Status
    distance: float
    bound: float
    image: FloatArray | None
    target: int | None
    nodes: int
    size: dict[str, int]


def nearest_otherwise(
    forest: Forest,
    image: FloatArray,
    norm: Norm,
    values: Values | None = None,
    engine: str = "highs",
    options: EngineOptions | None = None,
) -> ForestAnswer:
    """The input in [0, 1] nearest to an image that the forest answers otherwise.

    Args:
        forest: the forest.
        image: shape ``(inputs,)``, taken as float32.
        norm: L1 or Linf.
        values: which values inputs may take; None means any float32.
        engine: a solver of programs.
        options: limits, gap, threads, seed.

    Raises:
        InputError: the image or the norm do not fit, or the engine solves no programs.
    """
    solver, options = ENGINES.get(engine), options or EngineOptions()
    if norm not in (Norm.L1, Norm.LINF) or not isinstance(solver, ProgramEngine):
        raise InputError(f"forest: expected L1 or Linf and a solver, found {norm} and {engine}")
    start = np.asarray(image, dtype=np.float32).astype(np.float64).ravel()
    if start.size != forest.inputs or not ((start >= 0.0) & (start <= 1.0)).all():
        raise InputError(f"image: expected {forest.inputs} values in [0, 1], found others")
    values = values or Values()
    if not values.holds(start):
        raise InputError(f"image: expected multiples of 1/{values.levels}, found others")
    return _Search(forest, leaves_of(forest, values), norm, start).run(solver, options)


@dataclass
class _Search:
    """Balls that grow around one image."""

    forest: Forest
    trees: Sequence[Leaves]
    norm: Norm
    start: FloatArray
    nodes: int = 0
    size: dict[str, int] = field(default_factory=dict)

    def run(self, solver: ProgramEngine, options: EngineOptions) -> ForestAnswer:
        """Solve ball after ball until one holds an answer, or time is up."""
        deadline = Deadline.after(options.time_limit)
        whole = float(self.start.size) if self.norm is Norm.L1 else 1.0
        radius, proven = FIRST_RADIUS, 0.0
        while True:
            radius = min(radius, whole)
            encoded = _encode(self, radius)
            if encoded is not None:
                self.size = encoded.program.size
                task = ProgramTask(encoded.program, options, deadline)
                result = solver.solve_program(task)
                self.nodes += result.nodes
                bound = max(proven, result.bound) if np.isfinite(result.bound) else proven
                if result.values is not None:
                    return self._checked(encoded.input(result.values), bound, options.gap)
                if result.status is not Status.INFEASIBLE:
                    return self._answer(result.status, bound)
            if radius >= whole:
                return self._answer(Status.INFEASIBLE, math.inf)
            proven, radius = radius, radius * GROWTH
            if deadline.passed:
                return self._answer(Status.TIME_LIMIT, proven)

    def _answer(self, status: Status, bound: float) -> ForestAnswer:
        return ForestAnswer(status, math.inf, bound, None, None, self.nodes, self.size)

    def _checked(self, found: FloatArray, bound: float, gap: float) -> ForestAnswer:
        """What the real forest leaves of an input."""
        before, after = self.forest.predict(np.stack([self.start, found]))
        distance = self.norm.distance_of(self.norm.objective(found - self.start))
        inside = bool(((found >= 0.0) & (found <= 1.0)).all())
        if not (inside and before != after and bound <= distance * (1.0 + DISTANCE_TOLERANCE)):
            return self._answer(Status.NUMERICAL, bound)
        status = Status.OPTIMAL if distance - bound <= gap * distance else Status.FEASIBLE
        return ForestAnswer(
            status, distance, min(bound, distance), found, int(after), self.nodes, self.size
        )


@dataclass(frozen=True, eq=False)
class _Splits:
    """Splits that may be decided otherwise on one side of one input, nearest first.

    Attributes:
        places: where they lie, on an axis that leads away from the image.
        ends: values of the input just beyond.
        columns: their binaries.
    """

    places: FloatArray
    ends: FloatArray
    columns: IndexArray


@dataclass(frozen=True, eq=False)
class _Encoded:
    """A program, and what its binaries mean."""

    program: Program
    start: FloatArray
    splits: dict[int, list[_Splits]]

    def input(self, values: FloatArray) -> FloatArray:
        """The input that a solution stands for."""
        point = self.start.copy()
        for name, sides in self.splits.items():
            for side in sides:
                if crossed := int(np.count_nonzero(values[side.columns] > 0.5)):
                    point[name] = side.ends[crossed - 1]
        return point


def _encode(search: _Search, radius: float) -> _Encoded | None:
    """The program of a ball; None where bounds on shares rule out an answer."""
    kept = [_within(search, leaves, radius) for leaves in search.trees]
    label = int(search.forest.predict(search.start[None])[0])
    best = np.array([_leads(each, label).max(axis=0) for each in kept])
    most = best.sum(axis=0)
    targets = [k for k in range(search.forest.classes) if k != label and most[k] >= LEAD]
    if not targets:
        return None
    # Of a tree, only leaves with which the others could still make some class lead are of use.
    possible = [_leads(each, label) + (most - own) for each, own in zip(kept, best, strict=True)]
    kept = [
        each.only((lead[:, targets] >= LEAD).any(axis=1))
        for each, lead in zip(kept, possible, strict=True)
    ]
    builder = ProgramBuilder()
    splits = _add_splits(builder, search, kept, radius)
    columns = [builder.add_variables(np.zeros(len(each.shares)), 1.0) for each in kept]
    rows: list[_Row] = []
    for each, own in zip(kept, columns, strict=True):
        builder.add_rows([(np.ones((1, own.size)), own)], 1.0, 1.0)
        rows += _tree_rows(each, own, splits)
    _add_rows(builder, rows)
    chosen = builder.add_variables(np.zeros(len(targets)), 1.0, binary=True)
    builder.add_rows([(np.ones((1, chosen.size)), chosen)], 1.0, 1.0)
    shares, every = np.concatenate([each.shares for each in kept]), np.concatenate(columns)
    for target, choice in zip(targets, chosen, strict=True):
        leads = shares[:, target] - shares[:, label]
        worst = sum(_leads(each, label)[:, target].min() for each in kept)
        slack = np.array([[worst - LEAD]])
        builder.add_rows(
            [(leads[None], every), (slack, np.array([choice]))], worst, np.inf
        )  # lead >= worst + (LEAD - worst) * choice
    return _Encoded(builder.build(), search.start, splits)


def _leads(leaves: Leaves, label: int) -> FloatArray:
    """By how much each class leads the label in each leaf."""
    return leaves.shares - leaves.shares[:, [label]]


def _within(search: _Search, leaves: Leaves, radius: float) -> Leaves:
    """The leaves whose boxes reach into [0, 1] and the ball."""
    here = search.start[leaves.feature]
    cost = np.maximum(leaves.low - here, 0.0) + np.maximum(here - leaves.last, 0.0)
    cost[(leaves.low > 1.0) | (leaves.last < 0.0)] = np.inf
    total = np.zeros(len(leaves.shares))
    (np.add if search.norm is Norm.L1 else np.maximum).at(total, leaves.leaf, cost)
    return leaves.only(total <= radius)


def _add_splits(
    builder: ProgramBuilder, search: _Search, kept: Sequence[Leaves], radius: float
) -> dict[int, list[_Splits]]:
    """A binary for each split that some leaf needs decided otherwise, their order, and the cost."""
    feature = np.concatenate([each.feature for each in kept])
    low, high, last = (
        np.concatenate([getattr(each, end) for each in kept]) for end in ("low", "high", "last")
    )
    here, linf = search.start[feature], search.norm is Norm.LINF
    longest = builder.add_variables(0.0, radius, cost=1.0) if linf else None
    found: dict[int, list[_Splits]] = {}
    total: list[tuple[FloatArray | sp.csr_array, IndexArray]] = []
    for name in np.unique(feature[(low > here) | (high <= here)]):
        own, at = feature == name, search.start[name]
        ups = np.unique(low[own & (low > at)])
        downs, index = np.unique(high[own & (high <= at)], return_index=True)
        ends = ups, last[own & (high <= at)][index][::-1]
        downs = downs[::-1]
        sides, costs = [], []
        for places, end in zip((ups, -downs), ends, strict=True):
            steps = np.diff(np.abs(end - at), prepend=0.0)
            binaries = builder.add_variables(
                np.zeros(places.size), 1.0, cost=0.0 if linf else steps, binary=True
            )
            if places.size > 1:
                order = sp.eye_array(places.size - 1, places.size, k=0)
                order = order - sp.eye_array(places.size - 1, places.size, k=1)
                builder.add_rows([(sp.csr_array(order), binaries)], 0.0, np.inf)
            sides.append(_Splits(places, end, binaries))
            costs.append((steps[None], binaries))
        if ups.size and downs.size:
            first = np.array([side.columns[0] for side in sides])
            builder.add_rows([(np.ones((1, 2)), first)], -np.inf, 1.0)
        if longest is not None:
            negated = [(-steps, binaries) for steps, binaries in costs]
            builder.add_rows([(np.ones((1, 1)), longest), *negated], 0.0, np.inf)
        total += costs
        found[int(name)] = sides
    if not linf and total:
        builder.add_rows(total, 0.0, radius)
    return found


@dataclass(frozen=True, eq=False)
class _Row:
    """``sum(leaves) <= split``, or ``<= 1 - split`` where they forbid it."""

    leaves: IndexArray
    split: int
    needed: bool


def _tree_rows(
    leaves: Leaves, columns: IndexArray, splits: dict[int, list[_Splits]]
) -> Iterator[_Row]:
    """What splits leave of one tree's leaves."""
    for name in np.unique(leaves.feature):
        own = leaves.feature == name
        leaf, low, high = columns[leaves.leaf[own]], leaves.low[own], leaves.high[own]
        if int(name) in splits:
            above, below = splits[int(name)]
            yield from _side_rows(above, leaf, low, high)
            yield from _side_rows(below, leaf, -high, -low)


def _side_rows(
    side: _Splits, columns: IndexArray, needs: FloatArray, forbids: FloatArray
) -> Iterator[_Row]:
    """Rows of one side of one input."""
    last = np.searchsorted(side.places, needs, side="right") - 1  # the farthest that is needed
    for split in np.unique(last[last >= 0]):
        yield _Row(columns[last >= split], int(side.columns[split]), True)
    first = np.searchsorted(side.places, forbids, side="left")  # the nearest that is forbidden
    for split in np.unique(first[first < side.places.size]):
        yield _Row(columns[first <= split], int(side.columns[split]), False)


def _add_rows(builder: ProgramBuilder, rows: Sequence[_Row]) -> None:
    """All of them in one block."""
    if not rows:
        return
    sizes = [row.leaves.size + 1 for row in rows]
    columns = np.concatenate([np.append(row.leaves, row.split) for row in rows])
    signs = [np.append(np.ones(r.leaves.size), -1.0 if r.needed else 1.0) for r in rows]
    used, places = np.unique(columns, return_inverse=True)
    starts = np.cumsum([0, *sizes])
    matrix = sp.csr_array((np.concatenate(signs), places, starts), shape=(len(rows), used.size))
    builder.add_rows([(matrix, used)], -np.inf, [0.0 if row.needed else 1.0 for row in rows])
