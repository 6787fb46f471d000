r"""How many linear regions meet a box: by samples, by enumeration, and between proven bounds.

A linear region is told by its activation pattern. Of a pattern counts here what has an interior:
an input of the box at which no neuron is within :data:`INSIDE` (in units of its own gradient) of
changing its phase.

*From below* without a search: hyperplanes of the first layer, :math:`W_i x + b_i = 0`, that pass
through one interior point of the box and whose normals are linearly independent cut every
neighbourhood of it into all :math:`2^n` patterns of these n neurons. *From above*: neurons that
are stable over the box never differ, so there are at most 2 to the power of the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse as sp

from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import BoolArray, FloatArray
from reluopt.numerics.linear_programs import highs_lp
from reluopt.questions.input_sets import Box

INSIDE = 1e-7
"""Least distance, in the input's own units, from the hyperplanes around a linear region."""

SHRUNK = 1e-4
"""Share of the box that a common point keeps from each of its sides."""

INDEPENDENT = 1e-3
"""Least singular value of unit normals that count as independent: rounding of a common point, about
1e-9, then moves it by less than the box was shrunk."""

LP_SECONDS = 0.5
"""Seconds for one linear program; they take milliseconds, but degenerate ones have been seen to
cycle."""

ASCENT = (1.0, *([0.5] * 10), *([0.1] * 20))
"""Steps towards the largest pre-activation, in units of half the box."""


def box_samples(
    box: Box, image: FloatArray, eps: float, count: int, generator: np.random.Generator
) -> FloatArray:
    """Half of them uniform in the Linf ball, half its corners, all clipped to the box."""
    inner = generator.uniform(-eps, eps, (count // 2, image.size))
    corners = eps * generator.choice([-1.0, 1.0], (count - count // 2, image.size))
    return box.clip(image + np.vstack([inner, corners]))


def truncated(network: ReLUNetwork, layer: int) -> ReLUNetwork:
    """The network whose logits are the pre-activations of a hidden layer (of all, lowered)."""
    return ReLUNetwork(network.affine_layers[: layer + 1])


def seen_phases(network: ReLUNetwork, box: Box, points: FloatArray) -> tuple[BoolArray, BoolArray]:
    """Which hidden neurons are active somewhere, and inactive somewhere: at points or by ascent.

    Both of shape ``(hidden neurons,)``; the ascent climbs and descends each pre-activation.
    """
    active, inactive = [], []
    for layer, size in enumerate(network.hidden_sizes):
        cut = truncated(network, layer)
        sampled = cut.forward(points)
        seen = [np.any(each, axis=0) for each in (sampled > 0.0, sampled < 0.0)]
        for side, sign in enumerate((1.0, -1.0)):
            missing = np.flatnonzero(np.logical_not(seen[side]))
            if missing.size:
                seen[side][missing] = _largest(cut, box, sign * np.eye(size)[missing]) > 0.0
        active.append(seen[0])
        inactive.append(seen[1])
    return np.concatenate(active), np.concatenate(inactive)


def _largest(network: ReLUNetwork, box: Box, forms: FloatArray) -> FloatArray:
    """The largest value of each form of the logits that steps along gradients' signs find."""
    half = 0.5 * (box.upper - box.lower)
    points = np.tile(box.lower + half, (len(forms), 1))
    best = np.full(len(forms), -np.inf)
    for step in ASCENT:
        signs = np.sign(network.gradient(points, forms))
        points = box.clip(points + step * half * signs)
        best = np.maximum(best, np.einsum("ij,ij->i", forms, network.forward(points)))
    return best


class _BoxProgram:
    """Linear programs over a box whose rows come and go.

    ``settled`` tells whether the last one was solved or found infeasible.
    """

    settled = True

    def __init__(self, box: Box, extra: tuple[float, float] | None = None) -> None:
        from reluopt.numerics.quiet_highs import warm_started

        self.size = box.lower.size
        ends = [box.lower, box.upper]
        if extra is not None:
            ends = [np.append(end, more) for end, more in zip(ends, extra, strict=True)]
        cost = np.zeros(ends[0].size)
        cost[self.size :] = -1.0
        none = np.zeros(0)
        rows = sp.csr_array((0, cost.size))
        model = highs_lp(rows, (none, none), (ends[0], ends[1]), cost)
        self._solver: Any = warm_started(model)

    def add(self, row: FloatArray, low: float, high: float) -> None:
        places = np.flatnonzero(row).astype(np.int32)
        self._solver.addRow(low, high, places.size, places, row[places])

    def drop(self) -> None:
        """Remove the last row."""
        last = self._solver.getNumRow() - 1
        self._solver.deleteRows(1, np.array([last], dtype=np.int32))

    def solve(self) -> FloatArray | None:
        """The best point, or None where none was found."""
        from highspy import HighsModelStatus

        self._solver.limit(LP_SECONDS)
        self._solver.run()
        status = self._solver.getModelStatus()
        self.settled = status in (HighsModelStatus.kOptimal, HighsModelStatus.kInfeasible)
        if status != HighsModelStatus.kOptimal:
            return None
        return np.array(self._solver.getSolution().col_value, dtype=np.float64)


def common_point_count(network: ReLUNetwork, box: Box) -> int:
    """How many hyperplanes of first-layer neurons a greedy search brings through one point."""
    layer = network.affine_layers[0]
    width = box.upper - box.lower
    inner = Box(box.lower + SHRUNK * width, box.upper - SHRUNK * width)
    matrix = layer.matrix * (width > 0.0)
    lengths = np.linalg.norm(matrix, axis=1)
    middle = 0.5 * (box.lower + box.upper)
    distances = np.abs(layer.matrix @ middle + layer.bias) / np.maximum(lengths, 1e-300)
    program, normals = _BoxProgram(inner), np.zeros((0, middle.size))
    for neuron in np.argsort(distances, kind="stable"):
        if lengths[neuron] == 0.0:
            continue
        longer = np.vstack([normals, matrix[neuron] / lengths[neuron]])
        right = -layer.bias[neuron] / lengths[neuron]
        program.add(layer.matrix[neuron] / lengths[neuron], right, right)
        independent = np.linalg.svd(longer, compute_uv=False)[-1] >= INDEPENDENT
        if independent and program.solve() is not None:
            normals = longer
        else:
            program.drop()
    return len(normals)


@dataclass
class RegionSearch:
    """Enumerates patterns by depth, a linear program for every phase that is not there already.

    Attributes:
        network: the network.
        box: where.
        unstable: for each hidden layer which neurons may have both phases.
        budget: linear programs to solve at most.
        found: patterns so far.
        complete: whether these are all.
    """

    network: ReLUNetwork
    box: Box
    unstable: Sequence[BoolArray]
    budget: int
    found: int = 0
    complete: bool = True
    _pattern: list[BoolArray] = field(default_factory=list)

    def run(self) -> RegionSearch:
        """Enumerate; what was not explored within the budget leaves ``complete`` false."""
        self._program = _BoxProgram(self.box, (0.0, 1.0))
        self._layer(0.5 * (self.box.lower + self.box.upper))
        return self

    def _layer(self, point: FloatArray) -> None:
        """All patterns of the layers behind those whose phases are fixed."""
        depth = len(self._pattern)
        if depth == len(self.unstable):
            self.found += 1
            return
        slope, offset = truncated(self.network, depth).region_map(self._pattern)[-1]
        lengths = np.linalg.norm(slope, axis=1)
        active = slope @ point + offset > 0.0
        open_ = np.flatnonzero(self.unstable[depth] & (lengths > 0.0))
        self._neuron((slope, offset, lengths), open_, active, point)

    def _neuron(
        self,
        maps: tuple[FloatArray, FloatArray, FloatArray],
        open_: Any,
        active: BoolArray,
        point: FloatArray,
    ) -> None:
        """Both phases of the first open neuron, where they are possible, then the others."""
        if not open_.size:
            self._pattern.append(active)
            self._layer(point)
            self._pattern.pop()
            return
        slope, offset, lengths = maps
        neuron = open_[0]
        row = np.append(slope[neuron], 0.0) / lengths[neuron]
        right = -offset[neuron] / lengths[neuron]
        for phase in (True, False):
            if self.budget <= 0:
                self.complete = False
                break
            self.budget -= 1
            row[-1] = -1.0 if phase else 1.0
            self._program.add(row, *((right, np.inf) if phase else (-np.inf, right)))
            best = self._program.solve()
            self.complete = self.complete and self._program.settled
            if best is not None and best[-1] > INSIDE:
                chosen = active.copy()
                chosen[neuron] = phase
                self._neuron(maps, open_[1:], chosen, best[:-1])
            self._program.drop()
