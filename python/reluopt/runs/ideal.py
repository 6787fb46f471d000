"""Optimal inputs: for each label, the input that makes its logit as large as possible."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reluopt.engines.base import EngineOptions, ProgressCallback
from reluopt.runs.executors import Executor, SerialExecutor
from reluopt.runs.job import Row
from reluopt.runs.rows import (
    SolverJob,
    limit_row,
    limit_settings,
    method_settings,
    network_settings,
    solution_row,
    toy_network,
)
from reluopt.runs.runner import Finished, RunProgress, run_job
from reluopt.runs.store import ResultStore
from reluopt.numerics.arrays import FloatArray
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.problems import OptimalInput
from reluopt.pipeline import Method, solve

COLUMNS = (
    "image",
    "label",
    "engine",
    "formulation",
    "bounds",
    "status",
    "objective",
    "bound",
    "gap",
    "seconds",
    "nodes",
    "predicted",
    "margin",
    "certified",
    "variables",
    "constraints",
    "binaries",
    "seed",
    "threads",
    "time_limit",
    "network",
    "message",
)
"""Columns of the results; ``objective`` is the logit, ``margin`` its lead over the others."""


@dataclass(frozen=True)
class LabelUnit:
    """One label whose logit is maximised."""

    label: int

    @property
    def key(self) -> str:
        """``label:3``."""
        return f"label:{self.label}"


@dataclass(frozen=True, eq=False)
class IdealJob(SolverJob):
    """Optimal inputs as the runner knows them (:mod:`reluopt.runs.runner`)."""

    network: ReLUNetwork
    method: Method

    columns = COLUMNS

    @property
    def options(self) -> EngineOptions:
        """Limits, gap, threads, seed."""
        return self.method.options

    def identify(self, task: LabelUnit) -> dict[str, Any]:
        """A row stands for its label."""
        return {"label": task.label}

    def warm_up(self) -> None:
        """Imports, licences and compilation."""
        solve(toy_network(), OptimalInput(0), self.method)

    def describe(self) -> dict[str, Any]:
        """Everything that determines the results, JSON-serialisable."""
        return {
            "experiment": "ideal",
            **network_settings(self.network),
            **method_settings(self.method),
            **limit_settings(self.options),
        }

    def run(
        self, task: LabelUnit, progress: ProgressCallback | None = None
    ) -> tuple[Row, FloatArray | None]:
        """Row and optimal input (in the network's input shape) of one label."""
        started = time.perf_counter()
        solution = solve(self.network, OptimalInput(task.label), self.method, progress=progress)
        certificate = solution.certificate
        row = {
            **self._asked(task),
            **solution_row(solution),
            "objective": solution.objective,
            "bound": solution.bound,
            "gap": solution.gap,
            "seconds": time.perf_counter() - started,
            "predicted": None if certificate is None else certificate.predicted,
            "margin": None if certificate is None else certificate.lead,
            "certified": solution.certified,
        }
        image = solution.image
        return row, None if image is None else image.reshape(self.network.input_shape)

    def failed(self, task: LabelUnit, status: str, message: str) -> Row:
        """The row of a label whose solve crashed."""
        return {
            **self._asked(task),
            "engine": self.method.engine,
            "status": status,
            "certified": False,
            "message": message,
        }

    def _asked(self, task: LabelUnit) -> Row:
        return {
            "image": task.key,
            "label": task.label,
            "network": self.network.metadata.name,
            **limit_row(self.options),
        }


def run_ideal(
    job: IdealJob,
    labels: Sequence[int],
    store: ResultStore | None = None,
    on_finished: Callable[[Finished], None] = lambda _: None,
    progress: ProgressCallback | None = None,
    *,
    executor: Executor | None = None,
    session: Mapping[str, Any] | None = None,
    on_progress: Callable[[RunProgress], None] = lambda _: None,
) -> list[Finished]:
    """Optimal inputs of all labels that ``store`` does not hold yet, in the order of ``labels``.

    The arguments are those of :func:`~reluopt.runs.attack.run_attack`.
    """
    return run_job(
        job,
        [LabelUnit(label) for label in labels],
        store,
        SerialExecutor(progress) if executor is None else executor,
        session=session,
        on_finished=on_finished,
        on_progress=on_progress,
    )
