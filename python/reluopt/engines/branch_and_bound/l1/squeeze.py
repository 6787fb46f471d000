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

from reluopt.engines.branch_and_bound.l1.certificate import L1_OBJECTIVE, NO_OBJECTIVE
from reluopt.engines.branch_and_bound.l1.node import (
    NodeProgram,
    bound_by,
    set_phase,
    solve_node,
    start_trial,
)
from reluopt.engines.branch_and_bound.l1.program import State
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
def _checked(node: NodeProgram, h: int, upward: bool, v: float, end: float) -> float:
    """The safe bound, by the multipliers in ``node``, of the part beyond ``v`` of neuron ``h``."""
    low, high = node.lower[h], node.upper[h]
    node.lower[h], node.upper[h] = (v, end) if upward else (-end, -v)
    objective = NO_OBJECTIVE if node.farkas[0] == 1 else L1_OBJECTIVE
    bound = bound_by(node, objective)
    node.lower[h], node.upper[h] = low, high
    return bound


@kernel
def _shortened(
    node: NodeProgram, h: int, upward: bool, v: float, end: float, cutoff: float
) -> float:
    """Where the multipliers in ``node``, found at ``v``, prove the rest to be of no interest."""
    goal = 0.0 if node.farkas[0] == 1 else cutoff
    first, last = _checked(node, h, upward, v, end), _checked(node, h, upward, end, end)
    best = end
    if first > goal:
        best = v
    if last > first:
        meeting = v + (goal - first) / (last - first) * (end - v)
        meeting = max(meeting + WIDER * end, 0.0)
        if meeting < best and _checked(node, h, upward, meeting, end) > goal:
            best = meeting
    return best


@kernel
def squeeze(node: NodeProgram, state: State, trial: State, i: int, cutoff: float) -> bool:
    """Tighten both bounds of one neuron.

    Args:
        node: the node; its bounds change.
        state: solved state of the node; moved along with it.
        trial: scratch.
        i: an undecided neuron, among those of the program.
        cutoff: inputs with this objective are of no interest.

    Returns:
        False when nothing of interest is left in the node.
    """
    h = node.layout.kept[i]
    for upward in (True, False):
        start_trial(node.lp, node.work, state, trial)
        for share in SHARES:
            low, high = node.lower[h], node.upper[h]
            if low >= 0.0 or high <= 0.0:
                break
            end = high if upward else -low
            v = share * end
            node.lower[h], node.upper[h] = (v, end) if upward else (-end, -v)
            set_phase(node.lp, node.work, trial, i, node.lower[h], node.upper[h])
            solve_node(node, trial, cutoff, PIVOTS)
            node.lower[h], node.upper[h] = low, high
            shorter = _shortened(node, h, upward, v, end, cutoff)
            if shorter < SHORTER * end:
                node.lower[h], node.upper[h] = (low, shorter) if upward else (-shorter, high)
    set_phase(node.lp, node.work, state, i, node.lower[h], node.upper[h])
    if node.lower[h] < 0.0 < node.upper[h]:
        return True
    bound, _ = solve_node(node, state, cutoff, PIVOTS)
    return bound < cutoff
