"""From stage to stage of a network: what stands there as linear forms of variables, and its bounds.

Pre-activation bounds are those of the affine maps that layers lower to. Where a layer has stages
of its own, a maximum or a leaky ReLU, only what it gives in the end is among them; in between,
interval arithmetic continues from what stands before. Those bounds hold, but may be looser.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import scipy.sparse as sp

from reluopt.bounds.base import PreActivationBounds
from reluopt.formulation.base import ABSENT, EncodedLayer
from reluopt.networks.layers.base import Affine, Layer, Maximum, Rectifier, Stage
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import BoolArray, FloatArray
from reluopt.numerics.linear_programs import IndexArray

Form: TypeAlias = tuple[sp.csr_array, IndexArray, FloatArray]
"""``slope @ v[columns] + offset``: values as forms of variables."""

Ends: TypeAlias = tuple[FloatArray, FloatArray]
"""Lower and upper bounds."""

ROOM = 1e-9
"""Relative room that interval arithmetic leaves for its rounding, ten million units."""


@dataclass(frozen=True, eq=False)
class Values:
    """Values as forms of variables.

    Attributes:
        slope, columns, offset: see :data:`Form`; ``slope`` is None where each value is a variable
            or, if it is ``ABSENT``, zero.
    """

    slope: sp.csr_array | None
    columns: IndexArray
    offset: FloatArray

    @property
    def present(self) -> BoolArray:
        """Which values are variables, where all are variables or zero."""
        return np.asarray(self.columns != ABSENT)

    def through(self, layer: Affine) -> Form:
        """What an affine map makes of the values."""
        if self.slope is None:
            present = self.present
            return sp.csr_array(layer.weight[:, present]), self.columns[present], layer.bias
        slope = sp.csr_array(layer.weight @ self.slope)
        return slope, self.columns, layer.weight @ self.offset + layer.bias


def variables(columns: IndexArray) -> Values:
    """Values that are variables, or zero where they are ``ABSENT``."""
    return Values(None, columns, np.zeros(columns.size))


def rectified(layer: EncodedLayer, slope: float) -> Values:
    """What a ReLU, or a leaky one, makes of a layer: ``x - slope s``."""
    if slope == 0.0:
        return variables(layer.x)
    has_x, has_s = (np.flatnonzero(columns != ABSENT) for columns in (layer.x, layer.s))
    rows = np.concatenate([has_x, has_s])
    factors = np.concatenate([np.ones(has_x.size), np.full(has_s.size, -slope)])
    matrix = sp.csr_array((factors, (rows, np.arange(rows.size))), shape=(layer.x.size, rows.size))
    columns = np.concatenate([layer.x[has_x], layer.s[has_s]])
    return Values(matrix, columns, np.zeros(layer.x.size))


def is_plain(network: ReLUNetwork) -> bool:
    """Whether programs write the affine maps and ReLUs that the layers lower to."""
    return all(map(_is_plain, network.layers, network.stages))


def _is_plain(layer: Layer, stages: Sequence[Stage]) -> bool:
    """The same of one layer: no other stages, and as many as it lowers to."""
    plain = all(isinstance(stage, Affine) or stage == Rectifier() for stage in stages)
    return plain and isinstance(stages[0], Affine) and len(stages) == 2 * len(layer.widths()) - 3


def bounded_stages(
    network: ReLUNetwork, bounds: PreActivationBounds, ends: Ends
) -> Iterator[tuple[Stage, Ends]]:
    """Every stage with bounds of what it gives, the ReLUs between layers included.

    Args:
        network: the network.
        bounds: those of the affine maps that its layers lower to.
        ends: those of the inputs.
    """
    known = list(zip(bounds.lower, bounds.upper, strict=True))
    for number, (layer, stages) in enumerate(zip(network.layers, network.stages, strict=True)):
        own, known = known[: len(layer.widths()) - 1], known[len(layer.widths()) - 1 :]
        if number > 0:
            ends = _through(Rectifier(), ends)
            yield Rectifier(), ends
        maps = [stage for stage in stages if not isinstance(stage, Rectifier)]
        alike = _is_plain(layer, stages)
        for place, stage in enumerate(stages):
            ends = _through(stage, ends)
            if place == len(stages) - 1:
                ends = own[-1] if isinstance(stage, Affine) else _meet(ends, own[-1])
            elif alike and isinstance(stage, Affine):
                ends = own[maps.index(stage)]
            yield stage, ends


def _meet(first: Ends, second: Ends) -> Ends:
    """What both bounds say."""
    return np.maximum(first[0], second[0]), np.minimum(first[1], second[1])


def _through(stage: Stage, ends: Ends) -> Ends:
    """Bounds of what a stage gives, by interval arithmetic."""
    low, high = ends
    if isinstance(stage, Maximum | Rectifier):
        return stage.forward(low), stage.forward(high)
    center, radius = 0.5 * (high + low), 0.5 * (high - low)
    middle = stage.weight @ center + stage.bias
    reach = abs(stage.weight) @ radius
    room = ROOM * (abs(stage.weight) @ np.maximum(np.abs(low), np.abs(high)) + np.abs(stage.bias))
    return middle - reach - room, middle + reach + room
