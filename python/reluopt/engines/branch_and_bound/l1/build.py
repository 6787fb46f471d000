"""Builds the linear program of one alternative and moves it to the bounds of a node."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from reluopt.engines.branch_and_bound.frame import Frame
from reluopt.engines.branch_and_bound.l1.ball import BallRows
from reluopt.engines.branch_and_bound.l1.program import LinearProgram
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


class _RowLayout(NamedTuple):
    """Which row is whose.

    Attributes:
        kept: see :class:`Layout`.
        starts: first hidden neuron of each layer of the network, and their number.
        layers: the same among the kept ones.
        neuron, ball, triangle: rows of each kept neuron; -1 where it has none.
        first_condition, total: first row of the conditions, and number of rows.
    """

    kept: IntArray
    starts: IntArray
    layers: IntArray
    neuron: IntArray
    ball: IntArray
    triangle: IntArray
    first_condition: int
    total: int


def build(
    frame: Frame, conditions: LogitConditions, lower: FloatArray, upper: FloatArray, balls: BallRows
) -> tuple[LinearProgram, Layout]:
    """The program for root bounds of all hidden neurons.

    Neurons with ``upper <= 0`` are left out. Undecided ones get a triangle, except those of the
    first :data:`DEEP` layers that have a ball row.
    """
    rows = _lay_out_rows(frame, conditions, lower, upper, balls)
    block, above = _upper_layers(frame, conditions, rows, balls.neurons.size)
    pixel, sign, pixels, rhs = _pixel_columns(frame, conditions, rows, balls)
    hidden, reach = rows.kept.size, _reach(frame)
    layout = Layout(rows.kept, pixel, sign, 2.0 * reach[rows.kept] + 1.0, np.zeros((2, hidden)))
    first_pixel, first_logical = 2 * hidden, 2 * hidden + pixel.size
    columns = np.arange(first_logical + rows.total, dtype=np.int64)
    of_neurons, of_pixels, logicals = np.split(columns, [first_pixel, first_logical])
    cost, low, high = (np.zeros(columns.size) for _ in range(3))
    cost[of_pixels] = 1.0
    high[of_pixels] = room = np.where(
        sign > 0.0, frame.inputs.high[pixel], -frame.inputs.low[pixel]
    )
    # Logicals of conditions and of ball rows: what they can reach, and some more.
    largest = np.abs(conditions.matrix) @ reach[frame.hidden :] + np.abs(conditions.rhs)
    low[logicals[rows.first_condition :][: largest.size]] = -(2.0 * largest + 1.0)
    of_balls = logicals[rows.ball[rows.ball >= 0]]
    high[of_balls] = balls.offset + balls.largest * room.sum() + 1.0
    return LinearProgram(
        first_s=hidden,
        first_pixel=first_pixel,
        first_logical=first_logical,
        pixels=pixels,
        block=block,
        layers=rows.layers if frame.hidden else np.zeros(1, dtype=np.int64),
        above=above,
        row=rows.neuron,
        ball=rows.ball,
        triangle=rows.triangle,
        slopes=np.zeros((2, hidden)),
        rhs=rhs,
        cost=cost,
        lower=low,
        upper=high,
        listed=np.concatenate([of_neurons, logicals, of_pixels]),
        listed_count=np.array([columns.size], dtype=np.int64),
        first_listed_pixel=first_pixel + rows.total,
    ), layout


def _reach(frame: Frame) -> FloatArray:
    """Bounds on ``|a|`` of all neurons over the whole box."""
    reach = np.empty(frame.flat.biases.size)
    for layer in range(frame.flat.weight_offsets.size):
        layer_magnitudes(frame.flat, frame.inputs, reach, layer, reach)
    return reach


def _lay_out_rows(
    frame: Frame, conditions: LogitConditions, lower: FloatArray, upper: FloatArray, balls: BallRows
) -> _RowLayout:
    """First layer, ball rows, other neurons, conditions, triangles."""
    sizes = frame.network.hidden_sizes
    kept = np.flatnonzero(upper > 0.0).astype(np.int64)
    starts = np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)
    layers = np.searchsorted(kept, starts).astype(np.int64)
    hidden, extra = kept.size, balls.neurons.size
    first_condition, first_ball = hidden + extra, int(layers[min(1, len(sizes))])
    neuron = np.arange(hidden, dtype=np.int64)
    neuron[neuron >= first_ball] += extra
    ball = np.full(hidden, -1, dtype=np.int64)
    ball[np.searchsorted(kept, balls.neurons)] = first_ball + np.arange(extra)
    # In two layers the triangle hardly ever binds beside a ball row, and rows are what costs time.
    deep = kept >= starts[min(DEEP, len(sizes))]
    unstable = np.flatnonzero((lower[kept] < 0.0) & ((ball < 0) | deep))
    triangle = np.full(hidden, -1, dtype=np.int64)
    first_triangle = first_condition + conditions.rhs.size
    triangle[unstable] = first_triangle + np.arange(unstable.size)
    total = first_triangle + unstable.size
    return _RowLayout(kept, starts, layers, neuron, ball, triangle, first_condition, total)


def _upper_layers(
    frame: Frame, conditions: LogitConditions, rows: _RowLayout, extra: int
) -> tuple[FloatArray, IntArray]:
    """``block`` and ``above`` of :class:`LinearProgram`; ``extra`` is the number of ball rows."""
    kept, starts, layers = rows.kept, rows.starts, rows.layers
    weights = [layer.weight for layer in frame.network.affine_layers]
    depth = len(weights) - 1
    widths = [int(layers[k + 1] - layers[k]) for k in range(1, depth)] + [conditions.rhs.size]
    first_rows = [int(layers[k]) + extra for k in range(1, depth)] + [rows.first_condition]
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


def _pixel_columns(
    frame: Frame, conditions: LogitConditions, rows: _RowLayout, balls: BallRows
) -> tuple[IntArray, FloatArray, FloatArray, FloatArray]:
    """``pixel`` and ``sign`` of :class:`Layout`, ``pixels`` and ``rhs`` of the program."""
    layers, last = frame.network.affine_layers, frame.network.affine_layers[-1]
    rhs, extra, q = np.zeros(rows.total), balls.neurons.size, conditions.rhs.size
    rhs[rows.neuron] = np.concatenate([layer.bias for layer in layers[:-1]] or [rhs[:0]])[rows.kept]
    rhs[rows.ball[rows.ball >= 0]] = balls.offset
    first_condition = rows.first_condition
    rhs[first_condition : first_condition + q] = conditions.rhs - conditions.matrix @ last.bias
    if frame.hidden:
        width = int(rows.layers[1])
        first, dense = -layers[0].weight[rows.kept[:width]], width + extra  # (n_1, n_0)
    else:
        first, dense, width = conditions.matrix @ last.weight, q, q
    rhs[:width] -= first @ frame.inputs.center
    useful = first.any(axis=0)
    rises = np.flatnonzero((frame.inputs.high > 0.0) & useful)
    falls = np.flatnonzero((frame.inputs.low < 0.0) & useful)
    pixel = np.concatenate([rises, falls]).astype(np.int64)
    sign = np.concatenate([np.ones(rises.size), -np.ones(falls.size)])
    pixels = np.zeros((pixel.size, dense))
    pixels[:, :width] = first[:, pixel].T * sign[:, None]
    if extra:
        pixels[: rises.size, width:] = -balls.rise.reshape(extra, -1)[:, rises].T
        pixels[rises.size :, width:] = -balls.fall.reshape(extra, -1)[:, falls].T
    return pixel, sign, pixels, rhs


@kernel
def load_bounds(lp: LinearProgram, layout: Layout, lower: FloatArray, upper: FloatArray) -> None:
    """Move the program to a node's bounds; states need :func:`basis.refresh` afterwards.

    Args:
        lp: the program, whose bounds and triangles are rewritten.
        layout: where the neurons stand.
        lower: the node's lower bounds of all hidden neurons of the network.
        upper: the upper ones.
    """
    for i in range(layout.kept.size):
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
        lp.upper[lp.first_logical + row] = lp.rhs[row]


@kernel
def set_sides(lp: LinearProgram, i: int, low: float, high: float) -> None:
    """Bounds of ``x_i`` and ``s_i`` for pre-activations between ``low`` and ``high``."""
    s = lp.first_s + i
    if low >= 0.0:
        lp.lower[i], lp.upper[i] = low, max(low, high)
        lp.lower[s], lp.upper[s] = 0.0, 0.0
    elif high <= 0.0:
        lp.lower[i], lp.upper[i] = 0.0, 0.0
        lp.lower[s], lp.upper[s] = -high, max(-high, -low)
    else:
        lp.lower[i], lp.upper[i] = 0.0, high
        lp.lower[s], lp.upper[s] = 0.0, -low
