"""Algebra of a basis of :class:`program.Program`: solves, pricing, factorisation, updates.

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
    Program,
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
def ftran(lp: Program, inverse: FloatMatrix, j: int, out: FloatArray) -> None:
    """``out = inverse @ A_j``."""
    m = lp.rhs.size
    hidden = lp.triangle.size
    pixels, dense = lp.pixels.shape
    first_logical = 2 * hidden + pixels
    if j >= first_logical:
        r = j - first_logical
        for i in range(m):
            out[i] = inverse[i, r]
        return
    if j >= 2 * hidden:
        column = lp.pixels[j - 2 * hidden]
        for i in range(m):
            row = inverse[i]
            total = 0.0
            for t in range(dense):
                total += row[t] * column[t]
            out[i] = total
        return
    is_x = j < hidden
    i_neuron = j if is_x else j - hidden
    own = 1.0 if is_x else -1.0
    row_own, row_t = lp.row[i_neuron], lp.triangle[i_neuron]
    slope = lp.slopes[0 if is_x else 1, i_neuron]
    for i in range(m):
        out[i] = own * inverse[i, row_own]
    if row_t >= 0:
        for i in range(m):
            out[i] += slope * inverse[i, row_t]
    if is_x:
        row_b = lp.ball[i_neuron]
        if row_b >= 0:
            for i in range(m):
                out[i] += inverse[i, row_b]
        layer = 0
        while i_neuron >= lp.layers[layer + 1]:
            layer += 1
        start, width = lp.above[0, layer], lp.above[1, layer]
        column = lp.block[i_neuron]
        for i in range(m):
            row = inverse[i, start : start + width]
            total = 0.0
            for t in range(width):
                total += row[t] * column[t]
            out[i] += total


@apart
@search_kernel
def price(lp: Program, y: FloatArray, alpha: FloatArray, count: int) -> None:
    """``alpha_j = y @ A_j`` for the first ``count`` listed columns."""
    m = lp.rhs.size
    hidden = lp.triangle.size
    pixels, dense = lp.pixels.shape
    first_logical = 2 * hidden + pixels
    copy_vector(y, alpha[first_logical : first_logical + m])
    for layer in range(lp.above.shape[1]):
        start, width = lp.above[0, layer], lp.above[1, layer]
        part = y[start : start + width]
        for i in range(lp.layers[layer], lp.layers[layer + 1]):
            total = y[lp.row[i]]
            alpha[hidden + i] = -total
            for t in range(width):
                total += part[t] * lp.block[i, t]
            if lp.ball[i] >= 0:
                total += y[lp.ball[i]]
            alpha[i] = total
            row_t = lp.triangle[i]
            if row_t >= 0:
                alpha[i] += lp.slopes[0, i] * y[row_t]
                alpha[hidden + i] += lp.slopes[1, i] * y[row_t]
    for q in range(2 * hidden + m, count):
        j = lp.listed[q]
        p = j - 2 * hidden
        total = 0.0
        for t in range(dense):
            total += y[t] * lp.pixels[p, t]
        alpha[j] = total


@search_kernel
def add_column(lp: Program, j: int, factor: float, out: FloatArray) -> None:
    """``out += factor * A_j``."""
    hidden = lp.triangle.size
    pixels, dense = lp.pixels.shape
    first_logical = 2 * hidden + pixels
    if j >= first_logical:
        out[j - first_logical] += factor
    elif j >= 2 * hidden:
        column = lp.pixels[j - 2 * hidden]
        for t in range(dense):
            out[t] += factor * column[t]
    else:
        is_x = j < hidden
        i = j if is_x else j - hidden
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
            column = lp.block[i]
            part = out[start : start + width]
            for t in range(width):
                part[t] += factor * column[t]


@apart
@search_kernel
def pivot(inverse: FloatMatrix, norms: FloatArray, r: int, column: FloatArray) -> None:
    """Make the basic column of row ``r`` the one with ``inverse @ A_j = column``."""
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
def factor(lp: Program, st: State, wk: Work) -> bool:
    """Rebuild the inverse from ``st.head``; False when columns had to be replaced by logicals."""
    m = lp.rhs.size
    hidden = lp.triangle.size
    first_logical = 2 * hidden + lp.pixels.shape[0]
    columns = st.head.copy()
    st.inverse[:] = 0.0
    st.norms[:] = 1.0
    free = np.ones(m, dtype=np.bool_)
    for i in range(m):
        st.inverse[i, i] = 1.0
        st.position[columns[i]] = -1
    for i in range(m):
        j = columns[i]
        if j >= first_logical:
            r = j - first_logical
            st.head[r], st.position[j], free[r] = j, r, False
    complete = True
    for stage in range(3):  # sparse columns first: s, then x, then pixels
        for i in range(m):
            j = columns[i]
            kind = 2 if j >= 2 * hidden else (1 if j < hidden else 0)
            if j >= first_logical or kind != stage:
                continue
            ftran(lp, st.inverse, j, wk.column)
            best, r = PIVOT_TOLERANCE, -1
            for t in range(m):
                if free[t] and abs(wk.column[t]) > best:
                    best, r = abs(wk.column[t]), t
            if r < 0:
                complete = False
                continue
            pivot(st.inverse, st.norms, r, wk.column)
            st.head[r], st.position[j], free[r] = j, r, False
    for r in range(m):
        if free[r]:
            j = first_logical + r
            st.head[r], st.position[j] = j, r
    st.counters[SINCE_FACTOR] = 0
    return complete


@apart
@search_kernel
def resynchronise(lp: Program, st: State, wk: Work) -> None:
    """Recompute multipliers, reduced costs, sides, values and objective from the basis.

    A nonbasic column whose reduced cost has the wrong sign moves to its other bound, so the basis
    is dual feasible afterwards.
    """
    m = lp.rhs.size
    count = lp.listed_count[0]
    st.counters[LISTED] = count
    multipliers(lp, st, wk.y)
    price(lp, wk.y, wk.alpha, count)
    _reset(
        lp.listed[:count], lp.cost, wk.alpha, lp.lower, lp.upper, st.position, st.d, st.side, st.x
    )
    copy_vector(lp.rhs, wk.shift)
    hidden = lp.triangle.size
    first_logical = 2 * hidden + lp.pixels.shape[0]
    objective = 0.0
    for j in range(2 * hidden):
        if st.position[j] < 0 and st.x[j] != 0.0:
            add_column(lp, j, -st.x[j], wk.shift)
    for r in range(m):
        if st.position[first_logical + r] < 0:
            wk.shift[r] -= st.x[first_logical + r]
    dense = lp.pixels.shape[1]
    for q in range(2 * hidden + m, count):
        j = lp.listed[q]
        step = st.x[j]
        if st.position[j] < 0 and step != 0.0:
            objective += lp.cost[j] * step
            column = lp.pixels[j - 2 * hidden]
            for t in range(dense):
                wk.shift[t] -= step * column[t]
    for i in range(m):
        total = 0.0
        for t in range(m):
            total += st.inverse[i, t] * wk.shift[t]
        j = st.head[i]
        st.x[j] = total
        objective += lp.cost[j] * total
    st.scalars[OBJECTIVE] = objective


@search_kernel
def _reset(
    columns: IntArray,
    cost: FloatArray,
    alpha: FloatArray,
    lower: FloatArray,
    upper: FloatArray,
    position: IntArray,
    d: FloatArray,
    side: FloatArray,
    x: FloatArray,
) -> None:
    """Reduced costs; nonbasic columns go to the bound that theirs asks for."""
    for q in range(columns.size):
        j = columns[q]
        if position[j] >= 0:
            d[j], side[j] = 0.0, 0.0
            continue
        d[j] = cost[j] - alpha[j]
        if lower[j] == upper[j]:
            side[j] = 0.0
            x[j] = lower[j]
            continue
        if d[j] > DUAL_TOLERANCE:
            side[j] = 1.0
        elif d[j] < -DUAL_TOLERANCE:
            side[j] = -1.0
        elif side[j] == 0.0:
            side[j] = 1.0
        x[j] = lower[j] if side[j] > 0.0 else upper[j]


@search_kernel
def refresh(lp: Program, st: State, wk: Work) -> None:
    """Make a state consistent with a program whose bounds or triangles have changed."""
    hidden = lp.triangle.size
    for i in range(hidden):
        moved = lp.slopes[0, i] != st.slopes[0, i]
        if moved and (st.position[i] >= 0 or st.position[hidden + i] >= 0):
            factor(lp, st, wk)
            break
    copy_matrix(lp.slopes, st.slopes)
    resynchronise(lp, st, wk)


@apart
@search_kernel
def multipliers(lp: Program, st: State, y: FloatArray) -> None:
    """``y = cost_B @ inverse``."""
    m = lp.rhs.size
    y[:] = 0.0
    for i in range(m):
        c = lp.cost[st.head[i]]
        if c != 0.0:
            row = st.inverse[i]
            for t in range(m):
                y[t] += c * row[t]


@apart
@search_kernel
def bounds_changed(lp: Program, st: State, wk: Work, j: int) -> None:
    """Repair values after the bounds of column ``j`` have changed."""
    if st.position[j] >= 0:
        return
    before = st.x[j]
    one = np.full(1, j)
    wk.alpha[j] = lp.cost[j] - st.d[j]
    _reset(one, lp.cost, wk.alpha, lp.lower, lp.upper, st.position, st.d, st.side, st.x)
    step = st.x[j] - before
    if step != 0.0:
        ftran(lp, st.inverse, j, wk.column)
        for i in range(lp.rhs.size):
            st.x[st.head[i]] -= step * wk.column[i]
        st.scalars[OBJECTIVE] += step * st.d[j]


@apart
@search_kernel
def add_columns(lp: Program, st: State, wk: Work, y: FloatArray, tolerance: float) -> int:
    """Price every pixel that has been left out; take in those that would enter. Their number."""
    hidden = lp.triangle.size
    dense = lp.pixels.shape[1]
    count = lp.listed_count[0]
    added = 0
    for q in range(count, lp.listed.size):
        j = lp.listed[q]
        p = j - 2 * hidden
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
    copy_vector(source.x, target.x)
    copy_vector(source.d, target.d)
    copy_matrix(source.slopes, target.slopes)
    copy_vector(source.scalars, target.scalars)
    copy_vector(source.counters, target.counters)
