"""JuMP in Julia, through juliacall: the program in an implementation of its own.

The Julia package ``ReLUOpt`` writes and solves the program independently of
:mod:`reluopt.formulation`, so that the two check each other. Its solver is chosen with
``EngineOptions.extra["optimizer"]``: ``highs`` (default), ``gurobi`` or ``scip``. With HiGHS, L2 is
a branch and bound over ReLU phases, written in Julia. Requests and answers cross as safetensors
files (see ``solve_request`` in the Julia package); one Julia serves all problems of a session.

Which Julia is used, and what has to be installed, is the business of
:mod:`reluopt.engines.julia_setup`.
"""

from __future__ import annotations

import json
import math
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from reluopt.engines.base import (
    EngineAnswer,
    EngineRequest,
    EngineState,
    EngineTask,
    Incumbent,
    Progress,
)
from reluopt.engines.julia_setup import JuliaSession, julia_session, julia_state
from reluopt.errors import InputError, UnsupportedProblemError
from reluopt.network import ReLUNetwork
from reluopt.problems import LogitTask, Norm, PerturbationTask
from reluopt.solution import Status

OPTIMIZERS = ("highs", "gurobi", "scip")
FORMULATIONS = ("bigm", "thesis", "indicator")


class JuliaEngine:
    """JuMP with HiGHS, Gurobi or SCIP."""

    name = "julia"
    self_contained = False

    def state(self) -> EngineState:
        """Whether Julia and its packages are there; starts no download and no Julia session."""
        return julia_state()

    def supports(self, task: EngineTask) -> bool:
        """All norms, without limits on the change, and logits."""
        if isinstance(task, LogitTask):
            return True
        return isinstance(task.norm, Norm) and task.limits is None

    def admits(self, task: EngineTask, network: ReLUNetwork) -> bool:
        """Always: the default solver, HiGHS, has no size limits."""
        del task, network
        return True

    def solve(self, request: EngineRequest) -> EngineAnswer:
        """Solve the task; the first call of a session starts Julia.

        Raises:
            EngineUnavailableError: Julia or one of its packages is missing or broken.
            UnsupportedProblemError: the formulation has no Julia counterpart.
            InputError: an unknown optimizer, or one that is not installed in Julia.
        """
        optimizer = str(request.options.extra.get("optimizer", "highs"))
        if optimizer not in OPTIMIZERS:
            raise InputError(
                f"optimizer: expected one of {', '.join(OPTIMIZERS)}, found {optimizer!r}"
            )
        if request.formulation not in FORMULATIONS:
            raise UnsupportedProblemError(
                f"engine julia: formulations are {', '.join(FORMULATIONS)}, "
                f"not {request.formulation}"
            )
        # Starting Julia is no part of the time limit.
        session = julia_session()
        search = _Search(request, optimizer, session, time.perf_counter())
        if isinstance(request.task, LogitTask):
            return search.maximise(request.task)
        return search.minimise(request.task)


@dataclass(frozen=True, eq=False)
class _JuliaAnswer:
    """What came back for one program."""

    fields: dict[str, Any]
    tensors: dict[str, NDArray[np.float64]]

    @property
    def status(self) -> Status:
        return Status(self.fields["status"])

    @property
    def objective(self) -> float:
        return float(self.fields["objective"])

    @property
    def bound(self) -> float:
        return float(self.fields["bound"])


@dataclass
class _Search:
    """One request, and what its programs have answered so far."""

    request: EngineRequest
    optimizer: str
    session: JuliaSession
    started: float
    best: Incumbent | None = None
    image: NDArray[np.float64] | None = None
    nodes: int = 0
    build_seconds: float = 0.0
    search_seconds: float = 0.0
    size: dict[str, int] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    def maximise(self, task: LogitTask) -> EngineAnswer:
        """The largest logit over a box."""
        answer = self._ask(
            {"task": "logit", "label": task.label},
            {"lower": task.box.lower, "upper": task.box.upper},
        )
        self.image = answer.tensors.get("image")
        return self._answer(
            answer.status, 0, answer.objective, answer.bound, answer.tensors.get("outputs")
        )

    def minimise(self, task: PerturbationTask) -> EngineAnswer:
        """The smallest change over all alternatives, which share an incumbent."""
        self.best = self.request.incumbent
        bounds: list[float] = []
        statuses: list[Status] = []
        for index in range(len(task.alternatives)):
            if self._seconds_left() <= 0.0:
                status, bound = Status.TIME_LIMIT, 0.0
            else:
                status, bound = self._alternative(task, index)
            statuses.append(status)
            bounds.append(bound)
        return self._concluded(statuses, min(bounds))

    def _alternative(self, task: PerturbationTask, index: int) -> tuple[Status, float]:
        """Status and proven bound of one alternative; a better image becomes the incumbent."""
        conditions = task.alternatives[index].conditions
        tensors = {
            "image": task.image,
            "lower": task.box.lower,
            "upper": task.box.upper,
            "matrix": conditions.matrix,
            "rhs": conditions.rhs,
        }
        fields: dict[str, Any] = {
            "task": "perturbation",
            "norm": str(task.norm),
            "target": task.alternatives[index].target,
        }
        cutoff = math.inf
        if self.best is not None:
            cutoff = self.best.objective
            # Its image meets the conditions of its own alternative only.
            if self.best.alternative == index:
                tensors["incumbent"] = self.best.image
            else:
                fields["cutoff"] = cutoff
        answer = self._ask(fields, tensors)
        if answer.status is Status.INFEASIBLE:
            # With a cutoff: nothing is better.
            return Status.INFEASIBLE, cutoff
        image = answer.tensors.get("image")
        if image is not None and answer.objective < cutoff and answer.status is not _UNCHECKED:
            self.best = Incumbent(image, answer.objective, index)
            self.image = image
        elif image is not None and self.best is None:
            self.image = image
        return answer.status, max(0.0, answer.bound)

    def _concluded(self, statuses: list[Status], bound: float) -> EngineAnswer:
        """Status, objective and bound over all alternatives."""
        if self.best is None:
            if all(status is Status.INFEASIBLE for status in statuses):
                return self._answer(Status.INFEASIBLE, 0, math.inf, math.inf)
            numerical = Status.NUMERICAL in statuses
            status = Status.NUMERICAL if numerical else Status.TIME_LIMIT
            return self._answer(status, 0, math.inf, bound)
        settled = all(s in (Status.OPTIMAL, Status.INFEASIBLE) for s in statuses)
        status = Status.OPTIMAL if settled else Status.FEASIBLE
        objective = self.best.objective
        return self._answer(status, self.best.alternative, objective, min(bound, objective))

    def _answer(
        self,
        status: Status,
        alternative: int,
        objective: float,
        bound: float,
        outputs: NDArray[np.float64] | None = None,
    ) -> EngineAnswer:
        return EngineAnswer(
            status=status,
            image=self.image,
            alternative=alternative,
            objective=objective,
            bound=bound,
            nodes=self.nodes,
            build_seconds=self.build_seconds,
            search_seconds=self.search_seconds,
            size=self.size,
            message="; ".join(dict.fromkeys(self.messages)),
            outputs=outputs,
        )

    def _seconds_left(self) -> float:
        return self.request.options.time_limit - (time.perf_counter() - self.started)

    def _ask(self, fields: dict[str, Any], tensors: dict[str, NDArray[np.float64]]) -> _JuliaAnswer:
        """Let Julia solve one program."""
        options = self.request.options
        fields |= {
            "formulation": self.request.formulation,
            "optimizer": self.optimizer,
            "time_limit": max(self._seconds_left(), 1e-3),
            "gap": options.gap,
            "threads": options.threads,
            "seed": options.seed,
            "verbose": options.verbose,
        }
        if self.request.bounds is not None:
            for k, (low, up) in enumerate(
                zip(self.request.bounds.lower, self.request.bounds.upper, strict=True)
            ):
                tensors[f"bounds.{k}.lower"] = low
                tensors[f"bounds.{k}.upper"] = up
        with tempfile.TemporaryDirectory(prefix="reluopt-") as folder:
            question, reply = Path(folder, "request"), Path(folder, "answer")
            contiguous = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
            save_file(contiguous, question, metadata={"request": json.dumps(fields)})
            self.session.solve(self.request.network, question, reply, self._report)
            answer = _read_answer(reply)
        self._book(answer)
        return answer

    def _report(self, objective: float, bound: float, nodes: int) -> None:
        """Pass the progress of a search on; a KeyboardInterrupt may arise here."""
        if self.request.progress is not None:
            seconds = time.perf_counter() - self.started
            if self.best is not None:
                objective = min(objective, self.best.objective)
            self.request.progress(Progress(objective, bound, self.nodes + nodes, seconds))

    def _book(self, answer: _JuliaAnswer) -> None:
        fields = answer.fields
        self.nodes += int(fields["nodes"])
        self.build_seconds += float(fields["build_seconds"])
        self.search_seconds += float(fields["search_seconds"])
        if fields["variables"] >= self.size.get("variables", 0):
            self.size = {key: int(fields[key]) for key in ("variables", "constraints", "binaries")}
        if answer.status not in (Status.OPTIMAL, Status.INFEASIBLE):
            self.messages.append(f"julia: {fields['message']}")


_UNCHECKED = Status.NUMERICAL
"""Status of an image that the Julia side's own forward pass refused."""


def _read_answer(path: Path) -> _JuliaAnswer:
    with safe_open(path, "numpy") as file:
        fields = json.loads(file.metadata()["answer"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    return _JuliaAnswer(fields, tensors)
