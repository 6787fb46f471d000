r"""Worst cases over balls of L1 and L2 as questions about the nearest input.

Is there an input within the radius whose slack, or form of the logits, is at least v? The rows of an
alternative that v is about (all of a slack, one of a form: ``C x^K >= d + v``) are raised, and the
input nearest to the center that meets them is searched. That none lies within proves the value of
every input of the ball to be below v. Sums d + v are rounded *down*: an input of a value of v or more
meets rows with right-hand sides up to the true d + v, so that it meets these, too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from reluopt.answers.solution import Incumbent
from reluopt.attacks.linear_regions import Pattern, walk_linear_regions
from reluopt.attacks.slack import incumbent_at, middle
from reluopt.bounds import BOUNDING_METHODS
from reluopt.bounds.conditions import slack_ceilings
from reluopt.deadline import Deadline
from reluopt.engines.branch_and_bound.dual.maximum import as_slack
from reluopt.engines.branch_and_bound.within import nearest
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import BoolArray, FloatArray
from reluopt.questions.margins import LogitConditions
from reluopt.questions.tasks import Alternative, Task

ROUNDS = 16
"""Values that one polish tries: eight are usual."""

REGIONS = 4
"""Linear regions that are solved for each of them."""

NOWHERE = (math.inf, math.inf)
"""No value and no length."""

SHORT = 1e-10
"""Lengths that miss the radius by this share of it are as good as the radius."""


@dataclass(frozen=True, eq=False)
class Goal:
    """An alternative with the rows that a value raises.

    Attributes:
        alternative: its conditions at the value 0.
        rises: shape ``(conditions,)``.
    """

    alternative: Alternative
    rises: BoolArray

    @classmethod
    def whole(cls, alternative: Alternative) -> Goal:
        """A goal whose value is the slack of its alternative."""
        return cls(alternative, np.ones(alternative.conditions.rhs.size, dtype=np.bool_))

    @classmethod
    def beside(cls, alternative: Alternative, form: LogitConditions) -> Goal:
        """A goal whose value is a form, where an alternative is met."""
        met = alternative.conditions
        rows = np.vstack([met.matrix, form.matrix]), np.append(met.rhs, form.rhs)
        rises = np.arange(rows[1].size) >= met.rhs.size
        return cls(replace(alternative, conditions=LogitConditions(*rows)), rises)

    def at(self, value: float) -> Alternative:
        """The alternative for inputs of ``value`` or more; minus infinity leaves its rows out."""
        conditions = self.alternative.conditions
        if value == -math.inf:
            return self.part(~self.rises)
        raised = np.nextafter(conditions.rhs + value, -np.inf)
        rhs = np.where(self.rises, raised, conditions.rhs)
        return replace(self.alternative, conditions=LogitConditions(conditions.matrix, rhs))

    def value(self, logits: FloatArray) -> float:
        """The value of an input with these logits, whether or not the other rows are met."""
        return float(self.alternative.conditions.slack(logits)[self.rises].min())

    def part(self, rows: BoolArray) -> Alternative:
        """The alternative with some of its rows."""
        conditions = self.alternative.conditions
        kept = LogitConditions(conditions.matrix[rows], conditions.rhs[rows])
        return replace(self.alternative, conditions=kept)


@dataclass(frozen=True, eq=False)
class RaisedTask:
    """What is asked at any value.

    Attributes:
        network: the network.
        task: one that maximises over a ball of L1 or L2.
        goals: one for each alternative of the task; one for a form without conditions.
    """

    network: ReLUNetwork
    task: Task
    goals: tuple[Goal, ...]

    @classmethod
    def of(cls, network: ReLUNetwork, task: Task) -> RaisedTask:
        """The goals of a task; a form is the slack of a row of its own."""
        if task.maximises_slack or not task.alternatives:
            own = as_slack(network, task).alternatives
            return cls(network, task, tuple(map(Goal.whole, own)))
        form = as_slack(network, replace(task, alternatives=())).alternatives[0].conditions
        goals = tuple(Goal.beside(each, form) for each in task.alternatives)
        return cls(network, task, goals)

    def at(self, value: float, which: Sequence[int]) -> Task:
        """The task of the nearest input whose value is ``value`` or more, of some goals alone."""
        alternatives = tuple(self.goals[index].at(value) for index in which)
        return nearest(replace(self.task, alternatives=alternatives))

    def ceilings(self, end: Deadline) -> FloatArray:
        """What linear bounds prove of the values of each goal's inputs; rounded outward."""
        inputs = self.task.inputs
        bounds = BOUNDING_METHODS.get("linear").compute(self.network, inputs, deadline=end)
        rising = replace(self.task, alternatives=tuple(g.part(g.rises) for g in self.goals))
        others = replace(self.task, alternatives=tuple(g.part(~g.rises) for g in self.goals))
        met = slack_ceilings(self.network, inputs, bounds, others) >= 0.0
        return np.where(met, slack_ceilings(self.network, inputs, bounds, rising), -np.inf)

    def value_at(self, image: FloatArray) -> Incumbent | None:
        """An input, brought into the ball if rounding left it outside, with what it is worth."""
        return incumbent_at(self.network, self.task, self.task.inputs.brought_in(image))

    def polished(self, start: Incumbent, tolerance: float, end: Deadline) -> Incumbent:
        """A better input by nearest inputs of rising values, in a linear region and those beside.

        Their length is convex in the value while the region stays the same: a chord through two
        lengths within the radius overshoots the largest value, a chord to one beyond falls short.

        Args:
            start: an input of the ball.
            tolerance: difference of values that is of no interest.
            end: when to stop with the best so far.
        """
        network, inputs, best, value = self.network, self.task.inputs, start, start.objective
        goal = self.goals[start.alternative]
        chords = _Chords((goal.value(network.forward(middle(inputs))), 0.0), inputs.radius)
        pattern: Pattern = network.activation_pattern(start.image)
        for _ in range(ROUNDS):
            task = self.at(value, [start.alternative])
            only = task.alternatives[0]
            near = walk_linear_regions(network, task, only, pattern, REGIONS, end)
            length = math.inf if near is None else task.norm.distance_of(near.objective)
            if near is not None and length <= inputs.radius:
                if any((a != b).any() for a, b in zip(pattern, near.pattern, strict=True)):
                    chords.beyond, pattern = NOWHERE, near.pattern
                found = self.value_at(near.image)
                best = found if found is not None and found.objective > best.objective else best
            chords.add(value, length)
            value = chords.next_value
            if not value > best.objective + tolerance or end.passed:
                break
        return best


@dataclass(eq=False)
class _Chords:
    """Values and the lengths that reach them.

    Attributes:
        center: the value of no change, and 0.
        radius: the length whose value is wanted.
        inside: the last two up to the radius.
        beyond: the last one beyond it.
    """

    center: tuple[float, float]
    radius: float
    inside: tuple[tuple[float, float], ...] = ()
    beyond: tuple[float, float] = NOWHERE

    def add(self, value: float, length: float) -> None:
        """Remember a pair."""
        if length <= self.radius:
            self.inside = (*self.inside[-1:], (value, length))
        else:
            self.beyond = value, length

    @property
    def next_value(self) -> float:
        """The value to try next; none greater than the last within the radius if there is none."""
        if not self.inside:
            return -math.inf
        value, length = self.inside[-1]
        before = self.inside[0] if self.inside[0][1] < length else self.center
        if not (before[1] < length and before[0] < value):
            return value
        missing = self.radius * (1.0 - SHORT) - length
        further = value + missing * (value - before[0]) / (length - before[1])
        far, reach = self.beyond
        if further < far:
            return further
        if reach == math.inf:
            return 0.5 * (value + far)
        return value + missing * (far - value) / (reach - length)
