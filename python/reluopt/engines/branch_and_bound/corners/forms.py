r"""Convex functions above pre-activations, of all pixels at once, over an L1 ball cut by a box.

In coordinates s of a simplex (:class:`~..dual.domains.SimplexDomain`; corner :math:`e_j` is the
whole budget spent on one pixel, 0 no change) every unit is what leads at the image and an error,
:math:`x_i = k_i a_i + \epsilon_i` (:mod:`.units`), which is zero until the change is large enough
for another piece to lead. A form :math:`c x` of a layer's units is bounded from above by

.. math:: c_i x_i \le c_i k_i a_i + c_i E_i \quad (c_i > 0), \qquad
          c_i x_i \le c_i \alpha_i a_i \quad (c_i < 0,\; 0 \le \alpha_i \le 1),

and :math:`a = W x' + b` of the layer below, down to the pixels. :math:`E_i` is an affine function
of s above :math:`\epsilon_i`: each of the excesses whose maximum that is, is a form, bounded in the
same way and therefore below an affine function; their maximum with zero is convex, and lies below
its interpolation at the corners (Jensen). So the bound of any form is affine in s, largest over the
simplex by a fractional knapsack, and at no change the form's true value where :math:`\alpha = k`.

What is gained over forms with one offset for each neuron (CROWN, Zhang et al. 2018) grows with the
number of neurons: an error that needs the budget at its own field of the picture adds to the slope
of those pixels alone. In the first layer errors are exact at corners.

*Rounding.* Let M bound the absolute terms of a layer's pieces at any corner: in the first layer
:math:`|b| + |W| |m| + \max_j |W r e_j|`, else :math:`|b| + |W| M'`, M' being twice the M of each
unit below, and three times where it has several pieces (its lead, and by how much another exceeds
it). As slopes are at most 1, all terms of a form, and of those of its errors, add up to at most its
M. Every computed number is therefore within :math:`\gamma_N M` of the sum it stands for, N
exceeding the lengths of all sums on the way, and forms are raised by four times as much; errors are
given numbers from then on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from reluopt.deadline import NEVER, Deadline
from reluopt.engines.branch_and_bound.corners.tables import (
    Rows,
    Table,
    dense,
    is_finite,
    largest_entries,
    passed,
    positive,
)
from reluopt.engines.branch_and_bound.corners.units import Layer
from reluopt.engines.branch_and_bound.dual.domains import SimplexDomain
from reluopt.networks.layers.base import Affine
from reluopt.numerics.arrays import BoolArray, FloatArray, FloatMatrix
from reluopt.numerics.rounding import TINY, gamma

Slopes = Mapping[tuple[int, int], FloatArray]
"""Slopes alpha of the forms of layer k, where they pass layer m: one for each coefficient. Where
there are none they are those at no change."""


@dataclass(frozen=True, eq=False)
class Forms:
    """Forms of one layer, or of logits.

    Attributes:
        above: affine functions above them.
        rows: coefficients of the units of each layer below, on the way down.
    """

    above: Table
    rows: list[Rows]


@dataclass(eq=False)
class Corners:
    """A network over a simplex; see the module.

    Attributes:
        layers: the hidden ones.
        last: the map to the logits.
        domain: the simplex about the image at which the layers are.
        slopes: chosen before.
        deadline: when to leave it incomplete.
        enough: undecided units after which to leave it incomplete.
        excesses: forms of each layer's excesses.
        errors: E of each layer.
        undecided: units of each for which others may lead.
    """

    layers: Sequence[Layer]
    last: Affine
    domain: SimplexDomain
    slopes: Slopes
    deadline: Deadline = NEVER
    enough: float = math.inf
    excesses: list[Forms] = field(default_factory=list)
    errors: list[Table] = field(default_factory=list)
    undecided: list[BoolArray] = field(default_factory=list)

    def __post_init__(self) -> None:
        import scipy.sparse as sp

        domain = self.domain
        moved = domain.signs * domain.radius, (domain.pixels, np.arange(domain.columns))
        self._moves = sp.csr_array(moved, shape=(domain.center.size, domain.columns))
        self._terms = 64.0 + domain.center.size + self.last.output_size
        self._sizes = np.abs(domain.center)
        if not self.layers:
            self._sizes = self._sizes + domain.radius
        for k, layer in enumerate(self.layers):
            if self.deadline.passed or self.count > self.enough:
                return
            sizes = layer.biases + layer.weights @ self._sizes
            if k == 0:
                sizes = sizes + domain.radius * largest_entries(layer.weights)
            self._terms += 2.0 * max(sizes.size, layer.constants.size) + 8.0
            room = self._room(layer.taken @ sizes)
            forms = self.forms(k, layer.excesses, layer.constants + room)
            self._sizes = (2.0 if layer.windows is None else 3.0) * layer.posts(sizes)
            if not self._take(layer, forms):
                return

    @property
    def complete(self) -> bool:
        """Whether all layers are bounded, by numbers."""
        return len(self.errors) == len(self.layers)

    @property
    def count(self) -> int:
        """Undecided units so far."""
        return sum(int(own.sum()) for own in self.undecided)

    def _room(self, sizes: FloatArray) -> FloatArray:
        """What may be lost to rounding: nothing where there is nothing."""
        found: FloatArray = np.where(sizes == 0.0, 0.0, 4.0 * gamma(self._terms) * sizes + TINY)
        return found

    def _take(self, layer: Layer, forms: Forms) -> bool:
        """Take the excesses of the next layer, if they are numbers."""
        if not (np.isfinite(forms.above.rest).all() and is_finite(forms.above.rises)):
            return False
        undecided = np.maximum.reduceat(forms.above.highest(), layer.starts) > 0.0
        self.excesses.append(forms)
        self.undecided.append(undecided)
        largest = forms.above.largest(layer.starts, layer.owners)
        self.errors.append(largest.only(undecided.astype(np.float64)))
        return True

    def forms(
        self, k: int, rows: Rows, constants: FloatArray, slopes: Slopes | None = None
    ) -> Forms:
        """Forms above ``rows @ x + constants``, x the units below layer k.

        Args:
            k: layer, those before it known already.
            rows: coefficients.
            constants: with room for what is rounded.
            slopes: in place of :attr:`slopes`.
        """
        given = self.slopes if slopes is None else slopes
        rest, kept = constants.copy(), list[Rows]()
        rises: Any = 0.0
        for m in range(k - 1, -1, -1):
            kept.append(rows)
            layer, up = self.layers[m], positive(rows)
            rest += up @ self.errors[m].rest
            rises = up @ self.errors[m].rises + rises
            rows = passed(rows, layer.keeps, given.get((k, m)))
            rest += rows @ layer.bias
            rows = rows @ layer.lead
        rest += rows @ self.domain.center
        return Forms(Table(rest, rows @ self._moves + rises), kept[::-1])

    def conditions(
        self, matrix: FloatMatrix, rhs: FloatArray, slopes: Slopes | None = None
    ) -> tuple[FloatArray, Forms]:
        """Upper bounds of ``matrix @ logits - rhs`` over the simplex, and their forms.

        All layers must be bounded.
        """
        bias, sizes = self.last.bias, abs(self.last.weight) @ self._sizes
        room = self._room(np.abs(matrix) @ (np.abs(bias) + sizes) + np.abs(rhs))
        rows = dense(matrix @ self.last.weight)
        forms = self.forms(len(self.layers), rows, matrix @ bias - rhs + room, slopes)
        rest, rises = forms.above.rest, dense(forms.above.rises)
        found, sizes = self.domain.reach(np.ascontiguousarray(-rises))
        share = float(gamma(4.0 * rises.shape[1] + 16.0))
        return rest + found + share * (sizes + np.abs(rest)), forms
