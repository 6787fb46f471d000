"""JuMP in Julia, through juliacall: the program in an implementation of its own.

The Julia package ``ReLUOpt`` writes and solves the program independently of
:mod:`reluopt.formulation`, so that the two check each other: layers cross as they are given, and a
max pool has other rows there. Its solver is chosen with
``EngineOptions.extra["optimizer"]``: ``highs`` (default), ``gurobi`` or ``scip``. L2 is a branch
and bound over ReLU phases, written in Julia, except with Gurobi. Requests and answers cross as
safetensors files (see ``solve_request`` in the Julia package); one Julia serves all problems of a
session.

Which Julia is used, and what has to be installed, is the business of
:mod:`reluopt.engines.julia_setup`.
"""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from reluopt.answers.answer import EngineAnswer
from reluopt.answers.solution import Status
from reluopt.deadline import Deadline
from reluopt.engines.alternatives import SETTLED, SoFar, settle
from reluopt.engines.base import Engine, EngineRequest, EngineState, Progress
from reluopt.engines.julia_setup import JuliaSession, julia_session, julia_state
from reluopt.errors import InputError, UnsupportedProblemError
from reluopt.questions.input_sets import Box
from reluopt.questions.margins import LogitConditions
from reluopt.questions.norms.base import Norm
from reluopt.questions.tasks import LinearForm, Task

OPTIMIZERS = ("highs", "gurobi", "scip")

NORMS = ("l1", "l2", "linf")
"""Names of the norms that the Julia package has."""

VERDICTS = {
    "ROBUST": Status.INFEASIBLE,
    "NOT_ROBUST": Status.FEASIBLE,
    "UNDECIDED": Status.TIME_LIMIT,
}
"""What verdicts of the Julia package claim: is there an input that meets an alternative?"""


class JuliaEngine(Engine):
    """JuMP with HiGHS, Gurobi or SCIP."""

    name = "julia"

    @property
    def formulations(self) -> tuple[str, ...]:
        """Those of the Julia package."""
        return ("bigm", "thesis", "indicator", "partition-2", "partition-4")

    def state(self) -> EngineState:
        """Whether Julia and its packages are there; starts no download and no Julia session."""
        return julia_state()

    def supports(self, task: Task) -> bool:
        """All tasks in norms that the Julia package has, without limits on the change.

        Balls in L2 need the optimizer ``scip`` or ``gurobi``.
        """
        norm = task.norm if task.minimises_distance else task.inputs.norm or Norm.LINF
        return norm.name in NORMS and task.limits is None

    def solve(self, request: EngineRequest) -> EngineAnswer:
        """Solve the task; the first call of a session starts Julia.

        Raises:
            EngineUnavailableError: Julia or one of its packages is missing or broken.
            UnsupportedProblemError: the formulation has no Julia counterpart, or the optimizer
                cannot solve such programs.
            InputError: an unknown optimizer, or one that is not installed in Julia.
        """
        optimizer = str(request.options.extra.get("optimizer", "highs"))
        if optimizer not in OPTIMIZERS:
            raise InputError(
                f"optimizer: expected one of {', '.join(OPTIMIZERS)}, found {optimizer!r}"
            )
        name = "bigm" if request.formulation is None else request.formulation.name
        if name not in self.formulations:
            raise UnsupportedProblemError(
                f"engine julia: formulations are {', '.join(self.formulations)}, not {name}"
            )
        # Starting Julia is no part of the time limit.
        session = julia_session()
        session.provide(optimizer)
        deadline = Deadline.after(request.options.time_limit)
        search = _AlternativesSearch(request, name, optimizer, session, deadline)
        if request.task.minimises_distance:
            return search.minimise(request.task)
        if _is_logit_over_box(request.task):
            return search.maximise(request.task.form.label, request.task.box)
        return search.largest(request.task)


@dataclass(frozen=True, eq=False)
class _JuliaAnswer:
    """What came back for one program."""

    fields: dict[str, Any]
    tensors: dict[str, NDArray[np.float64]]

    @property
    def status(self) -> Status:
        name = self.fields["status"]
        return VERDICTS.get(name) or Status(name)

    @property
    def objective(self) -> float:
        return float(self.fields["objective"])

    @property
    def bound(self) -> float:
        return float(self.fields["bound"])

    def claim(self, objective: float, bound: float, alternative: int = 0) -> EngineAnswer:
        """The answer in the engine's words."""
        fields, settled = self.fields, self.status in SETTLED
        return EngineAnswer(
            status=self.status,
            image=self.tensors.get("image"),
            alternative=alternative,
            objective=objective,
            bound=bound,
            nodes=int(fields["nodes"]),
            build_seconds=float(fields["build_seconds"]),
            search_seconds=float(fields["search_seconds"]),
            size={key: int(fields[key]) for key in ("variables", "constraints", "binaries")},
            message=f"julia: {fields['message']}" if fields["message"] and not settled else "",
            outputs=self.tensors.get("outputs"),
        )


@dataclass
class _AlternativesSearch:
    """One request.

    Attributes:
        request: what is asked.
        formulation: name of the formulation.
        optimizer: the solver in Julia.
        session: the Julia that answers.
        deadline: when to stop.
        best: objective of the best image known before the present program.
        nodes: nodes of the programs before it.
        started: when the search began.
    """

    request: EngineRequest
    formulation: str
    optimizer: str
    session: JuliaSession
    deadline: Deadline
    best: float = math.inf
    nodes: int = 0
    started: float = field(default_factory=time.perf_counter)

    def maximise(self, label: int | None, box: Box) -> EngineAnswer:
        """The largest logit over a box."""
        answer = self._ask(
            {"task": "logit", "label": label},
            {"lower": box.lower, "upper": box.upper},
            self.deadline,
        )
        return answer.claim(objective=answer.objective, bound=answer.bound)

    def largest(self, task: Task) -> EngineAnswer:
        """The largest slack or form over a ball or box, or the sign of it."""
        inputs, box = task.inputs, task.box
        targets = [each.target for each in task.alternatives] or [task.form.terms[0][0]]
        tensors = {"lower": box.lower, "upper": box.upper}
        fields: dict[str, Any] = {"task": "region", "decides": task.decides, "targets": targets}
        if inputs.center is not None and math.isfinite(inputs.radius):
            fields |= {"norm": (inputs.norm or Norm.LINF).name, "radius": inputs.radius}
            tensors["image"] = inputs.center
        for index, (goal, conditions) in enumerate(_goals(task, self.request.network.output_size)):
            tensors |= _rows(f"goal.{index}", goal)
            if conditions is not None:
                tensors |= _rows(f"conditions.{index}", conditions)
        answer = self._ask(fields, tensors, self.deadline)
        found, bound = answer.objective, answer.bound
        if answer.status not in (Status.OPTIMAL, Status.FEASIBLE):
            answer, found = _JuliaAnswer(answer.fields, {}), -math.inf
        reached = answer.fields["target"]
        index = targets.index(reached) if answer.tensors else 0
        return answer.claim(objective=found, bound=bound, alternative=index)

    def minimise(self, task: Task) -> EngineAnswer:
        """The smallest change over all alternatives, which share an incumbent."""

        def attempt(index: int, so_far: SoFar, deadline: Deadline) -> EngineAnswer:
            return self._alternative(task, index, so_far, deadline)

        return settle(self.request, task, attempt, self.deadline)

    def _alternative(
        self, task: Task, index: int, so_far: SoFar, deadline: Deadline
    ) -> EngineAnswer:
        """One attempt at one alternative, for something better than the incumbent."""
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
        if so_far.best is not None:
            # Its image meets the conditions of its own alternative only.
            if so_far.best.alternative == index:
                tensors["incumbent"] = so_far.best.image
            else:
                fields["cutoff"] = so_far.cutoff
        self.nodes, self.best = so_far.nodes, so_far.cutoff
        answer = self._ask(fields, tensors, deadline)
        if answer.status is Status.INFEASIBLE:
            # With a cutoff: nothing is better.
            return answer.claim(objective=math.inf, bound=so_far.cutoff)
        return answer.claim(objective=answer.objective, bound=max(0.0, answer.bound))

    def _ask(
        self,
        fields: dict[str, Any],
        tensors: dict[str, NDArray[np.float64]],
        deadline: Deadline,
    ) -> _JuliaAnswer:
        """Let Julia solve one program."""
        options = self.request.options
        fields |= {
            "formulation": self.formulation,
            "optimizer": self.optimizer,
            "time_limit": deadline.solver_seconds,
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
            return _read_answer(reply)

    def _report(self, objective: float, bound: float, nodes: int) -> None:
        """Pass the progress of a search on; a KeyboardInterrupt may arise here."""
        if self.request.progress is not None:
            seconds = time.perf_counter() - self.started
            objective = min(objective, self.best)
            self.request.progress(Progress(objective, bound, self.nodes + nodes, seconds))


def _is_logit_over_box(task: Task) -> bool:
    """Whether a logit is asked for without conditions over a box, or the logits of one input."""
    only_box = task.inputs.center is None or math.isinf(task.inputs.radius)
    form = task.objective
    return (
        only_box
        and isinstance(form, LinearForm)
        and form.label is not None
        and not task.alternatives
    )


def _goals(task: Task, classes: int) -> Iterator[tuple[LogitConditions, LogitConditions | None]]:
    """What each alternative maximises the smallest slack of, and the conditions besides."""
    if task.maximises_slack:
        yield from ((each.conditions, None) for each in task.alternatives)
        return
    row = np.zeros((1, classes))
    for label, factor in task.form.terms:
        row[0, label] += factor
    form = LogitConditions(row, np.zeros(1))
    if not task.alternatives:
        yield form, None
    for each in task.alternatives:
        yield form, each.conditions


def _rows(name: str, conditions: LogitConditions) -> dict[str, NDArray[np.float64]]:
    """Conditions as tensors of a request."""
    return {f"{name}.matrix": conditions.matrix, f"{name}.rhs": conditions.rhs}


def _read_answer(path: Path) -> _JuliaAnswer:
    with safe_open(path, "numpy") as file:
        fields = json.loads(file.metadata()["answer"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    return _JuliaAnswer(fields, tensors)
