"""What the jobs that solve one problem for each image or label have in common."""

from __future__ import annotations

import math
import time
from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from reluopt.engines.proving import Claim, ProvingEngine, proving_engine
from reluopt.errors import UnsupportedProblemError
from reluopt.method import engine_for
from reluopt.networks.layers.base import Dense
from reluopt.networks.network import ReLUNetwork
from reluopt.pipeline import solve
from reluopt.questions.problems import Box, Norm
from reluopt.questions.tasks import PosedQuestion, Task
from reluopt.runs.instances import Instance, data_fingerprint
from reluopt.runs.job import Finished, Job, RowT, UnitT, hard_limit

if TYPE_CHECKING:
    from reluopt.answers.solution import Solution
    from reluopt.engines.base import ProgressCallback
    from reluopt.engines.options import EngineOptions
    from reluopt.method import Method
    from reluopt.questions.tasks import Question


class ImageJob(Job[Instance, RowT]):
    """A job whose units are images."""

    def identify(self, unit: Instance) -> dict[str, Any]:
        """A row stands for the image with these pixels and this true label only."""
        return {"image_sha256": unit.fingerprint, "label": unit.label}

    def session(self, units: Sequence[Instance]) -> dict[str, Any]:
        """The fingerprint of all images."""
        return {"data_sha256": data_fingerprint(units)}


class NetworkJob(Job[UnitT, RowT]):
    """A job about one network."""

    if TYPE_CHECKING:  # a dataclass would take it for the default of its field

        @property
        def network(self) -> ReLUNetwork:
            """The network."""
            ...

    @property
    def engines(self) -> list[str]:
        """What computes it besides reluopt itself, for the record of versions."""
        return []

    @property
    def verbose(self) -> bool:
        """Whether it writes a log of its own."""
        return False


class LimitedJob(Job[UnitT, RowT]):
    """A job under the options of an engine."""

    if TYPE_CHECKING:  # as above

        @property
        def options(self) -> EngineOptions:
            """Limits, gap, threads, seed."""
            ...

    @property
    def threads(self) -> int:
        """Solver threads."""
        return self.options.threads

    @property
    def hard_limit(self) -> float:
        """Seconds after which a worker process is killed."""
        return hard_limit(self.options.time_limit)


class SolverJob(NetworkJob[UnitT, RowT], LimitedJob[UnitT, RowT]):
    """A job whose units are solved by a method, under the options of its engine."""

    if TYPE_CHECKING:  # as above

        @property
        def method(self) -> Method:
            """How each is solved."""
            ...

    @abstractmethod
    def problem(self, unit: UnitT) -> Question:
        """What is asked of a unit."""

    @abstractmethod
    def row(self, unit: UnitT, solution: Solution, seconds: float) -> RowT:
        """The row of a unit that was solved in that time."""

    def run(self, unit: UnitT, progress: ProgressCallback | None = None) -> Finished[RowT]:
        """Row, answer (in the network's input shape) and proof of one unit."""
        started = time.perf_counter()
        question = self.problem(unit)
        solution = solve(self.network, question, self.method, progress=progress)
        row = self.row(unit, solution, time.perf_counter() - started)
        image, proof = solution.image, None
        if solution.proof is not None:
            task, posed = question.task(self.network), isinstance(question, PosedQuestion)
            claim = None if posed else Claim.of(self.network, task, solution, row.row_key)
            proof = proving_engine(solution.engine).proof_bytes(solution.proof, claim)
        shaped = None if image is None else image.reshape(self.network.input_shape)
        return Finished(row, shaped, proof)

    @property
    def options(self) -> EngineOptions:
        """Limits, gap, threads, seed."""
        return self.method.options

    @property
    def engines(self) -> list[str]:
        """The method's engine."""
        return [self.method.engine]

    @property
    def verbose(self) -> bool:
        """Whether the solver's log is shown."""
        return self.options.verbose

    def check(self) -> None:
        """Refuse a method that cannot work before a folder is made or anything is compiled.

        Raises:
            InputError: the engine cannot do what the method asks.
            UnsupportedProblemError: the engine cannot solve such tasks.
            EngineUnavailableError: the engine is not usable on this machine.
        """
        box = Box(*self.network.metadata.input_ends())
        engine_for(self.method, Task.largest_logit(0, box), self.network)

    def refuse_engine(self, task: Task, network: ReLUNetwork | None = None) -> None:
        """Refuse an engine that cannot solve a task as asked, or not keep its proof if one is.

        Args:
            task: what is asked.
            network: of which network, if of another than the job's.

        Raises:
            InputError: the engine cannot do what the method asks.
            UnsupportedProblemError: it cannot solve such tasks, or keeps no proofs of them.
            EngineUnavailableError: it is not usable on this machine.
        """
        engine = engine_for(self.method, task, self.network if network is None else network)
        keeps = isinstance(engine, ProvingEngine) and engine.keeps_proofs(task)
        if self.options.extra.get("proof") and not keeps:
            asked = self.method.engine
            found = "" if asked == engine.name else f", which is {engine.name} here"
            norm = task.norm if task.minimises_distance else task.inputs.ball_norm
            about = "" if norm is None else f" for {norm.label}"
            raise UnsupportedProblemError(
                f"--proof: expected an engine that keeps proofs (bnb, in L1, L2 and Linf), found "
                f"engine {asked}{found}{about}"
            )

    def limits(self) -> dict[str, Any]:
        """Columns that tell network and options."""
        return {
            "seed": self.options.seed,
            "threads": self.options.threads,
            "time_limit": self.options.time_limit,
            "network": self.network.metadata.name,
        }

    def asked(self) -> dict[str, Any]:
        """Network, method and limits, as settings of a run."""
        method, options = self.method, self.options
        return {
            **network_settings(self.network),
            "engine": method.engine,
            "formulation": method.formulation_name,
            "bounds": method.bounds_name,
            **limit_settings(options),
        }


def network_settings(network: ReLUNetwork) -> dict[str, Any]:
    """What tells the network from others, as settings of a run."""
    metadata = network.metadata
    return {
        "network": metadata.name,
        "network_sha256": network.fingerprint,
        **metadata.recorded(),
    }


def limit_settings(options: EngineOptions) -> dict[str, Any]:
    """Limits, gap, threads and seed, as settings of a run."""
    names = ("time_limit", "gap", "threads", "seed")
    return {name: getattr(options, name) for name in names}


def solved(solution: Solution) -> dict[str, Any]:
    """Columns that tell how a problem was solved, the size of its program, and the message."""
    return {
        "engine": solution.engine,
        "formulation": solution.formulation,
        "bounds": solution.bounds,
        "status": str(solution.status),
        "nodes": solution.nodes,
        **{name: solution.size.get(name) for name in ("variables", "constraints", "binaries")},
        "message": solution.message,
    }


def nearest(solution: Solution, norm: Norm, seconds: float) -> dict[str, Any]:
    """Columns of a smallest change that took so long, but for labels and targets."""
    certificate, objective = solution.certificate, solution.objective
    measured: dict[str, Any] = {}
    if certificate is not None:
        measured = {"margin": certificate.lead, "slack": certificate.margin}
        measured |= {"box_violation": certificate.box_violation}
    times = {
        f"{step}_seconds": getattr(solution.timings, step)
        for step in ("attack", "bounds", "build", "search", "polish")
    }
    return {
        "objective": objective,
        "distance": norm.distance_of(objective) if math.isfinite(objective) else None,
        "bound": solution.bound,
        "gap": solution.gap,
        "seconds": seconds,
        "certified": solution.certified,
        **measured,
        **times,
        **solved(solution),
    }


def toy_network() -> ReLUNetwork:
    """Two inputs, three hidden neurons, two labels: for a solve that only loads what it needs."""
    return ReLUNetwork((Dense(np.eye(3, 2), np.zeros(3)), Dense(np.eye(2, 3), np.zeros(2))))
