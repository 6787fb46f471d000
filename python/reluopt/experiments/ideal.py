"""Optimal inputs: for each label, the input that makes its logit as large as possible."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from reluopt.engines.base import ProgressCallback
from reluopt.experiments.executors import Executor, SerialExecutor
from reluopt.experiments.experiment import Row, hard_limit
from reluopt.experiments.runner import Finished, RunProgress, run_experiment
from reluopt.experiments.store import ResultStore
from reluopt.network import Dense, FloatArray, ReLUNetwork
from reluopt.problems import OptimalInput
from reluopt.solve import Method, solve

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
class LabelTask:
    """One label whose logit is maximised."""

    label: int

    @property
    def key(self) -> str:
        """``label:3``."""
        return f"label:{self.label}"


@dataclass(frozen=True, eq=False)
class IdealExperiment:
    """Optimal inputs as the runner knows them (:mod:`reluopt.experiments.runner`)."""

    network: ReLUNetwork
    method: Method

    columns = COLUMNS

    @property
    def threads(self) -> int:
        """Solver threads."""
        return self.method.options.threads

    @property
    def hard_limit(self) -> float:
        """When a worker process is killed."""
        return hard_limit(self.method.options.time_limit)

    def identify(self, task: LabelTask) -> dict[str, Any]:
        """A row stands for its label."""
        return {"label": task.label}

    def warm_up(self) -> None:
        """Imports, licences and compilation."""
        toy = ReLUNetwork((Dense(np.eye(3, 2), np.zeros(3)), Dense(np.eye(2, 3), np.zeros(2))))
        solve(toy, OptimalInput(0), self.method)

    def describe(self) -> dict[str, Any]:
        """Everything that determines the results, JSON-serialisable."""
        options = self.method.options
        return {
            "experiment": "ideal",
            "network": self.network.metadata.name,
            "network_sha256": self.network.fingerprint,
            "engine": self.method.engine,
            "formulation": self.method.formulation,
            "bounds": self.method.bounds,
            "time_limit": options.time_limit,
            "gap": options.gap,
            "threads": options.threads,
            "seed": options.seed,
        }

    def run(
        self, task: LabelTask, progress: ProgressCallback | None = None
    ) -> tuple[Row, FloatArray | None]:
        """Row and optimal input (in the network's input shape) of one label."""
        started = time.perf_counter()
        solution = solve(self.network, OptimalInput(task.label), self.method, progress=progress)
        certificate = solution.certificate
        row = {
            **self._asked(task),
            "engine": solution.engine,
            "formulation": solution.formulation,
            "bounds": solution.bounds,
            "status": str(solution.status),
            "objective": solution.objective,
            "bound": solution.bound,
            "gap": solution.gap,
            "seconds": time.perf_counter() - started,
            "nodes": solution.nodes,
            "predicted": None if certificate is None else certificate.predicted,
            "margin": None if certificate is None else certificate.lead,
            "certified": solution.certified,
            **{name: solution.size.get(name) for name in ("variables", "constraints", "binaries")},
            "message": solution.message,
        }
        image = solution.image
        return row, None if image is None else image.reshape(self.network.input_shape)

    def failed(self, task: LabelTask, status: str, message: str) -> Row:
        """The row of a label whose solve crashed."""
        return {
            **self._asked(task),
            "engine": self.method.engine,
            "status": status,
            "certified": False,
            "message": message,
        }

    def _asked(self, task: LabelTask) -> Row:
        options = self.method.options
        return {
            "image": task.key,
            "label": task.label,
            "seed": options.seed,
            "threads": options.threads,
            "time_limit": options.time_limit,
            "network": self.network.metadata.name,
        }


def run_ideal(
    experiment: IdealExperiment,
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

    The arguments are those of :func:`~reluopt.experiments.attack.run_attack`.
    """
    return run_experiment(
        experiment,
        [LabelTask(label) for label in labels],
        store,
        SerialExecutor(progress) if executor is None else executor,
        session=session,
        on_finished=on_finished,
        on_progress=on_progress,
    )
