r"""Leaves: all neurons decided, so that what is left is a linear program.

Over a leaf the network is affine, :math:`a^k = A_k s + c_k`, and the phases are rows: a form of the
logits is minimised over the domain. Multipliers of its rows are the beta of :mod:`.certificate`,
which evaluates them with outward rounding. HiGHS is asked where those of our own simplex method are
not enough: in badly scaled networks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain as joined
from typing import TYPE_CHECKING

import highspy
import numpy as np

from reluopt.engines.branch_and_bound.dual.chain import Chain
from reluopt.engines.branch_and_bound.dual.domains import Domain
from reluopt.engines.branch_and_bound.dual.few_rows import few_rows, minimise
from reluopt.engines.branch_and_bound.l1.simplex import INFEASIBLE, OPTIMAL
from reluopt.numerics.arrays import FloatArray, FloatMatrix
from reluopt.numerics.linear_programs import ProgramBuilder, highs_model
from reluopt.numerics.quiet_highs import QuietHighs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reluopt.engines.branch_and_bound.dual.goals import Goal

TOLERANCE = 1e-9
"""HiGHS' tolerances; bounds do not rest on them."""


@dataclass(frozen=True, eq=False)
class Trial:
    """What a linear program says of a leaf.

    Attributes:
        point: where the form is least, shape ``(inputs,)``, or None.
        multipliers: of all hidden neurons, to be tried.
        mixture: of conditions.
    """

    point: FloatArray | None
    multipliers: FloatArray
    mixture: FloatArray


PENALTIES = (64.0, 4096.0, 1e6, 1e9)
"""What one unit of violation of every row costs, relative to the size of the form: the program is
always feasible then, and its multipliers outweigh the form where the rows contradict each other."""


def leaf_trials(chain: Chain, goal: Goal, form: int, phases: NDArray[np.int8]) -> Iterator[Trial]:
    """Solutions of a leaf's linear program, the next one found when the last has proven nothing."""
    matrix, constants, rows, edges, neurons = _affine(chain, phases)
    goal_row = goal.rows[form]
    cost = goal_row @ matrix
    conditions = goal.conditions
    level = abs(float(goal_row @ constants + goal.constants[form]))
    scale = max(float(np.abs(cost).sum()) + level, 1.0)
    own = np.zeros((0, cost.size)), np.zeros(0)
    if conditions is not None:
        own = conditions.matrix @ matrix, conditions.rhs - conditions.matrix @ constants
        scale = max(scale, float(np.abs(own[0]).sum(axis=1).max(initial=0.0)))
    program = chain.domain, cost, rows, edges, own
    for duals, point in joined(_by_simplex(*program), _by_highs(*program, scale)):
        multipliers = np.zeros(phases.size)
        multipliers[neurons] = duals[: neurons.size]
        yield Trial(point, multipliers, duals[edges.size :])


def _affine(
    chain: Chain, phases: NDArray[np.int8]
) -> tuple[FloatMatrix, FloatArray, FloatMatrix, FloatArray, NDArray[np.intp]]:
    """Logits ``matrix @ s + constants``; rows ``rows @ s >= edges``, and of which neurons.

    The last row of a simplex is its budget.
    """
    rows: list[FloatMatrix] = [np.zeros((0, chain.domain.columns))]
    edges: list[FloatArray] = [np.zeros(0)]
    names: list[NDArray[np.intp]] = [np.zeros(0, dtype=np.intp)]
    matrix, constants = chain.layers[0].weight, chain.layers[0].bias
    for k, layer in enumerate(chain.layers[1:]):
        start, below = chain.starts[k], chain.layers[k]
        own = phases[start : start + below.bias.size]
        asked = np.flatnonzero((below.lower < 0.0) & (own != 0))
        sign = own[asked].astype(np.float64)
        rows.append(sign[:, None] * matrix[asked])
        edges.append(-sign * constants[asked])
        names.append(start + asked)
        active = np.flatnonzero(own > 0)
        weight = layer.weight[:, active]
        constants = weight @ constants[active] + layer.bias
        matrix = weight @ matrix[active]
    if not chain.domain.is_box:
        rows.append(-np.ones((1, chain.domain.columns)))
        edges.append(-np.ones(1))
    return matrix, constants, np.concatenate(rows), np.concatenate(edges), np.concatenate(names)


def _by_simplex(
    domain: Domain,
    cost: FloatArray,
    rows: FloatMatrix,
    edges: FloatArray,
    conditions: tuple[FloatMatrix, FloatArray],
) -> Iterator[tuple[FloatArray, FloatArray | None]]:
    """Multipliers to be tried (those of conditions last) and the point; none where it fails."""
    count, size = conditions[1].size, cost.size
    most = float((np.abs(conditions[0]).sum(axis=1) + np.abs(conditions[1])).max(initial=0.0)) + 1.0
    free = int(count > 0)  # the largest miss of a condition, where there are some
    matrix = np.zeros((edges.size + count, size + free))
    matrix[: edges.size, :size], matrix[edges.size :, :size] = rows, conditions[0]
    matrix[edges.size :, size:] = 1.0
    lengths = np.sqrt(np.einsum("ij,ij->i", matrix, matrix))
    lengths[lengths == 0.0] = 1.0
    low, high = (
        np.append(domain.low, np.full(free, -most)),
        np.append(domain.high, np.full(free, most)),
    )
    price = np.append(cost, np.ones(free))
    unit = float(np.abs(price).max(initial=0.0)) or 1.0
    sides = np.concatenate([edges, conditions[1]])
    matrix /= lengths[:, None]
    lp, state, work = few_rows(matrix, sides / lengths, low, high, price / unit)
    code = minimise(lp, state, work)
    duals = np.maximum(work.y, 0.0) * (unit / lengths)
    if code == OPTIMAL:
        yield duals, np.clip(state.value[:size], domain.low, domain.high)
    elif code == INFEASIBLE:
        ray = np.maximum(work.ray, 0.0) / lengths
        for penalty in PENALTIES:
            yield duals + penalty * unit * size * ray, None


def _by_highs(
    domain: Domain,
    cost: FloatArray,
    rows: FloatMatrix,
    edges: FloatArray,
    conditions: tuple[FloatMatrix, FloatArray],
    scale: float,
) -> Iterator[tuple[FloatArray, FloatArray | None]]:
    """The same, at rising penalties until there is a point."""
    for penalty in PENALTIES:
        solved = _solve(domain, cost, rows, edges, conditions, penalty * scale)
        if solved is None:
            return
        point, violation, duals = solved
        if violation <= 1e-7:
            yield duals, np.clip(point, domain.low, domain.high)
            return
        yield duals, None


def _solve(
    domain: Domain,
    cost: FloatArray,
    rows: FloatMatrix,
    edges: FloatArray,
    conditions: tuple[FloatMatrix, FloatArray],
    penalty: float,
) -> tuple[FloatArray, float, FloatArray] | None:
    """Point, violation and multipliers (those of conditions last); None where HiGHS fails."""
    builder = ProgramBuilder()
    size = cost.size
    columns = builder.add_variables(domain.low, domain.high, cost=cost)
    miss = builder.add_variables([0.0], [np.inf], cost=penalty)
    builder.add_rows([(rows, columns), (np.ones((edges.size, 1)), miss)], edges, np.inf)
    if conditions[1].size:
        top = builder.add_variables([-np.inf], [np.inf], cost=1.0)
        ones = np.ones((conditions[1].size, 1))
        builder.add_rows([(conditions[0], columns), (ones, top)], conditions[1], np.inf)
    solver = QuietHighs()
    solver.setOptionValue("threads", 1)
    solver.setOptionValue("presolve", "off")
    solver.setOptionValue("primal_feasibility_tolerance", TOLERANCE)
    solver.setOptionValue("dual_feasibility_tolerance", TOLERANCE)
    solver.passModel(highs_model(builder.build()))
    solver.run()
    if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        return None
    solution = solver.getSolution()
    values = np.array(solution.col_value)
    return values[:size], float(values[size]), np.maximum(np.array(solution.row_dual), 0.0)
