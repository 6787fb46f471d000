r"""Max poolings over a box or ball: what leads, and what may exceed it, one after the other.

A unit of a pooling is the largest of a few affine forms a_p of the layer below, its *pieces*, and
of zero where a ReLU is (:mod:`.corners.units`). Let q lead in the middle of the set, and let
:math:`p_1, p_2, \dots` be the pieces that may exceed it somewhere. With the excesses
:math:`e_j = a_{p_j} - a_q`,

.. math:: \max_p a_p = a_q + \sum_j y_j, \qquad y_j = (e_j - y_1 - \dots - y_{j-1})^+,

since :math:`y_1 + \dots + y_j = \max(0, e_1, \dots, e_j)`. That is a chain of ReLUs, the j-th of
all units side by side; a form that is read later is carried, moved above zero. A tournament, which
is what a pooling lowers to in general, compares pieces that never lead as well, with two neurons
for each that it carries: of the bundled network `adm`, windows of sixteen, it leaves 5,682 neurons
undecided over the box of a quarter of the distance of test image 102, and this leaves 2,137. The
pieces that may exceed most come first: what a relaxation loses at y_j, the upper lines of those
behind it reduce.

Rounding
--------
Coefficients are rounded once made, and are given numbers from then on. Let M bound the values of
units of the layer below and the constants by which what is carried was moved, and e what they are
off by. Pieces are off by what :func:`.folding.through` counts. Two roundings of that are their own;
the rest is for the network as it lowers, which what is proven is about: the first round of a
tournament has weights :math:`fl(W_i - W_j)`, off by :math:`u |W_i - W_j|`, later ones have 1 and -1
alone. An excess is off by the sum over both of its pieces and 4u times the sizes
of what is added; sums of :math:`y` are maxima of excesses, whatever the rounds are, and off by no
more than the worst. Bounds of excesses are widened by all that before a piece is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reluopt.engines.branch_and_bound.corners.units import Units, units_of
from reluopt.engines.branch_and_bound.folding import ROOM, Forms, through
from reluopt.networks.flattening import flatten
from reluopt.networks.layers.base import Affine, affine
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import BoolArray, FloatArray, IntArray
from reluopt.numerics.propagate import tighten
from reluopt.numerics.rounding import ROUNDOFF
from reluopt.questions.input_sets import InputSet

if TYPE_CHECKING:
    import scipy.sparse as sp

LEAD = np.iinfo(np.int64).max
"""Rank of a leading piece, which no round takes."""


@dataclass(frozen=True, eq=False)
class Led:
    """A network of ReLUs that answers as another one over a set.

    Attributes:
        network: the network.
        errors: above what its logits differ by, shape ``(n_K,)``.
    """

    network: ReLUNetwork
    errors: FloatArray


@dataclass(frozen=True, eq=False)
class _Items:
    """What rounds read: leading pieces, and the excesses that are kept.

    Attributes:
        forms: theirs.
        owners: unit of each.
        ranks: the round that takes it.
        shifts: what they are moved by where they are carried.
    """

    forms: Forms
    owners: IntArray
    ranks: IntArray
    shifts: FloatArray


def is_pooled(network: ReLUNetwork) -> bool:
    """Whether a network has max poolings that can be led."""
    return any(own.windows is not None for own in units_of(network))


def led_over(network: ReLUNetwork, inputs: InputSet) -> Led | None:
    """The network with its max poolings led over a box or a ball; see the module.

    None where it has no pooling behind an affine map, the set is empty, or nothing finite is known.

    Args:
        network: the network.
        inputs: where; limits on the change are not read.
    """
    units = units_of(network)
    if all(own.windows is None for own in units):
        return None
    made = _Made(inputs)
    for own in units:
        if not made.add(own):
            return None
    return Led(ReLUNetwork(tuple(made.layers), network.metadata), made.below.errors)


class _Made:
    """The layers that have been made.

    Attributes:
        layers: affine maps, a ReLU behind each.
        below: the values of the units above them.
    """

    def __init__(self, inputs: InputSet) -> None:
        import scipy.sparse as sp

        lower, upper = inputs.ends
        self._inputs, self._middle = inputs, lower + 0.5 * (upper - lower)
        if inputs.center is not None:
            self._middle = np.array(inputs.center)
        self.layers: list[Affine] = []
        eye = sp.csr_array(sp.eye_array(lower.size, format="csr"))
        zero = np.zeros(lower.size)
        self.below = Forms(eye, zero, zero, np.maximum(np.abs(lower), np.abs(upper)))

    def add(self, own: Units) -> bool:
        """Add a layer of units; False where nothing finite is known of it."""
        pieces = through(own.pieces, self.below, 1)  # products are exact, one term each
        at = own.pieces.forward(self._middle)
        if not (np.isfinite(pieces.errors).all() and np.isfinite(at).all()):
            return False
        if own.windows is None:
            self._close(pieces)
            self._middle = np.maximum(at, 0.0) if own.rectified else at
            return True
        windows = own.windows
        if own.rectified:  # zero is one more piece
            windows = np.pad(windows, ((0, 0), (0, 1)), constant_values=at.size)
            pieces, at = _with_zero(pieces), np.append(at, 0.0)
        values = np.where(windows >= 0, at[windows], -np.inf)
        leads = windows[np.arange(len(windows)), values.argmax(axis=1)]
        items = self._items(pieces, windows, leads)
        if items is None:
            return False
        self.below = self._rounds(items, windows, pieces.sizes)
        self._middle = values.max(axis=1)
        return True

    def _close(self, forms: Forms) -> None:
        """A layer of these forms; what is above reads its values."""
        import scipy.sparse as sp

        self.layers.append(affine(forms.rows, forms.constant))
        size = forms.constant.size
        eye = sp.csr_array(sp.eye_array(size, format="csr"))
        self.below = Forms(eye, np.zeros(size), forms.errors, forms.sizes)

    def _bounds(self, forms: Forms) -> tuple[FloatArray, FloatArray] | None:
        """Bounds of what forms stand for; None where the set is empty."""
        rows = affine(forms.rows, forms.constant)
        flat = flatten(ReLUNetwork((*self.layers, rows)))
        place = self._inputs.flat(flat)
        unknown = np.full(flat.biases.size, np.inf)
        lower, upper = -unknown, unknown
        count = len(self.layers) + 1
        if not tighten(flat, place, lower, upper, np.empty(lower.size), 0, count, False):
            return None
        first = flat.biases.size - forms.constant.size
        return lower[first:] - forms.errors, upper[first:] + forms.errors

    def _items(self, pieces: Forms, windows: IntArray, leads: IntArray) -> _Items | None:
        """Leading pieces other than zero, and what may exceed them, the most first."""
        owners, places = np.nonzero((windows >= 0) & (windows != leads[:, None]))
        others = windows[owners, places]
        excesses = _differences(pieces, others, leads[owners])
        found = self._bounds(_joined(excesses, pieces.chosen(leads)))
        if found is None:
            return None
        (low, least), (high, _) = (np.split(end, [others.size]) for end in found)
        kept = np.flatnonzero(~(high <= 0.0))
        kept = kept[np.lexsort((-high[kept], owners[kept]))]
        own = owners[kept]
        firsts = np.searchsorted(own, own)  # where the first of the same unit stands
        entries = np.diff(pieces.rows[leads].indptr) + (pieces.constant[leads] != 0.0)
        leading = np.flatnonzero((entries > 0) | (pieces.errors[leads] > 0.0))
        if leading.size + kept.size == 0:  # a layer has a row
            leading = np.zeros(1, dtype=np.int64)
        forms = _joined(pieces.chosen(leads[leading]), excesses.chosen(kept))
        bottom = np.concatenate([least[leading], low[kept]])
        shifts = np.maximum(ROOM * (1.0 + np.abs(bottom)) - bottom, 0.0)
        carried = 4.0 * ROUNDOFF * (np.abs(forms.constant) + shifts)
        return _Items(
            Forms(forms.rows, forms.constant, forms.errors + carried, forms.sizes),
            np.concatenate([leading, own]),
            np.concatenate([np.full(leading.size, LEAD), np.arange(own.size) - firsts]),
            shifts,
        )

    def _rounds(self, items: _Items, windows: IntArray, sizes: FloatArray) -> Forms:
        """Add a layer for each round; the units' values."""
        import scipy.sparse as sp

        units, owners, ranks, shifts = len(windows), items.owners, items.ranks, items.shifts
        rows, constants = items.forms.rows, items.forms.constant
        sums = sp.csr_array((units, rows.shape[1]))
        for turn in range(int(ranks[ranks < LEAD].max(initial=0)) + 1):
            now, later = np.flatnonzero(ranks == turn), np.flatnonzero(ranks > turn)
            summed = np.flatnonzero(np.diff(sums.indptr))
            matrix = sp.vstack([rows[now] - sums[owners[now]], rows[later], sums[summed]])
            biases = constants[now], constants[later] + shifts[later], np.zeros(summed.size)
            self.layers.append(affine(sp.csr_array(matrix), np.concatenate(biases)))
            places = np.arange(matrix.shape[0])
            own, carried, behind = np.split(places, [now.size, now.size + later.size])
            rows = _ones(np.arange(later.size), carried, (later.size, places.size))
            added = np.concatenate([own, behind])
            sums = _ones(np.concatenate([owners[now], summed]), added, (units, places.size))
            owners, ranks, shifts = owners[later], ranks[later], shifts[later]
            constants = -shifts
        spread = _ones(owners, np.arange(owners.size), (units, owners.size))
        leads = items.ranks == LEAD
        errors = _worst(items, leads, units) + _worst(items, ~leads, units)
        moved = spread @ constants
        reached = np.where(windows >= 0, sizes[windows], 0.0).max(axis=1) + np.abs(moved)
        return Forms(sp.csr_array(spread @ rows + sums), moved, errors, reached)


def _worst(items: _Items, which: BoolArray, units: int) -> FloatArray:
    """The largest error among some items of each unit, shape ``(units,)``."""
    found = np.zeros(units)
    np.maximum.at(found, items.owners[which], items.forms.errors[which])
    return found


def _with_zero(pieces: Forms) -> Forms:
    """Pieces and zero."""
    import scipy.sparse as sp

    zero = sp.csr_array((1, pieces.rows.shape[1]))
    return _joined(pieces, Forms(zero, np.zeros(1), np.zeros(1), np.zeros(1)))


def _joined(first: Forms, second: Forms) -> Forms:
    """Forms, and others behind them."""
    import scipy.sparse as sp

    return Forms(
        sp.csr_array(sp.vstack([first.rows, second.rows])),
        np.concatenate([first.constant, second.constant]),
        np.concatenate([first.errors, second.errors]),
        np.concatenate([first.sizes, second.sizes]),
    )


def _differences(forms: Forms, which: IntArray, less: IntArray) -> Forms:
    """Some forms less others."""
    a, b = forms.chosen(which), forms.chosen(less)
    sizes = a.sizes + b.sizes
    errors = a.errors + b.errors + 4.0 * ROUNDOFF * (sizes + 1.0)
    ends = errors * (1.0 + 1e-6), sizes * (1.0 + 1e-6)
    return Forms(a.rows - b.rows, a.constant - b.constant, *ends)


def _ones(rows: IntArray, columns: IntArray, shape: tuple[int, int]) -> sp.csr_array:
    """Ones at some places, and zeros."""
    import scipy.sparse as sp

    return sp.csr_array((np.ones(rows.size), (rows, columns)), shape=shape)
