"""The shared loop over the alternatives (targets) of a task, for engines that take them one by one.

Everything is minimised here; what is maximised comes negated (:func:`settle_maxima`).

The optimum over alternatives is the best of their optima, so its dual bound is the lowest of their
dual bounds, and one alternative that stays open leaves the whole task open. Hence time that an
alternative does not use goes to those that are still open, until all are settled or it is used up:

1. Alternatives that bounds have ruled out are never tried (:attr:`EngineRequest.hopeless`).
2. A first pass, the most promising alternative first so that the cutoff falls early, gives each a
   quarter of its fair share of the time. It settles the easy ones.
3. Further passes give those that are open, the lowest bound first, their fair share of what is
   left, and at least twice what they had: an attempt starts anew, though from a better incumbent,
   so less would only repeat the last one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from reluopt.answers.answer import EngineAnswer
from reluopt.answers.solution import Incumbent, Status
from reluopt.attacks.linear_model import linear_distances
from reluopt.attacks.slack import middle
from reluopt.deadline import Deadline
from reluopt.engines.base import EngineRequest
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.tasks import Task

FIRST_SHARE = 0.25
"""Share of its fair share that an alternative gets in the first pass, if there is another one:
small enough to leave hard ones three times as much at once, large enough not to be wasted often."""

LEAST_ATTEMPT = 1.0
"""Seconds below which solvers rarely leave their presolve: the first pass gives as much, or the
fair share if that is less."""

GROWTH = 2.0
"""How much longer than the last attempt the next one lasts at least."""

OWN_STOP = 0.5
"""A solver that stops unfinished before this share of its time has other reasons, and would stop
there again."""

SETTLED = (Status.OPTIMAL, Status.INFEASIBLE)
"""Claims after which an alternative needs no further work."""


@dataclass
class SoFar:
    """What attempts have found and used.

    Attributes:
        best: the best image of any alternative, or None; a start and a cutoff.
        answer: the engine's answer with that image; None while the request's incumbent is best.
        nodes: branch-and-bound nodes.
        build_seconds: seconds spent on building programs.
        search_seconds: seconds spent on solving them.
        size: size of the largest program.
    """

    best: Incumbent | None
    answer: EngineAnswer | None = None
    nodes: int = 0
    build_seconds: float = 0.0
    search_seconds: float = 0.0
    size: dict[str, int] = field(default_factory=dict)

    @property
    def cutoff(self) -> float:
        """Only objectives below it are of interest."""
        return math.inf if self.best is None else self.best.objective

    def add(self, index: int, answer: EngineAnswer) -> None:
        """Count an attempt at alternative ``index``, and keep its image if it is better."""
        self.nodes += answer.nodes
        self.build_seconds += answer.build_seconds
        self.search_seconds += answer.search_seconds
        if answer.size.get("variables", 0) > self.size.get("variables", 0):
            self.size = dict(answer.size)
        if answer.image is None:
            return
        # What a solver in trouble returns is no cutoff, but shown to the check if all else fails.
        if answer.status is not Status.NUMERICAL and answer.objective < self.cutoff:
            self.best = Incumbent(answer.image, answer.objective, index)
            self.answer = answer
        elif self.best is None:
            self.answer = answer


class Attempt(Protocol):
    """Work of an engine on one alternative."""

    def __call__(self, index: int, so_far: SoFar, deadline: Deadline) -> EngineAnswer:
        """Look for something better than ``so_far.best`` in alternative ``index``.

        Returns:
            Image, objective, bound, nodes, seconds and size of this attempt alone. The bound is one
            on the alternative's optimum; INFEASIBLE says that nothing beats ``so_far.cutoff``.
        """
        ...


@dataclass
class _State:
    """What is known of one alternative.

    Attributes:
        status: the engine's last claim.
        bound: the best bound proven so far.
        seconds: time that the last attempt was given.
        message: what the engine said of its last attempt.
        given_up: whether no further attempt would do more.
    """

    status: Status = Status.TIME_LIMIT
    bound: float = 0.0
    seconds: float = 0.0
    message: str = ""
    given_up: bool = False


def settle(
    request: EngineRequest, task: Task, attempt: Attempt, deadline: Deadline
) -> EngineAnswer:
    """Solve ``task`` by attempts at its alternatives, until all are settled or time is over.

    Args:
        request: the request, for its network, its incumbent and its hopeless alternatives.
        task: the request's task.
        attempt: works on one alternative until a deadline of its own.
        deadline: when all must end.
    """
    walk = _Walk(request, task, deadline)
    order = promising_first(request.network, task)
    return _walked(walk, order, attempt)


def settle_maxima(
    request: EngineRequest, task: Task, attempt: Attempt, deadline: Deadline
) -> EngineAnswer:
    """:func:`settle` for tasks that maximise; attempts give and take negated objectives.

    Where a sign decides, alternatives of a slack proven below zero need no attempt, and the first
    input of a slack >= 0 ends all.
    """
    incumbent = request.incumbent
    if incumbent is not None:
        negated = replace(incumbent, objective=-incumbent.objective)
        request = replace(request, incumbent=negated)
    walk = _Walk(request, task, deadline)
    slacks = task.slacks(request.network.forward(middle(task.inputs)))
    order = [int(index) for index in np.argsort([-slack for slack in slacks], kind="stable")]
    found = _walked(walk, order, attempt)
    answer = replace(found, objective=-found.objective, bound=-found.bound)
    if task.decides and answer.objective >= 0.0:
        return replace(answer, status=Status.FEASIBLE)
    return replace(answer, status=Status.INFEASIBLE) if walk.excludes else answer


def _walked(walk: _Walk, order: list[int], attempt: Attempt) -> EngineAnswer:
    """Passes through the alternatives until all are settled or time is over."""
    share = FIRST_SHARE
    while (pending := [i for i in order if walk.is_open(i)]) and not walk.deadline.passed:
        walk.go(pending, attempt, share if len(pending) > 1 else 1.0)
        order, share = sorted(order, key=lambda i: walk.states[i].bound), 1.0
    return walk.conclusion()


def promising_first(network: ReLUNetwork, task: Task) -> list[int]:
    """Alternatives by how near the linear model of the network puts them, the nearest first."""
    norm, _ = task.norm.ball(1.0)

    def distance(index: int) -> float:
        conditions = task.alternatives[index].conditions
        return float(
            linear_distances(network, task.image, conditions.matrix, conditions.rhs, norm).max(
                initial=0.0
            )
        )

    return sorted(range(len(task.alternatives)), key=distance)


class _Walk:
    """State of the loop."""

    def __init__(self, request: EngineRequest, task: Task, deadline: Deadline) -> None:
        self.deadline = deadline
        self.so_far = SoFar(request.incumbent)
        self._decides = task.decides
        least = np.full(len(task.alternatives), 0.0 - task.objective.trivial_bound)
        floors = least if request.ceilings is None else -request.ceilings
        self.states = [_State(bound=float(floor)) for floor in floors]
        for index in request.hopeless:
            self.states[index] = _State(Status.INFEASIBLE, self.so_far.cutoff)

    def is_open(self, index: int) -> bool:
        """Whether a further attempt at an alternative makes sense."""
        return not (self.is_settled(index) or self.states[index].given_up)

    def is_settled(self, index: int) -> bool:
        """Whether nothing better than the best image can come from an alternative."""
        state = self.states[index]
        if self._decides and (state.bound > 0.0 or self.so_far.cutoff <= 0.0):
            return True
        return state.status in SETTLED or state.bound >= self.so_far.cutoff

    @property
    def excludes(self) -> bool:
        """Whether no alternative can be met, where that is what is asked."""
        return self._decides and all(state.bound > 0.0 for state in self.states)

    def go(self, pending: list[int], attempt: Attempt, share: float) -> None:
        """One pass through ``pending``, each with ``share`` of its fair share of the time."""
        for position, index in enumerate(pending):
            if self.deadline.passed:
                return
            if not self.is_open(index):  # an image of another one has settled it
                continue
            state, fair = self.states[index], self.deadline.left / (len(pending) - position)
            seconds = max(share * fair, min(fair, LEAST_ATTEMPT), GROWTH * state.seconds)
            self._try(index, attempt, self.deadline.within(seconds))

    def _try(self, index: int, attempt: Attempt, deadline: Deadline) -> None:
        """One attempt at one alternative."""
        state, given = self.states[index], deadline.left
        answer = attempt(index, self.so_far, deadline)
        self.so_far.add(index, answer)
        state.status, state.message, state.seconds = answer.status, answer.message, given
        state.bound = max(state.bound, answer.bound)
        early = given == math.inf or deadline.left > (1.0 - OWN_STOP) * given
        state.given_up = state.status is Status.NUMERICAL or early
        if early and not state.message and not self.is_settled(index):
            state.message = "the solver stopped before its time without a proof"

    def conclusion(self) -> EngineAnswer:
        """Status, objective and bound over all alternatives."""
        so_far, best, answer = self.so_far, self.so_far.best, self.so_far.answer
        status, bound = self._status(), min(state.bound for state in self.states)
        empty = status is Status.INFEASIBLE and not self._decides
        messages = dict.fromkeys(state.message for state in self.states if state.message)
        return EngineAnswer(
            status=status,
            image=None if answer is None else answer.image,
            alternative=0 if best is None else best.alternative,
            objective=so_far.cutoff,
            bound=math.inf if empty else min(bound, so_far.cutoff),
            nodes=so_far.nodes,
            build_seconds=so_far.build_seconds,
            search_seconds=so_far.search_seconds,
            size=so_far.size,
            message="; ".join(messages),
            pattern=None if answer is None else answer.pattern,
            outputs=None if answer is None else answer.outputs,
        )

    def _status(self) -> Status:
        statuses = [state.status for state in self.states]
        if self.so_far.best is not None:
            settled = all(self.is_settled(index) for index in range(len(self.states)))
            return Status.OPTIMAL if settled else Status.FEASIBLE
        if all(status is Status.INFEASIBLE for status in statuses):
            return Status.INFEASIBLE
        return Status.NUMERICAL if Status.NUMERICAL in statuses else Status.TIME_LIMIT
