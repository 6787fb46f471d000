"""Linf distances as tasks of the engine: which, and what is claimed of them."""

from __future__ import annotations

import math
import time

from reluopt.answers.answer import EngineAnswer
from reluopt.answers.solution import Incumbent, Status, relative_gap
from reluopt.deadline import NEVER, Deadline
from reluopt.engines.base import EngineRequest
from reluopt.engines.branch_and_bound.dual.distance import DistanceSearch
from reluopt.engines.branch_and_bound.search import GAP_SHARE, SMALLEST_GAP
from reluopt.engines.branch_and_bound.threads import limited_threads
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.norms.base import Norm
from reluopt.questions.tasks import Task


def takes(task: Task) -> bool:
    """Whether a task is a distance in Linf without limits on the change."""
    return task.minimises_distance and task.norm is Norm.LINF and task.limits is None


def root_bound(network: ReLUNetwork, task: Task, incumbent: Incumbent | None, gap: float) -> float:
    """Proven bound of the roots alone, at most the radius that closes the gap."""
    search = DistanceSearch(network, task, gap, NEVER, 0, incumbent)
    with limited_threads(1):
        search.bound_roots(search.cutoff)
    return search.bound


def solve(request: EngineRequest, started: float) -> EngineAnswer:
    """Solve a task that :func:`takes` does."""
    options = request.options
    deadline = Deadline(started + options.time_limit)
    gap = max(options.gap * GAP_SHARE, SMALLEST_GAP)
    search = DistanceSearch(
        request.network, request.task, gap, deadline, options.seed, request.incumbent
    )
    search.keep = bool(options.extra.get("proof"))
    search.progress, search.started = request.progress, started
    if search.best is None:
        search.start()
    search.run()
    search.report()
    return _answer(search, request, started)


def _answer(search: DistanceSearch, request: EngineRequest, started: float) -> EngineAnswer:
    """What the search claims."""
    best, objective = search.best, search.objective
    closed = relative_gap(objective, min(search.bound, objective)) <= request.options.gap
    if best is None:
        status = Status.INFEASIBLE if search.bound == math.inf else Status.TIME_LIMIT
    else:
        status = Status.OPTIMAL if closed else Status.FEASIBLE
    found = best is not None and best is not request.incumbent
    return EngineAnswer(
        status=status,
        image=best.image if best is not None and found else None,
        alternative=0 if best is None else best.alternative,
        objective=objective,
        bound=min(search.bound, objective),
        nodes=search.nodes,
        search_seconds=time.perf_counter() - started,
        message="" if closed else search.message,
        proof=search.proof if closed or status is Status.INFEASIBLE else None,
    )
