r"""Bounded dual simplex method for few rows and many boxed columns (:mod:`program`).

An explicit dense inverse suits this shape: pixel columns are dense and a few dozen rows fit the
cache. A pivot prices one row, ratio-tests it with bound flipping (Maros 2003: boxed columns whose
reduced cost changes sign are moved to their other bound as long as the dual objective grows),
and updates the inverse by a rank-one term. The squared row lengths of the inverse, which fall out
of that update, are exact dual steepest edge weights (Forrest and Goldfarb 1992).

On deep networks thousands of bases have the same objective (often zero: no change at all), and the
method may walk among them without end. After :data:`STALL` pivots without a rise the costs of
nonbasic columns are moved away from where their reduced costs would be zero, each by another
amount, which makes every pivot rise. The true costs come back before a call returns, whatever the
outcome, and the method goes on with them from the basis that it has reached by then.

Nothing here is part of a proof: bounds are recomputed from the multipliers by
:mod:`certificate`. That is why reassociation is allowed (``search_kernel``).
"""

from __future__ import annotations

from reluopt.engines.branch_and_bound.l1.basis import (
    PIVOT_TOLERANCE,
    add_column,
    factor,
    ftran,
    pivot,
    price,
    resynchronise,
)
from reluopt.engines.branch_and_bound.l1.program import (
    LISTED,
    OBJECTIVE,
    PIVOTS,
    SINCE_FACTOR,
    SINCE_RISE,
    Program,
    State,
    Work,
)
from reluopt.numerics.arrays import FloatArray, IntArray
from reluopt.numerics.jit import apart, search_kernel
from reluopt.numerics.vectors import copy_vector

OPTIMAL, INFEASIBLE, CUTOFF, LIMIT, TROUBLE = 0, 1, 2, 3, 4
"""What :func:`dual_simplex` returns."""

STALLED = 5
"""What :func:`_pivots` returns after :data:`STALL` pivots without a rise."""

PRIMAL_TOLERANCE = 1e-9
"""How far a basic value may leave its bounds; images are clipped and checked afterwards."""

SMALL_PIVOT = 1e-7
"""Pivots below it are avoided when another candidate exists."""

REFACTOR_EVERY = 100
"""Pivots after which the inverse is computed anew; keeps its error near 1e-10."""

MAX_REPAIRS = 4
"""Fresh factorisations that one call may spend on numerical doubts."""

STALL = 30
"""Pivots without a rise of the objective after which costs are perturbed."""

NEVER = 2**40
"""Patience with perturbed costs: every pivot raises the objective then, if only by little."""

RISE = 1e-11
"""Smaller rises, relative to ``max(1, |objective|)``, are rounding errors and count as none."""

PERTURBATION = 1e-6
"""Largest change of a cost: a pixel's own cost is 1, and reduced costs are known to 1e-9."""

MAX_PERTURBATIONS = 3
"""Rounds of perturbed costs in one call; a third is hardly ever needed."""


@search_kernel
def _leaving_row(lp: Program, st: State) -> tuple[int, float]:
    """Row of the largest infeasibility, in the steepest edge norm, and the infeasibility."""
    best, row, infeasibility = 0.0, -1, 0.0
    for i in range(lp.rhs.size):
        j = st.head[i]
        value = st.x[j]
        gap = 0.0
        if value < lp.lower[j] - PRIMAL_TOLERANCE:
            gap = value - lp.lower[j]
        elif value > lp.upper[j] + PRIMAL_TOLERANCE:
            gap = value - lp.upper[j]
        if gap != 0.0:
            score = gap * gap / st.norms[i]
            if score > best:
                best, row, infeasibility = score, i, gap
    return row, infeasibility


@search_kernel
def _sift_down(keys: FloatArray, items: IntArray, start: int, size: int) -> None:
    """Restore the heap order (smallest key first) below ``start``."""
    key, item = keys[start], items[start]
    place_ = start
    while True:
        child = 2 * place_ + 1
        if child >= size:
            break
        if child + 1 < size and keys[child + 1] < keys[child]:
            child += 1
        if keys[child] >= key:
            break
        keys[place_], items[place_] = keys[child], items[child]
        place_ = child
    keys[place_], items[place_] = key, item


@search_kernel
def _gather(lp: Program, st: State, wk: Work, sign: float) -> int:
    """Collect the columns that can enter, with their ratios; their number."""
    size = 0
    for q in range(st.counters[LISTED]):
        j = lp.listed[q]
        slope = sign * st.side[j] * wk.alpha[j]
        if slope > PIVOT_TOLERANCE:
            wk.keys[size] = max(st.d[j] * st.side[j], 0.0) / slope
            wk.candidates[size] = j
            size += 1
    return size


@search_kernel
def _ratio_test(lp: Program, st: State, wk: Work, size: int, slope: float) -> tuple[int, int]:
    """Bound flipping ratio test on the gathered candidates.

    Passes breakpoints in rising order while the slope of the dual objective stays positive, then
    chooses the largest pivot among (near) ties.

    Returns:
        Entering column (-1: the dual is unbounded) and the number of columns to flip, which then
        stand at the end of ``wk.candidates[:size]``, in the order in which they were passed.
    """
    keys, items = wk.keys, wk.candidates
    for start in range(size // 2 - 1, -1, -1):
        _sift_down(keys, items, start, size)
    left = size
    while left > 0:
        j = items[0]
        remaining = slope - abs(wk.alpha[j]) * (lp.upper[j] - lp.lower[j])
        if remaining <= PRIMAL_TOLERANCE:
            break  # what would be left of the infeasibility is none
        slope = remaining
        left -= 1
        key = keys[0]
        keys[0], items[0] = keys[left], items[left]
        keys[left], items[left] = key, j
        _sift_down(keys, items, 0, left)
    if left == 0:
        return -1, size
    # The heap's top is the last breakpoint. Look for a larger pivot among near ties behind it.
    ratio = keys[0]
    best = 0
    for e in range(1, left):
        if keys[e] <= ratio + 1e-9 and abs(wk.alpha[items[e]]) > abs(wk.alpha[items[best]]):
            best = e
    flips = size - left
    entering = items[best]
    # A tiny pivot is worse than a shorter step: go back to the last breakpoint with a sound one.
    while abs(wk.alpha[entering]) < SMALL_PIVOT and flips > 0:
        flips -= 1
        entering = items[size - 1 - flips]
    return entering, flips


@search_kernel
def _flip(lp: Program, st: State, wk: Work, size: int, flips: int, entering: int) -> None:
    """Move the passed columns to their other bounds and update the basic values."""
    m = lp.rhs.size
    wk.shift[:] = 0.0
    for e in range(size - flips, size):
        j = wk.candidates[e]
        if j == entering:
            continue
        before = st.x[j]
        st.side[j] = -st.side[j]
        st.x[j] = lp.lower[j] if st.side[j] > 0.0 else lp.upper[j]
        step = st.x[j] - before
        st.scalars[OBJECTIVE] += step * st.d[j]
        add_column(lp, j, step, wk.shift)
    for i in range(m):
        row = st.inverse[i]
        total = 0.0
        for t in range(m):
            total += row[t] * wk.shift[t]
        st.x[st.head[i]] -= total


@search_kernel
def _change_basis(
    lp: Program, st: State, wk: Work, row: int, entering: int, infeasibility: float
) -> None:
    """One basis change; ``wk.column`` is the transformed entering column."""
    leaving = st.head[row]
    step_d = st.d[entering] / wk.alpha[entering]
    for q in range(st.counters[LISTED]):
        j = lp.listed[q]
        st.d[j] -= step_d * wk.alpha[j]
    bound = lp.lower[leaving] if infeasibility < 0.0 else lp.upper[leaving]
    step = (st.x[leaving] - bound) / wk.column[row]
    st.scalars[OBJECTIVE] += step * step_d * wk.alpha[entering]
    for i in range(lp.rhs.size):
        st.x[st.head[i]] -= step * wk.column[i]
    st.x[entering] += step
    st.x[leaving] = bound
    st.d[leaving], st.d[entering] = -step_d, 0.0
    movable = lp.lower[leaving] < lp.upper[leaving]
    st.side[leaving] = (1.0 if infeasibility < 0.0 else -1.0) if movable else 0.0
    st.side[entering] = 0.0
    st.position[leaving], st.position[entering] = -1, row
    st.head[row] = entering
    pivot(st.inverse, st.norms, row, wk.column)
    st.counters[SINCE_FACTOR] += 1
    st.counters[PIVOTS] += 1


@search_kernel
def _basics_feasible(lp: Program, st: State, tolerance: float) -> bool:
    """Whether all basic values lie within their bounds."""
    for i in range(lp.rhs.size):
        j = st.head[i]
        if st.x[j] < lp.lower[j] - tolerance or st.x[j] > lp.upper[j] + tolerance:
            return False
    return True


@apart
@search_kernel
def _pivots(lp: Program, st: State, wk: Work, cutoff: float, limit: int, patience: int) -> int:
    """Pivot until a code of :func:`dual_simplex`, or ``patience`` pivots do not raise anything."""
    repairs = 0
    best = st.scalars[OBJECTIVE]
    for _ in range(limit):
        objective = st.scalars[OBJECTIVE]
        if objective >= cutoff:
            return CUTOFF
        if objective > best + RISE * max(1.0, abs(best)):
            best = objective
            st.counters[SINCE_RISE] = 0
        elif st.counters[SINCE_RISE] > patience:
            return STALLED
        st.counters[SINCE_RISE] += 1
        if st.counters[SINCE_FACTOR] >= REFACTOR_EVERY:
            factor(lp, st, wk)
            resynchronise(lp, st, wk)
        row, infeasibility = _leaving_row(lp, st)
        doubt = False
        if row < 0:
            if st.counters[SINCE_FACTOR] == 0:
                return OPTIMAL
            resynchronise(lp, st, wk)
            if _basics_feasible(lp, st, 10.0 * PRIMAL_TOLERANCE):
                return OPTIMAL
            doubt = True
        else:
            entering, doubt = _pivot_on(lp, st, wk, row, infeasibility)
            if entering < 0 and (st.counters[SINCE_FACTOR] == 0 or repairs > 0):
                sign = -1.0 if infeasibility < 0.0 else 1.0
                for t in range(lp.rhs.size):
                    wk.ray[t] = sign * wk.rho[t]
                return INFEASIBLE
        if doubt:
            repairs += 1
            if repairs > MAX_REPAIRS:
                return TROUBLE
            factor(lp, st, wk)
            resynchronise(lp, st, wk)
    return LIMIT


@search_kernel
def _pivot_on(lp: Program, st: State, wk: Work, row: int, infeasibility: float) -> tuple[int, bool]:
    """Choose the entering column of a row and change the basis.

    Returns:
        The column (-1: the dual is unbounded along the row), and whether the numbers are in doubt,
        so that nothing was changed.
    """
    copy_vector(st.inverse[row], wk.rho)
    price(lp, wk.rho, wk.alpha, st.counters[LISTED])
    size = _gather(lp, st, wk, -1.0 if infeasibility < 0.0 else 1.0)
    entering, flips = _ratio_test(lp, st, wk, size, abs(infeasibility))
    if entering < 0:
        return -1, True
    ftran(lp, st.inverse, entering, wk.column)
    error = abs(wk.column[row] - wk.alpha[entering])
    small = abs(wk.column[row]) < PIVOT_TOLERANCE
    if small or error > 1e-6 * (1.0 + abs(wk.column[row])):
        return entering, True
    if flips > 0:
        _flip(lp, st, wk, size, flips, entering)
    _change_basis(lp, st, wk, row, entering, infeasibility)
    return entering, False


@search_kernel
def _perturb(lp: Program, st: State, turn: int) -> None:
    """Move costs so that reduced costs of nonbasic columns grow away from zero.

    Amounts between a half and all of :data:`PERTURBATION` are hashed from column and ``turn``: two
    searches with the same seed stay the same.
    """
    for q in range(st.counters[LISTED]):
        j = lp.listed[q]
        if st.position[j] >= 0 or st.side[j] == 0.0:
            continue
        hashed = (j * 2654435761 + turn * 40503 + 12345) % 1000003
        hashed = (hashed * 7919 + 17) % 1000003
        change = st.side[j] * PERTURBATION * (0.5 + 0.5 * hashed / 1000003.0)
        lp.cost[j] += change
        st.d[j] += change
        st.scalars[OBJECTIVE] += change * st.x[j]


@apart
@search_kernel
def dual_simplex(lp: Program, st: State, wk: Work, cutoff: float, limit: int) -> int:
    """Pivot until optimal, infeasible, the objective reaches ``cutoff``, or ``limit`` pivots.

    Works on the listed columns alone. After INFEASIBLE ``wk.ray`` is a dual ray. Costs may be
    perturbed on the way (see the module); state and program have the true ones afterwards.
    """
    end = st.counters[PIVOTS] + limit
    code = _pivots(lp, st, wk, cutoff, limit, STALL)
    for turn in range(MAX_PERTURBATIONS):
        if code != STALLED:
            break
        copy_vector(lp.cost, wk.cost)
        _perturb(lp, st, turn)
        code = _pivots(lp, st, wk, cutoff, end - st.counters[PIVOTS], NEVER)
        copy_vector(wk.cost, lp.cost)
        resynchronise(lp, st, wk)
        # After LIMIT the next call goes on where this one stood: with perturbed costs.
        st.counters[SINCE_RISE] = STALL + 1 if code == LIMIT else 0
        if code in (OPTIMAL, CUTOFF):
            code = _pivots(lp, st, wk, cutoff, end - st.counters[PIVOTS], STALL)
    if code == STALLED:
        code = LIMIT
    if code != LIMIT:
        st.counters[SINCE_RISE] = 0
    return code
