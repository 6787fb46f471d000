r"""The linear program of a root: units above their pieces, neurons above them in triangles.

Variables are the changes p, the first units x, and for every layer above the pre-activations z
and, of hidden ones, the post-activations. Rows are

* :math:`\sum p \le r`, where r is finite,
* :math:`x - w_q p \ge a_q` for every piece that may lead, an equality where it leads,
* :math:`z - W x = b`, and the triangle of a neuron,
* the conditions of every alternative, which hold nothing until one is chosen: met, where the sum
  of changes is limited, and is what is minimised; missed by no more than a slack, else, which is
  maximised.

Coefficients are those of the network, and what is rounded in a limit widens it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reluopt.engines.branch_and_bound.corners.tables import dense
from reluopt.engines.branch_and_bound.corners.units import Units
from reluopt.engines.branch_and_bound.envelopes.patches import Changes, Patch
from reluopt.networks.flattening import flatten
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray, IntArray
from reluopt.numerics.linear_programs import Program, ProgramBuilder
from reluopt.numerics.propagate import tighten_intervals
from reluopt.numerics.rounding import chord
from reluopt.questions.input_sets import Box, InputSet
from reluopt.questions.tasks import Alternative


@dataclass(frozen=True, eq=False)
class Places:
    """A program and where everything stands in it.

    Attributes:
        program: without planes and with no alternative chosen; its cost is the distance, or the
            negative of the slack.
        p, units: columns of changes and of first units.
        pieces: rows of each unit's pieces.
        conditions: rows of each alternative.
        budget: row of the sum of changes; none where there is no limit.
        z, x: columns of the hidden neurons above, before and behind the ReLU, layer after layer.
        rises, chords: rows ``x >= z`` of these, and those of their lines above.
        logits: columns.
    """

    program: Program
    p: IntArray
    units: IntArray
    pieces: list[IntArray]
    conditions: list[IntArray]
    budget: IntArray
    z: IntArray
    x: IntArray
    rises: IntArray
    chords: IntArray
    logits: IntArray


def lay_out(
    changes: Changes,
    patches: Sequence[Patch],
    layers: Sequence[Units],
    bounds: tuple[FloatArray, FloatArray],
    alternatives: Sequence[Alternative],
) -> Places:
    """The program over a set.

    Args:
        changes: the set.
        patches: the first units over it.
        layers: what stands above, the logits last.
        bounds: of the neurons of these.
        alternatives: what is asked.
    """
    builder = ProgramBuilder()
    together = changes.radius < np.inf
    p = builder.add_variables(np.zeros(changes.rooms.size), changes.rooms, cost=float(together))
    ends = np.array([(patch.lower, patch.upper) for patch in patches]).reshape(-1, 2)
    first = builder.add_variables(ends[:, 0], ends[:, 1])
    budget = np.arange(builder.rows, builder.rows + together)
    if together:
        builder.add_rows([(np.ones((1, p.size)), p)], -np.inf, changes.radius)
    pieces = [_add_pieces(builder, patch, first[[i]], p) for i, patch in enumerate(patches)]
    above = _add_layers(builder, layers, bounds, first)
    logits = above[-1]
    reach = float(np.abs(np.array(bounds)[:, -logits.size :]).max(initial=0.0))
    slack = np.zeros(0, dtype=np.intp) if together else _add_slack(builder, alternatives, reach)
    conditions = []
    for each in alternatives:
        count = each.conditions.rhs.size
        conditions.append(np.arange(builder.rows, builder.rows + count))
        matrix = np.array(each.conditions.matrix)
        beside = -np.ones((count, slack.size))
        builder.add_rows([(matrix, logits), (beside, slack)], -np.inf, np.inf)
    program = builder.build()
    return Places(program, p, first, pieces, conditions, budget, *above)


def _add_slack(
    builder: ProgramBuilder, alternatives: Sequence[Alternative], reach: float
) -> IntArray:
    """A slack of the conditions, no smaller than it can be for logits up to some size."""
    most = 1.0
    for each in alternatives:
        sizes = np.abs(each.conditions.matrix).sum(axis=1) * reach + np.abs(each.conditions.rhs)
        most = max(most, 1.0 + 2.0 * float(sizes.max(initial=0.0)))
    return builder.add_variables(-most, most, cost=-1.0)


def narrowed(
    patches: Sequence[Patch], layers: Sequence[Units], lower: FloatArray, upper: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Bounds of the neurons above, by those given and by intervals of what they read."""
    ends = np.array([(patch.lower, patch.upper) for patch in patches]).reshape(-1, 2).T
    flat = flatten(ReLUNetwork(tuple(own.pieces for own in layers)))
    lower, upper = lower.copy(), upper.copy()
    tighten_intervals(flat, InputSet(Box(*ends)).flat(flat), lower, upper)
    return lower, upper


def _add_pieces(builder: ProgramBuilder, patch: Patch, x: IntArray, p: IntArray) -> IntArray:
    """Rows of a unit's pieces."""
    count, constants = patch.constants.size, patch.constants
    rows = np.arange(builder.rows, builder.rows + count)
    tops = constants + patch.error if count == 1 else np.full(count, np.inf)
    lows, ones = constants - patch.error, np.ones((count, 1))
    builder.add_rows([(ones, x), (-patch.weights, p[patch.columns])], lows, tops)
    return rows


def _add_layers(
    builder: ProgramBuilder,
    layers: Sequence[Units],
    bounds: tuple[FloatArray, FloatArray],
    inputs: IntArray,
) -> tuple[IntArray, ...]:
    """What stands above the first units: z, x, rises, chords of a layout, and its logits."""
    parts: list[tuple[IntArray, ...]] = [(np.zeros(0, dtype=np.intp),) * 4]
    first = 0
    for own in layers:
        count, bias = own.pieces.output_size, np.asarray(own.pieces.bias)
        low, high = (end[first : first + count] for end in bounds)
        first += count
        z = builder.add_variables(low, high)
        builder.add_rows([(np.eye(count), z), (-dense(own.pieces.weight), inputs)], bias, bias)
        if not own.rectified:
            break
        x = builder.add_variables(np.maximum(low, 0.0), np.maximum(high, 0.0))
        rises, eye = np.arange(builder.rows, builder.rows + count), np.eye(count)
        tops = np.where(low >= 0.0, 0.0, np.inf)
        builder.add_rows([(eye, x), (-eye, z)], 0.0, tops)
        open_ = (low < 0.0) & (high > 0.0)
        ends = zip(low, high, open_, strict=True)
        lines = [chord(a, b) if undecided else (1.0, np.inf) for a, b, undecided in ends]
        slopes, offsets = np.array(lines).reshape(-1, 2).T
        chords = np.arange(builder.rows, builder.rows + count)
        builder.add_rows([(eye, x), (-np.diag(slopes), z)], -np.inf, offsets)
        parts.append((z, x, rises, chords))
        inputs = x
    return *(np.concatenate(own) for own in zip(*parts, strict=True)), z
