r"""The big-M program with the most violated facets of each neuron's convex hull.

Over the box :math:`l \le x \le h` of its inputs, the convex hull of :math:`y = \max(0, w^\top x +
b)` with its phase z is the big-M program and, for every subset I of the inputs (Anderson et al.
2020, Proposition 12),

.. math:: y \le \sum_{i \in I} w_i (x_i - \breve l_i (1 - z))
          + \Bigl(b + \sum_{i \notin I} w_i \breve h_i\Bigr) z,

where :math:`\breve l_i, \breve h_i` are the ends of :math:`x_i` at which :math:`w_i x_i` is least
and largest. The most violated one has i in I where :math:`w_i x_i < w_i (\breve l_i (1 - z) +
\breve h_i z)`. They are added to the linear relaxation in rounds; those that are tight in the end
become rows of the program, and no solver has to call back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp

from reluopt.bounds.base import PreActivationBounds
from reluopt.deadline import NEVER, Deadline
from reluopt.formulation.base import ABSENT, EncodedLayer, EncodedProblem
from reluopt.formulation.forms.bigm import BigM
from reluopt.formulation.stages import Form
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray
from reluopt.numerics.linear_programs import Program, ProgramBuilder, highs_model
from reluopt.questions.input_sets import Box
from reluopt.questions.tasks import Task

ROUNDS = 8
"""Rounds of cuts; later ones hardly move the bound."""

VIOLATION = 1e-4
"""Least violation of a cut, relative to the reach of its neuron."""

TIGHT = 1e-7
"""Slack, likewise, up to which a cut is kept."""


@dataclass(frozen=True, eq=False, kw_only=True)
class CutLayer(EncodedLayer):
    """A layer that remembers its pre-activations as forms of variables."""

    form: Form


class Hull(BigM):
    """Cuts for the unstable neurons, found at the root."""

    name = "hull"

    def add_hidden(
        self, builder: ProgramBuilder, affine: Form, lower: FloatArray, upper: FloatArray
    ) -> EncodedLayer:
        layer = super().add_hidden(builder, affine, lower, upper)
        return CutLayer(**vars(layer), form=affine)

    def encode(
        self,
        network: ReLUNetwork,
        task: Task,
        bounds: PreActivationBounds,
        deadline: Deadline = NEVER,
    ) -> EncodedProblem:
        """See :meth:`.Formulation.encode`."""
        encoded = super().encode(network, task, bounds, deadline)
        layers = [each for each in encoded.network.layers if isinstance(each, CutLayer)]
        return replace(encoded, program=_strengthened(encoded.program, layers, deadline))

    def encode_network(
        self, network: ReLUNetwork, bounds: PreActivationBounds, box: Box
    ) -> EncodedProblem:
        """See :meth:`.Formulation.encode_network`; cuts are of every output, up and down."""
        encoded = super().encode_network(network, bounds, box)
        layers = [each for each in encoded.network.layers if isinstance(each, CutLayer)]
        program = encoded.program
        for output in encoded.network.logits:
            for sign in (-1.0, 1.0):
                cost = np.zeros(program.cost.size)
                cost[output] = sign
                program = _strengthened(replace(program, cost=cost), layers, NEVER)
        return replace(encoded, program=replace(program, cost=np.zeros(program.cost.size)))


def _strengthened(program: Program, layers: list[CutLayer], deadline: Deadline) -> Program:
    """The program with the cuts that its relaxation asks for."""
    from reluopt.numerics.quiet_highs import QuietHighs

    solver, width = QuietHighs(), program.cost.size
    solver.setOptionValue("threads", 1)
    solver.passModel(highs_model(program.relaxation))
    rows, limits = sp.csr_array((0, width)), np.zeros(0)
    values = np.zeros(width)
    for _ in range(ROUNDS):
        if deadline.passed:
            break
        solver.limit(deadline.solver_seconds)
        solver.run()
        found = np.array(solver.getSolution().col_value, dtype=np.float64)
        if found.size != width or not np.isfinite(found).all():
            break
        values = found
        cuts = [cut for layer in layers for cut in _cuts(program, layer, values)]
        if not cuts:
            break
        fresh = sp.csr_array(sp.vstack([row for row, _ in cuts]))
        right = np.array([limit for _, limit in cuts])
        low = np.full(right.size, -np.inf)
        solver.addRows(right.size, low, right, fresh.nnz, fresh.indptr, fresh.indices, fresh.data)
        rows, limits = sp.csr_array(sp.vstack([rows, fresh])), np.append(limits, right)
    kept = limits - rows @ values <= TIGHT * (1.0 + np.abs(limits))
    return replace(
        program,
        matrix=sp.csr_array(sp.vstack([program.matrix, rows[kept]])),
        row_lower=np.append(program.row_lower, np.full(int(kept.sum()), -np.inf)),
        row_upper=np.append(program.row_upper, limits[kept]),
    )


def _cuts(
    program: Program, layer: CutLayer, values: FloatArray
) -> Iterator[tuple[sp.csr_array, float]]:
    """The most violated facet of every unstable neuron that violates one: ``row @ v <= limit``."""
    slope, columns, offset = layer.form
    low, high = program.lower[columns], program.upper[columns]
    for neuron in np.flatnonzero(layer.z != ABSENT):
        weights, x, z = slope[[neuron]].toarray()[0], layer.x[neuron], layer.z[neuron]
        least, most = (
            np.minimum(weights * low, weights * high),
            weights * np.where(weights >= 0.0, high, low),
        )
        now, phase = weights * values[columns], values[z]
        inside = now < least * (1.0 - phase) + most * phase
        factor = float(least[inside].sum() + most[~inside].sum() + offset[neuron])
        limit = -float(least[inside].sum())
        excess = values[x] - float(now[inside].sum()) - factor * phase - limit
        if excess > VIOLATION * (1.0 + program.upper[x]):
            entries = np.concatenate([[1.0, -factor], -weights[inside]])
            places = np.concatenate([[x, z], columns[inside]])
            shape = (np.zeros(entries.size, dtype=np.intp), places)
            yield sp.csr_array((entries, shape), shape=(1, program.cost.size)), limit
