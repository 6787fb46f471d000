r"""LP-based bounds (OBBT): minimise and maximise every unstable neuron over the LP relaxation.

The relaxation holds the input set, every layer before the neuron's own, and for each unstable ReLU
the triangle :math:`y \ge 0, y \ge a, y \le \hat s a + \hat t` (Ehlers 2017). Layers are tightened
in order, each with the bounds found before it.

What is returned is never a solver's optimum but a Lagrangian bound computed from its row duals
:math:`\lambda` (:mod:`~reluopt.numerics.safe_bounds`): over a relaxation
:math:`r^- \le Av \le r^+` with :math:`v` in a set :math:`V`,

.. math:: c^\top v \ge \sum_i \min(\lambda_i r_i^-, \lambda_i r_i^+)
          + \min_{v \in V} (c - A^\top\lambda)^\top v ,

which holds for *every* :math:`\lambda`, also one from an LP that ran into its time limit. Here
:math:`V` is {ball ∩ box} for the inputs, which is minimised exactly by
:func:`~reluopt.numerics.maxima.linear_maximum`, times intervals for all neurons. Rounding is
outward: the error of :math:`c - A^\top\lambda` is at most
:math:`\gamma_n (|c| + |A|^\top|\lambda|)`, to be multiplied by the largest :math:`|v|`.
"""

from __future__ import annotations

import math
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

import numpy as np
from scipy import sparse

from reluopt.bounds.base import BoundingMethod, PreActivationBounds
from reluopt.bounds.relaxation import LayerRelaxation, relax_before
from reluopt.deadline import NEVER, Deadline
from reluopt.networks.flattening import flatten
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray
from reluopt.numerics.flat import split_layers
from reluopt.numerics.input_sets import BOX_ONLY, L2_BALL
from reluopt.numerics.linear_programs import highs_lp
from reluopt.numerics.products import copy_row
from reluopt.numerics.propagate import tighten
from reluopt.numerics.quiet_highs import warm_started
from reluopt.numerics.rounding import ROUNDOFF, gamma
from reluopt.questions.input_sets import InputSet

LP_TIME_LIMIT = 5.0
"""Seconds for one LP; those of MNIST-sized networks take 5 to 50 ms, so it stops only a stall."""


@dataclass(frozen=True)
class OBBT(BoundingMethod):
    """Pre-activation bounds by optimality-based bound tightening with HiGHS.

    Two LPs for every hidden neuron that linear bounds leave unstable, and for every logit; never
    worse than :class:`~reluopt.bounds.linear.Linear`. L2 balls enter the LPs as the polytope
    ``||delta||_1 <= sqrt(n) radius`` and exactly in the bound computed from their duals. Limits on
    the change are rows of every LP; with them the first layer needs LPs too. What the deadline
    leaves undone keeps its linear bounds; all are valid in exact arithmetic.

    Attributes:
        workers: processes that share the LPs of a layer. More than one starts new interpreters,
            so a script that asks for it needs the usual ``if __name__ == "__main__"`` guard.
        lp_time_limit: seconds for one LP, whose duals then still give a valid bound.
    """

    name = "lp"
    workers: int = 1
    lp_time_limit: float = LP_TIME_LIMIT

    def _bounds(
        self, network: ReLUNetwork, inputs: InputSet, deadline: Deadline
    ) -> PreActivationBounds:
        run = _Tightening(network, inputs)
        limits = (self.workers, self.lp_time_limit, deadline)
        for layer in range(1 if inputs.limits is None else 0, run.depth):
            if not run.feasible or deadline.passed:
                break
            run.tighten_layer(layer, run.open_neurons(layer), limits)
        return run.bounds


def bounds_within(
    network: ReLUNetwork, inputs: InputSet, magnitude: float, deadline: Deadline = NEVER
) -> PreActivationBounds:
    """Linear bounds, improved by LPs for those neurons alone that may exceed ``magnitude``.

    The cheapest way to find out whether a constant bounds a network; otherwise as :class:`OBBT`.
    """
    run = _Tightening(network, inputs)
    for layer in range(1, run.depth):
        part = run.part(layer)
        wanted = np.flatnonzero(np.maximum(-run.lower[part], run.upper[part]) > magnitude)
        if run.feasible and wanted.size and not deadline.passed:
            run.tighten_layer(layer, wanted, (1, LP_TIME_LIMIT, deadline))
    return run.bounds


class _Tightening:
    """Bounds of all neurons while LPs tighten them, layer after layer."""

    def __init__(self, network: ReLUNetwork, inputs: InputSet) -> None:
        self.flat = flatten(network)
        self.depth = len(network.affine_layers)
        self._inputs, self._place = inputs, inputs.flat(self.flat)
        count = self.flat.biases.size
        self.lower, self.upper = np.full(count, -np.inf), np.full(count, np.inf)
        self._magnitudes = np.empty(count)
        self.feasible = self._linear(0)

    @property
    def bounds(self) -> PreActivationBounds:
        """The bounds as they are now."""
        lower, upper = split_layers(self.flat, self.lower), split_layers(self.flat, self.upper)
        return PreActivationBounds(lower, upper, "lp")

    def part(self, layer: int) -> slice:
        """Where the neurons of a layer stand among all."""
        offsets = self.flat.neuron_offsets
        return slice(int(offsets[layer]), int(offsets[layer + 1]))

    def open_neurons(self, layer: int) -> Any:
        """Neurons of a layer worth an LP: unstable ones, and all logits."""
        part = self.part(layer)
        if layer == self.depth - 1:
            return np.arange(part.stop - part.start)
        return np.flatnonzero((self.lower[part] < 0.0) & (self.upper[part] > 0.0))

    def tighten_layer(self, layer: int, wanted: Any, limits: tuple[int, float, Deadline]) -> None:
        """LPs for the ``wanted`` neurons of a layer, then linear bounds of the layers above."""
        if wanted.size:
            self._tighten(layer, wanted, limits)
        self.feasible = self._linear(layer + 1)

    def _tighten(self, layer: int, wanted: Any, limits: tuple[int, float, Deadline]) -> None:
        flat, inputs, (workers, lp_time_limit, deadline) = self.flat, self._inputs, limits
        relaxation = relax_before(flat, self._place, self.lower, self.upper, layer)
        if inputs.limits is not None and inputs.center is not None:
            relaxation = relaxation.with_limits(inputs.limits, inputs.center)
        part, size = self.part(layer), int(flat.sizes[layer])
        weights = np.empty((wanted.size, size))
        for neuron, row in zip(wanted, weights, strict=True):
            copy_row(flat, layer, int(neuron), row)
        parts = min(workers, wanted.size, os.cpu_count() or 1)
        shares = [
            (relaxation, share, lp_time_limit, deadline) for share in np.array_split(weights, parts)
        ]
        if parts > 1:
            with ProcessPoolExecutor(parts, mp_context=get_context("spawn")) as pool:
                ranges = np.vstack(list(pool.map(_extremes, *zip(*shares, strict=True))))
        else:
            ranges = _extremes(*shares[0])
        neurons = part.start + wanted
        bias, slack = flat.biases[neurons], np.zeros(wanted.size)
        if layer == 0:  # its weights meet delta, and the rest was summed already
            bias = relaxation.place.values[wanted]
            slack = gamma(size + 16.0) * relaxation.place.magnitudes[wanted]
        rounding = slack[:, None] + 4.0 * ROUNDOFF * (np.abs(bias)[:, None] + np.abs(ranges))
        ranges = bias[:, None] + ranges + np.array([-1.0, 1.0]) * rounding
        self.lower[neurons] = np.fmax(self.lower[neurons], ranges[:, 0])
        self.upper[neurons] = np.fmin(self.upper[neurons], ranges[:, 1])

    def _linear(self, first: int) -> bool:
        ends = (self.lower, self.upper, self._magnitudes)
        return bool(tighten(self.flat, self._place, *ends, first, self.depth, True))


def _extremes(
    relaxation: LayerRelaxation, weights: FloatArray, lp_time_limit: float, deadline: Deadline
) -> FloatArray:
    """Safe minima and maxima of ``weights @ y``, shape ``(len(weights), 2)``.

    They are infinite where time ran out.
    """
    solver = _DualSolver(relaxation)
    ranges = np.tile([-np.inf, np.inf], (len(weights), 1))
    used = relaxation.posts >= 0
    for i, row in enumerate(weights):
        cost = np.zeros(relaxation.matrix.shape[1])
        cost[relaxation.posts[used]] = row[used]
        for side, sign in ((0, 1.0), (1, -1.0)):
            seconds = min(lp_time_limit, deadline.left)
            duals = solver.duals(sign * cost, seconds) if seconds > 0.0 else None
            if duals is not None:
                ranges[i, side] = sign * relaxation.safe_minimum(sign * cost, duals)
    return ranges


def _lp_model(relaxation: LayerRelaxation) -> Any:
    """The relaxation as a HiGHS model; a ball splits ``delta`` into positive and negative parts."""
    place = relaxation.place
    size = place.low.size
    inputs, rest = relaxation.matrix[:, :size], relaxation.matrix[:, size:]
    matrix: Any = relaxation.matrix
    lower, upper = [place.low, relaxation.lower], [place.high, relaxation.upper]
    row_lower, row_upper = relaxation.row_lower, relaxation.row_upper
    if place.norm != BOX_ONLY:
        ball = sparse.csr_array(np.append(np.ones(2 * size), np.zeros(rest.shape[1]))[None, :])
        matrix = sparse.vstack([sparse.hstack([inputs, -inputs, rest]), ball])
        lower = [np.maximum(place.low, 0.0), np.maximum(-place.high, 0.0), relaxation.lower]
        upper = [np.maximum(place.high, 0.0), np.maximum(-place.low, 0.0), relaxation.upper]
        factor = math.sqrt(size) if place.norm == L2_BALL else 1.0
        row_lower = np.append(row_lower, -np.inf)
        row_upper = np.append(row_upper, factor * place.radius)
    columns = np.concatenate(lower), np.concatenate(upper)
    cost = np.zeros(matrix.shape[1])
    return highs_lp(sparse.csr_array(matrix), (row_lower, row_upper), columns, cost)


class _DualSolver:
    """HiGHS on one relaxation, warm started from one objective to the next."""

    def __init__(self, relaxation: LayerRelaxation) -> None:
        self._split = relaxation.place.norm != BOX_ONLY
        self._inputs = relaxation.place.low.size
        self._rows = relaxation.matrix.shape[0]
        self._solver = warm_started(_lp_model(relaxation))

    def duals(self, cost: FloatArray, seconds: float) -> FloatArray | None:
        """Row duals of ``min cost @ v`` (the ball's left out), None when HiGHS has none."""
        if self._split:
            cost = np.concatenate(
                [cost[: self._inputs], -cost[: self._inputs], cost[self._inputs :]]
            )
        columns = np.arange(cost.size, dtype=np.int32)
        self._solver.changeColsCost(cost.size, columns, cost)
        self._solver.limit(seconds)
        self._solver.run()
        duals = np.array(self._solver.getSolution().row_dual[: self._rows], dtype=np.float64)
        usable = duals.size == self._rows and bool(np.isfinite(duals).all())
        return duals if usable else None
