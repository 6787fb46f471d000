"""Algebra of a basis of :class:`program.LinearProgram`: solves, pricing, factorisation, updates.

Nothing here is part of a proof: bounds are recomputed from the multipliers by
:mod:`certificate`. That is why reassociation is allowed (``search_kernel``). Calls with many arrays
cost about as much as a hundred multiplications, so loops over columns stand inside the kernels.
"""

from __future__ import annotations

import numpy as np

from reluopt.engines.branch_and_bound.l1.program import (
    LISTED,
    OBJECTIVE,
    SINCE_FACTOR,
    LinearProgram,
    State,
    Work,
)
from reluopt.numerics.arrays import FloatArray, FloatMatrix, IntArray
from reluopt.numerics.jit import apart, search_kernel
from reluopt.numerics.vectors import copy_matrix, copy_vector

DUAL_TOLERANCE = 1e-9
"""Reduced costs nearer to zero count as zero. The error that this makes in the objective is
accounted for by the safe bound."""

PIVOT_TOLERANCE = 1e-9
"""Entries of a priced row below it are rounding errors of a 1e-16 relative update, 100 times."""

NO_FACTOR = 1e-14
"""Rows of the inverse are left alone by an update with a smaller factor: below their rounding."""


@apart
@search_kernel
def ftran(lp: LinearProgram, inverse: FloatMatrix, j: int, out: FloatArray) -> None:
    """``out = inverse @ A_j``."""
    m = lp.rhs.size
    if j >= lp.first_logical:
        r = j - lp.first_logical
        for i in range(m):
            out[i] = inverse[i, r]
        return
    if j >= lp.first_pixel:
        pixels, p = lp.pixels, j - lp.first_pixel
        for i in range(m):
            total = 0.0
            for t in range(pixels.shape[1]):
                total += inverse[i, t] * pixels[p, t]
            out[i] = total
        return
    is_x = j < lp.first_s
    neuron = j if is_x else j - lp.first_s
    own = 1.0 if is_x else -1.0
    own_row, triangle = lp.row[neuron], lp.triangle[neuron]
    slope = lp.slopes[0 if is_x else 1, neuron]
    for i in range(m):
        out[i] = own * inverse[i, own_row]
    if triangle >= 0:
        for i in range(m):
            out[i] += slope * inverse[i, triangle]
    if is_x:
        ball = lp.ball[neuron]
        if ball >= 0:
            for i in range(m):
                out[i] += inverse[i, ball]
        layer = 0
        while neuron >= lp.layers[layer + 1]:
            layer += 1
        start, width, block = lp.above[0, layer], lp.above[1, layer], lp.block
        for i in range(m):
            total = 0.0
            for t in range(width):
                total += inverse[i, start + t] * block[neuron, t]
            out[i] += total


@apart
@search_kernel
def price(lp: LinearProgram, y: FloatArray, priced: FloatArray, count: int) -> None:
    """``priced_j = y @ A_j`` for the first ``count`` listed columns."""
    copy_vector(y, priced[lp.first_logical : lp.first_logical + lp.rhs.size])
    for layer in range(lp.above.shape[1]):
        start, width = lp.above[0, layer], lp.above[1, layer]
        part = y[start : start + width]
        for i in range(lp.layers[layer], lp.layers[layer + 1]):
            total = y[lp.row[i]]
            priced[lp.first_s + i] = -total
            for t in range(width):
                total += part[t] * lp.block[i, t]
            if lp.ball[i] >= 0:
                total += y[lp.ball[i]]
            priced[i] = total
            triangle = lp.triangle[i]
            if triangle >= 0:
                priced[i] += lp.slopes[0, i] * y[triangle]
                priced[lp.first_s + i] += lp.slopes[1, i] * y[triangle]
    dense = lp.pixels.shape[1]
    for q in range(lp.first_listed_pixel, count):
        j = lp.listed[q]
        p = j - lp.first_pixel
        total = 0.0
        for t in range(dense):
            total += y[t] * lp.pixels[p, t]
        priced[j] = total


@search_kernel
def add_column(lp: LinearProgram, j: int, factor: float, out: FloatArray) -> None:
    """``out += factor * A_j``."""
    if j >= lp.first_logical:
        out[j - lp.first_logical] += factor
    elif j >= lp.first_pixel:
        p = j - lp.first_pixel
        for t in range(lp.pixels.shape[1]):
            out[t] += factor * lp.pixels[p, t]
    else:
        is_x = j < lp.first_s
        i = j if is_x else j - lp.first_s
        out[lp.row[i]] += factor if is_x else -factor
        if lp.triangle[i] >= 0:
            out[lp.triangle[i]] += factor * lp.slopes[0 if is_x else 1, i]
        if is_x:
            if lp.ball[i] >= 0:
                out[lp.ball[i]] += factor
            layer = 0
            while i >= lp.layers[layer + 1]:
                layer += 1
            start, width = lp.above[0, layer], lp.above[1, layer]
            for t in range(width):
                out[start + t] += factor * lp.block[i, t]


@apart
@search_kernel
def pivot(inverse: FloatMatrix, norms: FloatArray, r: int, column: FloatArray) -> None:
    """Make the basic column of row ``r`` the one with ``inverse @ A_j = column``.

    Row r of the new inverse is the old one divided by ``column[r]``; the others lose ``column[i]``
    times that, so that the entering column becomes a unit vector.
    """
    m = norms.size
    pivot_row = inverse[r].copy()  # a copy: without aliasing the loops below vectorise
    scale = 1.0 / column[r]
    length = 0.0
    for t in range(m):
        pivot_row[t] *= scale
        length += pivot_row[t] * pivot_row[t]
    for i in range(m):
        factor = column[i]
        if i == r or abs(factor) < NO_FACTOR:
            continue
        row = inverse[i]
        total = 0.0
        for t in range(m):
            value = row[t] - factor * pivot_row[t]
            row[t] = value
            total += value * value
        norms[i] = total
    norms[r] = length
    copy_vector(pivot_row, inverse[r])


@apart
@search_kernel
def factor(lp: LinearProgram, state: State, work: Work) -> bool:
    """Rebuild the inverse from ``state.head``; False when columns had to be replaced by logicals.

    Gauss and Jordan: begin with the basis of all logicals, whose inverse is the identity, and
    exchange one column after the other. A column takes the free row with the largest pivot.
    """
    m = lp.rhs.size
    columns = state.head.copy()
    state.inverse[:] = 0.0
    state.norms[:] = 1.0
    free = np.ones(m, dtype=np.bool_)
    for i in range(m):
        state.inverse[i, i] = 1.0
        state.position[columns[i]] = -1
    for i in range(m):
        j = columns[i]
        if j >= lp.first_logical:
            r = j - lp.first_logical
            state.head[r], state.position[j], free[r] = j, r, False
    complete = True
    for stage in range(3):  # sparse columns first: s, then x, then pixels
        for i in range(m):
            j = columns[i]
            kind = 2 if j >= lp.first_pixel else (1 if j < lp.first_s else 0)
            if j >= lp.first_logical or kind != stage:
                continue
            ftran(lp, state.inverse, j, work.column)
            best, r = PIVOT_TOLERANCE, -1
            for t in range(m):
                if free[t] and abs(work.column[t]) > best:
                    best, r = abs(work.column[t]), t
            if r < 0:
                complete = False
                continue
            pivot(state.inverse, state.norms, r, work.column)
            state.head[r], state.position[j], free[r] = j, r, False
    for r in range(m):
        if free[r]:
            j = lp.first_logical + r
            state.head[r], state.position[j] = j, r
    state.counters[SINCE_FACTOR] = 0
    return complete


@apart
@search_kernel
def resynchronise(lp: LinearProgram, state: State, work: Work) -> None:
    """Recompute multipliers, reduced costs, sides, values and objective from the basis.

    A nonbasic column whose reduced cost has the wrong sign moves to its other bound, so the basis
    is dual feasible afterwards.
    """
    m = lp.rhs.size
    count = lp.listed_count[0]
    state.counters[LISTED] = count
    multipliers(lp, state, work.y)
    price(lp, work.y, work.priced, count)
    _reset(lp, state, work.priced, lp.listed[:count])
    copy_vector(lp.rhs, work.shift)
    objective = 0.0
    for j in range(lp.first_pixel):
        if state.position[j] < 0 and state.value[j] != 0.0:
            add_column(lp, j, -state.value[j], work.shift)
    for r in range(m):
        if state.position[lp.first_logical + r] < 0:
            work.shift[r] -= state.value[lp.first_logical + r]
    dense = lp.pixels.shape[1]
    for q in range(lp.first_listed_pixel, count):
        j = lp.listed[q]
        step = state.value[j]
        if state.position[j] < 0 and step != 0.0:
            objective += lp.cost[j] * step
            p = j - lp.first_pixel
            for t in range(dense):
                work.shift[t] -= step * lp.pixels[p, t]
    for i in range(m):
        total = 0.0
        for t in range(m):
            total += state.inverse[i, t] * work.shift[t]
        j = state.head[i]
        state.value[j] = total
        objective += lp.cost[j] * total
    state.scalars[OBJECTIVE] = objective


@search_kernel
def _reset(lp: LinearProgram, state: State, priced: FloatArray, columns: IntArray) -> None:
    """Reduced costs; nonbasic columns go to the bound that theirs asks for.

    Arrays have names of their own: numba would count references to them for every column.
    """
    lower, upper, cost, position = lp.lower, lp.upper, lp.cost, state.position
    reduced_cost, sides, value = state.reduced_cost, state.side, state.value
    for q in range(columns.size):
        j = columns[q]
        if position[j] >= 0:
            reduced_cost[j], sides[j] = 0.0, 0.0
            continue
        reduced = cost[j] - priced[j]
        low, high, side = lower[j], upper[j], sides[j]
        # Choices of numbers at hand, not branches: the signs are as good as random.
        side = 1.0 if side == 0.0 or reduced > DUAL_TOLERANCE else side
        side = -1.0 if reduced < -DUAL_TOLERANCE else side
        reduced_cost[j] = reduced
        value[j] = low if side > 0.0 else high
        sides[j] = side if low < high else 0.0


@search_kernel
def refresh(lp: LinearProgram, state: State, work: Work) -> None:
    """Make a state consistent with a program whose bounds or triangles have changed."""
    for i in range(lp.triangle.size):
        moved = lp.slopes[0, i] != state.slopes[0, i]
        if moved and (state.position[i] >= 0 or state.position[lp.first_s + i] >= 0):
            factor(lp, state, work)
            break
    copy_matrix(lp.slopes, state.slopes)
    resynchronise(lp, state, work)


@apart
@search_kernel
def multipliers(lp: LinearProgram, state: State, y: FloatArray) -> None:
    """``y = cost_B @ inverse``."""
    m, cost, head, inverse = lp.rhs.size, lp.cost, state.head, state.inverse
    y[:] = 0.0
    for i in range(m):
        c = cost[head[i]]
        if c != 0.0:
            for t in range(m):
                y[t] += c * inverse[i, t]


@apart
@search_kernel
def bounds_changed(lp: LinearProgram, state: State, work: Work, j: int) -> None:
    """Repair values after the bounds of column ``j`` have changed."""
    if state.position[j] >= 0:
        return
    before = state.value[j]
    one = np.full(1, j)
    work.priced[j] = lp.cost[j] - state.reduced_cost[j]
    _reset(lp, state, work.priced, one)
    step = state.value[j] - before
    if step != 0.0:
        ftran(lp, state.inverse, j, work.column)
        for i in range(lp.rhs.size):
            state.value[state.head[i]] -= step * work.column[i]
        state.scalars[OBJECTIVE] += step * state.reduced_cost[j]


@apart
@search_kernel
def add_columns(
    lp: LinearProgram, state: State, work: Work, y: FloatArray, tolerance: float
) -> int:
    """Price every pixel that has been left out; take in those that would enter. Their number."""
    dense = lp.pixels.shape[1]
    count = lp.listed_count[0]
    added = 0
    for q in range(count, lp.listed.size):
        j = lp.listed[q]
        p = j - lp.first_pixel
        total = 0.0
        for t in range(dense):
            total += y[t] * lp.pixels[p, t]
        if lp.cost[j] - total < -tolerance:
            lp.listed[q] = lp.listed[count + added]
            lp.listed[count + added] = j
            added += 1
    lp.listed_count[0] = count + added
    return added


@apart
@search_kernel
def copy_state(source: State, target: State) -> None:
    """Copy a state into another one of the same shapes."""
    copy_matrix(source.inverse, target.inverse)
    copy_vector(source.norms, target.norms)
    copy_vector(source.head, target.head)
    copy_vector(source.position, target.position)
    copy_vector(source.side, target.side)
    copy_vector(source.value, target.value)
    copy_vector(source.reduced_cost, target.reduced_cost)
    copy_matrix(source.slopes, target.slopes)
    copy_vector(source.scalars, target.scalars)
    copy_vector(source.counters, target.counters)
