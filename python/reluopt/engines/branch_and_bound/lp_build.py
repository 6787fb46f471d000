"""Builds the linear program of one alternative and moves it to the bounds of a node."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from reluopt.engines.branch_and_bound.lp_program import IntArray, Program
from reluopt.engines.branch_and_bound.relaxation import Frame
from reluopt.kernels.flat import FlatNetwork
from reluopt.kernels.jit import kernel
from reluopt.kernels.propagate import layer_magnitudes
from reluopt.network import FloatArray
from reluopt.problems import LogitConditions

THIN = 1e-7
"""Narrowest side of a triangle in the program. Thinner ones would need coefficients beyond 1e3;
widening them keeps the relaxation valid, and the safe bound uses the exact sides."""

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
    sides: FloatArray


def build(
    frame: Frame, conditions: LogitConditions, lower: FloatArray, upper: FloatArray
) -> tuple[Program, Layout]:
    """The program for root bounds ``lower``, ``upper`` of all hidden neurons.

    Neurons with ``upper <= 0`` are left out, those with ``lower >= 0`` get no triangle.
    """
    network, sizes = frame.network, frame.network.hidden_sizes
    kept_by_layer = np.split(np.flatnonzero(upper > 0.0), [])[0]
    starts = np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)
    layers = np.searchsorted(kept_by_layer, starts).astype(np.int64)
    kept = kept_by_layer.astype(np.int64)
    hidden, q = kept.size, conditions.rhs.size
    unstable = (lower[kept] < 0.0) if hidden else np.zeros(0, dtype=bool)
    triangle = np.full(hidden, -1, dtype=np.int64)
    triangle[unstable] = hidden + q + np.arange(np.count_nonzero(unstable))
    rows = hidden + q + int(np.count_nonzero(unstable))

    last = network.layers[-1]
    top = conditions.matrix @ last.weight  # (q, n_{K-1})
    rhs = np.zeros(rows)
    rhs[hidden : hidden + q] = conditions.rhs - conditions.matrix @ last.bias
    widths = [int(layers[k + 1] - layers[k]) for k in range(len(sizes))]
    above = np.array([*widths[1:], q], dtype=np.int64) if sizes else np.zeros(0, dtype=np.int64)
    block = np.zeros((hidden, int(above.max(initial=0))))
    for k in range(len(sizes)):
        local = kept[layers[k] : layers[k + 1]] - starts[k]
        rhs[layers[k] : layers[k + 1]] = network.layers[k].bias[local]
        if k + 1 < len(sizes):
            upper_local = kept[layers[k + 1] : layers[k + 2]] - starts[k + 1]
            part = -network.layers[k + 1].weight[np.ix_(upper_local, local)]
        else:
            part = top[:, local]
        block[layers[k] : layers[k + 1], : above[k]] = part.T

    image = frame.region.center
    if sizes:
        first = -network.layers[0].weight[kept[: layers[1]]]
        rhs[: layers[1]] -= first @ image
    else:
        first = top
        rhs[:q] -= first @ image
    rises = np.flatnonzero((frame.region.high > 0.0) & first.any(axis=0))
    falls = np.flatnonzero((frame.region.low < 0.0) & first.any(axis=0))
    pixel = np.concatenate([rises, falls]).astype(np.int64)
    sign = np.concatenate([np.ones(rises.size), -np.ones(falls.size)])
    pixels = np.ascontiguousarray(first[:, pixel].T * sign[:, None])

    columns = 2 * hidden + pixel.size + rows
    cost, low, high = np.zeros(columns), np.zeros(columns), np.zeros(columns)
    cost[2 * hidden : 2 * hidden + pixel.size] = 1.0
    room = np.concatenate([frame.region.high[rises], -frame.region.low[falls]])
    high[2 * hidden : 2 * hidden + pixel.size] = room
    first_logical = 2 * hidden + pixel.size
    reach = np.empty(frame.flat.biases.size)
    _magnitudes_over_box(frame, reach)
    logits = reach[frame.flat.neuron_offsets[-2] :]
    largest = np.abs(conditions.matrix) @ logits + np.abs(conditions.rhs)
    low[first_logical + hidden : first_logical + hidden + q] = -(2.0 * largest + 1.0)
    program = Program(
        pixels=pixels,
        block=block,
        layers=layers if sizes else np.zeros(1, dtype=np.int64),
        above=above,
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


def _magnitudes_over_box(frame: Frame, reach: FloatArray) -> None:
    """Bounds on ``|a|`` of all neurons over the whole box."""
    for layer in range(frame.flat.weight_offsets.size):
        layer_magnitudes(frame.flat, frame.region, reach, layer, reach)


def claim_magnitudes(flat: FlatNetwork, frame: Frame, upper: FloatArray) -> FloatArray:
    """``|W| X + |b|`` of all neurons for upper bounds of the hidden ones, see certificate."""
    magnitudes = np.empty(flat.biases.size)
    for layer in range(flat.weight_offsets.size):
        layer_magnitudes(flat, frame.region, upper, layer, magnitudes)
    return magnitudes


@kernel
def load_bounds(
    lp: Program,
    layout: Layout,
    lower: FloatArray,
    upper: FloatArray,
) -> None:
    """Move the program to a node's bounds; states need :func:`lp_simplex.refresh` afterwards.

    Args:
        lp: the program, whose bounds and triangles are rewritten.
        layout: where the neurons stand.
        lower, upper: the node's bounds of all hidden neurons of the network.
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
