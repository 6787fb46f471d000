"""What all engines that solve the sparse program have in common.

:class:`ProgramEngine` encodes the alternatives (targets) of the task, which
:mod:`reluopt.engines.alternatives` goes through, and leaves one thing to its subclasses: solving
one :class:`Program`.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from reluopt.answers.answer import EngineAnswer
from reluopt.answers.solution import Status
from reluopt.deadline import NEVER, Deadline
from reluopt.engines.alternatives import Attempt, SoFar, settle, settle_maxima
from reluopt.engines.base import (
    Engine,
    EngineRequest,
    EngineState,
    Progress,
    ProgressCallback,
)
from reluopt.engines.options import EngineOptions
from reluopt.engines.streams import stdout_on_stderr
from reluopt.errors import EngineUnavailableError, UnsupportedProblemError
from reluopt.formulation import FORMULATIONS
from reluopt.formulation.base import EncodedProblem, Formulation
from reluopt.numerics.arrays import FloatArray
from reluopt.numerics.linear_programs import Program
from reluopt.questions.tasks import Task

SOLVER_FEASIBILITY = 1e-9
"""Row, bound and integrality tolerance asked of every solver: the tightest that all three accept.
Looser ones let values trickle through closed neurons (a big-M of 1000 times 1e-6 is 1e-3)."""

SOLVER_GAP_SHARE = 0.5
"""Share of the asked MIP gap that the solver gets; the rest covers what polishing its answer to
float64 precision adds to the objective."""


OWN_CUTOFF_MARGIN = 1e-6
"""Relative distance between an incumbent and the cutoff for its own alternative: the solver must
find the incumbent feasible, whatever its tolerances, and then it can only improve on it."""


SIGN_MARGIN = 1e-6
"""How far a slack has to be from zero, in units of the program, for a solver to tell its sign: a
thousand times its tolerances."""

TOO_NEAR = "the largest slack is too near zero for the solver's tolerances"
"""Message of verdicts that a solver cannot tell."""


@dataclass(frozen=True, eq=False)
class ProgramResult:
    """What a solver says about one program.

    Attributes:
        status: its claim; INFEASIBLE with a cutoff means that nothing beats the cutoff.
        values: variables of its best solution, or None.
        bound: its dual bound.
        nodes: branch-and-bound nodes.
        message: its own word for a status that needs explaining.
        seconds: what it took.
    """

    status: Status
    values: FloatArray | None
    bound: float
    nodes: int
    message: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, eq=False)
class ProgramTask:
    """One program to solve.

    Attributes:
        program: the matrices.
        options: gap, threads, seed, verbosity; of times, only the deadline counts.
        deadline: when to stop, the set-up of the solver included.
        start: values of a feasible solution, or None.
        cutoff: only solutions with an objective up to this one are of interest, or None.
        target: a solution with an objective this good, or better, ends the search; or None.
        progress: called now and then.
    """

    program: Program
    options: EngineOptions
    deadline: Deadline = NEVER
    start: FloatArray | None = None
    cutoff: float | None = None
    target: float | None = None
    progress: ProgressCallback | None = None


class ProgramEngine(Engine, ABC):
    """An engine that hands a :class:`Program` to a solver.

    Attributes:
        name: how people call it.
        quadratic: whether it takes quadratic objectives beside binaries.
    """

    name: str
    quadratic = True

    @property
    def formulations(self) -> tuple[str, ...]:
        """All that are written in Python."""
        return tuple(name for name in FORMULATIONS.names if FORMULATIONS.get(name).in_python)

    def writes(self, formulation: Formulation) -> bool:
        """All that are written in Python."""
        return formulation.in_python

    @abstractmethod
    def state(self) -> EngineState:
        """Whether the solver is installed and licensed."""

    @abstractmethod
    def solve_program(self, task: ProgramTask) -> ProgramResult:
        """Solve one program; raises KeyboardInterrupt when the user interrupts."""

    def supports(self, task: Task) -> bool:
        """Distances unless they are quadratic and the solver takes none; else what rows can hold.

        Slacks and forms of the logits over boxes and over balls of L1 and Linf, that is.
        """
        if task.minimises_distance:
            return self.quadratic or not task.norm.quadratic
        norm = task.inputs.ball_norm
        return task.limits is None and (norm is None or norm.linear_ball)

    def solve(self, request: EngineRequest) -> EngineAnswer:
        """Solve all alternatives of the task; see :meth:`Engine.solve`."""
        state = self.state()
        if not state.usable:
            raise EngineUnavailableError(f"engine {self.name}: {state.detail}")
        if not self.supports(request.task):
            raise UnsupportedProblemError(f"engine {self.name}: cannot solve this problem")
        deadline = Deadline.after(request.options.time_limit)
        if request.task.minimises_distance:
            return self._nearest(request, request.task, deadline)
        if request.task.alternatives:
            return self._largest(request, request.task, deadline)
        return self._largest_logit(request, request.task, deadline)

    def _largest_logit(
        self, request: EngineRequest, task: Task, deadline: Deadline
    ) -> EngineAnswer:
        encoded, seconds = self._encoded(request, task, deadline)
        result = self._run(ProgramTask(encoded.program, request.options, deadline))
        answer, values = _answer(result, encoded, build_seconds=seconds), result.values
        if values is None:
            return answer
        image, objective = encoded.network.point(values), encoded.program.objective(values)
        return replace(answer, image=image, objective=objective)

    def _largest(self, request: EngineRequest, task: Task, deadline: Deadline) -> EngineAnswer:
        """The largest slack, or a form under conditions, over all alternatives."""

        def solve(index: int, encoded: EncodedProblem, *rest: Any) -> EngineAnswer:
            answer = self._attempt_maximum(request, task, index, encoded, *rest)
            return replace(answer, objective=-answer.objective, bound=-answer.bound)

        return settle_maxima(request, task, self._attempts(request, task, solve), deadline)

    def _attempt_maximum(
        self,
        request: EngineRequest,
        task: Task,
        index: int,
        encoded: EncodedProblem,
        so_far: SoFar,
        deadline: Deadline,
    ) -> EngineAnswer:
        """Solve one alternative; nothing below the best slack so far, or zero, is of interest."""
        least, target, start = -so_far.cutoff, None, None
        if task.decides:
            least, target = 0.0, SIGN_MARGIN / encoded.logit_factor
        if so_far.best is not None and so_far.best.alternative == index and not task.decides:
            start = encoded.start(so_far.best.image)
        program, floor = _floored(encoded, least)
        if (program.lower > program.upper).any():
            result = ProgramResult(Status.INFEASIBLE, None, floor, 0)
        else:
            given = ProgramTask(program, request.options, deadline, start, target=target)
            result = self._run(given)
        answer = _answer(result, encoded)
        if result.values is not None:
            image = task.inputs.brought_in(encoded.network.point(result.values))
            found = task.value(request.network.forward(image))
            answer = replace(answer, image=image, objective=found)
        if result.status is Status.INFEASIBLE:
            return replace(answer, bound=floor)
        if task.decides and answer.bound > floor:
            near = (
                "" if answer.objective >= 0.0 or result.status is not Status.OPTIMAL else TOO_NEAR
            )
            return replace(answer, bound=max(answer.bound, 0.0), message=answer.message or near)
        return answer

    def _nearest(self, request: EngineRequest, task: Task, deadline: Deadline) -> EngineAnswer:
        def solve(index: int, encoded: EncodedProblem, *rest: Any) -> EngineAnswer:
            return self._attempt(request, task, index, encoded, *rest)

        return settle(request, task, self._attempts(request, task, solve), deadline)

    def _attempts(
        self, request: EngineRequest, task: Task, solve: Callable[..., EngineAnswer]
    ) -> Attempt:
        """Attempts at alternatives whose programs are written once, when they are first tried."""
        built: dict[int, EncodedProblem] = {}

        def attempt(index: int, so_far: SoFar, deadline: Deadline) -> EngineAnswer:
            seconds = 0.0
            if index not in built:
                single = task.only(task.alternatives[index])
                built[index], seconds = self._encoded(request, single, deadline)
            answer = solve(index, built[index], so_far, deadline)
            return replace(answer, build_seconds=seconds)

        return attempt

    def _attempt(
        self,
        request: EngineRequest,
        task: Task,
        index: int,
        encoded: EncodedProblem,
        so_far: SoFar,
        deadline: Deadline,
    ) -> EngineAnswer:
        """Solve one alternative, bounded by the best answer to any of them."""
        start, cutoff = None, None if so_far.best is None else so_far.cutoff
        own = so_far.best is not None and so_far.best.alternative == index
        if so_far.best is not None and cutoff is not None and own:
            start = encoded.start(so_far.best.image)
            cutoff += OWN_CUTOFF_MARGIN * max(1.0, cutoff)
        progress = _shifted(request.progress, so_far.nodes, so_far.search_seconds)
        result = self._run(
            ProgramTask(
                encoded.program, request.options, deadline, start, cutoff, progress=progress
            )
        )
        answer = _answer(result, encoded)
        if result.values is not None:
            image = task.box.clip(encoded.network.point(result.values))
            answer = replace(answer, image=image, objective=task.distance(image))
        elif result.status is Status.INFEASIBLE and own:
            # The incumbent itself is feasible and lies within the cutoff: a contradiction.
            message = f"{self.name} denies the incumbent that it was given"
            return replace(answer, status=Status.NUMERICAL, bound=0.0, message=message)
        elif result.status is Status.INFEASIBLE:
            return replace(answer, bound=so_far.cutoff)
        return replace(answer, bound=max(0.0, answer.bound))

    def _encoded(
        self, request: EngineRequest, task: Task, deadline: Deadline
    ) -> tuple[EncodedProblem, float]:
        """The program of a task with one alternative, and the seconds that writing it took."""
        if request.bounds is None:
            raise ValueError(f"engine {self.name} needs pre-activation bounds")
        formulation = request.formulation or FORMULATIONS.get("bigm")
        started = time.perf_counter()
        encoded = formulation.encode(request.network, task, request.bounds, deadline)
        return encoded, time.perf_counter() - started

    def _run(self, task: ProgramTask) -> ProgramResult:
        """Solve one program, unless it is too late for that."""
        if task.deadline.passed:
            return ProgramResult(Status.TIME_LIMIT, None, task.program.no_bound, 0)
        started = time.perf_counter()
        options = replace(task.options, gap=task.options.gap * SOLVER_GAP_SHARE)
        with stdout_on_stderr():
            result = self.solve_program(replace(task, options=options))
        return replace(result, seconds=time.perf_counter() - started)


def _floored(encoded: EncodedProblem, least: float) -> tuple[Program, float]:
    """A program without slacks clearly below ``least``, and the slack that is left out.

    Programs that maximise something else are as they were, and nothing is left out.
    """
    program, slack = encoded.program, encoded.slack
    if slack is None or least == -math.inf:
        return program, -math.inf
    lower = program.lower.copy()
    scaled = encoded.logit_factor * least
    floor = scaled - SIGN_MARGIN * max(1.0, abs(scaled))
    lower[slack.column] = max(lower[slack.column], floor)
    return replace(program, lower=lower), floor / encoded.logit_factor


def _answer(
    result: ProgramResult, encoded: EncodedProblem, build_seconds: float = 0.0
) -> EngineAnswer:
    """A solver's result as an answer without image."""
    pattern, outputs, values = None, None, result.values
    if values is not None:
        pattern = encoded.network.pattern(values)
        outputs = values[encoded.network.logits] / encoded.logit_factor
    return EngineAnswer(
        status=result.status,
        image=None,
        alternative=0,
        objective=-math.inf if encoded.program.maximise else math.inf,
        bound=result.bound,
        nodes=result.nodes,
        build_seconds=build_seconds,
        search_seconds=result.seconds,
        size=encoded.program.size,
        message=result.message,
        pattern=pattern,
        outputs=outputs,
    )


def _shifted(
    progress: ProgressCallback | None, nodes: int, seconds: float
) -> ProgressCallback | None:
    """A callback that counts what earlier alternatives have used."""
    if progress is None:
        return None
    callback = progress

    def report(now: Progress) -> None:
        callback(replace(now, nodes=now.nodes + nodes, seconds=now.seconds + seconds))

    return report
