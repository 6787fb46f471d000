"""Builds the linear program of one alternative and moves it to the bounds of a node."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from reluopt.engines.branch_and_bound.frame import Frame
from reluopt.engines.branch_and_bound.l1.ball import BallRows
from reluopt.engines.branch_and_bound.l1.program import Program
from reluopt.numerics.arrays import FloatArray, FloatMatrix, IntArray
from reluopt.numerics.jit import kernel
from reluopt.numerics.propagate import layer_magnitudes
from reluopt.questions.problems import LogitConditions

THIN = 1e-7
"""Narrowest side of a triangle in the program. Thinner ones would need coefficients beyond 1e3;
widening them keeps the relaxation valid, and the safe bound uses the exact sides."""

DEEP = 2
"""Hidden layers from this one on need triangles beside ball rows, which are weaker there."""

SAME_TRIANGLE = 1e-3
"""Relative change of a triangle's sides that is not worth a new factorisation."""


class Layout(NamedTuple):
    """Where neurons and pixels of the network stand in the program.

    Attributes:
        kept: hidden neuron (in the network) of each neuron of the program, shape ``(H,)``.
        pixel: input of each pixel column, shape ``(P,)``.
        sign: +1 for a column that raises its pixel, -1 for one that lowers it, shape ``(P,)``.
        reach: bound on ``|a|`` over the whole box of each neuron of the program, shape ``(H,)``.
        sides: triangle sides ``(U, -L)`` now in the program, shape ``(2, H)``.
    """

    kept: IntArray
    pixel: IntArray
    sign: FloatArray
    reach: FloatArray
    sides: FloatMatrix


def build(
    frame: Frame,
    conditions: LogitConditions,
    lower: FloatArray,
    upper: FloatArray,
    balls: BallRows,
) -> tuple[Program, Layout]:
    """The program for root bounds ``lower``, ``upper`` of all hidden neurons.

    Neurons with ``upper <= 0`` are left out. Undecided ones get a triangle, except those of the
    first :data:`DEEP` layers that have a ball row.
    """
    network, sizes = frame.network, frame.network.hidden_sizes
    kept = np.flatnonzero(upper > 0.0).astype(np.int64)
    starts = np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)
    layers = np.searchsorted(kept, starts).astype(np.int64)
    hidden, q, extra = kept.size, conditions.rhs.size, balls.neurons.size
    first_condition = hidden + extra
    row = np.arange(hidden, dtype=np.int64)
    row[row >= layers[min(1, len(sizes))]] += extra
    ball = np.full(hidden, -1, dtype=np.int64)
    ball[np.searchsorted(kept, balls.neurons)] = layers[min(1, len(sizes))] + np.arange(extra)
    # In two layers the triangle hardly ever binds beside a ball row, and rows are what costs time.
    deep = kept >= starts[min(DEEP, len(sizes))]
    unstable = np.flatnonzero((lower[kept] < 0.0) & ((ball < 0) | deep))
    triangle = np.full(hidden, -1, dtype=np.int64)
    triangle[unstable] = first_condition + q + np.arange(unstable.size)

    rhs = np.zeros(first_condition + q + unstable.size)
    rhs[row] = np.concatenate([layer.bias for layer in network.affine_layers[:-1]] or [rhs[:0]])[
        kept
    ]
    rhs[ball[ball >= 0]] = balls.offset
    last = network.affine_layers[-1]
    rhs[first_condition : first_condition + q] = conditions.rhs - conditions.matrix @ last.bias
    block, above = _upper_layers(frame, conditions, kept, starts, layers, first_condition, extra)

    image = frame.inputs.center
    if sizes:
        first = -network.affine_layers[0].weight[kept[: layers[1]]]  # (n_1, n_0)
        dense = layers[1] + extra
    else:
        first, dense = conditions.matrix @ last.weight, q
    rhs[: first.shape[0]] -= first @ image
    useful = first.any(axis=0)
    rises = np.flatnonzero((frame.inputs.high > 0.0) & useful)
    falls = np.flatnonzero((frame.inputs.low < 0.0) & useful)
    pixel = np.concatenate([rises, falls]).astype(np.int64)
    sign = np.concatenate([np.ones(rises.size), -np.ones(falls.size)])
    pixels = np.zeros((pixel.size, dense))
    pixels[:, : first.shape[0]] = first[:, pixel].T * sign[:, None]
    if extra:
        pixels[: rises.size, layers[1] :] = -balls.rise.reshape(extra, -1)[:, rises].T
        pixels[rises.size :, layers[1] :] = -balls.fall.reshape(extra, -1)[:, falls].T

    first_logical = 2 * hidden + pixel.size
    columns = first_logical + rhs.size
    cost, low, high = np.zeros(columns), np.zeros(columns), np.zeros(columns)
    cost[2 * hidden : first_logical] = 1.0
    room = np.concatenate([frame.inputs.high[rises], -frame.inputs.low[falls]])
    high[2 * hidden : first_logical] = room
    reach = np.empty(frame.flat.biases.size)
    _magnitudes_over_box(frame, reach)
    logits = reach[frame.flat.neuron_offsets[-2] :]
    largest = np.abs(conditions.matrix) @ logits + np.abs(conditions.rhs)
    logical = first_logical + first_condition
    low[logical : logical + q] = -(2.0 * largest + 1.0)
    high[first_logical + ball[ball >= 0]] = balls.offset + balls.largest * room.sum() + 1.0
    program = Program(
        pixels=pixels,
        block=block,
        layers=layers if sizes else np.zeros(1, dtype=np.int64),
        above=above,
        row=row,
        ball=ball,
        triangle=triangle,
        slopes=np.zeros((2, hidden)),
        rhs=rhs,
        cost=cost,
        lower=low,
        upper=high,
        listed=np.concatenate(
            [
                np.arange(2 * hidden),
                np.arange(first_logical, columns),
                np.arange(2 * hidden, first_logical),
            ]
        ).astype(np.int64),
        listed_count=np.array([columns], dtype=np.int64),
    )
    layout = Layout(kept, pixel, sign, 2.0 * reach[kept] + 1.0, np.zeros((2, hidden)))
    return program, layout


def _upper_layers(
    frame: Frame,
    conditions: LogitConditions,
    kept: IntArray,
    starts: IntArray,
    layers: IntArray,
    first_condition: int,
    extra: int,
) -> tuple[FloatArray, IntArray]:
    """Coefficients of ``x`` in the rows above, and where those rows are; see :class:`Program`."""
    weights = [layer.weight for layer in frame.network.affine_layers]
    depth = len(weights) - 1
    widths = [int(layers[k + 1] - layers[k]) for k in range(1, depth)] + [conditions.rhs.size]
    first_rows = [int(layers[k]) + extra for k in range(1, depth)] + [first_condition]
    above = np.array([first_rows[:depth], widths[:depth]], dtype=np.int64).reshape(2, depth)
    block = np.zeros((kept.size, max(widths[:depth], default=0)))
    for k in range(depth):
        local = kept[layers[k] : layers[k + 1]] - starts[k]
        if k + 1 < depth:
            others = kept[layers[k + 1] : layers[k + 2]] - starts[k + 1]
            part = -weights[k + 1][np.ix_(others, local)]
        else:
            part = conditions.matrix @ weights[-1][:, local]
        block[layers[k] : layers[k + 1], : widths[k]] = part.T
    return block, above


def _magnitudes_over_box(frame: Frame, reach: FloatArray) -> None:
    """Bounds on ``|a|`` of all neurons over the whole box."""
    for layer in range(frame.flat.weight_offsets.size):
        layer_magnitudes(frame.flat, frame.inputs, reach, layer, reach)


@kernel
def load_bounds(
    lp: Program,
    layout: Layout,
    lower: FloatArray,
    upper: FloatArray,
) -> None:
    """Move the program to a node's bounds; states need :func:`simplex.refresh` afterwards.

    Args:
        lp: the program, whose bounds and triangles are rewritten.
        layout: where the neurons stand.
        lower: the node's lower bounds of all hidden neurons of the network.
        upper: the upper ones.
    """
    hidden = layout.kept.size
    first_logical = 2 * hidden + layout.pixel.size
    for i in range(hidden):
        h = layout.kept[i]
        low, high = lower[h], upper[h]
        set_sides(lp, i, low, high)
        row = lp.triangle[i]
        if row < 0 or low >= 0.0 or high <= 0.0:
            continue
        width, depth = max(high, THIN), max(-low, THIN)
        moved = max(
            abs(width - layout.sides[0, i]) / width, abs(depth - layout.sides[1, i]) / depth
        )
        # A looser triangle must be written; a slightly tighter one may wait.
        looser = width > layout.sides[0, i] or depth > layout.sides[1, i]
        if moved <= SAME_TRIANGLE and not looser:
            continue
        layout.sides[0, i], layout.sides[1, i] = width, depth
        lp.slopes[0, i], lp.slopes[1, i] = np.sqrt(depth / width), np.sqrt(width / depth)
        lp.rhs[row] = np.sqrt(width * depth)
        lp.upper[first_logical + row] = lp.rhs[row]


@kernel
def set_sides(lp: Program, i: int, low: float, high: float) -> None:
    """Bounds of ``x_i`` and ``s_i`` for pre-activations between ``low`` and ``high``."""
    s = lp.triangle.size + i
    if low >= 0.0:
        lp.lower[i], lp.upper[i] = low, max(low, high)
        lp.lower[s], lp.upper[s] = 0.0, 0.0
    elif high <= 0.0:
        lp.lower[i], lp.upper[i] = 0.0, 0.0
        lp.lower[s], lp.upper[s] = -high, max(-high, -low)
    else:
        lp.lower[i], lp.upper[i] = 0.0, high
        lp.lower[s], lp.upper[s] = 0.0, -low
