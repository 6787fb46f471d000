"""How far conditions on the logits are away by the linear model of the network about an image."""

from __future__ import annotations

import numpy as np

from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray
from reluopt.questions.norms.base import Norm
from reluopt.questions.tasks import Task


def linear_distances(
    network: ReLUNetwork, image: FloatArray, matrix: FloatArray, rhs: FloatArray, norm: Norm
) -> FloatArray:
    """Length after which the linear model about ``image`` meets each condition.

    The slack that is missing divided by the dual norm of its gradient. The box is left out.

    Args:
        network: the network.
        image: shape ``(n_0,)``.
        matrix: C of the conditions ``C logits >= d``, shape ``(conditions, n_K)``.
        rhs: d, shape ``(conditions,)``.
        norm: how length is measured.

    Returns:
        Shape ``(conditions,)``; 0 where a condition is met, infinite where its gradient is zero.
    """
    missing = np.maximum(rhs - matrix @ network.forward(image), 0.0)
    gradients = network.gradient(np.repeat(image[None], rhs.size, axis=0), matrix)
    slopes = norm.dual.lengths(gradients)
    unreachable = np.where(missing > 0.0, np.inf, 0.0)
    return np.divide(missing, slopes, out=unreachable, where=slopes > 0.0)


def distances_of_alternatives(network: ReLUNetwork, task: Task) -> tuple[FloatArray, FloatArray]:
    """Of the condition of each alternative that the image misses most: distance, and by how much.

    Args:
        network: the network.
        task: whose image, alternatives and norm are taken.

    Returns:
        :func:`linear_distances` of these conditions, and ``d - C logits``, shape
        ``(alternatives,)`` each.
    """
    logits = network.forward(task.image)
    conditions = [each.conditions for each in task.alternatives]
    worst = [(each, int(np.argmin(each.slack(logits)))) for each in conditions]
    matrix = np.array([each.matrix[row] for each, row in worst])
    rhs = np.array([each.rhs[row] for each, row in worst])
    found = linear_distances(network, task.image, matrix, rhs, task.norm)
    return found, rhs - matrix @ logits
