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
from reluopt.answers.solution import GAP_DENOMINATOR_FLOOR, Incumbent, Status
from reluopt.deadline import Deadline
from reluopt.engines.base import EngineRequest
from reluopt.engines.branch_and_bound.frame import make_frame
from reluopt.engines.branch_and_bound.growth import grown
from reluopt.engines.branch_and_bound.proof_search import prove
from reluopt.engines.branch_and_bound.search import BELOW_ZERO, SMALLEST_GAP, Search
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.input_sets import InputSet
from reluopt.questions.norms.base import Norm
from reluopt.questions.tasks import Distance, Task

ROOM = 4.0 * SMALLEST_GAP
"""How far beyond the radius the search looks, as a share: its cutoff is lower by the gap."""


def takes(task: Task) -> bool:
    """Whether a task is about the sign of a slack over a ball of L1 or L2."""
    return task.decides and is_ball(task.inputs)


def is_ball(inputs: InputSet) -> bool:
    """Whether a set is a ball of L1 or L2, cut by nothing but a box."""
    return inputs.limits is None and inputs.ball_norm in (Norm.L1, Norm.L2)


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
class WithinSearch(Search):
    """A search up to an objective, which an input within the radius ends.

    Attributes:
        limit: objective up to which inputs are of interest.
        enough: objective of the ball's radius.
    """

    limit: float = math.inf
    enough: float = math.inf

    @classmethod
    def of(cls, network: ReLUNetwork, task: Task, inputs: InputSet, end: Deadline) -> WithinSearch:
        """The search of a :func:`nearest` task within a ball."""
        enough = _objective(inputs)
        limit = enough + ROOM * max(enough, GAP_DENOMINATOR_FLOOR)
        frame = make_frame(network, task)
        return cls(frame, SMALLEST_GAP, end, limit=limit, enough=enough)

    @property
    def cutoff(self) -> float:
        """Nodes with a bound from here on need no further work."""
        return self._below(min(self.objective, self.ceiling, self.limit))

    @property
    def final_cutoff(self) -> float:
        """The cutoff whatever the ceiling."""
        return self._below(min(self.objective, self.limit))

    @property
    def wants_bounds(self) -> bool:
        """Not below the radius."""
        return False

    @property
    def out_of_time(self) -> bool:
        """Whether the deadline has passed, or an input within the radius is known."""
        return self.deadline.passed or self.found is not None

    @property
    def found(self) -> Incumbent | None:
        """An input within the radius."""
        return self.best if self.objective <= self.enough else None


def solve(request: EngineRequest, started: float) -> EngineAnswer:
    """Decide a task that :func:`takes` does."""
    options, network, inputs = request.options, request.network, request.task.inputs
    asked = nearest(request.task)
    search = WithinSearch.of(network, asked, inputs, Deadline(started + options.time_limit))
    keep = bool(options.extra.get("proof"))
    forest = grown(search, options.seed, keep)
    best, proof = search.found, None
    robust = best is None and excludes(forest.bound, inputs)
    if robust and keep:
        proof, proven = prove(search, network, asked, forest.plans, options.time_limit)
        robust = excludes(proven, inputs)
    undecided = Status.INFEASIBLE if robust else Status.TIME_LIMIT
    slack = -math.inf
    if best is not None:
        conditions = request.task.alternatives[best.alternative].conditions
        slack = float(conditions.slack(network.forward(best.image)).min())
    return EngineAnswer(
        status=undecided if best is None else Status.FEASIBLE,
        image=None if best is None else best.image,
        alternative=0 if best is None else best.alternative,
        objective=slack,
        bound=BELOW_ZERO if robust else math.inf,
        nodes=search.nodes,
        search_seconds=time.perf_counter() - started,
        size=forest.size,
        message="" if best is not None or robust or search.out_of_time else forest.message,
        proof=proof,
        steps=search.steps,
    )


def _objective(inputs: InputSet) -> float:
    """The objective of changes as long as the radius."""
    return inputs.radius * inputs.radius if inputs.norm is Norm.L2 else inputs.radius


def excludes(bound: float, inputs: InputSet) -> bool:
    """Whether a lower bound on the objective shows that there is nothing within the radius.

    Its square may have been rounded down.
    """
    return bound > math.nextafter(_objective(inputs), math.inf)


def slack_shown(bound: float, task: Task) -> float:
    """The bound on the slack that a proven distance to the nearest input shows."""
    return BELOW_ZERO if excludes(bound, task.inputs) else math.inf
