r"""Inputs of a set with a large slack, or a large form of the logits, by projected gradients.

Each alternative is climbed from the middle of the set and from random points: along its worst
condition while that is not met, and then, where a form is maximised, along the form. Nothing is
proven; what is returned is an incumbent, or a witness against robustness.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reluopt.answers.solution import Incumbent
from reluopt.attacks.steps import without_stuck, worst_conditions
from reluopt.deadline import NEVER, Deadline
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray, IntArray
from reluopt.questions.input_sets import InputSet
from reluopt.questions.norms.base import Norm
from reluopt.questions.tasks import LinearForm, Task

STEPS = 40
"""Gradient steps of a run."""

TRAVEL = 2.5
"""They add up to this many radii, as those of PGD (Madry et al. 2018)."""

RANDOM_STARTS = 3
"""Random starting points for each alternative, beside the middle of the set."""


def middle(inputs: InputSet) -> FloatArray:
    """The center of the ball, or without a ball the middle of the box."""
    box = inputs.box
    if inputs.ball_norm is not None and inputs.center is not None:
        return box.clip(inputs.center)
    return box.clip(box.lower + 0.5 * (box.upper - box.lower))


def incumbent_at(network: ReLUNetwork, task: Task, image: FloatArray) -> Incumbent | None:
    """``image`` as an incumbent of a task that maximises, if it meets what has to be met."""
    logits = network.forward(image)
    best, slack = task.best_alternative(logits)
    if not np.isfinite(logits).all() or not (task.maximises_slack or slack >= 0.0):
        return None
    return Incumbent(image, task.value(logits), best)


def largest_found(
    network: ReLUNetwork, task: Task, seed: int = 0, deadline: Deadline = NEVER
) -> Incumbent | None:
    """The best input of the set that climbing finds; where a sign decides, the first >= 0.

    Args:
        network: the network.
        task: one that maximises a slack or a form.
        seed: of the random starting points.
        deadline: when to stop with what was found.

    Returns:
        The input with its slack or form, or None where no input met an alternative.
    """
    climb = _Climb(network, task)
    points, which = climb.starts(np.random.default_rng(seed))
    for step in range(STEPS + 1):
        logits = network.forward(points)
        climb.keep(points, logits)
        if climb.done or step == STEPS or deadline.passed:
            break
        points = climb.moved(points, climb.rows(logits, which), TRAVEL / STEPS)
    return climb.best


@dataclass(eq=False)
class _Climb:
    """A run from many points at once.

    Attributes:
        network: the network.
        task: what is maximised.
        best: the best input so far.
    """

    network: ReLUNetwork
    task: Task
    best: Incumbent | None = None

    def __post_init__(self) -> None:
        inputs = self.task.inputs
        self._norm = inputs.ball_norm or Norm.LINF
        self._middle = middle(inputs)
        self._low, self._high = inputs.box.lower - self._middle, inputs.box.upper - self._middle
        reach = float(np.maximum(self._high, -self._low).max(initial=0.0))
        self._radius = min(inputs.radius, reach) if inputs.ball_norm is None else inputs.radius

    @property
    def done(self) -> bool:
        """Whether a witness has been found where one decides."""
        return self.task.decides and self.best is not None and self.best.objective >= 0.0

    def starts(self, generator: np.random.Generator) -> tuple[FloatArray, IntArray]:
        """The middle and random points for each alternative, and which alternative each is for."""
        count = max(len(self.task.alternatives), 1)
        which = np.repeat(np.arange(count), 1 + RANDOM_STARTS)
        shape = (which.size, self._middle.size)
        changes = self._norm.random_changes(generator, shape, self._radius)
        changes[:: 1 + RANDOM_STARTS] = 0.0
        return self._within(changes), which

    def keep(self, points: FloatArray, logits: FloatArray) -> None:
        """Remember the best of some points."""
        values = np.full(len(points), -np.inf)
        for b, each in enumerate(logits):
            met = self.task.maximises_slack or self.task.best_alternative(each)[1] >= 0.0
            if met and np.isfinite(each).all():
                values[b] = self.task.value(each)
        first = int(np.argmax(values))
        if values[first] > (-np.inf if self.best is None else self.best.objective):
            self.best = incumbent_at(self.network, self.task, points[first].copy())

    def rows(self, logits: FloatArray, which: IntArray) -> FloatArray:
        """For each point the form of the logits that it climbs."""
        objective = self.task.objective
        form = np.zeros(logits.shape[1])
        if isinstance(objective, LinearForm):
            for label, weight in objective.terms:
                form[label] += weight
        rows = np.tile(form, (len(logits), 1))
        if self.task.alternatives:
            conditions = [each.conditions for each in self.task.alternatives]
            slacks, worst = worst_conditions(conditions, logits, which)
            climbs = self.task.maximises_slack | (slacks < 0.0)
            rows[climbs] = worst[climbs]
        return rows

    def moved(self, points: FloatArray, rows: FloatArray, share: float) -> FloatArray:
        """One step from each point along its form."""
        gradient = self.network.gradient(points, rows)
        changes = points - self._middle
        step = self._norm.steepest(without_stuck(gradient, changes, self._low, self._high))
        return self._within(changes + share * self._radius * step)

    def _within(self, changes: FloatArray) -> FloatArray:
        """Inputs whose changes are brought into the set."""
        count = len(changes)
        low, high = (np.repeat(end[None], count, axis=0) for end in (self._low, self._high))
        changes = self._norm.project(changes, low, high, self._radius)
        return np.clip(self._middle + changes, self.task.box.lower, self.task.box.upper)
