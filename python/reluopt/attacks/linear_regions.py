r"""The linear-region attack: on one activation pattern the problem is an LP or a QP.

Where the phases of all hidden neurons are fixed, every pre-activation is an affine function
:math:`a = G \delta + c` of the change, and the nearest image with that pattern solves

.. math:: \min \|\delta\| \quad\text{s.t.}\quad \pm(G\delta + c) \ge 0,\quad
          C (G^K\delta + c^K) \ge d, \quad l \le image + \delta \le u,

and the task's limits on the change, if it has any. :func:`linear_region_minimum` solves it: L2 by
the dual Newton method of :mod:`~reluopt.attacks.dual_newton`, other norms, and limits, as an LP or
QP with HiGHS. :func:`find_incumbent` walks from linear region to linear region: a neuron whose
constraint is tight with a positive dual would help on its other side, so its phase is flipped and
the neighbour solved, until none is better (Croce and Hein 2018, A randomized gradient-free attack
on ReLU networks, with duals in place of random linear regions).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from reluopt.answers.solution import Incumbent
from reluopt.attacks.dual_newton import FOUND, MAX_NEWTON_STEPS, OPEN, nearest_point
from reluopt.attacks.start import safety_of, starting_points
from reluopt.bridges.base import lifted
from reluopt.deadline import NEVER, Deadline
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import BoolArray, FloatArray
from reluopt.questions.tasks import Alternative, Task

ROW_TOLERANCE = 1e-10
"""Largest violation of a row of length 1 by an L2 point; what is left is repaired by tightening."""

SAFETY_ROUNDS = 6
"""Times the conditions are tightened until the forward pass agrees; once is usual."""

HELPFUL_DUAL = 1e-7
"""Smallest dual, relative to the largest, for which a phase is worth flipping."""

IMPROVEMENT = 1e-7
"""Smallest relative improvement that continues the walk through linear regions."""

MAX_STARTS = 3
"""Alternatives from which a walk through linear regions starts."""

MOST_SQUARED = 10_000_000
"""Entries of the rows of the largest linear region that the dual Newton method is given, where a
step takes half a second."""

LARGE_ROWS = 500_000
"""Entries from which on the clock is looked at after each of its steps."""

SQUARES = (0.0, 1.0)
"""Costs of the norm that the dual Newton method minimises."""

Pattern = Sequence[BoolArray]


@dataclass(frozen=True, eq=False)
class LinearRegionRows:
    """A linear region and the conditions in it: ``matrix @ delta >= rhs``, every row of length 1.

    Attributes:
        matrix: shape ``(hidden neurons + conditions, n_0)``; hidden neurons first.
        rhs: shape ``(hidden neurons + conditions,)``.
        lengths: lengths of the rows before they were scaled (1 for rows of zeros).
        hidden: number of hidden neurons.
    """

    matrix: FloatArray
    rhs: FloatArray
    lengths: FloatArray
    hidden: int

    def tightened(self, amount: float) -> FloatArray:
        """``rhs`` with the conditions moved inward by ``amount`` in logit units."""
        rhs = self.rhs.copy()
        rhs[self.hidden :] += amount / self.lengths[self.hidden :]
        return rhs


@dataclass(frozen=True, eq=False)
class LinearRegionOptimum:
    """The nearest image of one linear region, and what its constraints cost.

    Attributes:
        image: shape ``(n_0,)``; meets the conditions by a forward pass.
        objective: its objective.
        pattern: phases of the linear region.
        duals: one number >= 0 for each hidden neuron.
    """

    image: FloatArray
    objective: float
    pattern: tuple[BoolArray, ...]
    duals: FloatArray


RegionSolver: TypeAlias = Callable[
    [ReLUNetwork, Task, Alternative, Pattern, float, Deadline], LinearRegionOptimum | None
]
"""What finds the nearest image of a linear region; arguments as of :func:`solve_linear_region`."""


def linear_region_minimum(
    network: ReLUNetwork,
    task: Task,
    alternative: Alternative,
    pattern: Pattern,
    deadline: Deadline = NEVER,
) -> FloatArray | None:
    """The image nearest to ``task.image`` with the given phases that meets the conditions.

    Args:
        network: the network.
        task: image, box and norm.
        alternative: the conditions to meet.
        pattern: which hidden neurons are active, one array for each hidden layer.
        deadline: when to give up.

    Returns:
        An image inside the box whose float64 forward pass meets every condition (optimal up to
        1e-9 in the conditions), or None when the linear region holds none or time ran out.
    """
    raised = lifted(network, task)
    optimum = solve_linear_region(
        raised.network, raised.task, alternative, pattern, deadline=deadline
    )
    return None if optimum is None else raised.image(optimum.image)


def solve_linear_region(
    network: ReLUNetwork,
    task: Task,
    alternative: Alternative,
    pattern: Pattern,
    cutoff: float = np.inf,
    deadline: Deadline = NEVER,
) -> LinearRegionOptimum | None:
    """:func:`linear_region_minimum` with duals; None perhaps where it is worse than ``cutoff``.

    None too for squares of networks that are too large (:data:`MOST_SQUARED`).
    """
    entries = sum(network.hidden_sizes) * network.input_size
    if task.norm.costs == SQUARES and task.limits is None and entries > MOST_SQUARED:
        return None
    rows = linear_region_rows(network, task.image, alternative, pattern)
    if _impossible(rows) or deadline.passed:
        return None

    def minimise(rhs: FloatArray, start: FloatArray) -> tuple[FloatArray, FloatArray] | None:
        return minimise_over_rows(rows, rhs, task, cutoff, start, deadline)

    return tightened_until_met(network, task, alternative, pattern, rows, minimise)


def tightened_until_met(
    network: ReLUNetwork,
    task: Task,
    alternative: Alternative,
    pattern: Pattern,
    rows: LinearRegionRows,
    minimise: Callable[[FloatArray, FloatArray], tuple[FloatArray, FloatArray] | None],
) -> LinearRegionOptimum | None:
    """Minimise over the rows of a linear region until the forward pass meets the conditions.

    Args:
        network: the network.
        task: image, box and norm.
        alternative: the conditions to meet.
        pattern: phases of the linear region, whose ``rows`` these are.
        rows: see :func:`linear_region_rows`.
        minimise: for right-hand sides and duals to begin with the change and its duals, or None.
    """
    amount, duals = safety_of(alternative.conditions), np.zeros(rows.rhs.size)
    for _ in range(SAFETY_ROUNDS):
        solved = minimise(rows.tightened(amount), duals)
        if solved is None:
            return None
        delta, duals = solved
        image = task.box.clip(task.image + delta)
        slack = float(alternative.conditions.slack(network.forward(image)).min(initial=np.inf))
        if slack >= 0.0:
            objective = task.distance(image)
            return LinearRegionOptimum(image, objective, tuple(pattern), duals[: rows.hidden])
        amount += 2.0 * max(-slack, amount)
    return None


def linear_region_rows(
    network: ReLUNetwork, image: FloatArray, alternative: Alternative, pattern: Pattern
) -> LinearRegionRows:
    """Rows of a linear region and of the conditions in it, about ``image``."""
    maps, conditions = network.region_map(pattern), alternative.conditions
    hidden = sum(active.size for active in pattern)
    matrix = np.empty((hidden + conditions.rhs.size, image.size))
    rhs, start = np.empty(matrix.shape[0]), 0
    for (slope, offset), active in zip(maps[:-1], pattern, strict=True):
        signs, stop = np.where(active, 1.0, -1.0), start + active.size
        np.multiply(signs[:, None], slope, out=matrix[start:stop])
        rhs[start:stop] = -signs * (slope @ image + offset)
        start = stop
    slope, offset = maps[-1]
    matrix[hidden:] = conditions.matrix @ slope
    rhs[hidden:] = conditions.rhs - conditions.matrix @ (slope @ image + offset)
    lengths = np.sqrt(np.einsum("ij,ij->i", matrix, matrix))
    lengths[lengths == 0.0] = 1.0
    matrix /= lengths[:, None]
    return LinearRegionRows(matrix, rhs / lengths, lengths, hidden)


def find_incumbent(
    network: ReLUNetwork, task: Task, seed: int = 0, deadline: Deadline = NEVER
) -> Incumbent | None:
    """A good image that meets one of the task's alternatives, without proof.

    Gradient and greedy steps (:func:`~reluopt.attacks.start.starting_points`), or with limits on
    the change linear programs (:func:`~reluopt.attacks.linearised.linearised_starts`), then walks
    through linear regions from the nearest of them.

    Args:
        network: the network.
        task: what is asked.
        seed: for the random starts that are a last resort.
        deadline: when to stop with the best found so far; one kernel or linear program may end
            after it.

    Returns:
        An incumbent whose forward pass meets the conditions, or None when nothing was found,
        which proves nothing.
    """
    raised = lifted(network, task)
    network, task = raised.network, raised.task
    if task.limits is None:
        starts = starting_points(network, task, seed=seed, deadline=deadline)
    else:
        from reluopt.attacks.linearised import linearised_starts  # loads HiGHS and scipy

        starts = linearised_starts(network, task, seed=seed, deadline=deadline)
    best = starts[0] if starts else None
    for start in starts[:MAX_STARTS]:
        walked = improve_by_linear_regions(network, task, start, deadline=deadline)
        if best is None or walked.objective < best.objective:
            best = walked
    return raised.lowered(best)


def improve_by_linear_regions(
    network: ReLUNetwork,
    task: Task,
    start: Incumbent,
    max_regions: int | None = None,
    deadline: Deadline = NEVER,
    solver: RegionSolver = solve_linear_region,
) -> Incumbent:
    """Solve the linear region of ``start`` and walk to better neighbours; never worse than it.

    Args:
        network: the network.
        task: what is asked.
        start: an image that meets its alternative.
        max_regions: linear regions to solve; None means as many as the norm is worth.
        deadline: when to stop with the best so far.
        solver: :func:`solve_linear_region`, or a faster one of the norm.
    """
    if start.objective == 0.0 or deadline.passed:
        return start
    alternative = task.alternatives[start.alternative]
    pattern = network.activation_pattern(start.image)
    found = walk_linear_regions(network, task, alternative, pattern, max_regions, deadline, solver)
    if found is None or not found.objective < start.objective:
        return start
    return Incumbent(found.image, found.objective, start.alternative)


def walk_linear_regions(
    network: ReLUNetwork,
    task: Task,
    alternative: Alternative,
    pattern: Pattern,
    max_regions: int | None = None,
    deadline: Deadline = NEVER,
    solver: RegionSolver = solve_linear_region,
) -> LinearRegionOptimum | None:
    """The nearest image of a linear region, or of a better one of those beside it, and so on.

    Args:
        network: the network.
        task: image, box and norm.
        alternative: the conditions to meet.
        pattern: the first linear region.
        max_regions: linear regions to solve; None means as many as the norm is worth.
        deadline: when to stop with the best so far.
        solver: of the program of one linear region.
    """
    budget = task.norm.most_linear_regions if max_regions is None else max_regions
    best = solver(network, task, alternative, pattern, np.inf, deadline)
    while best is not None:
        limit = best.objective * (1.0 - IMPROVEMENT)
        for flipped in _flips(best):
            budget -= 1
            if budget <= 0 or deadline.passed:
                return best
            neighbour = solver(network, task, alternative, flipped, limit, deadline)
            if neighbour is not None and neighbour.objective < limit:
                best = neighbour
                break
        else:
            return best
    return None


def _flips(optimum: LinearRegionOptimum) -> list[Pattern]:
    """Neighbours that may be better: all helpful flips at once, then one by one."""
    largest = float(optimum.duals.max(initial=0.0))
    if largest <= 0.0:
        return []
    order = np.argsort(-optimum.duals, kind="stable")
    helpful = order[optimum.duals[order] > HELPFUL_DUAL * largest]
    groups = [helpful] if helpful.size > 1 else []
    groups += [helpful[i : i + 1] for i in range(helpful.size)]
    flat = np.concatenate(optimum.pattern)
    cuts = np.cumsum([values.size for values in optimum.pattern])[:-1]
    result: list[Pattern] = []
    for group in groups:
        flipped = flat.copy()
        flipped[group] = ~flipped[group]
        result.append(tuple(np.split(flipped, cuts)))
    return result


def _impossible(rows: LinearRegionRows) -> bool:
    """Whether a row of zeros (a neuron cut off from the inputs) asks for what cannot be."""
    silent = ~rows.matrix.any(axis=1)
    return bool((rows.rhs[silent] > 0.0).any())


def minimise_over_rows(
    rows: LinearRegionRows,
    rhs: FloatArray,
    task: Task,
    cutoff: float,
    start: FloatArray,
    deadline: Deadline,
) -> tuple[FloatArray, FloatArray] | None:
    """Solve the linear region's program; the change and the duals of its rows, or None."""
    low, high = task.box.lower - task.image, task.box.upper - task.image
    norm, limits = task.norm, task.limits
    if limits is not None or norm.costs != SQUARES:
        from reluopt.attacks.linear_region_lp import nearest_change  # loads HiGHS and scipy

        return nearest_change(rows.matrix, rhs, low, high, norm, limits, deadline)
    delta, duals = np.empty(low.size), start.copy()
    # The cutoff is on the objective of the untightened problem: leave room for the tightening.
    limit, tilt = cutoff * (1.0 + IMPROVEMENT), task.distance.tilt
    steps = MAX_NEWTON_STEPS if rows.matrix.size < LARGE_ROWS else 1
    for _ in range(0, MAX_NEWTON_STEPS, steps):
        given = (rows.matrix, rhs, low, high, tilt, limit, ROW_TOLERANCE, steps)
        ended = nearest_point(*given, duals, delta)
        if ended != OPEN or deadline.passed:
            return (delta, duals) if ended == FOUND else None
    return None
