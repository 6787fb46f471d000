"""What all engines that solve the sparse program have in common.

:class:`ProgramEngine` encodes the task, walks through its alternatives (targets) with a shared
incumbent, and leaves one thing to its subclasses: solving one :class:`Program`. The optimum over
alternatives is the best of their optima, so its dual bound is the lowest of their dual bounds.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace

from reluopt.engines.base import (
    EngineAnswer,
    EngineOptions,
    EngineRequest,
    EngineState,
    EngineTask,
    Incumbent,
    Progress,
    ProgressCallback,
)
from reluopt.engines.streams import stdout_on_stderr
from reluopt.errors import EngineUnavailableError, UnsupportedProblemError
from reluopt.formulation import EncodedProblem, encode
from reluopt.formulation.program import Program
from reluopt.network import BoolArray, FloatArray, ReLUNetwork
from reluopt.problems import Blend, LogitTask, Norm, PerturbationTask
from reluopt.solution import Status

SOLVER_FEASIBILITY = 1e-9
"""Row, bound and integrality tolerance asked of every solver: the tightest that all three accept.
Looser ones let values trickle through closed neurons (a big-M of 1000 times 1e-6 is 1e-3)."""

SOLVER_GAP_SHARE = 0.5
"""Share of the asked MIP gap that the solver gets; the rest covers what polishing its answer to
float64 precision adds to the objective."""


OWN_CUTOFF_MARGIN = 1e-6
"""Relative distance between an incumbent and the cutoff for its own alternative: the solver must
find the incumbent feasible, whatever its tolerances, and then it can only improve on it."""

LEAST_SECONDS = 1e-3
"""What a solver gets when the time is up already: every solver takes this as "stop at once"."""


@dataclass(frozen=True, eq=False)
class ProgramResult:
    """What a solver says about one program.

    Attributes:
        status: its claim; INFEASIBLE with a cutoff means that nothing beats the cutoff.
        values: variables of its best solution, or None.
        bound: its dual bound.
        nodes: branch-and-bound nodes.
        message: its own word for a status that needs explaining.
    """

    status: Status
    values: FloatArray | None
    bound: float
    nodes: int
    message: str = ""


@dataclass(frozen=True, eq=False)
class ProgramTask:
    """One program to solve.

    Attributes:
        program: the matrices.
        options: limits; ``time_limit`` is what is left for this program.
        start: values of a feasible solution, or None.
        cutoff: only solutions with an objective up to this one are of interest, or None.
        progress: called now and then.
    """

    program: Program
    options: EngineOptions
    start: FloatArray | None = None
    cutoff: float | None = None
    progress: ProgressCallback | None = None


@dataclass
class _Search:
    """State of the walk through the alternatives."""

    best: Incumbent | None
    image: FloatArray | None = None
    pattern: tuple[BoolArray, ...] | None = None
    outputs: FloatArray | None = None
    bounds: list[float] = field(default_factory=list)
    nodes: int = 0
    build_seconds: float = 0.0
    search_seconds: float = 0.0
    size: dict[str, int] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)
    statuses: list[Status] = field(default_factory=list)

    def keep(self, encoded: EncodedProblem, values: FloatArray, image: FloatArray) -> None:
        """Remember a solution of a program."""
        self.image = image
        self.pattern = encoded.network.pattern(values)
        self.outputs = values[encoded.network.logits]

    def answer(self, status: Status, objective: float, bound: float) -> EngineAnswer:
        """The finished answer."""
        return EngineAnswer(
            status=status,
            image=self.image,
            alternative=0 if self.best is None else self.best.alternative,
            objective=objective,
            bound=bound,
            nodes=self.nodes,
            build_seconds=self.build_seconds,
            search_seconds=self.search_seconds,
            size=self.size,
            message="; ".join(self.messages),
            pattern=self.pattern,
            outputs=self.outputs,
        )


class ProgramEngine(ABC):
    """An engine that hands a :class:`Program` to a solver.

    Attributes:
        name: how people call it.
        norms: norms it can minimise.
        blends: whether it can minimise blends of L1 and L2, which are quadratic.
    """

    name: str
    norms: tuple[Norm, ...]
    blends = False
    self_contained = False

    @abstractmethod
    def state(self) -> EngineState:
        """Whether the solver is installed and licensed."""

    @abstractmethod
    def solve_program(self, task: ProgramTask) -> ProgramResult:
        """Solve one program; raises KeyboardInterrupt when the user interrupts."""

    def supports(self, task: EngineTask) -> bool:
        """Logits always; perturbations by their norm."""
        if isinstance(task, LogitTask):
            return True
        return self.blends if isinstance(task.norm, Blend) else task.norm in self.norms

    def admits(self, task: EngineTask, network: ReLUNetwork) -> bool:
        """Always: open-source solvers have no size limits."""
        del task, network
        return True

    def solve(self, request: EngineRequest) -> EngineAnswer:
        """Solve all alternatives of the task; see :meth:`Engine.solve`."""
        state = self.state()
        if not state.usable:
            raise EngineUnavailableError(f"engine {self.name}: {state.detail}")
        if not self.supports(request.task):
            raise UnsupportedProblemError(f"engine {self.name}: cannot solve this problem")
        if isinstance(request.task, LogitTask):
            return self._solve_logit(request)
        return self._solve_perturbation(request, request.task)

    def _solve_logit(self, request: EngineRequest) -> EngineAnswer:
        search = _Search(None)
        result, encoded = self._run(request, request.task, search, request.options.time_limit)
        objective = -math.inf
        if result.values is not None:
            search.keep(encoded, result.values, encoded.network.point(result.values))
            objective = encoded.program.objective(result.values)
        return search.answer(result.status, objective, result.bound)

    def _solve_perturbation(self, request: EngineRequest, task: PerturbationTask) -> EngineAnswer:
        search = _Search(request.incumbent)
        started = time.perf_counter()
        count = len(task.alternatives)
        for index in range(count):
            left = request.options.time_limit - (time.perf_counter() - started)
            if left <= 0.0:
                search.bounds.append(0.0)
                search.statuses.append(Status.TIME_LIMIT)
                continue
            # A fair share for each alternative: one that is never reached has no bound at all.
            self._solve_alternative(request, task, index, search, left / (count - index))
        return _conclude(search)

    def _solve_alternative(
        self,
        request: EngineRequest,
        task: PerturbationTask,
        index: int,
        search: _Search,
        seconds: float,
    ) -> None:
        """Solve one alternative, bounded by the best answer to any of them."""
        own = search.best is not None and search.best.alternative == index
        result, encoded = self._run(
            request, task.only(task.alternatives[index]), search, seconds, warm=own
        )
        cutoff = math.inf if search.best is None else search.best.objective
        bound, status = max(0.0, result.bound), result.status
        if result.values is not None:
            image = task.box.clip(encoded.network.point(result.values))
            objective = task.objective(image)
            if objective < cutoff:
                search.keep(encoded, result.values, image)
                search.best = Incumbent(image, objective, index)
        elif status is Status.INFEASIBLE and own:
            # The incumbent itself is feasible and lies within the cutoff: a contradiction.
            search.messages.append(f"{self.name} denies the incumbent that it was given")
            bound, status = 0.0, Status.NUMERICAL
        elif status is Status.INFEASIBLE:
            bound = cutoff
        search.bounds.append(bound)
        search.statuses.append(status)

    def _run(
        self,
        request: EngineRequest,
        task: EngineTask,
        search: _Search,
        seconds: float,
        *,
        warm: bool = False,
    ) -> tuple[ProgramResult, EncodedProblem]:
        """Encode and solve one task, adding to the books of ``search``."""
        clock = time.perf_counter()
        if request.bounds is None:
            raise ValueError(f"engine {self.name} needs pre-activation bounds")
        encoded = encode(request.network, task, request.bounds, request.formulation)
        built = time.perf_counter()
        options = replace(
            request.options,
            time_limit=max(seconds - (built - clock), LEAST_SECONDS),
            gap=request.options.gap * SOLVER_GAP_SHARE,
        )
        start = cutoff = None
        if search.best is not None and isinstance(task, PerturbationTask):
            objective = search.best.objective
            start = encoded.start(search.best.image) if warm else None
            cutoff = objective + (OWN_CUTOFF_MARGIN * max(1.0, objective) if warm else 0.0)
        progress = _shifted(request.progress, search.nodes, search.search_seconds)
        with stdout_on_stderr():
            result = self.solve_program(
                ProgramTask(encoded.program, options, start, cutoff, progress)
            )
        search.build_seconds += built - clock
        search.search_seconds += time.perf_counter() - built
        search.nodes += result.nodes
        if result.message:
            search.messages.append(result.message)
        if encoded.program.size["variables"] > search.size.get("variables", 0):
            search.size = encoded.program.size
        return result, encoded


def _conclude(search: _Search) -> EngineAnswer:
    """Status, objective and bound over all alternatives."""
    bound = min(search.bounds)
    if search.best is None:
        if all(status is Status.INFEASIBLE for status in search.statuses):
            return search.answer(Status.INFEASIBLE, math.inf, math.inf)
        numerical = Status.NUMERICAL in search.statuses
        status = Status.NUMERICAL if numerical else Status.TIME_LIMIT
        return search.answer(status, math.inf, bound)
    objective = search.best.objective
    settled = all(s in (Status.OPTIMAL, Status.INFEASIBLE) for s in search.statuses)
    return search.answer(
        Status.OPTIMAL if settled else Status.FEASIBLE, objective, min(bound, objective)
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
