"""Loops over the entries of a batch that say what its splits gain; nothing here is proven."""

from __future__ import annotations

from typing import Any

import numpy as np

from reluopt.engines.branch_and_bound.dual.slots import (
    ONE,
    ZERO,
    Descents,
    Tables,
    budget_price,
)
from reluopt.numerics.arrays import ByteMatrix, IntArray, SingleArray, SingleMatrix
from reluopt.numerics.jit import part, search_kernel


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


@part
def reach_at(total: SingleArray, caps: SingleArray, price: Any) -> Any:
    """What the inputs can take from a form at most, for a price of a simplex' budget."""
    found = price
    if caps.size == 0:
        for j in range(total.size):
            found += abs(total[j])
    else:
        for j in range(total.size):
            found += caps[j] * max(-total[j] - price, ZERO)
    return found


@part
def box_children(
    total: SingleArray, own: SingleArray, plane: SingleArray, c: Any, form: Any, moved: Any
) -> Any:
    """:func:`reach_at` for both children of a neuron of a first layer over a box."""
    off, on = ZERO, ZERO
    if moved == ZERO:
        for j in range(total.size):
            rest = total[j] - form * own[j]
            off += abs(rest)
            on += abs(rest + c * own[j])
    else:
        for j in range(total.size):
            rest = total[j] - form * own[j] - moved * plane[j]
            off += abs(rest)
            on += abs(rest + c * own[j])
    return off, on


@part
def simplex_children(
    total: SingleArray,
    own: SingleArray,
    plane: SingleArray,
    c: Any,
    form: Any,
    moved: Any,
    caps: SingleArray,
    price: Any,
) -> Any:
    """The same over a simplex, at the parent's price."""
    off, on = price, price
    if moved == ZERO:
        for j in range(total.size):
            rest = -price - total[j] + form * own[j]
            off += caps[j] * max(rest, ZERO)
            on += caps[j] * max(rest - c * own[j], ZERO)
    else:
        for j in range(total.size):
            rest = -price - total[j] + form * own[j] + moved * plane[j]
            off += caps[j] * max(rest, ZERO)
            on += caps[j] * max(rest - c * own[j], ZERO)
    return off, on


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
    weights = t.stacked
    for b in range(rows):
        total = found.total[b]
        price = budget_price(total, t.caps)[1] if t.caps.size else ZERO
        norm = reach_at(total, t.caps, price)
        for i in range(width):
            if phases[b, i] != 0:
                inactive[b, i] = active[b, i] = -np.float32(np.inf)
                continue
            c, form = found.coefficients[b, i], found.forms[b, i]
            base = found.values[b] + norm
            moved, row = ZERO, i
            if c < ZERO:
                base -= c * t.offsets[i]
                if place[i] >= 0:
                    moved, row = found.forms[b, width + place[i]], width + place[i]
                    base -= moved * (t.edges[place[i]] - t.offsets[i])
            if t.caps.size:
                off, on = simplex_children(
                    total, weights[i], weights[row], c, form, moved, t.caps, price
                )
            else:
                off, on = box_children(total, weights[i], weights[row], c, form, moved)
            inactive[b, i] = base - form * t.biases[i] - off
            active[b, i] = base + (c - form) * t.biases[i] - on
