r"""Near images of networks with many neurons: the fast minimum-norm attack (Pintor et al. 2021).

A change :math:`\delta` follows the gradient of the condition that it meets least, and is projected
onto the ball of a radius :math:`\varepsilon` of its own, cut by the box. The radius shrinks by a
share :math:`\gamma` while the conditions are met and grows by it while they are not; before they
have been met at all it is what the linear model at :math:`\delta` asks for. Lengths of steps and
:math:`\gamma` fall along half a cosine (Fast minimum-norm adversarial attacks through adaptive norm
constraints, algorithm 1). Alternatives take their steps together, so that a hundred steps of all
cost what a few greedy moves of single inputs do where a pass is dear.

In L1 what is found depends on how long steps are at first, and the best of three lengths is taken.
Steps in Linf follow signs: where training was against such changes most gradients are small.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from reluopt.answers.solution import Incumbent
from reluopt.attacks.steps import without_stuck, worst_conditions
from reluopt.deadline import NEVER, Deadline
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import BoolArray, FloatArray, IntArray
from reluopt.questions.margins import LogitConditions
from reluopt.questions.norms.base import SMALLEST_LENGTH, Norm
from reluopt.questions.tasks import Task

STEPS = 100
"""Steps of a run: four times as many come 1 % nearer."""

PACES = (2.0, 0.7, 6.0)
"""First lengths of steps in L2, relative to how far the linear model puts an alternative. The first
is for all alternatives, the others are for the promising ones where few inputs move; elsewhere they
come 1 % nearer."""

SIGN_PACE = 0.5
"""The same in Linf, of steps that follow signs."""

STRETCH, FAR = 20, 1.8
"""Every so many steps alternatives whose changes are longer than this factor of the shortest are
left out."""

TOGETHER = 16
"""Alternatives that take their steps together: what a pass holds of each grows with the inputs."""

LAST_PACE = 0.01
"""Length of the last step relative to the first."""

FIRST_SHARE, LAST_SHARE = 0.3, 0.001
"""Shares by which radii shrink and grow, at first and in the end."""


class Found(NamedTuple):
    """What the attack ends with.

    Attributes:
        incumbents: at most one for each alternative, the nearest first.
        missed: alternatives that no step met, those not among them that the linear model about the
            image puts far behind the nearest.
    """

    incumbents: list[Incumbent]
    missed: list[int]


def minimum_norm_starts(
    network: ReLUNetwork,
    task: Task,
    conditions: Sequence[LogitConditions],
    promising: float,
    deadline: Deadline = NEVER,
) -> Found:
    """Images that meet an alternative each, by forward passes of many images at once.

    Args:
        network: the network.
        task: a distance; of blends, which are lifted, balls and lengths are those of L2 alone,
            objectives have the linear term, too.
        conditions: of each alternative, those of the task or tighter ones.
        promising: alternatives whose objective is within this factor of the best get all paces.
        deadline: when to stop with what was found; one pass may end after it.
    """
    run = _Run(network, task, conditions, deadline)
    norm, which = task.norm, np.arange(len(conditions))
    paces = (SIGN_PACE,) if norm.moves_all else PACES if norm.moves_few else PACES[:1]
    for number, pace in enumerate(paces):
        for first in range(0, which.size, TOGETHER):
            run.go(which[first : first + TOGETHER], pace, drops=number == 0)
        if run.nearest in (0.0, math.inf):
            break
        least = run.objectives.min(initial=math.inf)
        which = np.flatnonzero(run.objectives <= promising * least)
    met = run.objectives < math.inf
    incumbents = [
        Incumbent(run.points[b], float(run.objectives[b]), b)
        for b in np.argsort(run.objectives, kind="stable").tolist()
        if met[b]
    ]
    near = ~(run.linear > FAR * run.nearest)
    return Found(incumbents, np.flatnonzero(~met & near).tolist())


@dataclass(eq=False)
class _State:
    """Where a run of n alternatives stands.

    Attributes:
        which: alternatives, shape ``(n,)``.
        points: inside the box, shape ``(n, n_0)``.
        radii: of their balls, shape ``(n,)``.
        reach: the least length of a change that met its conditions, shape ``(n,)``.
        units: how far the linear model about the image puts each alternative, as steps measure it,
            shape ``(n,)``; None before the first step.
    """

    which: IntArray
    points: FloatArray
    radii: FloatArray
    reach: FloatArray
    units: FloatArray | None = None

    def resize(self, met: BoolArray, lengths: FloatArray, ahead: FloatArray, share: float) -> None:
        """Shrink the balls of changes that meet their conditions, and let the others grow."""
        self.reach = np.where(met, np.minimum(self.reach, lengths), self.reach)
        grown = np.where(self.reach < np.inf, self.radii * (1.0 + share), ahead)
        shrunk = np.minimum(self.radii, self.reach) * (1.0 - share)
        self.radii = np.where(met, shrunk, grown)

    def drop(self, far: BoolArray) -> None:
        """Leave out some alternatives."""
        near = ~far
        self.which, self.points = self.which[near], self.points[near]
        self.radii, self.reach = self.radii[near], self.reach[near]
        self.units = None if self.units is None else self.units[near]


class _Run:
    """Runs of one task.

    Attributes:
        objectives: the least of each alternative, infinite where no step met it; shape ``(n,)``.
        points: that have them, by alternative.
        nearest: length of the least change that met an alternative.
        linear: how far the linear model about the image puts each, shape ``(n,)``.
    """

    def __init__(
        self,
        network: ReLUNetwork,
        task: Task,
        conditions: Sequence[LogitConditions],
        deadline: Deadline,
    ) -> None:
        self._network, self._task, self._deadline = network, task, deadline
        self._conditions, self._image = conditions, np.array(task.image)
        self._low, self._high = task.box.lower - self._image, task.box.upper - self._image
        self.nearest = math.inf
        self.objectives = np.full(len(conditions), np.inf)
        self.points: dict[int, FloatArray] = {}
        self.linear = np.full(len(conditions), np.nan)

    def go(self, which: IntArray, pace: float, *, drops: bool) -> None:
        """One run for some alternatives from the image, which leaves out far ones if it drops."""
        unknown = np.full(which.size, np.inf)
        points = np.repeat(self._image[None], which.size, axis=0)
        state = _State(which, points, unknown, unknown.copy())
        with np.errstate(all="ignore"):  # what overflows begins anew at the image
            for step in range(STEPS):
                done = state.which.size == 0 or self.nearest == 0.0
                if done or self._deadline.passed:
                    return
                self._step(state, pace, 0.5 * (1.0 + math.cos(math.pi * step / STEPS)))
                if drops and step % STRETCH == STRETCH - 1:
                    away = np.minimum(state.reach, state.radii)
                    state.drop(~(away <= FAR * self.nearest))

    def _step(self, state: _State, pace: float, cooled: float) -> None:
        """One step of a run; ``cooled`` falls from 1 to 0 along it."""
        norm, changes = self._task.norm, state.points - self._image
        slacks, gradient = self._slacks(state)
        met, lengths = slacks >= 0.0, norm.lengths(changes)
        self._keep(state, met, lengths)
        free = without_stuck(gradient, changes, self._low, self._high)
        guide = norm if norm.moves_all else Norm.L2
        steepness = np.maximum(guide.dual.lengths(free), SMALLEST_LENGTH)
        ahead = lengths - slacks / np.maximum(norm.dual.lengths(free), SMALLEST_LENGTH)
        if state.units is None:
            state.units = np.where(met | (steepness == SMALLEST_LENGTH), 0.0, -slacks / steepness)
            self.linear[state.which] = ahead
        state.resize(met, lengths, ahead, LAST_SHARE + (FIRST_SHARE - LAST_SHARE) * cooled)
        length = pace * state.units * (LAST_PACE + (1.0 - LAST_PACE) * cooled)
        moved = changes + guide.steepest(free) * length[:, None]
        state.points = self._task.box.clip(self._image + self._projected(moved, state.radii))

    def _slacks(self, state: _State) -> tuple[FloatArray, FloatArray]:
        """Least slacks of the points, and their gradients."""
        values = self._network.pre_activations(state.points)
        slacks, rows = worst_conditions(self._conditions, values[-1], state.which)
        pattern = [layer > 0.0 for layer in values[:-1]]
        return slacks, self._network.gradient_in(pattern, rows)

    def _projected(self, changes: FloatArray, radii: FloatArray) -> FloatArray:
        """Changes brought into their balls and the box; none where something is not finite."""
        found = np.zeros_like(changes)
        for b, (change, radius) in enumerate(zip(changes, radii, strict=True)):
            if np.isfinite(radius) and np.isfinite(change).all():
                one = change[None], self._low[None], self._high[None]
                found[b] = self._task.norm.project(*one, radius)[0]
        return found

    def _keep(self, state: _State, met: BoolArray, lengths: FloatArray) -> None:
        """Remember the points that meet their conditions and are nearer than those before."""
        for b in np.flatnonzero(met):
            index, point = int(state.which[b]), state.points[b]
            objective = self._task.distance(point)
            self.nearest = min(self.nearest, float(lengths[b]))
            if objective < self.objectives[index]:
                self.objectives[index], self.points[index] = objective, point.copy()
