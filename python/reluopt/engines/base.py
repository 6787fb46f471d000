"""What every engine takes and gives, whatever solves the program underneath.

An engine gets an :class:`EngineRequest` and returns an :class:`EngineAnswer`. Its answer is a
*claim*; :mod:`reluopt.pipeline` polishes and checks it before anyone sees it. Time limit, MIP gap,
threads, seed and verbosity mean the same in every engine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from reluopt.answers.answer import EngineAnswer
from reluopt.answers.solution import Incumbent
from reluopt.bounds.base import PreActivationBounds
from reluopt.errors import InputError
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.problems import LogitTask, PerturbationTask

MAX_THREADS = 64
"""Most threads that every engine accepts."""

MAX_SEED = 2_000_000_000
"""Largest seed that every engine accepts."""


@dataclass(frozen=True)
class EngineOptions:
    """How long, how exactly, and with what to search.

    Attributes:
        time_limit: wall-clock seconds for one problem, > 0.
        gap: relative MIP gap at which a solution counts as optimal, from 0 to below 1.
        threads: solver threads, 1 to 64 (more is refused by SCIP and never faster here).
        seed: random seed, 0 to 2,000,000,000 (Gurobi's limit); the same seed gives the same search.
        verbose: whether the solver writes its own log to stderr.
        extra: settings of one engine, such as ``{"optimizer": "gurobi"}`` for Julia.
    """

    time_limit: float = 60.0
    gap: float = 1e-6
    threads: int = 1
    seed: int = 0
    verbose: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.time_limit > 0.0:
            raise InputError(f"time limit: expected seconds > 0, found {self.time_limit}")
        if not 0.0 <= self.gap < 1.0:  # with 1, any image would be proven nearest
            raise InputError(f"gap: expected a relative gap from 0 to below 1, found {self.gap}")
        if not 1 <= self.threads <= MAX_THREADS:
            raise InputError(f"threads: expected 1 to {MAX_THREADS}, found {self.threads}")
        if not 0 <= self.seed <= MAX_SEED:
            raise InputError(f"seed: expected 0 to {MAX_SEED}, found {self.seed}")


@dataclass(frozen=True)
class Progress:
    """A snapshot of a running search, for progress bars."""

    objective: float
    bound: float
    nodes: int
    seconds: float


ProgressCallback: TypeAlias = Callable[[Progress], None]


EngineTask: TypeAlias = PerturbationTask | LogitTask


@dataclass(frozen=True, eq=False)
class EngineRequest:
    """Everything an engine needs.

    Attributes:
        network: the network.
        task: what to optimise.
        bounds: pre-activation bounds valid for every input that can improve on the incumbent;
            None for engines that bound on their own (:attr:`Engine.self_contained`).
        formulation: name of the formulation, see :mod:`reluopt.formulation`.
        options: limits and seeds.
        incumbent: best known image; a warm start and a cutoff.
        progress: called now and then during the search.
        hopeless: alternatives of which bounds have proven that they hold nothing better than the
            incumbent (without one: nothing at all).
    """

    network: ReLUNetwork
    task: EngineTask
    bounds: PreActivationBounds | None
    formulation: str = "bigm"
    options: EngineOptions = field(default_factory=EngineOptions)
    incumbent: Incumbent | None = None
    progress: ProgressCallback | None = None
    hopeless: frozenset[int] = frozenset()


@dataclass(frozen=True)
class EngineState:
    """Whether an engine can be used on this machine.

    Attributes:
        usable: whether :meth:`Engine.solve` can work at all.
        version: version of the solver, or an empty string.
        detail: licence or limits when usable; why not and how to get it when not.
    """

    usable: bool
    version: str
    detail: str


class Engine(Protocol):
    """A way to solve tasks to proven optimality.

    Attributes:
        name: how people call it.
        self_contained: whether it finds its own incumbents and bounds, so that
            :mod:`reluopt.pipeline` need not compute any for it.
        formulations: names of the formulations that it can write.
    """

    name: str
    self_contained: bool
    formulations: tuple[str, ...]

    def kernels(self, task: EngineTask) -> tuple[str, ...]:
        """Which of :data:`reluopt.numerics.prepare.SETS` its search for ``task`` calls."""
        ...

    def state(self) -> EngineState:
        """Whether the engine is usable; quick, and starts no download and no licence server."""
        ...

    def supports(self, task: EngineTask) -> bool:
        """Whether the engine can solve this kind of task (its norm, its alternatives)."""
        ...

    def admits(self, task: EngineTask, network: ReLUNetwork) -> bool:
        """Whether a task that it supports also fits its licence on this machine."""
        ...

    def solve(self, request: EngineRequest) -> EngineAnswer:
        """Solve the task.

        Raises:
            UnsupportedProblemError: the engine cannot solve this kind or size of task.
            EngineUnavailableError: the solver is missing or not licensed.
        """
        ...
