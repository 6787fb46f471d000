"""Classification by the mixed-integer program, compared with the forward pass."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from reluopt.engines.base import ProgressCallback
from reluopt.networks.network import ReLUNetwork
from reluopt.pipeline import Method, solve
from reluopt.questions.problems import Classification
from reluopt.runs.instances import Instance
from reluopt.runs.job import Finished
from reluopt.runs.row import ClassifyRow
from reluopt.runs.solving import ImageJob, SolverJob, solved, toy_network


@dataclass(frozen=True, eq=False)
class ClassifyJob(ImageJob[ClassifyRow], SolverJob[Instance, ClassifyRow]):
    """Classify images by the program."""

    network: ReLUNetwork
    method: Method

    row_class = ClassifyRow

    def warm_up(self) -> None:
        """Imports, licences and compilation."""
        solve(toy_network(), Classification(np.array([0.2, 0.6])), self.method)

    def describe(self) -> dict[str, Any]:
        """Everything that determines the results, JSON-serialisable."""
        return {"experiment": "classify", **self.asked(), "extra": dict(self.options.extra)}

    def run(
        self, unit: Instance, progress: ProgressCallback | None = None
    ) -> Finished[ClassifyRow]:
        """The row of one image; there is no image to keep."""
        started = time.perf_counter()
        solution = solve(self.network, Classification(unit.image), self.method, progress=progress)
        seconds = time.perf_counter() - started
        row = self._row(unit, str(solution.status))
        same = solution.target == row.predicted
        differ = "" if same else f"program answers {solution.target}, network {row.predicted}"
        row = replace(
            row,
            program=solution.target,
            agrees=solution.certified and same,
            certified=solution.certified,
            seconds=seconds,
            **solved(solution) | {"message": solution.message or differ},
        )
        return Finished(row)

    def failed(
        self, unit: Instance, status: str, message: str, seconds: float | None = None
    ) -> Finished[ClassifyRow]:
        """The row of an image whose solve crashed: it agrees with nothing."""
        return Finished(replace(self._row(unit, status), message=message))

    def _row(self, unit: Instance, status: str) -> ClassifyRow:
        """What is known before an image is classified."""
        return ClassifyRow(
            image=unit.key,
            label=unit.label,
            predicted=int(self.network.predict(unit.image)),
            agrees=False,
            certified=False,
            engine=self.method.engine,
            formulation=self.method.formulation_name,
            status=status,
            image_sha256=unit.fingerprint,
            **self.limits(),
        )
