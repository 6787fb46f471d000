r"""Planes above neurons over an L1 ball: linear above what is convex, from its values at corners.

Over a simplex (:mod:`.domains`) :math:`s = (1 - \sum s) \, 0 + \sum_j s_j e_j` is a convex
combination of no change and of whole budgets spent on one pixel, so that every convex function
obeys (Jensen)

.. math:: \phi(s) \le (1 - \textstyle\sum s) \, \phi(0) + \sum_j s_j \, \phi(e_j).

The triangle of a neuron sees its pre-activation alone: a change spread over pixels, none of which
could switch the neuron on by itself, keeps an upper bound far above zero there; this plane is zero.

*Convex functions above pre-activations.* :math:`U^1 = a^1` and :math:`D^1 = -a^1`. With the
post-activation of a neuron at most :math:`P(U) = \max(U, 0)` (U where it is active, 0 where
inactive) and at least :math:`\alpha a \ge -\alpha D`,

.. math::
    U^{k+1} &= b + W^+ P(U^k) + |W^-| \alpha D^k \\
    D^{k+1} &= -b + W^+ \alpha D^k + |W^-| P(U^k)

are convex, with :math:`U \ge a` and :math:`D \ge -a` over the domain, for any
:math:`\alpha \in [0, 1]`; it is 1 for active and 0 for inactive neurons. The last :math:`\alpha` of
each neuron's plane is chosen so that it is low at a point where the relaxation is least.

*Rounding.* With :math:`M^1 = |b| + \max_j |W e_j|` and :math:`M^{k+1} = |b| + |W| M^k` every value
at a corner, and every sum that leads to it, is at most M, and its error at most
:math:`\gamma_N M`, N exceeding the terms of all sums. In the first layer pre-activations differ
from :math:`W s + b` by the chain's errors, which grow with |W| from layer to layer, as M does. A
plane's constant is raised by all of that.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reluopt.engines.branch_and_bound.dual.chain import Chain, Layer
from reluopt.engines.branch_and_bound.dual.planes import Planes
from reluopt.numerics.arrays import BoolArray, FloatArray, FloatMatrix, IntArray
from reluopt.numerics.rounding import gamma

STEPS = 40
"""Steps of the choice of slopes; 100 lower a plane by a percent more."""

RATE, DECAY, KEEP_FIRST, KEEP_SECOND = 0.25, 0.97, 0.9, 0.99
"""Adam's (Kingma and Ba 2015), as in :mod:`.climbing`."""


@dataclass(frozen=True, eq=False)
class Corners:
    """Convex functions above a layer's pre-activations and their negatives, at the corners.

    Attributes:
        above, below: U and D, shape ``(neurons, 1 + columns)``, no change first.
        sizes: M, shape ``(neurons,)``.
        errors: how far a pre-activation may exceed U, or fall below -D, for other reasons than the
            rounding of values at corners.
    """

    above: FloatMatrix
    below: FloatMatrix
    sizes: FloatArray
    errors: FloatArray

    @classmethod
    def of_first(cls, chain: Chain) -> Corners:
        """Of the first layer."""
        first = chain.layers[0]
        values = np.concatenate([first.bias[:, None], first.weight + first.bias[:, None]], axis=1)
        sizes = np.abs(first.bias) + np.abs(first.weight).max(axis=1, initial=0.0)
        return cls(values, -values, sizes, chain.errors)

    def posts(self, phases: NDArray[np.int8]) -> FloatMatrix:
        """P(U)."""
        reached = np.where(phases[:, None] > 0, self.above, np.maximum(self.above, 0.0))
        found: FloatMatrix = np.where(phases[:, None] < 0, 0.0, reached)
        return found

    def behind(self, layer: Layer, phases: NDArray[np.int8], slopes: FloatArray) -> Corners:
        """Of the next layer, with one slope for each neuron below."""
        positive, negative = np.maximum(layer.weight, 0.0), np.maximum(-layer.weight, 0.0)
        posts, falls = self.posts(phases), slopes[:, None] * self.below
        bias, size = layer.bias[:, None], np.abs(layer.weight)
        return Corners(
            bias + positive @ posts + negative @ falls,
            positive @ falls + negative @ posts - bias,
            np.abs(layer.bias) + size @ self.sizes,
            size @ self.errors,
        )


def first_planes(chain: Chain, neurons: IntArray) -> Planes:
    """Planes above some neurons of the first layer."""
    corners = Corners.of_first(chain)
    return _planes(neurons, corners, np.maximum(corners.above[neurons], 0.0), neurons, chain)


@np.errstate(over="ignore", invalid="ignore")  # such planes prove nothing
def all_planes(chain: Chain, phases: NDArray[np.int8], point: FloatArray) -> Planes:
    """Planes above all undecided hidden neurons of a node, low at a point of the simplex.

    They are valid where neurons have these phases.

    Args:
        chain: the network, all hidden layers bounded.
        phases: of hidden neurons in the node.
        point: shape ``(columns,)``.
    """
    corners = Corners.of_first(chain)
    own = phases[: chain.starts[1]]
    parts = [first_planes(chain, np.flatnonzero(own == 0))]
    for k, layer in enumerate(chain.hidden[1:], start=1):
        start, stop = chain.starts[k], chain.starts[k + 1]
        neurons = np.flatnonzero(phases[start:stop] == 0)
        below = chain.layers[k - 1]
        usual = np.where(own == 0, below.upper > -below.lower, own > 0).astype(np.float64)
        values = _lowest(corners, layer, neurons, own, point)
        corners, own = corners.behind(layer, own, usual), phases[start:stop]
        parts.append(_planes(start + neurons, corners, values, neurons, chain))
    return joined(parts)


def joined(parts: list[Planes]) -> Planes:
    """Planes of several layers, the first one's first."""
    return Planes(
        np.concatenate([part.neurons for part in parts]),
        np.concatenate([part.matrix for part in parts]),
        np.concatenate([part.edges for part in parts]),
        np.concatenate([part.sizes for part in parts]),
    )


def _planes(
    names: IntArray, corners: Corners, values: FloatMatrix, rows: IntArray, chain: Chain
) -> Planes:
    """Planes through values at corners; ``rows`` are the layer's neurons that ``names`` name."""
    matrix, edges = values[:, 1:] - values[:, :1], values[:, 0]
    terms = sum(layer.bias.size + 8.0 for layer in chain.layers) + 32.0
    room = float(gamma(terms)) * corners.sizes[rows] + corners.errors[rows] * (1.0 + 1e-9)
    sizes = np.abs(matrix).max(axis=1, initial=0.0) + np.abs(edges)
    edges = edges + 2.0 * room
    return Planes(names, matrix, edges + float(gamma(8.0)) * sizes, sizes + 3.0 * room)


def _lowest(
    corners: Corners,
    layer: Layer,
    neurons: IntArray,
    phases: NDArray[np.int8],
    point: FloatArray,
) -> FloatMatrix:
    """P(U) of some neurons of the next layer at the corners, with slopes of their own."""
    weight, undecided = layer.weight[neurons], phases == 0
    negative = np.maximum(-weight, 0.0)
    fixed = layer.bias[neurons, None] + np.maximum(weight, 0.0) @ corners.posts(phases)
    slopes = _slopes(fixed, negative, corners.below, undecided, phases > 0, point)
    return np.maximum(fixed + (negative * slopes) @ corners.below, 0.0)


def _slopes(
    fixed: FloatMatrix,
    negative: FloatMatrix,
    below: FloatMatrix,
    undecided: BoolArray,
    active: BoolArray,
    point: FloatArray,
) -> FloatMatrix:
    """Slopes with which planes through ``max(fixed + (negative * slopes) @ below, 0)`` are low.

    Projected gradients in float32: any slopes in [0, 1] are valid.
    """
    shares = np.concatenate([[max(1.0 - float(point.sum()), 0.0)], point]).astype(np.float32)
    base, weights = fixed.astype(np.float32), negative.astype(np.float32)
    values, columns = below.astype(np.float32), np.ascontiguousarray(below.T, dtype=np.float32)
    slopes = np.where(undecided, 0.5, active).astype(np.float32) * np.ones_like(weights)
    best, kept = np.full(base.shape[0], np.inf, dtype=np.float32), slopes.copy()
    first, second = np.zeros_like(slopes), np.zeros_like(slopes)
    for step in range(1, STEPS + 1):
        reached = base + (weights * slopes) @ values
        heights = np.maximum(reached, 0.0) @ shares
        lower = heights < best
        best[lower], kept[lower] = heights[lower], slopes[lower]
        gradient = weights * (((reached > 0.0) * shares) @ columns)
        first = KEEP_FIRST * first + (1.0 - KEEP_FIRST) * gradient
        second = KEEP_SECOND * second + (1.0 - KEEP_SECOND) * gradient * gradient
        rate = RATE * DECAY ** (step - 1) / (1.0 - KEEP_FIRST**step)
        size = np.sqrt(second / (1.0 - KEEP_SECOND**step)) + 1e-8
        slopes = np.where(undecided, np.clip(slopes - rate * first / size, 0.0, 1.0), slopes)
    return kept.astype(np.float64)
