r"""Planes above a unit that touch its concave envelope over the set, at some point.

The envelope of the largest of the forms :math:`a_q + w_q p` over
:math:`D = \{0 \le p \le u, \sum p \le r\}` is, at p (Balas 1985, Disjunctive programming and a
hierarchy of relaxations; for ReLUs over boxes Anderson et al. 2020, Strong mixed-integer
programming formulations for trained neural networks, section 3),

.. math:: \max \sum_q a_q \lambda_q + w_q y_q \quad\text{s.t.}\quad \sum_q y_q = p,\
          \sum_q \lambda_q = 1,\ 0 \le y_q \le \lambda_q u,\ \sum_i y_{qi} \le r \lambda_q .

With g the multipliers of :math:`\sum_q y_q = p`, the plane :math:`g p + h`,
:math:`h = \max_q a_q + \max_{p' \in D} (w_q - g) p'`, is above the unit, and touches the envelope
at p. Any g gives a valid plane: h is evaluated with outward rounding. Changes at an end of their
room are eliminated, so that programs are small; those of all units are solved together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reluopt.engines.branch_and_bound.envelopes.patches import Changes, Patch
from reluopt.numerics.arrays import BoolArray, FloatArray, FloatMatrix, IntArray
from reluopt.numerics.linear_programs import highs_lp
from reluopt.numerics.quiet_highs import QuietHighs

AT_END = 1e-9
"""How near an end of its room, relative to that, a change is taken to be there."""


@dataclass(frozen=True, eq=False)
class _Part:
    """What one unit brings to the program.

    Attributes:
        between, low: which of its changes are at no end, and which at the lower one.
        cost, tops: of its variables: shares of pieces, then what each takes of ``between``.
        rows, columns, values: entries, of its own rows and variables.
        limits: of its rows (budgets of pieces, the sum, changes between, rooms), ``(2, rows)``.
    """

    between: IntArray
    low: BoolArray
    cost: FloatArray
    tops: FloatArray
    rows: IntArray
    columns: IntArray
    values: FloatArray
    limits: FloatMatrix


def planes_at(
    changes: Changes,
    patches: Sequence[tuple[Patch, IntArray]],
    point: FloatArray,
    seconds: float,
) -> list[FloatArray]:
    """Planes of some units, each with the pieces that may lead, at a point.

    Args:
        changes: the set.
        patches: units and pieces.
        point: how far each change goes, shape ``(P,)``.
        seconds: how many that may take; planes are valid, and worse, where it is not enough.
    """
    parts = [_part(changes, patch, pieces, point) for patch, pieces in patches]
    firsts = np.cumsum([0, *(part.limits.shape[1] for part in parts)])
    duals = _multipliers(parts, firsts, seconds)
    return [
        _plane(patch.weights[pieces], part, duals[first : first + part.limits.shape[1]])
        for (patch, pieces), part, first in zip(patches, parts, firsts[:-1], strict=True)
    ]


def _plane(weights: FloatMatrix, part: _Part, duals: FloatArray) -> FloatArray:
    """The coefficients that multipliers, of a program that is minimised, stand for."""
    count = len(weights)
    if part.between.size:
        weights = weights - np.maximum(-duals[:count], 0.0)[:, None]
    plane: FloatArray = np.where(part.low, weights.max(axis=0), weights.min(axis=0))
    plane[part.between] = -duals[count + 1 : count + 1 + part.between.size]
    return plane


def _part(changes: Changes, patch: Patch, pieces: IntArray, point: FloatArray) -> _Part:
    """Variables and rows of one unit; none where all of its changes are at an end."""
    own, rooms = point[patch.columns], changes.rooms[patch.columns]
    low, high = own <= AT_END * rooms, own >= (1.0 - AT_END) * rooms
    between = np.flatnonzero(~(low | high))
    count, size = pieces.size, between.size
    if size == 0:
        none, no_rows = np.zeros(0), np.zeros(0, dtype=np.int64)
        return _Part(between, low, none, none, no_rows, no_rows, none, np.zeros((2, 0)))
    weights, full = patch.weights[pieces], np.where(high, rooms, 0.0)
    shares, moves = np.arange(count), count + np.arange(count * size)
    owners, pixels = np.repeat(shares, size), np.tile(np.arange(size), count)
    tops, ends = rooms[between][pixels], count + 1 + size + np.arange(count * size)
    left = float(full.sum()) - changes.radius if changes.radius < np.inf else -1.0
    budgets, ones = np.full(count, left), np.ones(count * size)
    taken = ones if changes.radius < np.inf else 0.0 * ones
    limits = np.zeros((2, count + 1 + size + count * size))
    limits[0, :count] = limits[0, count + 1 + size :] = -np.inf
    limits[:, count] = 1.0
    limits[:, count + 1 : count + 1 + size] = own[between]
    sums = np.full(count, count)
    return _Part(
        between,
        low,
        -np.append(patch.constants[pieces] + weights @ full, weights[:, between].ravel()),
        np.append(np.ones(count), tops),
        np.concatenate([owners, shares, sums, count + 1 + pixels, ends, ends]),
        np.concatenate([moves, shares, shares, moves, moves, owners]),
        np.concatenate([taken, budgets, np.ones(count), ones, ones, -tops]),
        limits,
    )


def _multipliers(parts: Sequence[_Part], firsts: IntArray, seconds: float) -> FloatArray:
    """Those of all rows; zeros where the program is not solved."""
    import scipy.sparse as sp

    cost = np.concatenate([np.zeros(0), *(part.cost for part in parts)])
    if cost.size == 0:
        return cost
    columns = np.cumsum([0, *(part.cost.size for part in parts)])
    places = zip(parts, firsts[:-1], columns[:-1], strict=True)
    moved = [(part.rows + row, part.columns + column) for part, row, column in places]
    where = tuple(np.concatenate(own) for own in zip(*moved, strict=True))
    values = np.concatenate([part.values for part in parts])
    matrix = sp.csr_array((values, where), shape=(int(firsts[-1]), cost.size))
    lower, upper = np.concatenate([part.limits for part in parts], axis=1)
    tops = np.concatenate([part.tops for part in parts])
    solver = QuietHighs()
    solver.setOptionValue("threads", 1)
    solver.limit(seconds)
    solver.passModel(highs_lp(matrix, (lower, upper), (np.zeros(cost.size), tops), cost))
    solver.run()
    duals = np.asarray(solver.getSolution().row_dual)
    known = duals.size == lower.size and np.isfinite(duals).all()
    return duals if known else np.zeros(lower.size)
