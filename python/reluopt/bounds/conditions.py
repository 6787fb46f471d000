"""Which alternatives of a task no input of a region can meet."""

from __future__ import annotations

import numpy as np

from reluopt.bounds.base import InputSet, PreActivationBounds
from reluopt.networks.flattening import flatten
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.propagate import condition_maxima, layer_magnitudes
from reluopt.questions.input_sets import flat_input_set
from reluopt.questions.problems import PerturbationTask


def hopeless_alternatives(
    network: ReLUNetwork, region: InputSet, bounds: PreActivationBounds, task: PerturbationTask
) -> frozenset[int]:
    r"""Alternatives of ``task`` that provably no input of ``region`` meets.

    Over the ball that an incumbent leaves, these are the targets that nothing better than the
    incumbent reaches. :math:`\max_{x \in region} C_c x^K` is bounded by a backward linear form
    (CROWN), rounded outward; an alternative is hopeless when one of its conditions
    :math:`C_c x^K \ge d_c` has a bound below :math:`d_c`.

    Args:
        network: the network.
        region: the inputs of interest.
        bounds: pre-activation bounds valid over ``region``.
        task: what is asked.

    Returns:
        Indices of hopeless alternatives; all of them when the region is proven to be empty.
    """
    count = len(task.alternatives)
    if bounds.empty:
        return frozenset(range(count))
    flat = flatten(network)
    place = flat_input_set(flat, region.box, region.center, region.norm, region.radius)
    lower, upper = np.concatenate(bounds.lower), np.concatenate(bounds.upper)
    magnitudes = np.empty(flat.biases.size)
    for layer in range(len(network.affine_layers) - 1):
        layer_magnitudes(flat, place, upper, layer, magnitudes)
    found = set()
    for index, alternative in enumerate(task.alternatives):
        matrix, rhs = np.array(alternative.conditions.matrix), np.array(alternative.conditions.rhs)
        args = (lower, upper, magnitudes, matrix, rhs, np.empty(rhs.size))
        if not condition_maxima(flat, place, *args):
            found.add(index)
    return frozenset(found)
