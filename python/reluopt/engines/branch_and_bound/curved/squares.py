r"""Squares of linear forms above the errors of units, over an L2 ball cut by a box.

As in :mod:`..corners.forms` a unit is :math:`x_i = k_i a_i + \epsilon_i` and a form is bounded from
above by :math:`c_i x_i \le c_i k_i a_i + c_i^+ \epsilon_i`, layer by layer, so that

.. math:: f(\delta) \le f_0 + g \delta + \sum_i c_i^+ \epsilon_i, \qquad
          \epsilon_i \le \sum_p \max(e_p, 0),

e being the excesses of unit i, forms themselves: :math:`e_p \le -\tau_p + t + y` with
:math:`t = g_p \delta \le R = r \|g_p\|` (entries of g that the box lets no change use left out)
and :math:`y = \sum_l c_{pl}^+ \epsilon_l \le Y`. For any s > 0 and
:math:`\tau_p = \tau' + \tau''`, both parts of it in proportion to R and Y,

.. math:: \max(e_p, 0) \le \kappa (t - \tau' + s)^2 + \rho\, y, \qquad
    \kappa = \begin{cases} 1 / 4s & s \le R - \tau' \\
                           (R - \tau') / (R - \tau' + s)^2 & \text{else} \end{cases}, \qquad
    \rho = \max(1 - \tau'' / Y, 0):

the parabola is zero at :math:`\tau' - s` and touches :math:`t - \tau'` at :math:`\tau' + s`, or
meets it at R with a slope of at most 1; y is cut by the chord from 0 to Y. Where
:math:`R + Y \le \tau_p` there is no error. So errors are sums of squares, with weights that go
down the layers, and so is every form's bound: a quadratic function of the one change
:math:`\delta` that all neurons share (:mod:`.quadratics`). Y is the largest value of such a sum,
too.

Which s is best for a bound? Where it is attained at one :math:`\delta`, the one with which each
parabola is lowest there, :math:`s = |t - \tau'|`; at rest :math:`s = \tau'`, a parabola without an
offset.

*Rounding.* With M as in :mod:`..corners.forms`, but :math:`|b| + |W| |m| + r \|W\|` in the first
layer, tau is lowered by :math:`4 \gamma_N M`; what else is computed are sums of numbers that are
not negative, and raised by more than :math:`\gamma_N` of themselves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reluopt.deadline import Deadline
from reluopt.engines.branch_and_bound.corners.tables import Rows, dense, passed, positive
from reluopt.engines.branch_and_bound.corners.units import Layer
from reluopt.engines.branch_and_bound.curved.quadratics import (
    estimated_spectrum,
    gram,
    is_below,
    local_spectrum,
)
from reluopt.networks.layers.base import Affine
from reluopt.numerics.arrays import BoolArray, FloatArray, FloatMatrix
from reluopt.numerics.rounding import TINY, gamma

if TYPE_CHECKING:
    import scipy.sparse as sp

SHORTEST, LONGEST = 0.02, 3.0
"""Limits of s, relative to R and tau'."""

FEW = 0.2
"""Share of all squares that are few: those of a neuron that sees a part of the picture."""

START = 0.05
"""Least s at rest, relative to R: of neurons that any change switches."""


@dataclass(frozen=True, eq=False)
class Linear:
    """The linear parts of some forms.

    Attributes:
        rest: values at the image.
        slopes: g, shape ``(forms, pixels)``, without what the box leaves no room for.
        lengths: at least their norms.
        rising: positive coefficients of the errors of each layer below.
    """

    rest: FloatArray
    slopes: sp.csr_array
    lengths: FloatArray
    rising: list[Rows]


@dataclass(frozen=True, eq=False)
class Net:
    """A network as it is at the image; the same for all balls.

    Attributes:
        layers: the hidden ones.
        last: the map to the logits.
        image: shape ``(n_0,)``.
        rises, falls: which pixels can.
        excesses: of each layer.
        spread: which unit each excess belongs to, shape ``(units, excesses)``.
    """

    layers: Sequence[Layer]
    last: Affine
    image: FloatArray
    rises: BoolArray
    falls: BoolArray
    excesses: list[Linear]
    spread: list[sp.csr_array]

    @classmethod
    def of(
        cls, layers: Sequence[Layer], last: Affine, image: FloatArray, box: tuple[FloatArray, ...]
    ) -> Net:
        """The network at an image of a box."""
        import scipy.sparse as sp

        net = cls(layers, last, image, box[1] > image, box[0] < image, [], [])
        for k, layer in enumerate(layers):
            net.excesses.append(net.linear(k, layer.excesses, layer.constants))
            count = layer.owners.size
            ones = np.ones(count), (layer.owners, np.arange(count))
            net.spread.append(sp.csr_array(ones, shape=(layer.starts.size, count)))
        return net

    def linear(self, k: int, rows: Rows, constants: FloatArray) -> Linear:
        """Linear parts of ``rows @ x + constants``, x the units below layer k."""
        import scipy.sparse as sp

        rest, rising = constants, []
        for m in range(k - 1, -1, -1):
            layer = self.layers[m]
            rising.append(positive(rows))
            rows = passed(rows, layer.keeps, None)
            rest = rest + rows @ layer.bias
            rows = rows @ layer.lead
        slopes = sp.csr_array(rows, copy=True)
        up, down = self.rises[slopes.indices], self.falls[slopes.indices]
        slopes.data[((slopes.data > 0.0) & ~up) | ((slopes.data < 0.0) & ~down)] = 0.0
        slopes.eliminate_zeros()
        lengths = np.sqrt(slopes.multiply(slopes).sum(axis=1))
        share = 1.0 + float(gamma(self.image.size + 8.0))
        return Linear(rest + rows @ self.image, slopes, lengths * share, rising[::-1])


class Squares:
    """Errors over a ball; see the module.

    Attributes:
        net: the network.
        radius: r.
        proven: whether eigenvalues are; else some are estimates.
        reach: R of every excess of each layer, ``shifts``, tau', ``passes``, rho, ``widths``, s.
        undecided: how many excesses may be above zero.
    """

    def __init__(
        self,
        net: Net,
        radius: float,
        proven: bool,
        deadline: Deadline,
        enough: float = math.inf,
    ) -> None:
        """Args: net, radius, proven; when to leave it incomplete, or after how many undecided."""
        self.net, self.radius, self.proven, self._deadline = net, radius, proven, deadline
        self.reach: list[FloatArray] = []
        self.shifts: list[FloatArray] = []
        self.passes: list[FloatArray] = []
        self.widths: list[FloatArray] = []
        self._curves: list[tuple[FloatArray, FloatArray]] = []
        self.undecided = 0
        self._terms = 64.0 + net.image.size + net.last.output_size
        sizes = np.abs(net.image)
        for k, layer in enumerate(net.layers):
            if deadline.passed or self.undecided > enough:
                break
            own = layer.biases + layer.weights @ sizes
            if k == 0:
                squares = layer.weights * layer.weights
                own = own + radius * np.sqrt(np.asarray(squares.sum(axis=1)))
            count = max(own.size, layer.starts.size, layer.constants.size)
            self._terms += 2.0 * count + 8.0
            self._add(k, net.excesses[k], self._room(layer.taken @ own))
            sizes = (2.0 if layer.windows is None else 3.0) * layer.posts(own)
        self._sizes = sizes if net.layers else sizes + radius

    @property
    def complete(self) -> bool:
        """Whether all layers are bounded, by numbers."""
        curves = [curve for curve, _ in self._curves]
        known = [*self.reach, *self.shifts, *self.passes, *curves]
        return len(self.reach) == len(self.net.layers) and all(
            np.isfinite(each).all() for each in known
        )

    def _room(self, sizes: FloatArray) -> FloatArray:
        """What may be lost to rounding: nothing where there is nothing."""
        found: FloatArray = np.where(sizes == 0.0, 0.0, 4.0 * gamma(self._terms) * sizes + TINY)
        return found

    def _add(self, k: int, linear: Linear, room: FloatArray) -> None:
        """The errors of the next layer."""
        tau, reach = -(linear.rest + room), self.radius * linear.lengths * (1.0 + 1e-12)
        most = self._largest_sums(k, linear, reach - tau) if k else np.zeros(tau.size)
        some = ~(reach + most <= tau)
        share = reach / np.maximum(reach + most, TINY)
        shifts = np.where(tau > 0.0, tau * share, tau)
        others = np.where(tau > 0.0, (tau - shifts) * (1.0 - 1e-12), 0.0)
        passes = np.maximum(1.0 - others / np.maximum(most, TINY), 0.0)
        self.reach.append(reach)
        self.shifts.append(shifts)
        self.passes.append(np.where(some, np.maximum(passes * (1.0 + 1e-12), TINY), 0.0))
        self.widths.append(np.maximum(shifts, START * reach))
        self._curves.append(self._curve(k))
        self.undecided += int(some.sum())

    def _curve(self, k: int) -> tuple[FloatArray, FloatArray]:
        """Kappa and ``s - tau'`` of a layer."""
        reach, shifts = self.reach[k], self.shifts[k]
        size = reach + np.abs(shifts)
        widths = np.clip(self.widths[k], SHORTEST * size, LONGEST * size) + TINY
        room = np.maximum(reach - shifts, 0.0)
        last = room / (room + widths) / (room + widths)
        curve = np.where(widths <= room, 0.25 / widths, last)
        curve = np.where(self.passes[k] > 0.0, curve * (1.0 + 1e-12), 0.0)
        return curve, widths - shifts

    def refit(self, delta: FloatArray, rate: float) -> None:
        """Move widths to those that are best at a change, on the scale of their logarithms."""
        for k, own in enumerate(self.net.excesses):
            best = np.abs(own.slopes @ delta - self.shifts[k])
            best = np.maximum(best, SHORTEST * self.reach[k]) + TINY
            self.widths[k] = (self.widths[k] + TINY) ** (1.0 - rate) * best**rate
            self._curves[k] = self._curve(k)

    def _weights(self, rising: Sequence[Rows]) -> list[Rows]:
        """Of some forms how often every parabola is in their bounds, layer by layer."""
        import scipy.sparse as sp

        left, found = list(rising), list[Rows]()
        for m in range(len(left) - 1, -1, -1):
            own = left[m] @ self.net.spread[m]
            down = own @ sp.diags_array(self.passes[m])
            for q, below in enumerate(self.net.excesses[m].rising):
                left[q] = left[q] + down @ below
            found.append(own @ sp.diags_array(self._curves[m][0] * (1.0 + 1e-9)))
        return found[::-1]

    def _largest_sums(self, k: int, linear: Linear, missing: FloatArray) -> FloatArray:
        """Y of every excess, roughly where it makes no difference."""
        weights = self._weights(linear.rising)
        lengths = [own.lengths for own in self.net.excesses[:k]]
        offsets = [curve[1] for curve in self._curves]
        sizes = [np.asarray(w @ (x * x)) for w, x in zip(weights, lengths, strict=True)]
        rests = [np.asarray(w @ (x * x)) for w, x in zip(weights, offsets, strict=True)]
        beta = np.sqrt(np.sum(rests, axis=0))
        largest = (np.sqrt(np.sum(sizes, axis=0)) * self.radius + beta) ** 2 * (1.0 + 1e-9)
        directions, joined = _side_by_side([own.slopes for own in self.net.excesses[:k]], weights)
        for i in np.flatnonzero(largest > -missing):
            if self._deadline.passed:
                break  # what is known already holds
            spectrum = self._spectrum(directions, joined, int(i))
            better = (np.sqrt(spectrum) * self.radius + beta[i]) ** 2 * (1.0 + 1e-9)
            largest[i] = better if better < largest[i] else largest[i]
        found: FloatArray = np.where(largest == 0.0, 0.0, largest + TINY)
        return found

    def _spectrum(self, directions: sp.csr_array, weights: Rows, i: int) -> float:
        """The largest eigenvalue of one form's squares, infinite if nothing is known of it."""
        if not isinstance(weights, np.ndarray):
            own = slice(weights.indptr[i], weights.indptr[i + 1])
            kept = weights.data[own] > 0.0
            places, values = weights.indices[own][kept], weights.data[own][kept]
            if places.size < FEW * directions.shape[0]:
                return local_spectrum(directions[places], values)
            row = np.zeros(directions.shape[0])
            row[places] = values
        else:
            row = weights[i]
        claimed = estimated_spectrum(directions, row)
        if self.proven and not is_below(gram(directions, row), claimed, self._terms):
            return np.inf
        return claimed

    def quadratic(self, linear: Linear) -> tuple[float, FloatArray, FloatMatrix]:
        """The bound of a single form: its value at no change, its slopes, its matrix."""
        size = self.net.image.size
        slopes, matrix = dense(linear.slopes)[0], np.zeros((size, size))
        constant = float(linear.rest[0])
        lost = 0.0
        for own, weights, curve in zip(
            self.net.excesses, self._weights(linear.rising), self._curves, strict=True
        ):
            row, offsets = dense(weights)[0], curve[1]
            matrix += gram(own.slopes, row)
            slopes = slopes + 2.0 * (own.slopes.T @ (row * offsets))
            sizes = float((row * np.abs(offsets) * own.lengths).sum())
            constant += float(row @ (offsets * offsets))
            lost += float(gamma(self._terms)) * (
                2.0 * sizes * self.radius + float(row @ (offsets * offsets))
            )
        return constant + lost, slopes, matrix

    def room_of(self, matrix: FloatMatrix, rhs: FloatArray) -> FloatArray:
        """What may be lost of conditions ``matrix @ logits - rhs``."""
        sizes = np.abs(self.net.last.bias) + abs(self.net.last.weight) @ self._sizes
        return self._room(np.abs(matrix) @ sizes + np.abs(rhs))

    @property
    def terms(self) -> float:
        """At least the length of any sum."""
        return self._terms


def _side_by_side(
    directions: Sequence[sp.csr_array], weights: Sequence[Rows]
) -> tuple[sp.csr_array, Rows]:
    """Directions of several layers, and their weights."""
    import scipy.sparse as sp

    if len(weights) == 1:
        return directions[0], weights[0]
    below = sp.csr_array(sp.vstack(list(directions)))
    if all(isinstance(each, np.ndarray) for each in weights):
        return below, np.concatenate([dense(each) for each in weights], axis=1)
    return below, sp.csr_array(sp.hstack([sp.csr_array(each) for each in weights]))
