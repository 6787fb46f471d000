r"""Lower bounds on linear forms of a layer's pre-activations that hold in exact arithmetic.

Given a form :math:`\lambda^\top a^k`, every post-activation is replaced by something linear that is
nowhere larger where its coefficient c demands that:

* undecided, :math:`c \ge 0`: :math:`x \ge \alpha a` with :math:`\alpha \in [0, 1]`;
* undecided, :math:`c < 0`: :math:`x \le (1 - w)(\hat s a + \hat t) + w (G s + g)`, the line above
  the ReLU and a plane above it (:mod:`.planes`, :mod:`.vertices`), :math:`w \in [0, 1]`;
* active: :math:`c x = c a \ge (c - \beta) a`, since :math:`a \ge 0`, with :math:`\beta \ge 0`;
* inactive: :math:`c x = 0 \ge \beta a`, since :math:`a \le 0`.

Layer by layer this ends at the inputs, whose forms have known minima (:mod:`.domains`). These are
the multipliers of Wang et al. (2021, beta-CROWN), and any of them give a valid bound.

Why the result is a theorem
---------------------------
Coefficients computed in floating point are taken as *given numbers*; what must be bounded is what
they neglect. Neither :math:`fl(c \alpha) \in [0, c]` nor :math:`fl(c - \beta) \le c` nor
:math:`\beta` neglect anything: they are multipliers themselves. With
:math:`m = |W| X + |b|`, X being the largest values below,

* :math:`fl(\lambda W)` neglects at most :math:`\gamma_n |\lambda| m`, and so does
  :math:`fl(\lambda b)`;
* for :math:`c < 0` the products with slope, offset and plane neglect at most
  :math:`\gamma_8 |c| (m + \hat t + M)`, M being the largest size of the plane;
* in the first layer pre-activations differ from :math:`W s + b` by :math:`\gamma_n m`
  (:class:`.chain.Chain`).

Sums over neurons and layers add no more than :math:`\gamma_N` times the sum S of all these sizes
and of what the minimum over the inputs is summed from, N exceeding the
longest chain of roundings, and :func:`~reluopt.numerics.rounding.gamma` doubles it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import numpy as np

from reluopt.engines.branch_and_bound.dual.chain import Chain
from reluopt.engines.branch_and_bound.dual.planes import NO_PLANES, Planes, usable
from reluopt.numerics.arrays import (
    AnyFloat,
    ByteMatrix,
    FloatArray,
    FloatMatrix,
    IntArray,
)
from reluopt.numerics.jit import kernel
from reluopt.numerics.rounding import TINY, gamma
from reluopt.questions.margins import LogitConditions

LEAST_TOTAL = 1e-100
"""Of mixtures of conditions: a division by less would make errors of underflow count."""


@kernel
def relax_safely(
    coefficients: FloatMatrix,
    start: int,
    slopes: FloatArray,
    offsets: FloatArray,
    magnitudes: FloatArray,
    phases: ByteMatrix,
    multipliers: FloatMatrix,
    forms: FloatMatrix,
    constants: FloatArray,
    sizes: FloatArray,
) -> None:
    """Coefficients of post-activations become those of pre-activations; multipliers may be any."""
    rows, width = coefficients.shape
    for b in range(rows):
        constant, size = 0.0, 0.0
        for i in range(width):
            j = start + i
            c, p, q = coefficients[b, i], multipliers[b, j], phases[b, j]
            p = p if p > 0.0 else 0.0  # NaN, too
            if q > 0:
                form = c - p
            elif q < 0:
                form = p
            elif c >= 0.0:
                form = c * min(p, 1.0)
            else:
                form = c * slopes[j]
                constant += c * offsets[j]
                size -= c * (magnitudes[i] + offsets[j])
            forms[b, i] = form
            size += abs(form) * magnitudes[i]
        constants[b] += constant
        sizes[b] += size


@kernel
def add_planes_safely(
    coefficients: FloatMatrix,
    start: int,
    slopes: FloatArray,
    offsets: FloatArray,
    magnitudes: FloatArray,
    phases: ByteMatrix,
    shares: FloatMatrix,
    plane_of: IntArray,
    edges: FloatArray,
    plane_sizes: FloatArray,
    forms: FloatMatrix,
    parts: FloatMatrix,
    constants: FloatArray,
    sizes: FloatArray,
) -> None:
    """Move shares of one layer's neurons from the line above them to the plane above them."""
    rows, count = parts.shape
    for b in range(rows):
        for k in range(count):
            i, j = plane_of[k] - start, plane_of[k]
            c, share = coefficients[b, i], shares[b, k]
            parts[b, k] = 0.0
            if phases[b, j] != 0 or not c < 0.0 or not share > 0.0:
                continue
            part = c * min(share, 1.0)
            parts[b, k] = part
            forms[b, i] -= part * slopes[j]
            constants[b] += part * (edges[k] - offsets[j])
            sizes[b] -= part * (2.0 * magnitudes[i] + offsets[j] + plane_sizes[k])


@dataclass(frozen=True, eq=False)
class Forms:
    """Linear forms ``rows @ a + constants`` of the pre-activations of a layer, one a node.

    Attributes:
        top: the layer, counted from 0.
        rows: shape ``(batch, n_top)``.
        constants: shape ``(batch,)``.
        sizes: of what was summed to rows and constants; 0 where these are given numbers.
        terms: how many terms these sums have.
    """

    top: int
    rows: FloatMatrix
    constants: FloatArray
    sizes: FloatArray | float = 0.0
    terms: int = 0


def divided_down(bounds: FloatArray, totals: FloatArray, terms: int) -> FloatArray:
    """Numbers that are not above ``bounds / totals``, totals being rounded sums of ``terms``.

    Of a total below :data:`LEAST_TOTAL` nothing follows: minus infinity.
    """
    share = float(gamma(terms + 4.0))
    safe = np.where(bounds >= 0.0, totals * (1.0 + share), totals * (1.0 - share))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        found = np.nextafter(bounds / safe, -np.inf)
    return np.where((totals > LEAST_TOTAL) & (totals < np.inf) & ~np.isnan(found), found, -np.inf)


def mixed(forms: Forms, conditions: LogitConditions, mixture: AnyFloat, chain: Chain) -> Forms:
    """Forms with ``mu @ (rhs - matrix @ logits)`` added, mu >= 0.

    They are not above the given ones where inputs meet the conditions.
    """
    weights = usable(mixture)
    matrix, rhs = conditions.matrix, conditions.rhs
    rows = forms.rows - weights @ matrix
    constants = forms.constants + weights @ rhs
    sizes = (np.abs(forms.rows) + weights @ np.abs(matrix)) @ chain.layers[forms.top].magnitudes
    sizes += weights @ np.abs(rhs) + np.abs(constants)
    return Forms(forms.top, rows, constants, sizes, rhs.size + 4)


def lower_bounds(
    chain: Chain,
    forms: Forms,
    phases: ByteMatrix,
    multipliers: AnyFloat,
    shares: AnyFloat,
    planes: Planes = NO_PLANES,
) -> FloatArray:
    """Numbers that are not above the least values of some forms; -infinity after overflow.

    Args:
        chain: the network, bounded below the forms' layer.
        forms: what is bounded.
        phases: of hidden neurons, shape ``(batch, neurons)``.
        multipliers: alpha or beta of each, same shape.
        shares: w of each plane, shape ``(batch, planes)``.
        planes: one at most for each neuron.
    """
    constants = forms.constants.astype(np.float64)
    sizes = np.abs(constants) + forms.sizes
    current = np.ascontiguousarray(forms.rows, dtype=np.float64)
    sizes += np.abs(current) @ chain.layers[forms.top].magnitudes
    length = 16.0 + forms.rows.shape[1] + forms.terms + chain.domain.columns
    multipliers = np.ascontiguousarray(multipliers, dtype=np.float64)
    shares = np.ascontiguousarray(shares, dtype=np.float64)
    totals: list[FloatMatrix] = []
    for k in range(forms.top, -1, -1):
        layer = chain.layers[k]
        constants += current @ layer.bias
        length += layer.weight.shape[1] + layer.weight.shape[0] + 16.0
        if k == 0:
            totals.append(layer.below(current))
            break
        coefficients = layer.below(current)
        below = chain.layers[k - 1]
        current = np.empty_like(coefficients)
        args = (chain.slopes, chain.offsets, below.magnitudes, phases)
        start = chain.starts[k - 1]
        relax_safely(coefficients, start, *args, multipliers, current, constants, sizes)
        own, some = planes.between(start, chain.starts[k], shares)
        if own.count:
            parts = np.empty(some.shape)
            lines = (own.edges, own.sizes, current, parts, constants, sizes)
            add_planes_safely(coefficients, start, *args, some, own.neurons, *lines)
            totals.append(parts @ own.matrix)
    reach, size = chain.domain.reach(reduce(np.add, totals))
    with np.errstate(invalid="ignore", over="ignore"):
        error = float(gamma(length + planes.count)) * (sizes + size) + TINY
        found = constants - reach - error
    return np.where(found < np.inf, found, -np.inf)
