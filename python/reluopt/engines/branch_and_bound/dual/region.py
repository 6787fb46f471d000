r"""The nearest input of a linear region in Linf, by the dual simplex method of :mod:`..l1.simplex`.

For a radius r the least t with :math:`G \delta + t \ge h`, :math:`|\delta| \le r` and
:math:`l \le \delta \le u` is a linear program of few rows and boxed columns, as that method likes
them. Its optimum is convex, piecewise linear and falling in r, and zero at the radius that is
looked for. Newton's method climbs to it from the left in a few steps, each of which changes bounds
only, so that the basis stays dual feasible.

Few neurons of a linear region stand in the way, and few conditions, often one: what meets the
hardest condition alone, in closed form, is the first point, and conditions and neurons become rows
where a point is found to cross them.
"""

from __future__ import annotations

import numpy as np

from reluopt.attacks.linear_regions import (
    LinearRegionOptimum,
    LinearRegionRows,
    Pattern,
    linear_region_rows,
    minimise_over_rows,
    tightened_until_met,
)
from reluopt.deadline import NEVER, Deadline
from reluopt.engines.branch_and_bound.dual.few_rows import few_rows, from_logicals
from reluopt.engines.branch_and_bound.l1.basis import resynchronise
from reluopt.engines.branch_and_bound.l1.program import LinearProgram, State, Work
from reluopt.engines.branch_and_bound.l1.simplex import OPTIMAL, dual_simplex
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import BoolArray, FloatArray, FloatMatrix
from reluopt.numerics.jit import kernel
from reluopt.questions.tasks import Alternative, Task

STEPS = 30
"""Newton steps at most; 3 are usual."""

PIVOTS = 500
"""Pivots of one step at most; 1 to 30 are usual."""

CLOSE = 1e-11
"""Rows of length 1 are met to this."""

CROSSED = 1e-10
"""A neuron's row of length 1 that misses more becomes one of the program."""

MOST_ROWS = 300
"""Rows of the largest program: the inverse of its basis is dense. HiGHS takes larger ones."""


@kernel
def smallest_radius(
    lp: LinearProgram,
    state: State,
    work: Work,
    low: FloatArray,
    high: FloatArray,
    radius: float,
    cutoff: float,
) -> float:
    """The radius of the module; infinite where there is none up to ``cutoff``, NaN where it fails.

    Args:
        lp: the program, t behind the change; its bounds are changed.
        state: receives the optimum; says at which bounds inputs stand to begin with.
        work: buffers; ``y`` receives multipliers of the rows that add up to 1.
        low: l, at most 0.
        high: u, at least 0.
        radius: a guess, at most what is looked for; zero only where every row is met there.
        cutoff: largest radius of interest.
    """
    size = low.size
    from_logicals(lp, state, work)
    for _ in range(STEPS):
        for i in range(size):
            lp.lower[i], lp.upper[i] = max(low[i], -radius), min(high[i], radius)
        resynchronise(lp, state, work)
        if dual_simplex(lp, state, work, np.inf, PIVOTS) != OPTIMAL:
            return np.nan
        miss = state.value[size]
        if abs(miss) <= CLOSE or (miss < 0.0 and radius == 0.0):
            return radius if radius <= cutoff else np.inf
        fall = 0.0
        for i in range(size):
            if state.side[i] > 0.0 and lp.lower[i] > low[i]:
                fall += state.reduced_cost[i]
            elif state.side[i] < 0.0 and lp.upper[i] < high[i]:
                fall -= state.reduced_cost[i]
        if not fall > 0.0:
            return np.inf
        radius = max(radius + miss / fall, 0.5 * radius)
        if miss > 0.0 and radius > cutoff:
            return np.inf
    return np.nan


@kernel
def single_radii(
    rows: FloatMatrix, rhs: FloatArray, low: FloatArray, high: FloatArray, radii: FloatArray
) -> None:
    """The least radius at which each row can be met alone, infinite where there is none.

    What a row reaches within a radius is concave in it, so that Newton's method climbs from the
    left and ends after as many steps as it meets kinks.
    """
    for k in range(rhs.size):
        radius, row = 0.0, rows[k]
        while True:
            reached, slope = 0.0, 0.0
            for i in range(row.size):
                size = abs(row[i])
                room = high[i] if row[i] > 0.0 else -low[i]
                reached += size * min(radius, room)
                slope += size if room > radius else 0.0
            miss = rhs[k] - reached
            if not miss > CLOSE:
                break
            step = miss / slope if slope > 0.0 else np.inf
            if not radius + step > radius:
                break
            radius += step
            if radius == np.inf:
                break
        radii[k] = radius


def _alone(
    rows: FloatMatrix, rhs: FloatArray, ends: tuple[FloatArray, FloatArray]
) -> tuple[int, float]:
    """The row that asks for the largest radius, and this radius."""
    radii = np.empty(rhs.size)
    single_radii(rows, rhs, *ends, radii)
    hardest = int(np.argmax(radii))
    return hardest, float(radii[hardest])


def _solved(
    rows: LinearRegionRows,
    rhs: FloatArray,
    asked: BoolArray,
    ends: tuple[FloatArray, FloatArray],
    cutoff: float,
    deadline: Deadline,
) -> tuple[float, FloatArray, FloatArray] | None:
    """Radius, change and multipliers for all rows; ``asked`` are those that became rows so far."""
    size = ends[0].size
    duals = np.zeros(rhs.size)
    hardest, guess = _alone(rows.matrix[rows.hidden :], rhs[rows.hidden :], ends)
    hardest += rows.hidden
    if not guess < np.inf or guess > cutoff:
        return np.inf, duals, duals
    delta = np.clip(np.sign(rows.matrix[hardest]) * guess, *ends)
    crossed = rows.matrix @ delta < rhs - CROSSED
    if not crossed.any():
        duals[hardest] = 1.0
        return guess, delta, duals
    asked[hardest] = True
    asked |= crossed
    reach = np.maximum(ends[1], -ends[0])
    while not deadline.passed:
        chosen = np.flatnonzero(asked)
        if chosen.size > MOST_ROWS:
            return np.nan, duals, duals
        matrix, sides = rows.matrix[chosen], rhs[chosen]
        most = float((np.abs(matrix) @ reach + np.abs(sides)).max()) + 1.0
        lp, state, work = few_rows(
            np.hstack([matrix, np.ones((chosen.size, 1))]),
            sides,
            np.append(ends[0], -most),
            np.append(ends[1], most),
            np.append(np.zeros(size), 1.0),
        )
        hardest, guess = _alone(matrix, sides, ends)
        if not guess < np.inf:
            return np.inf, duals, duals
        state.side[:size] = np.where(matrix[hardest] > 0.0, -1.0, 1.0)
        radius = smallest_radius(lp, state, work, *ends, guess, cutoff)
        if not radius < np.inf:
            return radius, duals, duals
        delta = state.value[:size]
        crossed = ~asked & (rows.matrix @ delta < rhs - CROSSED)
        if not crossed.any():
            duals[chosen] = np.maximum(work.y, 0.0)
            return radius, delta, duals
        asked |= crossed
    return None


def nearest_in_linear_region(
    network: ReLUNetwork,
    task: Task,
    alternative: Alternative,
    pattern: Pattern,
    cutoff: float = np.inf,
    deadline: Deadline = NEVER,
) -> LinearRegionOptimum | None:
    """:func:`~reluopt.attacks.linear_regions.solve_linear_region` of an Linf task."""
    rows = linear_region_rows(network, task.image, alternative, pattern)
    ends = task.box.lower - task.image, task.box.upper - task.image
    asked = np.zeros(rows.rhs.size, dtype=bool)

    def minimise(rhs: FloatArray, start: FloatArray) -> tuple[FloatArray, FloatArray] | None:
        solved = _solved(rows, rhs, asked, ends, cutoff, deadline)
        if solved is None or solved[0] == np.inf:
            return None
        if np.isnan(solved[0]):
            return minimise_over_rows(rows, rhs, task, cutoff, start, deadline)
        return solved[1:]

    return tightened_until_met(network, task, alternative, pattern, rows, minimise)
