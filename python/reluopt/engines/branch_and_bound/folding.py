r"""Stable neurons folded away: the network over a ball, with its undecided neurons alone.

Over :math:`S = \{x \in box : \|x - image\| \le r\}` an active neuron is an affine map and an
inactive one is nothing. With :math:`y^k` the post-activations of the *undecided* neurons of layer
k, every pre-activation is an affine form

.. math:: a^k = P^k (x^0, y^1, \dots, y^{k-1}) + p^k, \qquad
          (P^{k+1}, p^{k+1}) = W^{k+1} (F^k, f^k) + (0, b^{k+1}),

where row i of :math:`(F^k, f^k)` is that of :math:`P^k` for an active neuron, zero for an inactive
one, and the variable itself for an undecided one. Forms of convolutions are sparse. The *folded*
network is the chain of these forms: behind the pixels stand the undecided neurons of the first
layer that has any, and beside them, for every undecided neuron above and every logit, what the
pixels contribute to its form, moved above zero so that it passes the ReLUs unchanged. Its maps are
dense, with as many neurons as are undecided, and as many carried sums below them.

Why what is proven of it is a theorem about the network
-------------------------------------------------------
Coefficients are computed in floating point and then taken as given numbers. Let M bound the sum of
absolute terms of a form over S, and e how far a true value may be from its form in the *folded*
network's own variables. With n terms in a row of W,

.. math:: e^{k+1} = |W| e^k + (\gamma_{n+4} + 16 K u) (M^{k+1} + 1), \qquad
          M^{k+1} = |W| M^k + |b|,

the last term being the roundings of the constants by which carried sums are moved. A ReLU makes no
difference larger. So with e of the logits, every x in S that meets :math:`C x^K \ge d` meets
:math:`C \hat x^K \ge d - |C| e` in the folded network: its task has conditions that much weaker,
and a lower bound on it is one on the task within S. Images are judged by the network itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reluopt.networks.layers.base import Affine, Dense, Sparse, refuse_entries
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import BoolArray, FloatArray, FloatMatrix, IntArray
from reluopt.numerics.input_sets import FlatInputSet
from reluopt.numerics.maxima import linear_maximum
from reluopt.numerics.rounding import ROUNDOFF, gamma
from reluopt.questions.margins import LogitConditions
from reluopt.questions.tasks import Task

if TYPE_CHECKING:
    import scipy.sparse as sp

MANY = 1000
"""Hidden neurons from which dense networks are folded, too; sparse ones always are."""

ROOM = 1e-3
"""How far above zero carried sums are kept, relative to their lower bound: other bounds on the same
sums, a little weaker, shall find them active, too."""

SHARE = 1e-6
"""The same relative to the sizes of their terms: far more than they are rounded by."""


def is_folded(network: ReLUNetwork) -> bool:
    """Whether searches fold a network: relaxations are dense, and for few neurons."""
    sparse = any(isinstance(layer, Sparse) for layer in network.affine_layers)
    return sparse or sum(network.hidden_sizes) > MANY


@dataclass(frozen=True, eq=False)
class Forms:
    """Affine forms that stand for a layer's values.

    Attributes:
        rows: coefficients, CSR; here of pixels and undecided neurons.
        constant: shape ``(rows,)``.
        errors: e of the module.
        sizes: M of the module.
    """

    rows: sp.csr_array
    constant: FloatArray
    errors: FloatArray
    sizes: FloatArray

    def chosen(self, which: BoolArray | IntArray) -> Forms:
        """Some of them."""
        return Forms(self.rows[which], self.constant[which], self.errors[which], self.sizes[which])


class FoldedNetwork(NamedTuple):
    """What is left of a network over S.

    Attributes:
        network: the chain.
        task: what is asked of it.
        bounds: of its hidden layers' pre-activations over S, each of shape ``(2, n_k)``.
    """

    network: ReLUNetwork
    task: Task
    bounds: tuple[FloatMatrix, ...]


def fold(
    network: ReLUNetwork,
    task: Task,
    inputs: FlatInputSet,
    lower: FloatArray,
    upper: FloatArray,
    bias_errors: FloatArray | None = None,
) -> FoldedNetwork:
    """The folded network, its task and its bounds; see the module.

    Args:
        network: the network.
        task: what is asked of it.
        inputs: S, for kernels.
        lower: bounds of all hidden neurons over S, at least ``(hidden,)``.
        upper: likewise; no lower bound exceeds its upper one.
        bias_errors: how far the first layer's biases may be from those that are meant.

    Raises:
        InputError: too many neurons are undecided for dense maps.
    """
    size, maps = network.input_size, network.affine_layers
    forms = _pixels(inputs, size)
    targets: list[Forms] = []
    tops: list[FloatArray] = []
    ends: list[FloatMatrix] = []
    start = 0
    for k, layer in enumerate(maps[:-1]):
        forms = through(layer, forms, len(maps), bias_errors if k == 0 else None)
        stop = start + layer.output_size
        low, high = lower[start:stop], upper[start:stop]
        forms, own, undecided, top = _after_relu(forms, low, high)
        if own.constant.size:
            targets.append(own)
            tops.append(top)
            wider = 2.0 * own.errors  # and what the sums are rounded by
            ends.append(np.array([low[undecided] - wider, high[undecided] + wider]))
        start = stop
    targets.append(through(maps[-1], forms, len(maps), bias_errors if len(maps) == 1 else None))
    layers, bounds = _chain(targets, inputs, tops, ends)
    folded = ReLUNetwork(layers, network.metadata)
    return FoldedNetwork(folded, weaker(task, targets[-1].errors), bounds)


def _pixels(inputs: FlatInputSet, size: int) -> Forms:
    """The pixels themselves."""
    import scipy.sparse as sp

    reach = np.maximum(np.abs(inputs.low), np.abs(inputs.high))
    sizes = (np.abs(inputs.center) + reach) * (1.0 + 4.0 * ROUNDOFF)
    rows = sp.csr_array(sp.eye_array(size, format="csr"))
    return Forms(rows, np.zeros(size), np.zeros(size), sizes)


def through(
    layer: Affine, below: Forms, depth: int, bias_errors: FloatArray | None = None
) -> Forms:
    """The forms of a layer's pre-activations; see the module, K being ``depth``."""
    import scipy.sparse as sp

    weight = sp.csr_array(layer.weight)
    sizes = abs(weight) @ below.sizes + np.abs(layer.bias)
    errors = abs(weight) @ below.errors
    if bias_errors is not None:
        errors, sizes = errors + bias_errors, sizes + bias_errors
    terms = float(np.diff(weight.indptr).max(initial=0))
    share = float(gamma(terms + 4.0)) + 16.0 * depth * ROUNDOFF
    errors = (errors + share * (sizes + 1.0)) * (1.0 + 1e-6)
    rows = sp.csr_array(weight @ below.rows)
    rows.sort_indices()
    return Forms(rows, weight @ below.constant + layer.bias, errors, sizes * (1.0 + 1e-6))


def _after_relu(
    forms: Forms, lower: FloatArray, upper: FloatArray
) -> tuple[Forms, Forms, BoolArray, FloatArray]:
    """Forms behind the ReLUs; those before undecided ones, which these are, and their sizes."""
    import scipy.sparse as sp

    fixed = (np.diff(forms.rows.indptr) == 0) & (np.abs(forms.constant) > forms.errors)
    active = (lower >= 0.0) | (fixed & (forms.constant > 0.0))
    undecided = ~active & (upper > 0.0) & ~fixed
    own = forms.chosen(undecided)
    count = own.constant.size
    kept = sp.diags_array(active.astype(np.float64)) @ forms.rows
    places = np.flatnonzero(undecided), np.arange(count)
    variables = sp.csr_array((np.ones(count), places), shape=(forms.constant.size, count))
    rows = sp.csr_array(sp.hstack([kept, variables]))
    alive = active | undecided
    largest = np.minimum(np.maximum(upper, 0.0), forms.sizes) + forms.errors
    after = Forms(
        rows,
        np.where(active, forms.constant, 0.0),
        np.where(alive, forms.errors, 0.0),
        np.where(active, forms.sizes, np.where(undecided, largest, 0.0)),
    )
    return after, own, undecided, largest[undecided]


def _chain(
    targets: list[Forms], inputs: FlatInputSet, tops: list[FloatArray], ends: list[FloatMatrix]
) -> tuple[tuple[Dense, ...], tuple[FloatMatrix, ...]]:
    """Dense maps of the forms, one for the undecided neurons of each layer, with carried sums.

    And bounds of both; those of undecided neurons are given.
    """
    layers: list[Dense] = []
    bounds: list[FloatMatrix] = []
    columns = slice(0, inputs.center.size)
    above = list(range(len(targets)))
    carried = [np.zeros(0, dtype=np.intp) for _ in targets]  # rows with a sum that is under way
    shifts = [np.zeros(target.constant.size) for target in targets]
    reached = [np.zeros(target.constant.size) for target in targets]  # lower bounds of the sums
    highest = [np.zeros(target.constant.size) for target in targets]  # upper ones
    offsets = [0 for _ in targets]
    before = 0
    for stage, target in enumerate(targets):
        blocks = [_block(targets[t], columns) for t in above]
        refuse_entries(sum(block.shape[0] for block in blocks) * (before + blocks[0].shape[1]))
        rows = [_joined(blocks[0], carried[stage], offsets[stage], before)]
        biases, spans = [target.constant - shifts[stage]], ends[stage : stage + 1]
        position = target.constant.size
        for t, block in zip(above[1:], blocks[1:], strict=True):
            least, most = _range(block, inputs, tops[stage - 1] if stage else None)
            reached[t], highest[t] = reached[t] + least, highest[t] + most
            under_way = np.union1d(carried[t], np.flatnonzero(block.any(axis=1))).astype(np.intp)
            room = ROOM * (1.0 + np.abs(reached[t])) + SHARE * targets[t].sizes
            shift = np.maximum(room - reached[t], 0.0)
            rows.append(_joined(block, carried[t], offsets[t], before)[under_way])
            biases.append((shift - shifts[t])[under_way])
            top = highest[t] + shift + ROOM * (1.0 + np.abs(highest[t])) + SHARE * targets[t].sizes
            spans.append(np.array([np.zeros(under_way.size), top[under_way]]))
            shifts[t] = np.where(np.isin(np.arange(shift.size), under_way), shift, 0.0)
            carried[t], offsets[t] = under_way, position
            position += under_way.size
        layers.append(Dense(np.concatenate(rows), np.concatenate(biases)))
        bounds.append(np.concatenate(spans, axis=1) if spans else np.zeros((2, 0)))
        before, above = position - target.constant.size, above[1:]
        columns = slice(columns.stop, columns.stop + target.constant.size)
        offsets = [offset - target.constant.size for offset in offsets]
    return tuple(layers), tuple(bounds[:-1])


def _block(target: Forms, columns: slice) -> FloatArray:
    """Coefficients of some variables in the forms, dense."""
    return np.asarray(target.rows[:, columns].toarray())


def _joined(block: FloatArray, carried: NDArray[np.intp], offset: int, width: int) -> FloatArray:
    """Rows that read the present variables and, behind them, the sums carried until here."""
    sums = np.zeros((block.shape[0], width))
    sums[carried, offset + np.arange(carried.size)] = 1.0
    return np.concatenate([block, sums], axis=1)


def _range(
    block: FloatArray, inputs: FlatInputSet, tops: FloatArray | None
) -> tuple[FloatArray, FloatArray]:
    """Up to rounding, least and largest of what neurons, or the pixels, contribute to each form."""
    if tops is not None:
        return np.minimum(block, 0.0) @ tops, np.maximum(block, 0.0) @ tops
    buffers = np.empty((2, inputs.center.size))
    middle = np.asarray(block @ inputs.center)
    reach = [linear_maximum(inputs, row, *buffers) for side in (-block, block) for row in side]
    below, above = np.array(reach).reshape(2, -1)
    return middle - below, middle + above


def weaker(task: Task, errors: FloatArray) -> Task:
    """The task with conditions that every input which meets the real ones meets, too."""
    alternatives = []
    for each in task.alternatives:
        conditions = each.conditions
        room = (np.abs(conditions.matrix) @ errors) * (1.0 + 1e-6)
        rhs = np.nextafter(conditions.rhs - room, -np.inf)
        weaker = LogitConditions(np.array(conditions.matrix), rhs)
        alternatives.append(replace(each, conditions=weaker))
    return replace(task, alternatives=tuple(alternatives))
