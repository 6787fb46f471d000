"""Which alternatives of a task no input of a set can meet."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reluopt.bounds.base import PreActivationBounds
from reluopt.networks.flattening import flatten
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray
from reluopt.numerics.flat import FlatNetwork
from reluopt.numerics.input_sets import FlatInputSet
from reluopt.numerics.propagate import condition_maxima, layer_magnitudes
from reluopt.questions.input_sets import InputSet
from reluopt.questions.tasks import Alternative, Task


def hopeless_alternatives(
    network: ReLUNetwork, inputs: InputSet, bounds: PreActivationBounds, task: Task
) -> frozenset[int]:
    r"""Alternatives of ``task`` that provably no input of a set meets.

    Over the ball that an incumbent leaves, these are the targets that nothing better than the
    incumbent reaches. :math:`\max_{x \in inputs} C_c x^K` is bounded by a backward linear form
    (CROWN), rounded outward; an alternative is hopeless when one of its conditions
    :math:`C_c x^K \ge d_c` has a bound below :math:`d_c`.

    Args:
        network: the network.
        inputs: the inputs of interest.
        bounds: pre-activation bounds valid over ``inputs``.
        task: what is asked.

    Returns:
        Indices of hopeless alternatives; all of them when the set is proven to be empty.
    """
    ceilings = slack_ceilings(network, inputs, bounds, task)
    return frozenset(np.flatnonzero(ceilings < 0.0).tolist())


def slack_ceilings(
    network: ReLUNetwork, inputs: InputSet, bounds: PreActivationBounds, task: Task
) -> FloatArray:
    """Upper bounds on the slack of every alternative of ``task`` over a set, by the same forms.

    Returns:
        One for each alternative, of its least condition; minus infinity when the set is empty.
    """
    if bounds.empty:
        return np.full(len(task.alternatives), -np.inf)
    flat = flatten(network)
    ends = np.concatenate(bounds.lower), np.concatenate(bounds.upper)
    return ceilings_over(flat, inputs.flat(flat), ends, task.alternatives)


def hopeless_over(
    flat: FlatNetwork,
    place: FlatInputSet,
    ends: tuple[FloatArray, FloatArray],
    alternatives: Sequence[Alternative],
) -> frozenset[int]:
    """:func:`hopeless_alternatives` for kernels' arrays, ``ends`` being bounds of all neurons."""
    return frozenset(np.flatnonzero(ceilings_over(flat, place, ends, alternatives) < 0.0).tolist())


def ceilings_over(
    flat: FlatNetwork,
    place: FlatInputSet,
    ends: tuple[FloatArray, FloatArray],
    alternatives: Sequence[Alternative],
) -> FloatArray:
    """:func:`slack_ceilings` for kernels' arrays, ``ends`` being bounds of all neurons."""
    lower, upper = ends
    magnitudes = np.empty(flat.biases.size)
    for layer in range(flat.weight_offsets.size - 1):
        layer_magnitudes(flat, place, upper, layer, magnitudes)
    ceilings = np.empty(len(alternatives))
    for index, alternative in enumerate(alternatives):
        matrix, rhs = np.array(alternative.conditions.matrix), np.array(alternative.conditions.rhs)
        maxima = np.empty(rhs.size)
        condition_maxima(flat, place, lower, upper, magnitudes, matrix, rhs, maxima)
        ceilings[index] = maxima.min(initial=np.inf)
    return ceilings
