"""Worst cases over balls of L1 and L2: verdicts (:mod:`.within`) about rising values.

A search for the nearest input of at least a value (:mod:`.raised`) either finds one within the
radius, which is polished in its linear region (:mod:`.polish`) and becomes the best, or proves
that the ball holds none, and the value is a bound. It begins with the best input that gradients
and linear regions find and asks for more than that by the gap alone: mostly nothing is found, and
one search proves all. Every alternative keeps the bound that was proven last, and is left out
once that is below what is asked for.

Where a search takes more than :data:`FIRST` of the time, others about values between the one that
was too hard and the bound follow, for a bound that is better, if not the best.

Why the bound is a theorem: it is the largest of the alternatives' bounds, and each of them is a
linear bound over the ball, rounded outward, or a value of which a search proved in exact
arithmetic that every input that meets the raised rows is farther away than the radius; what is
rounded in these rows allows more inputs, not fewer.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

import numpy as np

from reluopt.answers.answer import EngineAnswer
from reluopt.answers.solution import GAP_DENOMINATOR_FLOOR, Incumbent, Status, relative_gap
from reluopt.attacks.slack import largest_found
from reluopt.deadline import Deadline
from reluopt.engines.base import EngineRequest, Progress
from reluopt.engines.branch_and_bound import within
from reluopt.engines.branch_and_bound.growth import grown
from reluopt.engines.branch_and_bound.polish import polished
from reluopt.engines.branch_and_bound.raised import RaisedTask
from reluopt.engines.branch_and_bound.search import GAP_SHARE, SMALLEST_GAP
from reluopt.numerics.arrays import FloatArray
from reluopt.questions.tasks import Task

ATTACK = 0.1
"""Most of the time that gradients may take; linear regions get as much."""

FIRST = 0.7
"""Most of the time that is left for a search, as long as none has taken it all."""

LATER = 0.5
"""Most of the time that is left for a search about an easier value."""

MOST_LATER = 5
"""Searches about easier values."""

PATIENCE = 2
"""Searches in succession that find better inputs, after which each asks for clearly more."""

STRIDE = 1.0 / 32.0
"""How much more at least, as a share of what is open; twice what was gained if that is more."""

CLOSER = 0.1
"""Share of the gap to which inputs are polished."""


def takes(task: Task) -> bool:
    """Whether a task asks for the largest slack, or form, over a ball of L1 or L2."""
    return not (task.minimises_distance or task.decides) and within.is_ball(task.inputs)


def solve(request: EngineRequest, started: float) -> EngineAnswer:
    """Solve a task that :func:`takes` does."""
    end = Deadline(started + request.options.time_limit)
    raised = RaisedTask.of(request.network, request.task)
    rise = _Rise(request, raised, end, raised.ceilings(end))
    rise.start()
    rise.run()
    return rise.answer(started)


@dataclass(eq=False)
class _Rise:
    """The way up to the largest value.

    Attributes:
        request: what is asked.
        raised: the same at any value.
        end: when to stop.
        ceilings: proven bounds of all goals; minus infinity where there is no input.
        best: the best input.
        hard: the last value about which a search did not end, if nothing as good was found since.
        finds: searches in succession that have found better inputs.
        step: how much more than the least of interest the next one asks for.
        later: searches that did not end.
        nodes: of all searches.
        size: of the largest root relaxation.
        message: why the last search that did not end stopped before its time.
    """

    request: EngineRequest
    raised: RaisedTask
    end: Deadline
    ceilings: FloatArray
    best: Incumbent | None = None
    hard: float | None = None
    finds: int = 0
    step: float = 0.0
    later: int = 0
    nodes: int = 0
    size: dict[str, int] = field(default_factory=dict)
    message: str = ""

    def start(self) -> None:
        """The best input that attacks find."""
        options, end = self.request.options, self.end.share(ATTACK)
        self.best = largest_found(self.request.network, self.request.task, options.seed, end)
        self._polish()

    def run(self) -> None:
        """Search until the gap is closed, time is up, or searches end for other reasons."""
        while not (self.closed or self._too_hard or self.end.passed or self.later >= MOST_LATER):
            value = self._next_value()
            if not value < self.bound:
                return
            self._look(value)
            if self.best is None:
                return

    @property
    def bound(self) -> float:
        """Proven bound on the largest value."""
        proven = float(self.ceilings.max())
        return proven if self.best is None else max(proven, self.best.objective)

    @property
    def tolerance(self) -> float:
        """Difference of values that is of no interest."""
        size = 0.0 if self.best is None else abs(self.best.objective)
        gap = max(self.request.options.gap * GAP_SHARE, SMALLEST_GAP)
        return gap * max(size, GAP_DENOMINATOR_FLOOR)

    @property
    def least(self) -> float:
        """The least value of interest."""
        return -math.inf if self.best is None else self.best.objective + self.tolerance

    @property
    def closed(self) -> bool:
        """Whether nothing better is left."""
        return self.bound <= self.least

    @property
    def _too_hard(self) -> bool:
        """Whether nothing of interest lies between the value that was too hard and the bound."""
        return self.hard is not None and self.bound <= self.hard + self.tolerance

    def _next_value(self) -> float:
        """The value to ask about."""
        if self.hard is not None:
            return max(self.hard, self.least) + 0.5 * (self.bound - max(self.hard, self.least))
        value = self.least + self.step
        return value if value < self.bound else self.least

    def _look(self, value: float) -> None:
        """Search an input of ``value`` or more."""
        inputs, options = self.request.task.inputs, self.request.options
        which = np.flatnonzero(self.ceilings > value).tolist()
        task = self.raised.at(value, which)
        end = self.end.share(LATER if self.later else FIRST)
        search = within.WithinSearch.of(self.request.network, task, inputs, end)
        forest = grown(search, options.seed, False)
        self.nodes += search.nodes
        self.size = max(self.size, forest.size, key=lambda size: size.get("variables", 0))
        for index, bound in zip(which, forest.bounds, strict=True):
            if within.excludes(bound, inputs):
                self.ceilings[index] = value
        if not self._rises(search.found) and self.bound > value:
            self.hard, self.later = value, self.later + 1
            self.message = "" if end.passed else forest.message
        self._report()

    def _rises(self, found: Incumbent | None) -> bool:
        """Whether what a search found is better than the best input, which it becomes."""
        better = None if found is None else self.raised.value_at(found.image)
        before = -math.inf if self.best is None else self.best.objective
        if better is None or not better.objective > before:
            self.finds, self.step = 0, 0.0
            return False
        self.best = better
        self._polish()
        self.finds += 1
        if self.finds > PATIENCE:
            risen = 2.0 * max(self.step, self.best.objective - before)
            self.step = max(risen, STRIDE * (self.bound - self.best.objective))
        if self.hard is not None and self.best.objective >= self.hard:
            self.hard = None
        return True

    def _polish(self) -> None:
        """Raise the best input in its linear region."""
        if self.best is not None:
            end = self.end.share(ATTACK)
            self.best = polished(self.raised, self.best, CLOSER * self.tolerance, end)

    def _report(self) -> None:
        """Tell how far the search is."""
        if self.request.progress is not None and self.best is not None:
            seconds = self.request.options.time_limit - self.end.left
            self.request.progress(Progress(self.best.objective, self.bound, self.nodes, seconds))

    def answer(self, started: float) -> EngineAnswer:
        """What is claimed."""
        best, bound = self.best, self.bound
        if best is None:
            status = Status.INFEASIBLE if bound == -math.inf else Status.TIME_LIMIT
        else:
            proven = relative_gap(best.objective, bound) <= self.request.options.gap
            status = Status.OPTIMAL if proven else Status.FEASIBLE
        return EngineAnswer(
            status=status,
            image=None if best is None else best.image,
            alternative=0 if best is None else best.alternative,
            objective=-math.inf if best is None else best.objective,
            bound=bound,
            nodes=self.nodes,
            search_seconds=time.perf_counter() - started,
            size=self.size,
            message="" if status in (Status.OPTIMAL, Status.INFEASIBLE) else self.message,
        )
