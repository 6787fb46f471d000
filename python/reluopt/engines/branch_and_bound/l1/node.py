"""Solving, probing and polishing nodes: the simplex method together with its safe bound.

The simplex method works on some of the pixels and with tolerances. Here its answers become
statements about the node: a bound counts once :func:`certificate.safe_bound` has recomputed it over
all pixels; where that disappoints, the missing pixels are taken in and the search goes on.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from reluopt.engines.branch_and_bound.l1.basis import (
    DUAL_TOLERANCE,
    add_columns,
    bounds_changed,
    copy_state,
    factor,
    multipliers,
    resynchronise,
)
from reluopt.engines.branch_and_bound.l1.build import Layout, set_sides
from reluopt.engines.branch_and_bound.l1.certificate import (
    L1_OBJECTIVE,
    NO_OBJECTIVE,
    Claim,
    safe_bound,
)
from reluopt.engines.branch_and_bound.l1.program import (
    LISTED,
    OBJECTIVE,
    SINCE_FACTOR,
    Program,
    State,
    Work,
)
from reluopt.engines.branch_and_bound.l1.simplex import (
    CUTOFF,
    INFEASIBLE,
    LIMIT,
    OPTIMAL,
    TROUBLE,
    dual_simplex,
)
from reluopt.numerics.arrays import BoolArray, FloatArray, FloatMatrix, IntArray
from reluopt.numerics.jit import apart, kernel
from reluopt.numerics.vectors import ascending

MAX_ROUNDS = 12
"""How often one solve may take in pixels or raise its target before it gives up."""

TARGET_STEP = 1e-9
"""Relative amount by which the target is raised when the objective reached the cutoff but the
safe bound, which is smaller by rounding errors, did not."""

GAIN_FLOOR = 1e-6
"""Gains below it count as this much, so that the other child's still matters."""

LARGEST_ESTIMATE = 1e300
"""Objectives of probes count as at most this: infinity says that a child is proven to be empty."""

CONSISTENT = 1e-7
"""A neuron with ``min(x, s)`` below it behaves like a ReLU."""

RAY_LENGTHS = (1.0, 1e2, 1e4, 1e6)
"""Steps along a dual ray that are tried when the ray alone proves nothing."""


class Node(NamedTuple):
    """The node that the program stands for, and the multipliers behind its last bound.

    Attributes:
        claim: what bounds are about.
        lower, upper: bounds of all hidden neurons, shape ``(neurons,)``.
        pi: multipliers of the hidden neurons, shape ``(neurons,)``.
        mu: multipliers of the conditions.
        tau: multipliers of the ball rows.
        farkas: 1 when they prove emptiness, shape ``(1,)``.
    """

    claim: Claim
    lower: FloatArray
    upper: FloatArray
    pi: FloatArray
    mu: FloatArray
    tau: FloatArray
    farkas: IntArray


@apart
@kernel
def _spread(lp: Program, layout: Layout, nd: Node, y: FloatArray) -> None:
    """Multipliers of the program's rows as multipliers of neurons, balls and conditions."""
    hidden = layout.kept.size
    ball = 0
    for i in range(hidden):
        nd.pi[layout.kept[i]] = -y[lp.row[i]]
        if lp.ball[i] >= 0:
            nd.tau[ball] = max(-y[lp.ball[i]], 0.0)
            ball += 1
    for c in range(nd.mu.size):
        nd.mu[c] = max(y[hidden + ball + c], 0.0)


@apart
@kernel
def _bound(lp: Program, layout: Layout, nd: Node, y: FloatArray) -> float:
    """Safe bound of the node from the program's multipliers."""
    _spread(lp, layout, nd, y)
    nd.farkas[0] = 0
    return safe_bound(nd.claim, nd.lower, nd.upper, nd.pi, nd.mu, nd.tau, L1_OBJECTIVE)


@apart
@kernel
def _prove_empty(lp: Program, layout: Layout, st: State, wk: Work, nd: Node, cutoff: float) -> bool:
    """Whether the dual ray proves that the node holds nothing, or nothing below ``cutoff``."""
    _spread(lp, layout, nd, wk.ray)
    if safe_bound(nd.claim, nd.lower, nd.upper, nd.pi, nd.mu, nd.tau, NO_OBJECTIVE) > 0.0:
        nd.farkas[0] = 1
        return True
    if cutoff < np.inf:
        multipliers(lp, st, wk.y)
        trial = np.empty(wk.y.size)
        for length in RAY_LENGTHS:
            for t in range(trial.size):
                trial[t] = wk.y[t] + length * wk.ray[t]
            if _bound(lp, layout, nd, trial) >= cutoff:
                return True
    return False


@apart
@kernel
def solve_node(
    lp: Program, layout: Layout, st: State, wk: Work, nd: Node, cutoff: float, limit: int
) -> tuple[float, int]:
    """Solve the node's program from the present basis.

    Returns:
        Safe bound (infinite when proven empty), and OPTIMAL, CUTOFF (bound >= cutoff), LIMIT or
        TROUBLE. Any multipliers give a valid bound, so a program that was not solved has one too.
    """
    target = cutoff
    for _ in range(MAX_ROUNDS):
        code = dual_simplex(lp, st, wk, target, limit)
        if code == INFEASIBLE:
            if _prove_empty(lp, layout, st, wk, nd, cutoff):
                return np.inf, CUTOFF
            if add_columns(lp, st, wk, wk.ray, 1.0 - DUAL_TOLERANCE) == 0:
                multipliers(lp, st, wk.y)
                return _bound(lp, layout, nd, wk.y), TROUBLE
            resynchronise(lp, st, wk)
            continue
        multipliers(lp, st, wk.y)
        if code == OPTIMAL and add_columns(lp, st, wk, wk.y, DUAL_TOLERANCE) > 0:
            resynchronise(lp, st, wk)
            continue
        bound = _bound(lp, layout, nd, wk.y)
        if bound >= cutoff:
            return bound, CUTOFF
        if code != CUTOFF:
            return bound, code
        if add_columns(lp, st, wk, wk.y, DUAL_TOLERANCE) > 0:
            resynchronise(lp, st, wk)
        elif st.counters[SINCE_FACTOR] > 0:
            factor(lp, st, wk)
            resynchronise(lp, st, wk)
        else:
            target = max(target, st.scalars[OBJECTIVE])
            target += TARGET_STEP * max(1.0, abs(target))
    multipliers(lp, st, wk.y)
    return _bound(lp, layout, nd, wk.y), TROUBLE


@apart
@kernel
def set_phase(
    lp: Program, layout: Layout, st: State, wk: Work, i: int, low: float, high: float
) -> None:
    """Move one neuron to new bounds and repair the values."""
    set_sides(lp, i, low, high)
    bounds_changed(lp, st, wk, i)
    bounds_changed(lp, st, wk, layout.kept.size + i)


@kernel
def probe(
    lp: Program,
    layout: Layout,
    st: State,
    trial: State,
    wk: Work,
    nd: Node,
    neurons: IntArray,
    cutoff: float,
    limit: int,
    patience: int,
    bounds: FloatMatrix,
) -> int:
    """Strong branching on the program's neurons ``neurons``, in this order.

    Where one child is cut off, the node becomes the other child at once, with its bounds and its
    basis, so that later probes profit.

    Args:
        lp: the program.
        layout: where the neurons stand.
        st: state of the node; moved along with it.
        trial: scratch.
        wk: buffers.
        nd: the node; its bounds change where a child is cut off.
        neurons: what to probe.
        cutoff: children with this bound are cut off.
        limit: pivots for each child.
        patience: stop after so many probes in a row that neither cut anything off nor had a better
            product of gains.
        bounds: receives objectives of the inactive child, the active child, and the node itself at
            that time; infinite for children that are cut off (proven) and NaN for neurons that had
            become consistent meanwhile. Shape ``(n, 3)``.

    Returns:
        How many neurons were probed; negative when both children of the last one were cut off.
    """
    hidden = layout.kept.size
    best, since = 0.0, 0
    for n in range(neurons.size):
        i = neurons[n]
        h = layout.kept[i]
        bounds[n, 2] = st.scalars[OBJECTIVE]
        if n > 0 and min(st.x[i], st.x[hidden + i]) <= CONSISTENT:
            bounds[n, 0], bounds[n, 1] = np.nan, np.nan
            continue
        low, high = nd.lower[h], nd.upper[h]
        for phase in range(2):
            copy_state(st, trial)
            if trial.counters[LISTED] != lp.listed_count[0]:
                resynchronise(lp, trial, wk)
            nd.lower[h], nd.upper[h] = (low, 0.0) if phase == 0 else (0.0, high)
            set_phase(lp, layout, trial, wk, i, nd.lower[h], nd.upper[h])
            _, code = solve_node(lp, layout, trial, wk, nd, cutoff, limit)
            estimate = min(trial.scalars[OBJECTIVE], LARGEST_ESTIMATE)
            bounds[n, phase] = np.inf if code == CUTOFF else estimate
            if phase == 1 and bounds[n, 0] == np.inf:
                if code == CUTOFF:
                    return -n - 1
                copy_state(trial, st)  # the active child is what is left
            elif phase == 1 and code == CUTOFF:
                nd.lower[h], nd.upper[h] = low, 0.0
                set_sides(lp, i, low, 0.0)
                set_phase(lp, layout, st, wk, i, low, 0.0)
                solve_node(lp, layout, st, wk, nd, cutoff, limit)
            elif phase == 1:
                nd.lower[h], nd.upper[h] = low, high
                set_sides(lp, i, low, high)
        since += 1
        product = _gain_product(bounds[n], cutoff)
        if product > best:
            best, since = product, 0
        elif since >= patience:
            return n + 1
    return neurons.size


@kernel
def _gain_product(bounds: FloatArray, cutoff: float) -> float:
    """Product of both gains, each at most what is missing to the cutoff; infinite for a cut."""
    if max(bounds[0], bounds[1]) == np.inf:
        return np.inf
    room = cutoff - bounds[2]
    inactive = max(min(bounds[0] - bounds[2], room), GAIN_FLOOR)
    active = max(min(bounds[1] - bounds[2], room), GAIN_FLOOR)
    return float(inactive * active)


@kernel
def read_point(lp: Program, layout: Layout, st: State, claim: Claim, image: FloatArray) -> None:
    """Write the input of the state into ``image``, clipped to the box."""
    inputs = claim.inputs
    image[:] = 0.0
    first = 2 * layout.kept.size
    for q in range(first + lp.rhs.size, st.counters[LISTED]):
        j = lp.listed[q]
        if st.x[j] != 0.0:
            image[layout.pixel[j - first]] += layout.sign[j - first] * st.x[j]
    for p in range(image.size):
        delta = min(max(image[p], inputs.low[p]), inputs.high[p])
        image[p] = inputs.center[p] + delta


@kernel
def solve_region(
    lp: Program,
    layout: Layout,
    st: State,
    wk: Work,
    pattern: BoolArray,
    cutoff: float,
    limit: int,
    flips: IntArray,
) -> tuple[int, int]:
    """Best point of one linear region, ignoring the node's bounds.

    The caller restores bounds and state afterwards.

    Args:
        lp: the program; its bounds are overwritten.
        layout: where the neurons stand.
        st: state to start from; holds the result.
        wk: buffers.
        pattern: which hidden neurons (of the network) are active.
        cutoff: see :func:`simplex.dual_simplex`.
        limit: pivots.
        flips: receives neurons (of the network) at zero whose flip promises something.

    Returns:
        A code of :mod:`simplex` and the number of flips.
    """
    hidden = layout.kept.size
    first_logical = 2 * hidden + layout.pixel.size
    for i in range(hidden):
        active = pattern[layout.kept[i]]
        lp.lower[i], lp.lower[hidden + i] = 0.0, 0.0
        lp.upper[i] = layout.reach[i] if active else 0.0
        lp.upper[hidden + i] = 0.0 if active else layout.reach[i]
        if lp.triangle[i] >= 0:
            r = first_logical + lp.triangle[i]
            wide = 4.0 * layout.reach[i] * (lp.slopes[0, i] + lp.slopes[1, i])
            lp.lower[r], lp.upper[r] = -wide, wide
        if lp.ball[i] >= 0:
            r = first_logical + lp.ball[i]
            lp.lower[r], lp.upper[r] = -lp.upper[r] - layout.reach[i], lp.upper[r]
    resynchronise(lp, st, wk)
    code = LIMIT
    for _ in range(MAX_ROUNDS):
        code = dual_simplex(lp, st, wk, cutoff, limit)
        if code in (INFEASIBLE, CUTOFF):
            multipliers(lp, st, wk.y)
            if code == INFEASIBLE:
                for t in range(wk.y.size):
                    wk.y[t] += RAY_LENGTHS[2] * wk.ray[t]
        elif code == OPTIMAL:
            multipliers(lp, st, wk.y)
        else:
            break
        if add_columns(lp, st, wk, wk.y, DUAL_TOLERANCE) == 0:
            break
        resynchronise(lp, st, wk)
    count = 0
    if code == OPTIMAL:
        for i in range(hidden):
            j = i if pattern[layout.kept[i]] else hidden + i
            if st.position[j] < 0 and st.x[j] < 1e-9 and st.d[j] > 1e-9:
                flips[count] = layout.kept[i]
                count += 1
    return code, count


@kernel
def start(lp: Program, layout: Layout, st: State, wk: Work, active: BoolArray) -> None:
    """Begin at the image: every neuron's ``x`` or ``s`` is basic as the image has it."""
    hidden = layout.kept.size
    first_logical = 2 * hidden + layout.pixel.size
    for r in range(lp.rhs.size):
        st.head[r] = first_logical + r
    for i in range(hidden):
        st.head[lp.row[i]] = i if active[layout.kept[i]] else hidden + i
    st.side[:] = 0.0
    st.d[:] = 0.0
    factor(lp, st, wk)
    resynchronise(lp, st, wk)


@kernel
def keep_promising(lp: Program, st: State, threshold: float, least: int) -> None:
    """Price only pixels that are basic, moved, or have a reduced cost below ``threshold``.

    At least ``least`` pixels stay.
    """
    total, first = lp.listed_count[0], 2 * lp.triangle.size + lp.rhs.size
    scores = np.empty(total - first)
    for q in range(first, total):
        j = lp.listed[q]
        moved = st.position[j] >= 0 or st.x[j] != 0.0
        scores[q - first] = 0.0 if moved else st.d[j]
    order = ascending(scores)
    before = lp.listed[first:total].copy()
    count = first
    for q in range(order.size):
        lp.listed[first + q] = before[order[q]]
        if scores[order[q]] <= threshold or q < least:
            count = first + q + 1
    lp.listed_count[0] = count
    st.counters[LISTED] = count
