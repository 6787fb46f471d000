"""Verdicts over balls of L1 and L2: a search for the nearest input that ends with the ball.

Nothing beyond the radius is of interest, and any input within it is an answer, whatever its
distance. So the search of :mod:`.driver` runs with a ceiling, and its bound on the distance of the
nearest input that meets an alternative is the verdict: beyond the radius there is none within.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from reluopt.answers.answer import EngineAnswer
from reluopt.answers.solution import GAP_DENOMINATOR_FLOOR, Status
from reluopt.deadline import Deadline
from reluopt.engines.base import EngineRequest
from reluopt.engines.branch_and_bound.folding import is_folded
from reluopt.engines.branch_and_bound.forest import Forest
from reluopt.engines.branch_and_bound.frame import make_frame
from reluopt.engines.branch_and_bound.growth import Balls
from reluopt.engines.branch_and_bound.proof_search import prove
from reluopt.engines.branch_and_bound.search import SMALLEST_GAP, Search
from reluopt.questions.input_sets import InputSet
from reluopt.questions.norms.base import Norm
from reluopt.questions.tasks import Distance, Task

ROOM = 4.0 * SMALLEST_GAP
"""How far beyond the radius the search looks, as a share: its cutoff is lower by the gap."""

BELOW_ZERO = -1e-290
"""The bound on a slack of which no more than its sign is proven."""


def takes(task: Task) -> bool:
    """Whether a task is about the sign of a slack over a ball of L1 or L2."""
    inputs = task.inputs
    ball = inputs.center is not None and math.isfinite(inputs.radius) and inputs.limits is None
    return task.decides and ball and inputs.norm in (Norm.L1, Norm.L2)


def nearest(task: Task) -> Task:
    """The task of the nearest input that meets an alternative."""
    inputs = task.inputs
    assert inputs.center is not None
    assert inputs.norm is not None
    return Task(
        Distance(inputs.center, inputs.norm),
        InputSet(inputs.box, inputs.center),
        task.alternatives,
    )


@dataclass(eq=False)
class _WithinSearch(Search):
    """A search up to an objective, which an input within the radius ends.

    Attributes:
        limit: objective up to which inputs are of interest.
        enough: objective of the ball's radius.
    """

    limit: float = math.inf
    enough: float = math.inf

    @property
    def cutoff(self) -> float:
        """Nodes with a bound from here on need no further work."""
        return self._below(min(self.objective, self.ceiling, self.limit))

    @property
    def final_cutoff(self) -> float:
        """The cutoff whatever the ceiling."""
        return self._below(min(self.objective, self.limit))

    @property
    def out_of_time(self) -> bool:
        """Whether the deadline has passed, or an input within the radius is known."""
        return self.deadline.passed or self.objective <= self.enough


def solve(request: EngineRequest, started: float) -> EngineAnswer:
    """Decide a task that :func:`takes` does."""
    options, network = request.options, request.network
    asked = nearest(request.task)
    enough = _objective(request.task)
    search = _WithinSearch(
        make_frame(network, asked),
        SMALLEST_GAP,
        Deadline(started + options.time_limit),
        limit=enough + ROOM * max(enough, GAP_DENOMINATOR_FLOOR),
        enough=enough,
    )
    keep = bool(options.extra.get("proof"))
    forest = (Balls if is_folded(search.frame.network) else Forest)(search, options.seed, keep)
    forest.grow()
    best, proof = search.best, None
    found = best is not None and best.objective <= enough
    robust = not found and forest.bound > enough
    if robust and keep:
        proof, proven = prove(search, network, asked, forest.plans, options.time_limit)
        robust = proven > enough
    undecided = Status.INFEASIBLE if robust else Status.TIME_LIMIT
    slack = -math.inf
    if found and best is not None:
        conditions = request.task.alternatives[best.alternative].conditions
        slack = float(conditions.slack(network.forward(best.image)).min())
    return EngineAnswer(
        status=Status.FEASIBLE if found else undecided,
        image=best.image if found and best is not None else None,
        alternative=best.alternative if found and best is not None else 0,
        objective=slack,
        bound=BELOW_ZERO if robust else math.inf,
        nodes=search.nodes,
        search_seconds=time.perf_counter() - started,
        size=forest.size,
        message="" if found or robust or search.out_of_time else forest.message,
        proof=proof,
        steps=search.steps,
    )


def _objective(task: Task) -> float:
    """The objective of changes as long as the radius."""
    radius = task.inputs.radius
    return radius * radius if task.inputs.norm is Norm.L2 else radius


def slack_shown(bound: float, task: Task) -> float:
    """The bound on the slack that a proven distance to the nearest input shows."""
    return BELOW_ZERO if bound > _objective(task) else math.inf
