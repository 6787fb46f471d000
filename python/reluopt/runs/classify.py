"""Classification by the mixed-integer program, compared with the forward pass."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from reluopt.engines.base import EngineOptions, ProgressCallback
from reluopt.runs.executors import Executor
from reluopt.runs.experiment import Row
from reluopt.runs.instances import Instance, data_fingerprint
from reluopt.runs.rows import (
    ImageExperiment,
    SolverExperiment,
    image_row,
    limit_row,
    limit_settings,
    method_settings,
    network_settings,
    solution_row,
    toy_network,
)
from reluopt.runs.runner import Finished, RunProgress, run_experiment
from reluopt.numerics.arrays import FloatArray
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.problems import Classification
from reluopt.pipeline import Method, solve

if TYPE_CHECKING:
    from reluopt.runs.store import ResultStore

COLUMNS = (
    "image",
    "label",
    "program",
    "predicted",
    "agrees",
    "certified",
    "engine",
    "formulation",
    "bounds",
    "status",
    "seconds",
    "nodes",
    "variables",
    "constraints",
    "binaries",
    "seed",
    "threads",
    "time_limit",
    "network",
    "image_sha256",
    "message",
)
"""Columns of the results; ``program`` is the program's answer, ``predicted`` the network's, and
``certified`` tells whether all logits are the same (:func:`reluopt.answers.verdict.compare_logits`)."""


@dataclass(frozen=True, eq=False)
class ClassifyExperiment(ImageExperiment, SolverExperiment):
    """Classification as the runner knows it (:mod:`reluopt.runs.runner`)."""

    network: ReLUNetwork
    method: Method

    columns = COLUMNS

    @property
    def options(self) -> EngineOptions:
        """Limits, gap, threads, seed."""
        return self.method.options

    def warm_up(self) -> None:
        """Imports, licences and compilation."""
        solve(toy_network(), Classification(np.array([0.2, 0.6])), self.method)

    def describe(self) -> dict[str, Any]:
        """Everything that determines the results, JSON-serialisable."""
        return {
            "experiment": "classify",
            **network_settings(self.network),
            **method_settings(self.method),
            **limit_settings(self.options),
            "extra": dict(self.options.extra),
        }

    def run(
        self, task: Instance, progress: ProgressCallback | None = None
    ) -> tuple[Row, FloatArray | None]:
        """Row of one image; there is no image to keep."""
        started = time.perf_counter()
        solution = solve(self.network, Classification(task.image), self.method, progress=progress)
        seconds = time.perf_counter() - started
        row = self._asked(task)
        same = solution.target == row["predicted"]
        differ = "" if same else f"program answers {solution.target}, network {row['predicted']}"
        row |= solution_row(solution)
        row |= {
            "program": solution.target,
            "agrees": solution.certified and same,
            "certified": solution.certified,
            "seconds": seconds,
            "message": solution.message or differ,
        }
        return row, None

    def failed(self, task: Instance, status: str, message: str) -> Row:
        """The row of an image whose solve crashed: it agrees with nothing."""
        method = self.method
        return {
            **self._asked(task),
            "agrees": False,
            "certified": False,
            "engine": method.engine,
            "formulation": method.formulation_name,
            "status": status,
            "message": message,
        }

    def _asked(self, task: Instance) -> Row:
        return {
            **image_row(self.network, task),
            **limit_row(self.options),
            "predicted": int(self.network.predict(task.image)),
        }


def run_classify(
    experiment: ClassifyExperiment,
    instances: Sequence[Instance],
    store: ResultStore | None = None,
    on_finished: Callable[[Finished], None] = lambda _: None,
    *,
    executor: Executor | None = None,
    session: Mapping[str, Any] | None = None,
    on_progress: Callable[[RunProgress], None] = lambda _: None,
) -> list[Finished]:
    """Classify all images that ``store`` does not hold yet, in the order of ``instances``.

    Arguments and errors are those of :func:`~reluopt.runs.runner.run_experiment`.
    """
    return run_experiment(
        experiment,
        instances,
        store,
        executor,
        session={"data_sha256": data_fingerprint(instances), **(session or {})},
        on_finished=on_finished,
        on_progress=on_progress,
    )
