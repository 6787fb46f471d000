"""Worst cases over Linf balls: the largest slack of an alternative, or the largest form of logits.

The search of :mod:`.verdict` with a threshold that rises with the best input so far: a node is
closed once nothing in it is better by more than the gap. Leaves end in linear programs, whose
optima are inputs, so that in the end the best one is as good as rounding lets it be.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace

import numpy as np

from reluopt.answers.answer import EngineAnswer
from reluopt.answers.solution import Status, relative_gap
from reluopt.deadline import Deadline
from reluopt.engines.base import EngineRequest
from reluopt.engines.branch_and_bound.dual.attack import BoxAttack
from reluopt.engines.branch_and_bound.dual.boxes import folded_over, is_box
from reluopt.engines.branch_and_bound.dual.decision import Decision
from reluopt.engines.branch_and_bound.dual.domains import BoxDomain
from reluopt.engines.branch_and_bound.dual.engine import TOO_MANY
from reluopt.engines.branch_and_bound.dual.verdict import DomainSearch
from reluopt.engines.branch_and_bound.search import GAP_SHARE, SMALLEST_GAP
from reluopt.errors import InputError
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.margins import LogitConditions
from reluopt.questions.tasks import Alternative, LargestSlack, Task


def takes(task: Task) -> bool:
    """Whether a task asks for the largest slack, or form without conditions, over an Linf ball."""
    if task.minimises_distance or task.decides or task.inputs.ball_norm is None:
        return False
    return is_box(task.inputs) and (task.maximises_slack or not task.alternatives)


def as_slack(network: ReLUNetwork, task: Task) -> Task:
    """The task as one about slacks: a form is the slack of a condition that it is >= 0."""
    if task.maximises_slack:
        return task
    row = np.zeros((1, network.output_size))
    for label, factor in task.form.terms:
        row[0, label] += factor
    own = Alternative(task.form.terms[0][0], LogitConditions(row, np.zeros(1)))
    return replace(task, objective=LargestSlack(), alternatives=(own,))


def solve(request: EngineRequest, started: float) -> EngineAnswer:
    """Solve a task that :func:`takes` does."""
    network, options = request.network, request.options
    task = as_slack(network, request.task)
    ends = task.inputs.ends
    deadline = Deadline(started + options.time_limit)
    attack = BoxAttack(network, task.alternatives, *ends, options.seed)
    attack.enough = math.inf
    try:
        folded = folded_over(network, task, ends, keeps_proof=False)
    except InputError:
        return _answer(attack, Decision(), request, started, TOO_MANY)
    given = (folded.network, BoxDomain(*ends), folded.task.alternatives, deadline)
    gap = max(options.gap * GAP_SHARE, SMALLEST_GAP)
    search = DomainSearch(*given, known=folded.known, attack=attack, gap=gap)
    decision = Decision(slack=-math.inf) if folded.slack == -math.inf else search.run()
    return _answer(attack, decision, request, started)


def _answer(
    attack: BoxAttack,
    decision: Decision,
    request: EngineRequest,
    started: float,
    message: str = "",
) -> EngineAnswer:
    """What the search claims."""
    best = attack.best
    value = -math.inf if best is None else best.slack
    bound = max(decision.slack, value)
    closed = best is not None and relative_gap(value, bound) <= request.options.gap
    found = Status.OPTIMAL if closed else Status.FEASIBLE
    return EngineAnswer(
        status=Status.TIME_LIMIT if best is None else found,
        image=None if best is None else best.image,
        alternative=0 if best is None else best.alternative,
        objective=value,
        bound=bound,
        nodes=decision.nodes,
        search_seconds=time.perf_counter() - started,
        message=message,
    )
