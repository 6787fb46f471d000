"""Optima of small networks by brute force: every activation pattern, each by a general solver."""

import itertools
import math

import numpy as np
from scipy.optimize import linprog

from reluopt.questions.problems import Norm

TIGHT = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}
"""HiGHS' tolerances where programs build on each other."""

STALL = 50
"""Tangents that do not raise a least cost, which many points have then."""


def region_rows(network, task, conditions, pattern):
    """Rows ``matrix @ delta >= rhs``: the change stays in the linear region and does what is asked.

    Written down apart from the package's own, from the region's affine map.
    """
    maps = network.region_map(pattern)
    rows, rhs = [], []
    for (slope, offset), active in zip(maps[:-1], pattern, strict=True):
        sign = np.where(active, 1.0, -1.0)
        rows.append(sign[:, None] * slope)
        rhs.append(-sign * offset)
    slope, offset = maps[-1]
    rows.append(conditions.matrix @ slope)
    rhs.append(conditions.rhs - conditions.matrix @ offset)
    matrix = np.vstack(rows)
    return matrix, np.concatenate(rhs) - matrix @ task.image


def split_rooms(task):
    """How far each input may go up, and then how far down."""
    return np.concatenate([task.box.upper - task.image, task.image - task.box.lower])


def l1_optimum(task, matrix, rhs):
    """The smallest L1 change within one linear region."""
    rooms = np.maximum(split_rooms(task), 0.0)
    result = linprog(
        np.ones(rooms.size),
        A_ub=np.hstack([-matrix, matrix]),
        b_ub=-rhs,
        bounds=np.stack([np.zeros(rooms.size), rooms], axis=1),
        method="highs",
    )
    return result.fun if result.status == 0 else math.inf


def enumerate_patterns(network, task, optimum):
    """The least ``optimum(task, matrix, rhs)`` over all activation patterns and alternatives."""
    hidden = network.hidden_sizes
    cuts = np.cumsum(hidden)[:-1]
    best = math.inf
    for bits in itertools.product((False, True), repeat=sum(hidden)):
        pattern = np.split(np.array(bits, dtype=bool), cuts) if hidden else []
        for alternative in task.alternatives:
            rows = region_rows(network, task, alternative.conditions, pattern)
            best = min(best, optimum(task, *rows))
    return best


def largest_value(network, task):
    """The largest slack or form of the logits over a task's box or ball of L1, L2 or Linf.

    Each linear region with each alternative is a linear program of parts p, n and a slack t; an L2
    ball is cut out of the others by tangents.
    """
    hidden, center, size = network.hidden_sizes, task.inputs.center, network.input_size
    cuts, best = np.cumsum(hidden)[:-1], -math.inf
    low, high = task.box.lower - center, task.box.upper - center
    if task.inputs.ball_norm is Norm.LINF:
        low, high = np.maximum(low, -task.inputs.radius), np.minimum(high, task.inputs.radius)
    bounds = [*((0, room) for room in (*high, *-low)), (None, None)]
    ball = np.append(np.ones(2 * size), 0.0)[None]
    radius = task.inputs.radius if task.inputs.ball_norm is Norm.L1 else 1e9
    for bits in itertools.product((False, True), repeat=sum(hidden)):
        pattern = np.split(np.array(bits, dtype=bool), cuts) if hidden else []
        maps = network.region_map(pattern)
        slope, offset = maps[-1]
        for alternative in task.alternatives or (None,):
            rows, rhs, slacks = [], [], []
            for (gain, shift), active in zip(maps[:-1], pattern, strict=True):
                sign = np.where(active, 1.0, -1.0)
                rows.append(sign[:, None] * gain)
                rhs.append(-sign * (shift + gain @ center))
                slacks.append(np.zeros(sign.size))
            cost = np.zeros(2 * size + 1)
            if task.maximises_slack:
                cost[-1], constant = -1.0, 0.0
            else:
                form = sum(w * np.eye(network.output_size)[k] for k, w in task.objective.terms)
                cost[: 2 * size] = -np.concatenate([form @ slope, -(form @ slope)])
                constant = form @ (offset + slope @ center)
            if alternative is not None:
                matrix, side = alternative.conditions.matrix, alternative.conditions.rhs
                rows.append(matrix @ slope)
                rhs.append(side - matrix @ (offset + slope @ center))
                slacks.append(np.full(side.size, 1.0 if task.maximises_slack else 0.0))
            if not task.maximises_slack:
                slacks = [np.zeros_like(each) for each in slacks]
            gains = np.vstack(rows) if rows else np.zeros((0, size))
            column = np.concatenate(slacks)[:, None] if slacks else np.zeros((0, 1))
            limits = np.concatenate(rhs) if rhs else np.zeros(0)
            given = np.vstack([np.hstack([-gains, gains, column]), ball])
            round_ = task.inputs.radius if task.inputs.ball_norm is Norm.L2 else math.inf
            sides = np.append(-limits, radius)
            best = max(best, constant - _least(cost, given, sides, bounds, round_, constant - best))
    return best


def _least(cost, rows, sides, bounds, radius, enough):
    """The least cost of parts whose difference is no longer than ``radius`` in L2, if any is.

    Or ``enough``, if it is not below that.
    """
    costs = []
    for _ in range(200):
        result = linprog(cost, A_ub=rows, b_ub=sides, bounds=bounds, options=TIGHT)
        if result.status != 0:
            return math.inf
        parts = result.x[:-1].reshape(2, -1)
        change = parts[0] - parts[1]
        length = float(np.sqrt(change @ change))
        costs.append(result.fun)
        settled = len(costs) > STALL and costs[-1] - costs[-STALL] <= 1e-13
        if settled or length <= radius * (1.0 + 1e-8) or result.fun >= enough:
            return result.fun
        tangent = change / length
        rows = np.vstack([rows, np.concatenate([tangent, -tangent, [0.0]])])
        sides = np.append(sides, radius)
    raise AssertionError("tangents did not close in on the ball")
