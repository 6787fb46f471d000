r"""Nearest point (L2) of a polyhedron with few rows and many boxed coordinates.

.. math:: \min_\delta \tfrac12 \|\delta\|_2^2 + k \textstyle\sum_i \delta_i \quad\text{s.t.}\quad
          G \delta \ge h,\ l \le \delta \le u

(k is zero but for blends of L1 and L2, see :mod:`reluopt.bridges.lifting`) has the dual

.. math:: \max_{\lambda \ge 0} \theta(\lambda) = \lambda^\top h
          + \sum_i \min_{l_i \le d \le u_i} \tfrac12 d^2 - (G^\top\lambda - k)_i d,

concave, once differentiable and piecewise quadratic, with the minimiser
:math:`\delta(\lambda) = clip(G^\top \lambda - k, l, u)` and gradient
:math:`h - G \delta(\lambda)`. It is maximised by a semismooth Newton method (Qi and Sun 1993)
whose model, restricted to :math:`\lambda \ge 0`, is solved by an active-set loop over the few rows
that matter; a line search on the exact :math:`\theta` makes it converge from anywhere.
:math:`\theta` of any :math:`\lambda` is a lower bound, which allows stopping early.

A polyhedron that misses the box has no optimum, and :math:`\theta` grows without end, by steps
that become ever more expensive. Two signs of it are looked for at every step: :math:`\theta` above
the largest objective in the box, and :math:`\lambda` itself a Farkas certificate,

.. math:: \lambda^\top h > \sum_i \max_{l_i \le d \le u_i} (G^\top\lambda)_i d .
"""

from __future__ import annotations

import numpy as np

from reluopt.numerics.arrays import BoolArray, FloatArray, FloatMatrix, IntArray
from reluopt.numerics.jit import apart, part, search_kernel
from reluopt.numerics.products import add_scaled_rows

MAX_NEWTON_STEPS = 30
"""3 to 10 are usual, for a polyhedron that misses the box as well; more than 20 were not seen to
succeed."""

FOUND, NONE, OPEN = 1, 0, -1
"""What :func:`nearest_point` ends with."""

APART = 1e-9
"""Share of its terms by which a Farkas certificate must be positive, above their rounding."""

RIDGE = 1e-11
"""Added to the Newton matrix, relative to its diagonal (rows have length 1): keeps it regular for
parallel rows without a visible change of the step."""

MAX_HALVINGS = 60
"""Of one step; after so many nothing is left of it in float64."""

LAST_RESORT = 1e3
"""Factor of the tolerance within which a point is taken that cannot be made any better."""

MOST_ROWS, FEWEST_ROWS = 200, 50
"""Rows of one step, and at least so many without a multiplier: the step of a convolution's thousand
violated rows took a minute, and few of them have multipliers in the end."""

ARMIJO = 1e-4
"""Share of the predicted ascent that a step must deliver (the usual textbook value)."""


@search_kernel
def _dual_value(g: FloatArray, low: FloatArray, high: FloatArray, linear: float) -> float:
    """Theta for ``g = G.T @ lambda - k`` and ``linear = lambda @ h``."""
    total = 0.0
    for i in range(g.size):
        d = min(max(g[i], low[i]), high[i])
        total += d * (0.5 * d - g[i])
    return linear + total


@search_kernel
def _largest_objective(low: FloatArray, high: FloatArray, tilt: float) -> float:
    """Largest objective in the box: convex, so at an end of each coordinate."""
    total = 0.0
    for i in range(low.size):
        at_low, at_high = (0.5 * low[i] + tilt) * low[i], (0.5 * high[i] + tilt) * high[i]
        total += max(at_low, at_high)
    return total


@search_kernel
def _miss(g: FloatArray, low: FloatArray, high: FloatArray, tilt: float, linear: float) -> bool:
    """Whether ``G.T @ lambda = g + tilt`` and ``linear = lambda @ h`` prove a miss."""
    most, size = 0.0, abs(linear)
    for i in range(g.size):
        slope = g[i] + tilt
        reach = max(slope * low[i], slope * high[i])
        most += reach
        size += abs(reach)
    return linear - most > APART * size


@search_kernel
def _residuals(rows: FloatArray, rhs: FloatArray, delta: FloatArray, residuals: FloatArray) -> None:
    """``rhs - rows @ delta``."""
    for r in range(rhs.size):
        row = rows[r]
        total = 0.0
        for i in range(delta.size):
            total += row[i] * delta[i]
        residuals[r] = rhs[r] - total


@search_kernel
def _places(wanted: BoolArray) -> IntArray:
    """Where ``wanted`` is set; ``np.flatnonzero`` takes far longer to compile."""
    places = np.empty(wanted.size, dtype=np.int64)
    count = 0
    for i in range(wanted.size):
        if wanted[i]:
            places[count] = i
            count += 1
    return places[:count].copy()


@search_kernel
def _newton_matrix(
    rows: FloatMatrix, chosen: IntArray, g: FloatArray, low: FloatArray, high: FloatArray
) -> FloatArray:
    """Products of the chosen rows over the free coordinates, with a ridge."""
    count = chosen.size
    free = np.empty((count, g.size))
    kept = 0
    for i in range(g.size):
        if low[i] < g[i] < high[i]:
            for a in range(count):
                free[a, kept] = rows[chosen[a], i]
            kept += 1
    matrix = np.empty((count, count))
    for a in range(count):
        for b in range(a + 1):
            total = 0.0
            for i in range(kept):
                total += free[a, i] * free[b, i]
            matrix[a, b] = total
            matrix[b, a] = total
    for a in range(count):
        matrix[a, a] += RIDGE
    return matrix


@apart
@search_kernel
def _newton_step(matrix: FloatMatrix, ascent: FloatArray, duals: FloatArray) -> FloatArray:
    """Maximise ``ascent @ p - p @ matrix @ p / 2`` subject to ``duals + p >= 0``, from 0."""
    count = ascent.size
    step = np.zeros(count)
    remaining = ascent.copy()
    free = np.full(count, True)
    for _ in range(count + 1):
        index = _places(free)
        if index.size == 0:
            break
        part = np.empty((index.size, index.size))
        right = np.empty(index.size)
        for a in range(index.size):
            right[a] = remaining[index[a]]
            for b in range(index.size):
                part[a, b] = matrix[index[a], index[b]]
        move = np.linalg.solve(part, right)
        share, blocking = 1.0, -1
        for a in range(index.size):
            room = duals[index[a]] + step[index[a]]
            if move[a] < 0.0 and room + share * move[a] < 0.0:
                share, blocking = room / -move[a], index[a]
        for a in range(index.size):
            step[index[a]] += share * move[a]
            for b in range(count):
                remaining[b] -= share * move[a] * matrix[b, index[a]]
        if blocking < 0:
            break
        step[blocking] = -duals[blocking]
        free[blocking] = False
    return step


@search_kernel
def _leave_out(residuals: FloatArray, duals: FloatArray, wanted: BoolArray) -> None:
    """Of rows without a multiplier keep those that are violated most."""
    free = np.where(wanted & (duals == 0.0), residuals, -np.inf)
    room = max(MOST_ROWS - np.sum(duals > 0.0), FEWEST_ROWS)
    for r in np.argsort(-free)[room:]:
        if free[r] > -np.inf:
            wanted[r] = False


@search_kernel
def _worst(residuals: FloatArray, duals: FloatArray) -> float:
    """Largest violation of a row, or slack of a row that has a multiplier."""
    worst = 0.0
    for r in range(residuals.size):
        off = residuals[r] if duals[r] == 0.0 else abs(residuals[r])
        worst = max(worst, off)
    return worst


@part
def _ascent(
    rows: FloatMatrix,
    residuals: FloatArray,
    duals: FloatArray,
    g: FloatArray,
    low: FloatArray,
    high: FloatArray,
) -> FloatArray:
    """Newton's step for lambda: over the rows that are violated or have a multiplier."""
    count = duals.size
    wanted = np.empty(count, dtype=np.bool_)
    for r in range(count):
        wanted[r] = duals[r] > 0.0 or residuals[r] > 0.0
    if np.sum(wanted) > MOST_ROWS:
        _leave_out(residuals, duals, wanted)
    chosen = _places(wanted)
    ascent, start = np.empty(chosen.size), np.empty(chosen.size)
    for a in range(chosen.size):
        ascent[a], start[a] = residuals[chosen[a]], duals[chosen[a]]
    part = _newton_step(_newton_matrix(rows, chosen, g, low, high), ascent, start)
    step = np.zeros(count)
    for a in range(chosen.size):
        step[chosen[a]] = part[a]
    return step


@search_kernel
def nearest_point(
    rows: FloatMatrix,
    rhs: FloatArray,
    low: FloatArray,
    high: FloatArray,
    tilt: float,
    cutoff: float,
    tolerance: float,
    steps: int,
    duals: FloatArray,
    delta: FloatArray,
) -> int:
    """Solve the problem of the module.

    Args:
        rows: G, shape ``(m, n)``, every row of length 1.
        rhs: h, shape ``(m,)``.
        low: l, at most 0.
        high: u, at least 0.
        tilt: k.
        cutoff: give up when the optimum (twice the objective above) provably exceeds it.
        tolerance: largest violation of a row.
        steps: Newton steps to take, at least one.
        duals: start, >= 0; receives lambda.
        delta: receives the point.

    Returns:
        :data:`FOUND` where ``delta`` meets every row to the tolerance and is optimal;
        :data:`NONE` when the cutoff was passed, the polyhedron was seen to miss the box, or nothing
        is gained any more; :data:`OPEN` when the steps ran out, so that another call goes on from
        ``duals``.
    """
    size, count = low.size, rhs.size
    g, trial = np.full(size, -tilt), np.empty(size)
    add_scaled_rows(rows.reshape(-1), 0, size, duals, g)
    value = _dual_value(g, low, high, np.sum(duals * rhs))
    residuals = np.empty(count)
    cutoff = min(cutoff, 2.0 * (1.0 + APART) * _largest_objective(low, high, tilt))
    for _ in range(steps):
        for i in range(size):
            delta[i] = min(max(g[i], low[i]), high[i])
        _residuals(rows, rhs, delta, residuals)
        worst = _worst(residuals, duals)
        if 2.0 * value > cutoff or _miss(g, low, high, tilt, np.sum(duals * rhs)):
            return NONE
        if worst <= tolerance:
            return FOUND
        step = _ascent(rows, residuals, duals, g, low, high)
        slope = np.sum(step * residuals)
        change = np.zeros(size)
        add_scaled_rows(rows.reshape(-1), 0, size, step, change)
        share, moved = 1.0, False
        for _halving in range(MAX_HALVINGS):
            for i in range(size):
                trial[i] = g[i] + share * change[i]
            linear = np.sum((duals + share * step) * rhs)
            new_value = _dual_value(trial, low, high, linear)
            if new_value >= value + ARMIJO * share * slope:
                moved = True
                break
            share *= 0.5
        if not moved:
            # Rounding hides any further ascent: the last point is as good as it gets.
            return FOUND if worst <= LAST_RESORT * tolerance else NONE
        for r in range(count):
            duals[r] = max(duals[r] + share * step[r], 0.0)
        g[:] = -tilt
        add_scaled_rows(rows.reshape(-1), 0, size, duals, g)
        value = _dual_value(g, low, high, np.sum(duals * rhs))
    return OPEN
