"""Optima of small networks by brute force: every activation pattern, each by a general solver."""

import itertools
import math

import numpy as np
from scipy.optimize import linprog


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
