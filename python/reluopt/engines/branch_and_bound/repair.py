r"""Images that miss a condition by a solver's tolerance, moved until they meet it in float64.

Relaxations and linear regions are solved to a tolerance of 1e-9, so the best point of a linear
region may miss a condition by as much, and its objective lie below the optimum. An incumbent must
not: :func:`repaired` looks for the smallest move that gives every missed condition a slack of a few
roundings and leaves every neuron at zero where it is. In the linear region these are linear
equations in the move, solved in the least-squares sense over pixels that have changed already and
stand inside their limits, which keeps changes sparse; over all pixels where that does not do.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import BoolArray, FloatArray
from reluopt.questions.problems import Alternative, Task

TIGHT = 1e-8
"""A neuron of at most this pre-activation, or a condition of at most this slack, relative to the
largest pre-activation of its layer or what a logit is summed from, counts as being at zero: ten
times the solvers' tolerance."""

LEADS = (2.0**-48, 2.0**-48, 2.0**-45, 2.0**-42, 2.0**-39, 2.0**-36)
"""Slacks asked for in each step, relative to what logits are summed from, which may be far more
than they are: 32 units in the last place, then more where rounding in the layers before takes more.
The last is a hundredth of solvers' tolerance."""


def repaired(
    network: ReLUNetwork,
    task: Task,
    alternative: Alternative,
    image: FloatArray,
    needed: FloatArray | float = 0.0,
) -> FloatArray | None:
    """An image beside ``image`` whose float64 forward pass meets the conditions exactly.

    Args:
        network: the network.
        task: image and box.
        alternative: the conditions to meet.
        image: shape ``(n_0,)``, inside the box; misses them by a solver's tolerance.
        needed: slack to end with.

    Returns:
        An image inside the box with that much slack, or None when a few tries found none.
    """
    moved = image != task.image
    inside = (image > task.box.lower) & (image < task.box.upper)
    movable = task.box.lower < task.box.upper
    for free in (moved & inside, movable):
        point = image
        for lead in LEADS:
            if not free.any():
                break
            goal = point + _step(network, alternative, point, free, lead)
            point = task.box.clip(goal)
            if (alternative.conditions.slack(network.forward(point)) >= needed).all():
                return point
            free = free & (point == goal)  # what ran into its limit stays there
    return None


@np.errstate(over="ignore", invalid="ignore")  # then there is no step
def _step(
    network: ReLUNetwork,
    alternative: Alternative,
    point: FloatArray,
    pixels: BoolArray,
    lead: float,
) -> FloatArray:
    """The least move of some pixels that the linear model at ``point`` asks for; 0 if none fits."""
    conditions = alternative.conditions
    values = network.pre_activations(point)
    rows, sides = [], []
    slope = network.affine_layers[0].of_columns(pixels).matrix
    for k, reached in enumerate(values):
        slope = slope if k == 0 else network.affine_layers[k].weight @ slope
        size = float(np.abs(reached).max())
        if k < len(values) - 1:
            zero = np.abs(reached) <= TIGHT * size
            rows.append(slope[zero])
            sides.append(np.zeros(int(np.count_nonzero(zero))))
            slope = (reached > 0.0)[:, None] * slope
            continue
        size = max(size, _summed(network, point, values))
        slack = conditions.slack(reached)
        missed = slack <= TIGHT * size
        rows.append(conditions.matrix[missed] @ slope)
        sides.append(lead * size - np.minimum(slack[missed], lead * size))
    matrix, side = np.vstack(rows), np.concatenate(sides)
    change = np.zeros(point.size)
    sizes = np.abs(matrix).max(axis=1)
    if not np.isfinite(sizes).all():
        return change
    sizes[sizes == 0.0] = 1.0
    change[pixels] = np.linalg.lstsq(matrix / sizes[:, None], side / sizes, rcond=1e-9)[0]
    return change


def _summed(network: ReLUNetwork, point: FloatArray, values: Sequence[FloatArray]) -> float:
    """The largest sum of sizes that a logit is the sum of."""
    below = np.maximum(values[-2], 0.0) if len(values) > 1 else np.abs(point)
    last = network.affine_layers[-1]
    return float((last.sums(below) + np.abs(last.bias)).max())
