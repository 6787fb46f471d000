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
    L1Setting,
    safe_bound,
)
from reluopt.engines.branch_and_bound.l1.program import (
    LISTED,
    OBJECTIVE,
    SINCE_FACTOR,
    LinearProgram,
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
from reluopt.numerics.input_sets import FlatInputSet
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

AT_ZERO = 1e-9
"""A neuron whose value and reduced cost are separated by this sits at zero and wants to flip."""

RAY_LENGTHS = (1.0, 1e2, 1e4, 1e6)
"""Steps along a dual ray that are tried when the ray alone proves nothing."""

WIDER = 4.0
"""Rows of triangles are let go of, by this factor of what they can reach, in a linear region."""


class NodeProgram(NamedTuple):
    """The program of a node, apart from its basis, and the multipliers behind its last bound.

    Attributes:
        lp: the program.
        layout: where the neurons stand in it.
        work: buffers.
        setting: what bounds are about.
        lower, upper: the node's bounds of all hidden neurons, shape ``(neurons,)``.
        pi: multipliers of the hidden neurons, shape ``(neurons,)``.
        mu: multipliers of the conditions.
        tau: multipliers of the ball rows.
        farkas: 1 when they prove emptiness, shape ``(1,)``.
    """

    lp: LinearProgram
    layout: Layout
    work: Work
    setting: L1Setting
    lower: FloatArray
    upper: FloatArray
    pi: FloatArray
    mu: FloatArray
    tau: FloatArray
    farkas: IntArray


@apart
@kernel
def _set_multipliers(node: NodeProgram, y: FloatArray) -> None:
    """Multipliers of the program's rows as multipliers of neurons, balls and conditions."""
    lp, kept = node.lp, node.layout.kept
    ball = 0
    for i in range(kept.size):
        node.pi[kept[i]] = -y[lp.row[i]]
        if lp.ball[i] >= 0:
            node.tau[ball] = max(-y[lp.ball[i]], 0.0)
            ball += 1
    for c in range(node.mu.size):
        node.mu[c] = max(y[kept.size + ball + c], 0.0)


@kernel
def bound_by(node: NodeProgram, objective: float) -> float:
    """Safe bound of the node by its multipliers; ``objective`` as for :func:`safe_bound`."""
    return safe_bound(node.setting, node.lower, node.upper, node.pi, node.mu, node.tau, objective)


@apart
@kernel
def _bound(node: NodeProgram, y: FloatArray) -> float:
    """Safe bound of the node from the program's multipliers."""
    _set_multipliers(node, y)
    node.farkas[0] = 0
    return bound_by(node, L1_OBJECTIVE)


@apart
@kernel
def _prove_empty(node: NodeProgram, state: State, cutoff: float) -> bool:
    """Whether the dual ray proves that the node holds nothing, or nothing below ``cutoff``."""
    work = node.work
    _set_multipliers(node, work.ray)
    if bound_by(node, NO_OBJECTIVE) > 0.0:
        node.farkas[0] = 1
        return True
    if cutoff < np.inf:
        multipliers(node.lp, state, work.y)
        trial = np.empty(work.y.size)
        for length in RAY_LENGTHS:
            for t in range(trial.size):
                trial[t] = work.y[t] + length * work.ray[t]
            if _bound(node, trial) >= cutoff:
                return True
    return False


@apart
@kernel
def solve_node(node: NodeProgram, state: State, cutoff: float, limit: int) -> tuple[float, int]:
    """Solve the node's program from the present basis.

    Returns:
        Safe bound (infinite when proven empty), and OPTIMAL, CUTOFF (bound >= cutoff), LIMIT or
        TROUBLE. Any multipliers give a valid bound, so a program that was not solved has one too.
    """
    lp, work = node.lp, node.work
    target = cutoff
    for _ in range(MAX_ROUNDS):
        code = dual_simplex(lp, state, work, target, limit)
        if code == INFEASIBLE:
            if _prove_empty(node, state, cutoff):
                return np.inf, CUTOFF
            if add_columns(lp, state, work, work.ray, 1.0 - DUAL_TOLERANCE) == 0:
                multipliers(lp, state, work.y)
                return _bound(node, work.y), TROUBLE
            resynchronise(lp, state, work)
            continue
        multipliers(lp, state, work.y)
        if code == OPTIMAL and add_columns(lp, state, work, work.y, DUAL_TOLERANCE) > 0:
            resynchronise(lp, state, work)
            continue
        bound = _bound(node, work.y)
        if bound >= cutoff:
            return bound, CUTOFF
        if code != CUTOFF:
            return bound, code
        if add_columns(lp, state, work, work.y, DUAL_TOLERANCE) > 0:
            resynchronise(lp, state, work)
        elif state.counters[SINCE_FACTOR] > 0:
            factor(lp, state, work)
            resynchronise(lp, state, work)
        else:
            target = max(target, state.scalars[OBJECTIVE])
            target += TARGET_STEP * max(1.0, abs(target))
    multipliers(lp, state, work.y)
    return _bound(node, work.y), TROUBLE


@apart
@kernel
def set_phase(lp: LinearProgram, work: Work, state: State, i: int, low: float, high: float) -> None:
    """Move one neuron to new bounds and repair the values."""
    set_sides(lp, i, low, high)
    bounds_changed(lp, state, work, i)
    bounds_changed(lp, state, work, lp.first_s + i)


@kernel
def start_trial(lp: LinearProgram, work: Work, state: State, trial: State) -> None:
    """Begin a trial at a state; pixels that others took in meanwhile are priced."""
    copy_state(state, trial)
    if trial.counters[LISTED] != lp.listed_count[0]:
        resynchronise(lp, trial, work)


@kernel
def probe(
    node: NodeProgram,
    state: State,
    trial: State,
    neurons: IntArray,
    cutoff: float,
    limit: int,
    patience: int,
    bounds: FloatMatrix,
) -> int:
    """Strong branching; see :meth:`~.relaxation.L1Relaxation.probe`, which returns ``bounds``.

    Where one child is cut off, ``node`` and its ``state`` become the other child at once.

    Returns:
        How many neurons were probed; negative when both children of the last one were cut off.
    """
    lp, work, best, since = node.lp, node.work, 0.0, 0
    for n, i in enumerate(neurons):
        h = node.layout.kept[i]
        bounds[n, 2] = state.scalars[OBJECTIVE]
        if n > 0 and min(state.value[i], state.value[lp.first_s + i]) <= CONSISTENT:
            bounds[n, 0], bounds[n, 1] = np.nan, np.nan
            continue
        low, high = node.lower[h], node.upper[h]
        for phase in range(2):
            start_trial(lp, work, state, trial)
            node.lower[h], node.upper[h] = (low, 0.0) if phase == 0 else (0.0, high)
            set_phase(lp, work, trial, i, node.lower[h], node.upper[h])
            _, code = solve_node(node, trial, cutoff, limit)
            estimate = min(trial.scalars[OBJECTIVE], LARGEST_ESTIMATE)
            bounds[n, phase] = np.inf if code == CUTOFF else estimate
        product = _gain_product(bounds[n], cutoff)
        if bounds[n, 0] == np.inf and bounds[n, 1] == np.inf:
            return -n - 1
        if bounds[n, 0] == np.inf:
            copy_state(trial, state)  # the active child, solved just now, is what is left
        elif bounds[n, 1] == np.inf:
            node.lower[h], node.upper[h] = low, 0.0
            set_phase(lp, work, state, i, low, 0.0)
            solve_node(node, state, cutoff, limit)
        else:
            node.lower[h], node.upper[h] = low, high
            set_sides(lp, i, low, high)
        since += 1
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
def read_point(
    lp: LinearProgram, layout: Layout, inputs: FlatInputSet, state: State, image: FloatArray
) -> None:
    """Write the input of the state into ``image``, clipped to the box."""
    image[:] = 0.0
    for q in range(lp.first_listed_pixel, state.counters[LISTED]):
        j = lp.listed[q]
        if state.value[j] != 0.0:
            p = j - lp.first_pixel
            image[layout.pixel[p]] += layout.sign[p] * state.value[j]
    for p in range(image.size):
        delta = min(max(image[p], inputs.low[p]), inputs.high[p])
        image[p] = inputs.center[p] + delta


@kernel
def _load_region(lp: LinearProgram, layout: Layout, pattern: BoolArray) -> None:
    """Give the program the bounds of a linear region: phases alone, no triangle, no ball row."""
    for i in range(layout.kept.size):
        active = pattern[layout.kept[i]]
        s = lp.first_s + i
        lp.lower[i], lp.lower[s] = 0.0, 0.0
        lp.upper[i] = layout.reach[i] if active else 0.0
        lp.upper[s] = 0.0 if active else layout.reach[i]
        if lp.triangle[i] >= 0:
            r = lp.first_logical + lp.triangle[i]
            wide = WIDER * layout.reach[i] * (lp.slopes[0, i] + lp.slopes[1, i])
            lp.lower[r], lp.upper[r] = -wide, wide
        if lp.ball[i] >= 0:
            r = lp.first_logical + lp.ball[i]
            lp.lower[r], lp.upper[r] = -lp.upper[r] - layout.reach[i], lp.upper[r]


@kernel
def solve_region(
    lp: LinearProgram,
    layout: Layout,
    work: Work,
    state: State,
    pattern: BoolArray,
    cutoff: float,
    limit: int,
    flips: IntArray,
) -> tuple[int, int]:
    """Best point of one linear region; see :meth:`~.relaxation.L1Relaxation.best_of_region`.

    ``state`` is where to start, and holds the result; ``flips`` receives the neurons (of the
    network) at zero whose flip promises something. The caller restores the program's bounds.

    Returns:
        A code of :mod:`simplex` and the number of flips.
    """
    kept = layout.kept
    _load_region(lp, layout, pattern)
    resynchronise(lp, state, work)
    code = LIMIT
    for _ in range(MAX_ROUNDS):
        code = dual_simplex(lp, state, work, cutoff, limit)
        if code in (INFEASIBLE, CUTOFF):
            multipliers(lp, state, work.y)
            if code == INFEASIBLE:
                for t in range(work.y.size):
                    work.y[t] += RAY_LENGTHS[2] * work.ray[t]
        elif code == OPTIMAL:
            multipliers(lp, state, work.y)
        else:
            break
        if add_columns(lp, state, work, work.y, DUAL_TOLERANCE) == 0:
            break
        resynchronise(lp, state, work)
    count = 0
    if code == OPTIMAL:
        for i in range(kept.size):
            j = i if pattern[kept[i]] else lp.first_s + i
            at_zero = state.position[j] < 0 and state.value[j] < AT_ZERO
            if at_zero and state.reduced_cost[j] > AT_ZERO:
                flips[count] = kept[i]
                count += 1
    return code, count


@kernel
def start(lp: LinearProgram, work: Work, state: State, kept: IntArray, active: BoolArray) -> None:
    """Begin at the image: every kept neuron's ``x`` or ``s`` is basic as the image has it."""
    for r in range(lp.rhs.size):
        state.head[r] = lp.first_logical + r
    for i in range(kept.size):
        state.head[lp.row[i]] = i if active[kept[i]] else lp.first_s + i
    state.side[:] = 0.0
    state.reduced_cost[:] = 0.0
    factor(lp, state, work)
    resynchronise(lp, state, work)


@kernel
def keep_promising(lp: LinearProgram, state: State, threshold: float, least: int) -> None:
    """Price only pixels that are basic, moved, or have a reduced cost below ``threshold``.

    At least ``least`` pixels stay.
    """
    total, first = lp.listed_count[0], lp.first_listed_pixel
    scores = np.empty(total - first)
    for q in range(first, total):
        j = lp.listed[q]
        moved = state.position[j] >= 0 or state.value[j] != 0.0
        scores[q - first] = 0.0 if moved else state.reduced_cost[j]
    order = ascending(scores)
    before = lp.listed[first:total].copy()
    count = first
    for q in range(order.size):
        lp.listed[first + q] = before[order[q]]
        if scores[order[q]] <= threshold or q < least:
            count = first + q + 1
    lp.listed_count[0] = count
    state.counters[LISTED] = count
