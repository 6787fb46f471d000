r"""Bounds of single neurons from the linear program of a whole node.

Bound propagation knows the layers below a neuron. The program knows all layers, the conditions and
the cutoff: what it says of a neuron holds for *every input of interest*, and in deep networks that
is far more (five hidden layers: sums of bounds fall to a third).

Let :math:`z(v)` be the optimum of the node's program with :math:`a_h \ge v`, a convex function of
v. Where :math:`z(v) \ge` cutoff, nothing of interest has :math:`a_h \ge v`, so v is an upper bound.
The multipliers of one solve, at whatever v, give a lower bound of z that is affine in v (the safe
bound of :mod:`certificate` depends on v in one corner alone), which tells where it meets the
cutoff; that v is then *checked* by the safe bound. Lower bounds: the same with
:math:`a_h \le -v`. Everything is a warm start of the dual simplex method, as in strong branching,
whose probes are the case v = 0.
"""

from __future__ import annotations

from reluopt.engines.branch_and_bound.l1.basis import copy_state, resynchronise
from reluopt.engines.branch_and_bound.l1.build import Layout
from reluopt.engines.branch_and_bound.l1.certificate import L1_OBJECTIVE, NO_OBJECTIVE, safe_bound
from reluopt.engines.branch_and_bound.l1.node import Node, set_phase, solve_node
from reluopt.engines.branch_and_bound.l1.program import LISTED, Program, State, Work
from reluopt.numerics.jit import kernel

SHARES = (0.0, 0.6, 0.8, 0.9)
"""Shares of a bound at which it is tried, each from where the last one ended: the multipliers of a
solve at v prove most near v. Fewer of them took more rounds, and more time in all."""

PIVOTS = 100
"""Most pivots of one solve; with 30 hardly any bound moves on deep networks."""

SHORTER = 1.0 - 1e-3
"""Bounds that would shrink by less are left alone."""

WIDER = 1e-9
"""Share of its old length that is added to a bound, so that the check does not fail by rounding."""


@kernel
def _checked(nd: Node, h: int, upward: bool, v: float, end: float) -> float:
    """The safe bound, by the multipliers in ``nd``, of the part beyond ``v`` of neuron ``h``."""
    low, high = nd.lower[h], nd.upper[h]
    nd.lower[h], nd.upper[h] = (v, end) if upward else (-end, -v)
    objective = NO_OBJECTIVE if nd.farkas[0] == 1 else L1_OBJECTIVE
    bound = safe_bound(nd.claim, nd.lower, nd.upper, nd.pi, nd.mu, nd.tau, objective)
    nd.lower[h], nd.upper[h] = low, high
    return bound


@kernel
def _shortened(nd: Node, h: int, upward: bool, v: float, end: float, cutoff: float) -> float:
    """Where the multipliers in ``nd``, found at ``v``, prove the rest to be of no interest."""
    goal = 0.0 if nd.farkas[0] == 1 else cutoff
    first, last = _checked(nd, h, upward, v, end), _checked(nd, h, upward, end, end)
    best = end
    if first > goal:
        best = v
    if last > first:
        meeting = v + (goal - first) / (last - first) * (end - v)
        meeting = max(meeting + WIDER * end, 0.0)
        if meeting < best and _checked(nd, h, upward, meeting, end) > goal:
            best = meeting
    return best


@kernel
def squeeze(
    lp: Program,
    layout: Layout,
    st: State,
    trial: State,
    wk: Work,
    nd: Node,
    i: int,
    cutoff: float,
) -> bool:
    """Tighten both bounds of the program's neuron ``i`` in ``nd``.

    Args:
        lp: the program.
        layout: where the neurons stand.
        st: solved state of the node; moved along with it.
        trial: scratch.
        wk: buffers.
        nd: the node; its bounds change.
        i: an undecided neuron.
        cutoff: inputs with this objective are of no interest.

    Returns:
        False when nothing of interest is left in the node.
    """
    h = layout.kept[i]
    for upward in (True, False):
        copy_state(st, trial)
        if trial.counters[LISTED] != lp.listed_count[0]:
            resynchronise(lp, trial, wk)
        for share in SHARES:
            low, high = nd.lower[h], nd.upper[h]
            if low >= 0.0 or high <= 0.0:
                break
            end = high if upward else -low
            v = share * end
            nd.lower[h], nd.upper[h] = (v, end) if upward else (-end, -v)
            set_phase(lp, layout, trial, wk, i, nd.lower[h], nd.upper[h])
            solve_node(lp, layout, trial, wk, nd, cutoff, PIVOTS)
            nd.lower[h], nd.upper[h] = low, high
            shorter = _shortened(nd, h, upward, v, end, cutoff)
            if shorter < SHORTER * end:
                nd.lower[h], nd.upper[h] = (low, shorter) if upward else (-shorter, high)
    set_phase(lp, layout, st, wk, i, nd.lower[h], nd.upper[h])
    if nd.lower[h] < 0.0 < nd.upper[h]:
        return True
    bound, _ = solve_node(lp, layout, st, wk, nd, cutoff, PIVOTS)
    return bound < cutoff
