"""Tasks that the dual tree takes: is there an input in a box that meets an alternative?"""

from __future__ import annotations

import math
import time
from dataclasses import replace

from reluopt.answers.answer import EngineAnswer
from reluopt.answers.solution import Status
from reluopt.deadline import Deadline
from reluopt.engines.base import EngineRequest
from reluopt.engines.branch_and_bound.dual.attack import BoxAttack
from reluopt.engines.branch_and_bound.dual.boxes import is_box
from reluopt.engines.branch_and_bound.dual.deciding import Effort, decided
from reluopt.engines.branch_and_bound.dual.decision import Decision
from reluopt.engines.branch_and_bound.dual.proof import made_proof
from reluopt.errors import InputError
from reluopt.questions.tasks import Task

TOO_MANY = "too many neurons are undecided over the ball"
"""Message of a search that never began."""


def takes(task: Task) -> bool:
    """Whether a task is about the sign of a slack over a box."""
    return task.decides and is_box(task.inputs)


def solve(request: EngineRequest, started: float) -> EngineAnswer:
    """Decide a task that :func:`takes` does."""
    network, task = request.network, request.task
    keep = bool(request.options.extra.get("proof"))
    ends = task.inputs.ends
    deadline = Deadline(started + request.options.time_limit)
    attack = BoxAttack(network, task.alternatives, *ends, request.options.seed)
    try:
        decision = decided(network, task, ends, deadline, attack, Effort(keep))
    except InputError:
        return _answer(Decision(), started, TOO_MANY)
    answer = _answer(decision, started)
    if not (keep and decision.empty):
        return answer
    conditions = [-1] * len(task.alternatives)
    proof = made_proof(network, task, task.inputs.radius, conditions, decision)
    return replace(answer, proof=proof)


def _answer(decision: Decision, started: float, message: str = "") -> EngineAnswer:
    """What the search claims."""
    witness = decision.witness
    if witness is not None:
        status = Status.FEASIBLE
    else:
        status = Status.INFEASIBLE if decision.empty else Status.TIME_LIMIT
    return EngineAnswer(
        status=status,
        image=None if witness is None else witness.image,
        alternative=0 if witness is None else witness.alternative,
        objective=-math.inf if witness is None else witness.slack,
        bound=decision.slack,
        nodes=decision.nodes,
        search_seconds=time.perf_counter() - started,
        message=message,
    )
