r"""Starting points under limits on the change: linear programs of the network, linearised.

Gradient steps would have to be projected onto the limits again and again. Instead, the network is
replaced by the affine map that it is equal to around the current point, the nearest image that
meets the conditions of *that* map is computed with all limits as rows, and the map is taken anew
there (sequential linear programming; without limits this is DeepFool's step, Moosavi-Dezfooli et
al. 2016, for a whole set of conditions). On MNIST networks two to four programs of 10 ms settle.

Where no image meets the linearised conditions, the one that violates them least is taken.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from reluopt.answers.solution import Incumbent
from reluopt.attacks.linear_region_lp import nearest_change
from reluopt.attacks.start import safety_of
from reluopt.deadline import NEVER, Deadline
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray
from reluopt.questions.change_limits import ChangeLimits
from reluopt.questions.norms.base import Norm
from reluopt.questions.tasks import Alternative, Task

ROUNDS = 12
"""Programs for one start; walks that have not settled by then go in circles."""

FULL_STEPS = 6
"""Rounds after which only half of each step is made, which ends most circles."""

SETTLED = 1e-9
"""Largest move, in pixel units, that ends a walk."""

RANDOM_STARTS = 4
"""Random inputs tried for each alternative that no walk from the image itself has met."""

PENALTY = 1e4
"""L1 length that a violation of the conditions by one logit unit costs: more than any image of
1000 pixels is worth to a network whose logits change by 0.1 for a pixel."""


def linearised_starts(
    network: ReLUNetwork, task: Task, *, seed: int = 0, deadline: Deadline = NEVER
) -> list[Incumbent]:
    """Images that meet an alternative of ``task`` and its limits each, the nearest first.

    Args:
        network: the network.
        task: what is asked, with limits on the change.
        seed: for the random starts that are a last resort.
        deadline: when to stop with what was found.

    Returns:
        At most one incumbent for each alternative; empty when nothing was found, which proves
        nothing.
    """
    generator = np.random.default_rng(seed)
    found = []
    for index in range(len(task.alternatives)):
        best = _walk(network, task, index, task.image, deadline)
        for _ in range(RANDOM_STARTS):
            if best is not None or deadline.passed:
                break
            start = generator.uniform(task.box.lower, task.box.upper)
            best = _walk(network, task, index, start, deadline)
        found += [] if best is None else [best]
    return sorted(found, key=lambda incumbent: incumbent.objective)


def _walk(
    network: ReLUNetwork,
    task: Task,
    index: int,
    start: FloatArray,
    deadline: Deadline,
) -> Incumbent | None:
    """The best image on a walk from ``start``, which gives the first affine map only."""
    alternative = task.alternatives[index]
    if _met(network, alternative, task.image):
        return Incumbent(task.image, 0.0, index)
    best: Incumbent | None = None
    point = start
    for number in range(ROUNDS):
        change = _nearest(network, task, alternative, point, deadline)
        if change is None:
            break
        image = task.box.clip(task.image + change)
        objective = task.distance(image)
        better = best is None or objective < best.objective
        if better and _met(network, alternative, image):
            best = Incumbent(image, objective, index)
        step = (image - point) * (1.0 if number < FULL_STEPS else 0.5)
        if np.abs(step).max(initial=0.0) <= SETTLED:
            break
        point = point + step
    return best


def _met(network: ReLUNetwork, alternative: Alternative, image: FloatArray) -> bool:
    """Whether ``image`` meets the conditions by a forward pass."""
    slack = alternative.conditions.slack(network.forward(image))
    return bool(slack.min(initial=np.inf) >= 0.0)


def _nearest(
    network: ReLUNetwork,
    task: Task,
    alternative: Alternative,
    point: FloatArray,
    deadline: Deadline,
) -> FloatArray | None:
    """The shortest change that meets the conditions linearised at ``point``, else the best one."""
    conditions = alternative.conditions
    slope, offset = network.region_map(network.activation_pattern(point))[-1]
    rows = conditions.matrix @ slope
    rhs = conditions.rhs - conditions.matrix @ (slope @ task.image + offset)
    rhs = rhs + safety_of(conditions)
    low, high = task.box.lower - task.image, task.box.upper - task.image
    # Any near image will do for a start, and an LP is solved in a tenth of the time of a QP.
    norm = Norm.L1 if task.norm.quadratic else task.norm
    solved = nearest_change(rows, rhs, low, high, norm, task.limits, deadline)
    if solved is not None:
        return solved[0]
    return _least_violation(rows, rhs, low, high, task.limits, deadline)


def _least_violation(
    rows: FloatArray,
    rhs: FloatArray,
    low: FloatArray,
    high: FloatArray,
    limits: ChangeLimits | None,
    deadline: Deadline,
) -> FloatArray | None:
    """The change that violates ``rows @ delta >= rhs`` least, a short one among those.

    The violation enters as one more input, which raises every row by ``1 / PENALTY``.
    """
    raised = np.hstack([rows, np.full((rhs.size, 1), 1.0 / PENALTY)])
    if limits is not None:
        column = sp.csr_array((limits.rows, 1))
        limits = ChangeLimits(sp.csr_array(sp.hstack([limits.matrix, column])), limits.limit)
    room = np.append(high, PENALTY * max(0.0, float(rhs.max()) + float(np.abs(rows).sum())))
    low = np.append(low, 0.0)
    solved = nearest_change(raised, rhs, low, room, Norm.L1, limits, deadline)
    return None if solved is None else solved[0][:-1]
