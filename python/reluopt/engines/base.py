"""What every engine takes and gives, whatever solves the program underneath.

An engine gets an :class:`EngineRequest` and returns an :class:`EngineAnswer`. Its answer is a
*claim*; :mod:`reluopt.pipeline` polishes and checks it before anyone sees it. Time limit, MIP gap,
threads, seed and verbosity mean the same in every engine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias

from reluopt.answers.answer import EngineAnswer
from reluopt.answers.solution import Incumbent
from reluopt.bounds.base import PreActivationBounds
from reluopt.engines.options import EngineOptions as EngineOptions
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray
from reluopt.questions.tasks import Task

if TYPE_CHECKING:  # what writes programs takes its time to load
    from reluopt.formulation.base import Formulation


@dataclass(frozen=True)
class Progress:
    """A snapshot of a running search, for progress bars."""

    objective: float
    bound: float
    nodes: int
    seconds: float


ProgressCallback: TypeAlias = Callable[[Progress], None]


@dataclass(frozen=True, eq=False)
class EngineRequest:
    """Everything an engine needs.

    Attributes:
        network: the network.
        task: what to optimise.
        bounds: pre-activation bounds valid for every input that can improve on the incumbent;
            None for engines that bound on their own (:attr:`Engine.self_contained`).
        formulation: how an engine that writes a program writes it.
        options: limits and seeds.
        incumbent: best known image; a warm start and a cutoff.
        progress: called now and then during the search.
        hopeless: alternatives of which bounds have proven that they hold nothing better than the
            incumbent (without one: nothing at all).
        ceilings: what bounds have proven of the slack of each alternative, for tasks that maximise
            one; None where nothing is known.
    """

    network: ReLUNetwork
    task: Task
    bounds: PreActivationBounds | None
    formulation: Formulation | None = None
    options: EngineOptions = field(default_factory=EngineOptions)
    incumbent: Incumbent | None = None
    progress: ProgressCallback | None = None
    hopeless: frozenset[int] = frozenset()
    ceilings: FloatArray | None = None


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
    """A way to solve tasks to proven optimality. Subclasses inherit what goes without saying.

    Attributes:
        name: how people call it.
        self_contained: whether it finds its own incumbents and bounds, so that
            :mod:`reluopt.pipeline` need not compute any for it.
    """

    name: str
    self_contained: bool = False

    @property
    def formulations(self) -> tuple[str, ...]:
        """Names of the formulations that it can write; none unless it says so."""
        return ()

    def writes(self, formulation: Formulation) -> bool:
        """Whether it can write a formulation, be it called by a name or not."""
        return formulation.name in self.formulations

    def kernels(self, task: Task) -> tuple[str, ...]:
        """Which sets of :mod:`reluopt.numerics.sets` its search calls; none where others solve."""
        del task
        return ()

    def state(self) -> EngineState:
        """Whether the engine is usable; quick, and starts no download and no licence server."""
        ...

    def supports(self, task: Task) -> bool:
        """Whether the engine can solve this kind of task (its norm, its alternatives)."""
        ...

    def admits(self, task: Task, network: ReLUNetwork) -> bool:
        """Whether a task that it supports also fits its licence here; where there is none, yes."""
        del task, network
        return True

    def solve(self, request: EngineRequest) -> EngineAnswer:
        """Solve the task.

        Raises:
            UnsupportedProblemError: the engine cannot solve this kind or size of task.
            EngineUnavailableError: the solver is missing or not licensed.
        """
        ...
