r"""A network as layers of units, and what each unit is at the image.

A *unit* is the largest of a few *pieces*, affine forms of the layer below, and mostly of zero: a
ReLU has one piece, a window of a max pooling behind ReLUs has as many as the window. Seen from the
image m, the piece a that is largest there leads, and the unit is

.. math:: x = k a + \epsilon, \qquad \epsilon = \max_p (a_p - k a) \ge 0,

with zero among the pieces where a ReLU is; k is 1 if the lead is positive at m or there is no ReLU,
else 0. So :math:`\epsilon` is 0 at m, and the largest of few affine forms, the *excesses*.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from reluopt.engines.branch_and_bound.corners.tables import Rows
from reluopt.networks.layers.base import Affine, Maximum, Rectifier, Stage
from reluopt.networks.layers.base import Layer as NetworkLayer
from reluopt.networks.layers.chain import Chain
from reluopt.networks.layers.pooling import MaxPool2d
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray, IntArray

if TYPE_CHECKING:
    import scipy.sparse as sp


@dataclass(frozen=True, eq=False)
class Units:
    """A layer of units.

    Attributes:
        pieces: the affine forms.
        windows: which of them each unit is the largest of, -1 for none, shape ``(units, entries)``;
            None where each has its own.
        rectified: whether zero is one more.
    """

    pieces: Affine
    windows: IntArray | None = None
    rectified: bool = False


def units_of(network: ReLUNetwork) -> tuple[Units, ...]:
    """A network's layers; the last one's pieces are the logits.

    What is proven is about the network as it lowers. Its weights are those of the pieces, except
    where a pooling has several maps behind it that are made one: in another order, so that they
    are rounded differently, and neurons are taken there.
    """
    if any(_made_one_behind_a_pool(layer) for layer in network.layers):
        return _lowered(network)
    stages: list[Stage] = []
    for own in network.stages:
        stages += [Rectifier(), *own] if stages else own
    found: list[Units] = []
    for stage in stages:
        if isinstance(stage, Affine):
            found.append(Units(stage))
        elif isinstance(stage, Rectifier) and stage.slope == 0.0 and found:
            found[-1] = replace(found[-1], rectified=True)
        elif isinstance(stage, Maximum) and found:
            found[-1] = replace(found[-1], windows=_behind(found[-1].windows, stage.numbers))
        else:
            return _lowered(network)
    last = found[-1]
    return _lowered(network) if last.rectified or last.windows is not None else tuple(found)


def _made_one_behind_a_pool(layer: NetworkLayer) -> bool:
    """Whether a layer has a pooling with two maps behind it."""
    pooled, maps = False, 0
    for part in layer.parts if isinstance(layer, Chain) else (layer,):
        if isinstance(part, MaxPool2d):
            pooled, maps = True, 0
        else:
            maps += 1
        if pooled and maps > 1:
            return True
    return False


def _lowered(network: ReLUNetwork) -> tuple[Units, ...]:
    """Every neuron of what the network lowers to as a unit."""
    *hidden, last = network.affine_layers
    return (*(Units(layer, None, True) for layer in hidden), Units(last))


def are_neurons(units: Sequence[Units], network: ReLUNetwork) -> bool:
    """Whether units are the neurons of what the network lowers to, in their order."""
    sizes = tuple(own.pieces.output_size for own in units)
    return sizes == network.sizes[1:] and all(own.windows is None for own in units)


def _behind(windows: IntArray | None, numbers: IntArray) -> IntArray:
    """Windows of windows, each piece once where they overlap."""
    if windows is None:
        return numbers
    taken = np.where(numbers[:, :, None] >= 0, windows[numbers], -1)
    found = np.sort(taken.reshape(numbers.shape[0], -1), axis=1)
    found[:, 1:][found[:, 1:] == found[:, :-1]] = -1
    return found


@dataclass(frozen=True, eq=False)
class Layer:
    """A hidden layer as it is at the image.

    Attributes:
        lead: the leading pieces' weights, shape ``(units, n_in)``, and ``bias``.
        keeps: k, shape ``(units,)``.
        rectified: whether any slope between 0 and 1 of the lead is below the unit.
        excesses: weights of the excesses, shape ``(excesses, n_in)``, and ``constants``.
        starts: the first excess of each unit; they stand side by side.
        owners: the unit of each excess.
        taken: how often each piece is taken in each excess, shape ``(excesses, pieces)``.
        weights: absolute weights of the pieces, and ``biases``.
        windows: as of its units.
    """

    lead: Rows
    bias: FloatArray
    keeps: FloatArray
    rectified: bool
    excesses: Rows
    constants: FloatArray
    starts: IntArray
    owners: IntArray
    taken: sp.csr_array
    weights: Rows
    biases: FloatArray
    windows: IntArray | None

    def posts(self, pieces: FloatArray) -> FloatArray:
        """The largest value of each unit's pieces."""
        return pieces if self.windows is None else _largest(pieces, self.windows)[1]


def _largest(values: FloatArray, windows: IntArray) -> tuple[IntArray, FloatArray]:
    """Which piece is the largest of each window, and its value."""
    taken = np.where(windows >= 0, values[windows], -np.inf)
    place = taken.argmax(axis=1)
    rows = np.arange(place.size)
    return windows[rows, place], taken[rows, place]


def layers_at(units: Sequence[Units], image: FloatArray) -> list[Layer]:
    """The hidden layers at an image."""
    found, values = [], image
    for own in units[:-1]:
        pieces = own.pieces.forward(values)
        lead, values = np.arange(pieces.size), pieces
        if own.windows is not None:
            lead, values = _largest(pieces, own.windows)
        keeps = (values > 0.0).astype(np.float64) if own.rectified else np.ones(values.size)
        found.append(_layer(own, lead, keeps))
        values = np.maximum(values, 0.0) if own.rectified else values
    return found


def _layer(units: Units, lead: IntArray, keeps: FloatArray) -> Layer:
    """What leads, and by how much others exceed it."""
    weight, bias = units.pieces.weight, np.asarray(units.pieces.bias)
    alone = units.windows is None
    taken, owners = _taken(units, lead, keeps)
    return Layer(
        weight if alone else weight[lead],
        bias if alone else bias[lead],
        keeps,
        units.rectified,
        taken @ weight,
        np.asarray(taken @ bias),
        np.searchsorted(owners, np.arange(lead.size)),
        owners,
        abs(taken),
        abs(weight),
        np.abs(bias),
        units.windows,
    )


def _taken(units: Units, lead: IntArray, keeps: FloatArray) -> tuple[sp.csr_array, IntArray]:
    """How often each piece is taken in each excess, and the unit of each excess."""
    import scipy.sparse as sp

    own, size, none = np.arange(lead.size), units.pieces.output_size, np.zeros(0, dtype=np.int64)
    # Between the lead and zero, or, without a ReLU, between the lead and itself.
    shares = 1.0 - 2.0 * keeps if units.rectified else np.zeros(lead.size)
    others, pieces = none, none
    if units.windows is not None:
        others, place = np.nonzero((units.windows >= 0) & (units.windows != lead[:, None]))
        pieces = units.windows[others, place]
    owners = np.concatenate([own, others])
    order = np.argsort(owners, kind="stable")
    place = np.empty(order.size, dtype=np.int64)
    place[order] = np.arange(order.size)
    beyond = place[lead.size :]
    rows = np.concatenate([place[: lead.size], beyond, beyond])
    columns = np.concatenate([lead, pieces, lead[others]])
    values = np.concatenate([shares, np.ones(others.size), -keeps[others]])
    taken = sp.csr_array((values, (rows, columns)), shape=(order.size, size))
    return taken, owners[order]
