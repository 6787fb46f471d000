r"""Input sets in the coordinates of the search: :math:`x = m + M s`, s in a box or simplex.

* A **box**: :math:`s \in [-1, 1]^n`, m the middle and M the diagonal of the half widths.
* An L1 ball cut by a box, as a **simplex**: :math:`x = m + r (p^+ - p^-)` with
  :math:`s = (p^+, p^-) \ge 0`, :math:`\sum s \le 1` and :math:`s \le u`, m being the center, r the
  radius, and u the room up to the box in units of r. Its corners are single pixels, so that
  functions that are convex in s are easily bounded from above (:mod:`.vertices`).

Both are rounded so that nothing is lost, and inputs that cannot move are left out.

*Support functions.* :math:`\min_{s} A s` is :math:`-|A|_1` over the box. Over the simplex every
price :math:`\theta \ge 0` of the budget gives
:math:`\min_s A s \ge -\theta - \sum_j u_j \max(-A_j - \theta, 0)`, and the best one is a value of
:math:`-A`, or 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from reluopt.engines.branch_and_bound.dual.slots import budget_price
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import (
    FloatArray,
    FloatMatrix,
    IntArray,
    SingleArray,
    SingleMatrix,
)
from reluopt.numerics.jit import kernel
from reluopt.numerics.rounding import ROUNDOFF, TINY, gamma

NEAR = 1e-6
"""How far prices found in float32 may be from where they belong, relative to them."""


@dataclass(frozen=True, eq=False)
class FirstLayer:
    """The first layer in coordinates s: ``weight @ s + bias`` up to ``errors``.

    Attributes:
        weight: shape ``(n_1, columns)``.
        bias: its values at m, shape ``(n_1,)``.
        magnitudes: at least ``|W| |x| + |b|``.
        errors: how far a pre-activation may be from ``weight @ s + bias``.
        lower, upper: bounds of pre-activations.
    """

    weight: FloatMatrix
    bias: FloatArray
    magnitudes: FloatArray
    errors: FloatArray
    lower: FloatArray
    upper: FloatArray


class Domain:
    """What coordinates range over.

    Attributes:
        is_box: whether nothing but ends limits coordinates.
        steps: of an ascent in a node, whose multipliers are the parent's to begin with. Forms over
            a simplex are least at few pixels, so that ascents take longer.
        caps: u in float32; of a box empty.
        columns: how many coordinates there are.
        low, high: ends of the coordinates, shape ``(columns,)``.
    """

    is_box: ClassVar[bool]
    steps: ClassVar[int]
    caps: SingleArray
    columns: int
    low: FloatArray
    high: FloatArray

    def first_layer(self, network: ReLUNetwork) -> FirstLayer:
        """The network's first layer."""
        first = network.affine_layers[0]
        weight = np.asarray(first.weight)
        magnitudes = np.abs(weight) @ self._largest() + np.abs(first.bias)
        share = float(gamma(weight.shape[1] + 8.0))
        errors = share * magnitudes + TINY
        scaled = self._scaled(weight)
        bias = weight @ self._origin() + first.bias
        down, size = self.reach(scaled)
        up = down if self.is_box else self.reach(-scaled)[0]
        room = errors * 2.0 + share * size
        return FirstLayer(scaled, bias, magnitudes, errors, bias - down - room, bias + up + room)

    def reach(self, total: FloatMatrix) -> tuple[FloatArray, FloatArray]:
        """Of each row ``-min total @ s``, up to rounding at least, and the size of its terms."""
        raise NotImplementedError

    def inputs(self, point: SingleArray | FloatArray) -> FloatArray:
        """The input of the network that a point stands for."""
        raise NotImplementedError

    def _largest(self) -> FloatArray:
        """At least ``|x|``, shape ``(n_0,)``."""
        raise NotImplementedError

    def _origin(self) -> FloatArray:
        """M."""
        raise NotImplementedError

    def _scaled(self, weight: FloatMatrix) -> FloatMatrix:
        """``weight @ M``."""
        raise NotImplementedError


class BoxDomain(Domain):
    """A box; see the module.

    Attributes:
        ends: of the box, shape ``(n_0,)`` each.
        middle, widths: m and the diagonal of M, shape ``(n_0,)``.
        moving: which inputs of the network can move.
    """

    is_box, steps = True, 8

    def __init__(self, lower: FloatArray, upper: FloatArray) -> None:
        self.ends = lower, upper
        self.moving = np.flatnonzero(upper > lower)
        self.middle = lower + 0.5 * (upper - lower)
        reach = np.maximum(upper - self.middle, self.middle - lower)
        self.widths = np.where(upper > lower, np.nextafter(reach, np.inf), 0.0)
        self.columns, self.caps = self.moving.size, np.zeros(0, dtype=np.float32)
        self.high = np.ones(self.columns)
        self.low = -self.high

    def reach(self, total: FloatMatrix) -> tuple[FloatArray, FloatArray]:
        """See :meth:`Domain.reach`."""
        found = np.abs(total).sum(axis=1)
        return found, found

    def inputs(self, point: SingleArray | FloatArray) -> FloatArray:
        """See :meth:`Domain.inputs`."""
        found = self.middle.copy()
        found[self.moving] += self.widths[self.moving] * point
        return found

    def _largest(self) -> FloatArray:
        found: FloatArray = np.abs(self.middle) + self.widths
        return found

    def _origin(self) -> FloatArray:
        return self.middle

    def _scaled(self, weight: FloatMatrix) -> FloatMatrix:
        if self.columns == self.widths.size:
            return weight * self.widths
        return np.take(weight, self.moving, axis=1) * self.widths[self.moving]


class SimplexDomain(Domain):
    """An L1 ball cut by a box; see the module.

    Attributes:
        center: m, shape ``(n_0,)``.
        radius: r.
        pixels: which input a coordinate moves, and ``signs``, which way.
    """

    is_box, steps = False, 14

    def __init__(
        self, lower: FloatArray, upper: FloatArray, center: FloatArray, radius: float
    ) -> None:
        """Args: ends of the box, and the ball, whose radius is positive and finite."""
        rise, fall = np.flatnonzero(upper > center), np.flatnonzero(lower < center)
        # From the whole way to the farthest corner on, the ball holds the box.
        whole = float(np.maximum(upper - center, center - lower).sum()) * (1.0 + NEAR)
        radius = min(radius, whole) if whole > 0.0 else radius
        self.center, self.radius = center, radius
        self.pixels: IntArray = np.concatenate([rise, fall])
        self.signs = np.concatenate([np.ones(rise.size), -np.ones(fall.size)])
        room = np.concatenate([(upper - center)[rise], (center - lower)[fall]])
        caps = np.minimum(room / radius * (1.0 + 8.0 * ROUNDOFF), 1.0)
        above = caps.astype(np.float32)
        above = np.where(above < caps, np.nextafter(above, np.float32(np.inf)), above)
        self.columns, self.caps = caps.size, above
        self.low, self.high = np.zeros(caps.size), above.astype(np.float64)
        self._box = lower, upper

    def reach(self, total: FloatMatrix) -> tuple[FloatArray, FloatArray]:
        """See :meth:`Domain.reach`."""
        found, sizes = np.empty(total.shape[0]), np.empty(total.shape[0])
        with np.errstate(over="ignore"):
            single = total.astype(np.float32)
        simplex_reach(np.ascontiguousarray(total), single, self.caps, self.high, found, sizes)
        return found, sizes

    def inputs(self, point: SingleArray | FloatArray) -> FloatArray:
        """See :meth:`Domain.inputs`."""
        change = np.zeros(self.center.size)
        np.add.at(change, self.pixels, self.signs * point)
        return np.clip(self.center + self.radius * change, *self._box)

    def _largest(self) -> FloatArray:
        # Corners of the simplex, where functions are evaluated, lie a whole radius away.
        found: FloatArray = np.abs(self.center) + self.radius
        return found

    def _origin(self) -> FloatArray:
        return self.center

    def _scaled(self, weight: FloatMatrix) -> FloatMatrix:
        return np.ascontiguousarray(weight[:, self.pixels] * (self.signs * self.radius))


@kernel
def simplex_reach(
    total: FloatMatrix,
    single: SingleMatrix,
    single_caps: SingleArray,
    caps: FloatArray,
    found: FloatArray,
    sizes: FloatArray,
) -> None:
    """:meth:`Domain.reach` of a simplex, at the best price: leaves need all of its digits.

    It is a value of the row between the two prices that float32 finds.
    """
    near = np.empty(total.shape[1], dtype=np.int64)
    for b in range(total.shape[0]):
        row, (low, high) = total[b], budget_price(single[b], single_caps)
        least, most, left, count = low * (1.0 - NEAR), high * (1.0 + NEAR), 1.0, 0
        for j in range(row.size):
            if -row[j] > most:
                left -= caps[j]
            elif -row[j] >= least and row[j] < 0.0:
                near[count] = j
                count += 1
        price = least
        for k in np.argsort(row[near[:count]]):
            left -= caps[near[k]]
            if left <= 0.0:
                price = -row[near[k]]
                break
        value, size = price, price
        for j in range(row.size):
            size += caps[j] * abs(row[j])
            if -row[j] > price:
                value += caps[j] * (-row[j] - price)
        found[b], sizes[b] = value, size + value
