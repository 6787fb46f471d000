"""Loops over the entries of a batch that say what its splits gain; nothing here is proven."""

from __future__ import annotations

import numpy as np

from reluopt.engines.branch_and_bound.dual.slots import ONE, ZERO, Descents, Tables
from reluopt.numerics.arrays import ByteMatrix, IntArray, SingleArray, SingleMatrix
from reluopt.numerics.jit import search_kernel


@search_kernel
def scores(
    coefficients: SingleMatrix,
    start: int,
    lower: SingleArray,
    upper: SingleArray,
    offsets: SingleArray,
    phases: ByteMatrix,
    multipliers: SingleMatrix,
    out: SingleMatrix,
) -> None:
    """What the relaxation of each undecided neuron loses at most; -1 for decided ones.

    ``lower`` and ``upper`` are those of the layer alone.
    """
    rows, width = out.shape
    for b in range(rows):
        for i in range(width):
            j = start + i
            c, p = coefficients[b, j], multipliers[b, j]
            lost = -c * offsets[j] if c < ZERO else c * min(-p * lower[i], (ONE - p) * upper[i])
            out[b, i] = lost if phases[b, j] == 0 else -ONE


@search_kernel
def first_layer_children(
    t: Tables,
    found: Descents,
    phases: ByteMatrix,
    place: IntArray,
    inactive: SingleMatrix,
    active: SingleMatrix,
) -> None:
    """Bounds of the children of every split of the first layer, other multipliers unchanged.

    A split changes the form of one neuron, and its plane's: the inputs' coefficients change by
    multiples of one or two rows of the weights.
    """
    rows, width = inactive.shape
    size, weights = t.stacked.shape[1], t.stacked
    for b in range(rows):
        total, norm = found.total[b], ZERO
        for j in range(size):
            norm += abs(total[j])
        for i in range(width):
            if phases[b, i] != 0:
                inactive[b, i] = active[b, i] = -np.float32(np.inf)
                continue
            c, form = found.coefficients[b, i], found.forms[b, i]
            base = found.values[b] + norm
            part, row = ZERO, i
            if c < ZERO:
                base -= c * t.offsets[i]
                if place[i] >= 0:
                    part, row = found.forms[b, width + place[i]], width + place[i]
                    base -= part * (t.edges[place[i]] - t.offsets[i])
            off, on = ZERO, ZERO
            if part == ZERO:
                for j in range(size):
                    rest = total[j] - form * weights[i, j]
                    off += abs(rest)
                    on += abs(rest + c * weights[i, j])
            else:
                for j in range(size):
                    rest = total[j] - form * weights[i, j] - part * weights[row, j]
                    off += abs(rest)
                    on += abs(rest + c * weights[i, j])
            inactive[b, i] = base - form * t.biases[i] - off
            active[b, i] = base + (c - form) * t.biases[i] - on
