r"""The first units of a network over a set of changes: what each sees, and what may lead.

A set is :math:`\{p : 0 \le p \le u, \sum p \le r\}`, where p tells how far pixels go: from the
image up, and down, in an L1 ball; from the lower end of a box, with no limit on the sum. A unit is
the largest of a few *pieces* :math:`a_q + w_q p`, zero among them where a ReLU is. The largest
value of a linear form over the set is a fractional knapsack's, rounded outward
(:func:`~reluopt.numerics.maxima.l1_maximum`).

What is proven is about the network as it lowers, in which a pooling is a tournament with weights
that are rounded differences; :attr:`Patch.error` is above what a unit is off by for that, and for
the rounding of the pieces' constants.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reluopt.engines.branch_and_bound.corners.units import Units
from reluopt.numerics.arrays import FloatArray, FloatMatrix, IntArray, IntMatrix
from reluopt.numerics.input_sets import FlatInputSet
from reluopt.numerics.maxima import l1_maximum
from reluopt.numerics.rounding import TINY, gamma

if TYPE_CHECKING:
    import scipy.sparse as sp

EXTRA = 64.0
"""Roundings beyond those of a sum: of a tournament's rounds, of ends and of differences."""


@dataclass(frozen=True, eq=False)
class Changes:
    """A set of changes.

    Attributes:
        origin: the input without any, shape ``(n_0,)``.
        pixels: the input of each change, shape ``(P,)``.
        signs: 1 for those that raise it, -1 for those that lower it.
        rooms: how far each goes at most, > 0.
        radius: how far all go together; infinite where there is no such limit.
    """

    origin: FloatArray
    pixels: IntArray
    signs: FloatArray
    rooms: FloatArray
    radius: float

    @classmethod
    def within(cls, inputs: FlatInputSet, radius: float) -> Changes:
        """Those of a box about an image that lie in an L1 ball."""
        rooms = np.concatenate([inputs.high, -inputs.low])
        size = inputs.center.size
        kept = np.flatnonzero(rooms > 0.0)
        signs = np.where(kept < size, 1.0, -1.0)
        return cls(np.array(inputs.center), kept % size, signs, rooms[kept], radius)

    @classmethod
    def of_box(cls, lower: FloatArray, upper: FloatArray) -> Changes:
        """All of a box, from its lower end."""
        rooms = np.nextafter(upper - lower, np.inf)
        kept = np.flatnonzero(upper > lower)
        return cls(np.array(lower), kept, np.ones(kept.size), rooms[kept], np.inf)

    def places(self) -> IntMatrix:
        """Where the changes that raise, and those that lower, each input stand; -1 for none."""
        found = np.full((2, self.origin.size), -1, dtype=np.int64)
        found[(self.signs < 0.0).astype(np.int64), self.pixels] = np.arange(self.pixels.size)
        return found

    def largest(self, columns: IntArray, form: FloatArray) -> float:
        """Above the largest value of a linear form of some changes; at least zero."""
        buffers, zeros = np.empty((2, form.size)), np.zeros(form.size)
        return float(l1_maximum(form, zeros, self.rooms[columns], self.radius, *buffers))

    def input(self, point: FloatArray) -> FloatArray:
        """The input after some changes."""
        found = self.origin.copy()
        np.add.at(found, self.pixels, self.signs * point)
        return found


@dataclass(frozen=True, eq=False)
class Patch:
    """A unit of the first layer.

    Attributes:
        columns: the changes that it sees, shape ``(m,)``.
        weights: of each piece that may lead, shape ``(Q, m)``; of zero they are zero.
        constants: values without any change, shape ``(Q,)``.
        lower, upper: bounds of the unit.
        error: above what its value is off by.
    """

    columns: IntArray
    weights: FloatMatrix
    constants: FloatArray
    lower: float
    upper: float
    error: float

    @property
    def pieces(self) -> tuple[int, ...]:
        """All that may lead."""
        return tuple(range(self.constants.size))

    def heights(self, changes: Changes, plane: FloatArray) -> FloatArray:
        """How far a plane must be lifted to lie above each piece, shape ``(Q,)``."""
        reach = np.array([changes.largest(self.columns, weight - plane) for weight in self.weights])
        slack = gamma(64.0) * (reach + np.abs(self.constants))
        found: FloatArray = self.constants + reach + slack + self.error
        return found

    def values(self, point: FloatArray) -> FloatArray:
        """Of the pieces after some changes, shape ``(Q,)``."""
        found: FloatArray = self.constants + self.weights @ point[self.columns]
        return found


def patches_of(units: Units, changes: Changes) -> list[Patch]:
    """The units of a first layer over some changes."""
    import scipy.sparse as sp

    weight, bias = sp.csr_array(units.pieces.weight), np.asarray(units.pieces.bias)
    constants = np.asarray(weight @ changes.origin) + bias
    farthest = np.abs(changes.origin)
    np.add.at(farthest, changes.pixels, changes.rooms)
    sizes = np.asarray(abs(weight) @ farthest) + np.abs(bias)
    widest = float(np.diff(weight.indptr).max(initial=0))
    errors = gamma(2.0 * widest + EXTRA) * sizes
    windows = np.arange(bias.size)[:, None] if units.windows is None else units.windows
    sight = _Sight(changes, changes.places(), weight, constants, errors, units.rectified)
    return [sight.patch(window[window >= 0]) for window in windows]


@dataclass(frozen=True, eq=False)
class _Sight:
    """What all patches of a layer are made of."""

    changes: Changes
    places: IntMatrix
    weight: sp.csr_array
    constants: FloatArray
    errors: FloatArray
    rectified: bool

    def patch(self, pieces: IntArray) -> Patch:
        """A unit with the pieces that may lead."""
        rows = self.weight[pieces].toarray()
        seen = np.flatnonzero(rows.any(axis=0))
        columns = np.concatenate([side[seen] for side in self.places])
        weights = np.concatenate([rows[:, seen], -rows[:, seen]], axis=1)[:, columns >= 0]
        columns, values = columns[columns >= 0], self.constants[pieces]
        error = (8.0 + 2.0 * pieces.size) * float(self.errors[pieces].max(initial=0.0))
        if self.rectified:
            weights, values = np.vstack([weights, np.zeros(columns.size)]), np.append(values, 0.0)
        high = values + [self.changes.largest(columns, weight) for weight in weights]
        low = values - [self.changes.largest(columns, -weight) for weight in weights]
        kept = self._kept(columns, weights, values, np.flatnonzero(~(high < low.max())).tolist())
        lower, upper = float(low.max()) - error, float(high[kept].max()) + error
        lower = max(lower, 0.0) if self.rectified else lower
        return Patch(columns, weights[kept], values[kept], lower, upper, error)

    def _kept(
        self, columns: IntArray, weights: FloatMatrix, values: FloatArray, kept: list[int]
    ) -> list[int]:
        """Pieces but those that another one is nowhere below, up to rounding that units allow."""
        for place in list(kept):
            for other in kept:
                lead = values[place] - values[other]  # the rest is at least zero
                if other == place or not lead <= TINY:
                    continue
                if lead + self.changes.largest(columns, weights[place] - weights[other]) <= TINY:
                    kept.remove(place)
                    break
        return kept
