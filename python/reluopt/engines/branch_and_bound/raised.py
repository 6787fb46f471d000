r"""Worst cases over balls of L1 and L2 as questions about the nearest input.

Is there an input within the radius whose slack, or form of the logits, is at least v? The rows of
an alternative that v is about (all of a slack, one of a form) are raised to :math:`C x^K \ge d +
v`, and the input nearest to the center that meets them is searched. That none lies within proves
the value of every input of the ball to be below v. Sums d + v are rounded *down*: an input of a
value of v or more meets rows with right-hand sides up to the true d + v, so that it meets these,
too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from reluopt.answers.solution import Incumbent
from reluopt.attacks.slack import incumbent_at
from reluopt.bounds import BOUNDING_METHODS
from reluopt.bounds.conditions import slack_ceilings
from reluopt.deadline import Deadline
from reluopt.engines.branch_and_bound.dual.maximum import as_slack
from reluopt.engines.branch_and_bound.within import nearest
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import BoolArray, FloatArray
from reluopt.questions.margins import LogitConditions
from reluopt.questions.tasks import Alternative, Task


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
