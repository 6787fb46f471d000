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
    LinearProgram,
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

LOOSER = 10.0
"""Factor of it where values have just been computed anew: what was feasible may stay so."""

SAME_RATIO = 1e-9
"""Ratios this near count as ties: the tolerance of reduced costs for a pivot of 1."""

PIVOT_ERROR = 1e-6
"""Relative difference of the two computations of a pivot, by row and by column, that raises doubt:
the inverse is known to 1e-10."""

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

PRIME = 1_000_003
"""Amounts are hashed to less than this; the other numbers there are primes and offsets that spread
neighbouring columns, as in any multiplicative hash."""

MAX_PERTURBATIONS = 3
"""Rounds of perturbed costs in one call; a third is hardly ever needed."""


@search_kernel
def _leaving_row(lp: LinearProgram, state: State) -> tuple[int, float]:
    """Row of the largest infeasibility, in the steepest edge norm, and the infeasibility."""
    best, row, infeasibility = 0.0, -1, 0.0
    for i in range(lp.rhs.size):
        j = state.head[i]
        value = state.value[j]
        gap = 0.0
        if value < lp.lower[j] - PRIMAL_TOLERANCE:
            gap = value - lp.lower[j]
        elif value > lp.upper[j] + PRIMAL_TOLERANCE:
            gap = value - lp.upper[j]
        if gap != 0.0:
            score = gap * gap / state.norms[i]
            if score > best:
                best, row, infeasibility = score, i, gap
    return row, infeasibility


@search_kernel
def _sift_down(keys: FloatArray, items: IntArray, start: int, size: int) -> None:
    """Restore the heap order (smallest key first) below ``start``."""
    key, item = keys[start], items[start]
    place = start
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        if child + 1 < size and keys[child + 1] < keys[child]:
            child += 1
        if keys[child] >= key:
            break
        keys[place], items[place] = keys[child], items[child]
        place = child
    keys[place], items[place] = key, item


@search_kernel
def _gather(lp: LinearProgram, state: State, work: Work, sign: float) -> int:
    """Collect the columns that can enter, with their ratios; their number."""
    size = 0
    for q in range(state.counters[LISTED]):
        j = lp.listed[q]
        slope = sign * state.side[j] * work.priced[j]
        if slope > PIVOT_TOLERANCE:
            work.ratios[size] = max(state.reduced_cost[j] * state.side[j], 0.0) / slope
            work.candidates[size] = j
            size += 1
    return size


@search_kernel
def _ratio_test(
    lp: LinearProgram, state: State, work: Work, size: int, slope: float
) -> tuple[int, int]:
    """Bound flipping ratio test on the gathered candidates.

    As the dual step grows, the reduced cost of a candidate changes its sign at its ratio. A boxed
    column may go to its other bound then, which takes ``|priced| (upper - lower)`` off the slope of
    the dual objective (at first the infeasibility). So breakpoints are passed in rising order while
    the slope stays positive; the largest pivot among (near) ties behind enters.

    Returns:
        Entering column (-1: the dual is unbounded) and the number of columns to flip, which then
        stand at the end of ``work.candidates[:size]``, in the order in which they were passed.
    """
    keys, items = work.ratios, work.candidates
    for start in range(size // 2 - 1, -1, -1):
        _sift_down(keys, items, start, size)
    left = size
    while left > 0:
        j = items[0]
        remaining = slope - abs(work.priced[j]) * (lp.upper[j] - lp.lower[j])
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
        larger = abs(work.priced[items[e]]) > abs(work.priced[items[best]])
        if keys[e] <= ratio + SAME_RATIO and larger:
            best = e
    flips = size - left
    entering = items[best]
    # A tiny pivot is worse than a shorter step: go back to the last breakpoint with a sound one.
    while abs(work.priced[entering]) < SMALL_PIVOT and flips > 0:
        flips -= 1
        entering = items[size - 1 - flips]
    return entering, flips


@search_kernel
def _flip(
    lp: LinearProgram, state: State, work: Work, size: int, flips: int, entering: int
) -> None:
    """Move the passed columns to their other bounds and update the basic values."""
    m, pixels, shift = lp.rhs.size, lp.pixels, work.shift
    lower, upper, side, value = lp.lower, lp.upper, state.side, state.value
    shift[:] = 0.0
    rise = 0.0
    for e in range(size - flips, size):
        j = work.candidates[e]
        if j == entering:
            continue
        side[j] = -side[j]
        step = (upper[j] - lower[j]) * -side[j]
        value[j] = lower[j] if side[j] > 0.0 else upper[j]
        rise += step * state.reduced_cost[j]
        if lp.first_pixel <= j < lp.first_logical:
            p = j - lp.first_pixel
            for t in range(pixels.shape[1]):
                shift[t] += step * pixels[p, t]
        else:
            add_column(lp, j, step, shift)
    state.scalars[OBJECTIVE] += rise
    for i in range(m):
        total = 0.0
        for t in range(m):
            total += state.inverse[i, t] * shift[t]
        value[state.head[i]] -= total


@search_kernel
def _change_basis(
    lp: LinearProgram, state: State, work: Work, row: int, entering: int, infeasibility: float
) -> None:
    """One basis change; ``work.column`` is the transformed entering column."""
    leaving = state.head[row]
    dual_step = state.reduced_cost[entering] / work.priced[entering]
    for q in range(state.counters[LISTED]):
        j = lp.listed[q]
        state.reduced_cost[j] -= dual_step * work.priced[j]
    bound = lp.lower[leaving] if infeasibility < 0.0 else lp.upper[leaving]
    step = (state.value[leaving] - bound) / work.column[row]
    state.scalars[OBJECTIVE] += step * dual_step * work.priced[entering]
    for i in range(lp.rhs.size):
        state.value[state.head[i]] -= step * work.column[i]
    state.value[entering] += step
    state.value[leaving] = bound
    state.reduced_cost[leaving], state.reduced_cost[entering] = -dual_step, 0.0
    movable = lp.lower[leaving] < lp.upper[leaving]
    state.side[leaving] = (1.0 if infeasibility < 0.0 else -1.0) if movable else 0.0
    state.side[entering] = 0.0
    state.position[leaving], state.position[entering] = -1, row
    state.head[row] = entering
    pivot(state.inverse, state.norms, row, work.column)
    state.counters[SINCE_FACTOR] += 1
    state.counters[PIVOTS] += 1


@search_kernel
def _basics_feasible(lp: LinearProgram, state: State, tolerance: float) -> bool:
    """Whether all basic values lie within their bounds."""
    for i in range(lp.rhs.size):
        j = state.head[i]
        if state.value[j] < lp.lower[j] - tolerance or state.value[j] > lp.upper[j] + tolerance:
            return False
    return True


@apart
@search_kernel
def _pivots(
    lp: LinearProgram, state: State, work: Work, cutoff: float, limit: int, patience: int
) -> int:
    """Pivot until a code of :func:`dual_simplex`, or ``patience`` pivots do not raise anything."""
    repairs = 0
    best = state.scalars[OBJECTIVE]
    for _ in range(limit):
        objective = state.scalars[OBJECTIVE]
        if objective >= cutoff:
            return CUTOFF
        if objective > best + RISE * max(1.0, abs(best)):
            best = objective
            state.counters[SINCE_RISE] = 0
        elif state.counters[SINCE_RISE] > patience:
            return STALLED
        state.counters[SINCE_RISE] += 1
        if state.counters[SINCE_FACTOR] >= REFACTOR_EVERY:
            factor(lp, state, work)
            resynchronise(lp, state, work)
        row, infeasibility = _leaving_row(lp, state)
        doubt = False
        if row < 0:
            if state.counters[SINCE_FACTOR] == 0:
                return OPTIMAL
            resynchronise(lp, state, work)
            if _basics_feasible(lp, state, LOOSER * PRIMAL_TOLERANCE):
                return OPTIMAL
            doubt = True
        else:
            entering, doubt = _pivot_on(lp, state, work, row, infeasibility)
            if entering < 0 and (state.counters[SINCE_FACTOR] == 0 or repairs > 0):
                sign = -1.0 if infeasibility < 0.0 else 1.0
                for t in range(lp.rhs.size):
                    work.ray[t] = sign * work.pivot_row[t]
                return INFEASIBLE
        if doubt:
            repairs += 1
            if repairs > MAX_REPAIRS:
                return TROUBLE
            factor(lp, state, work)
            resynchronise(lp, state, work)
    return LIMIT


@search_kernel
def _pivot_on(
    lp: LinearProgram, state: State, work: Work, row: int, infeasibility: float
) -> tuple[int, bool]:
    """Choose the entering column of a row and change the basis.

    Returns:
        The column (-1: the dual is unbounded along the row), and whether the numbers are in doubt,
        so that nothing was changed.
    """
    copy_vector(state.inverse[row], work.pivot_row)
    price(lp, work.pivot_row, work.priced, state.counters[LISTED])
    size = _gather(lp, state, work, -1.0 if infeasibility < 0.0 else 1.0)
    entering, flips = _ratio_test(lp, state, work, size, abs(infeasibility))
    if entering < 0:
        return -1, True
    ftran(lp, state.inverse, entering, work.column)
    error = abs(work.column[row] - work.priced[entering])
    small = abs(work.column[row]) < PIVOT_TOLERANCE
    if small or error > PIVOT_ERROR * (1.0 + abs(work.column[row])):
        return entering, True
    if flips > 0:
        _flip(lp, state, work, size, flips, entering)
    _change_basis(lp, state, work, row, entering, infeasibility)
    return entering, False


@search_kernel
def _perturb(lp: LinearProgram, state: State, turn: int) -> None:
    """Move costs so that reduced costs of nonbasic columns grow away from zero.

    Amounts between a half and all of :data:`PERTURBATION` are hashed from column and ``turn``: two
    searches with the same seed stay the same.
    """
    for q in range(state.counters[LISTED]):
        j = lp.listed[q]
        if state.position[j] >= 0 or state.side[j] == 0.0:
            continue
        hashed = (j * 2654435761 + turn * 40503 + 12345) % PRIME
        hashed = (hashed * 7919 + 17) % PRIME
        change = state.side[j] * PERTURBATION * (0.5 + 0.5 * hashed / PRIME)
        lp.cost[j] += change
        state.reduced_cost[j] += change
        state.scalars[OBJECTIVE] += change * state.value[j]


@apart
@search_kernel
def dual_simplex(lp: LinearProgram, state: State, work: Work, cutoff: float, limit: int) -> int:
    """Pivot until optimal, infeasible, the objective reaches ``cutoff``, or ``limit`` pivots.

    Works on the listed columns alone. After INFEASIBLE ``work.ray`` is a dual ray. Costs may be
    perturbed on the way (see the module); state and program have the true ones afterwards.
    """
    end = state.counters[PIVOTS] + limit
    code = _pivots(lp, state, work, cutoff, limit, STALL)
    for turn in range(MAX_PERTURBATIONS):
        if code != STALLED:
            break
        copy_vector(lp.cost, work.cost)
        _perturb(lp, state, turn)
        code = _pivots(lp, state, work, cutoff, end - state.counters[PIVOTS], NEVER)
        copy_vector(work.cost, lp.cost)
        resynchronise(lp, state, work)
        # After LIMIT the next call goes on where this one stood: with perturbed costs.
        state.counters[SINCE_RISE] = STALL + 1 if code == LIMIT else 0
        if code in (OPTIMAL, CUTOFF):
            code = _pivots(lp, state, work, cutoff, end - state.counters[PIVOTS], STALL)
    if code == STALLED:
        code = LIMIT
    if code != LIMIT:
        state.counters[SINCE_RISE] = 0
    return code
