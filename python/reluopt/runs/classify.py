"""Classification by the mixed-integer program, compared with the forward pass."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from reluopt.answers.solution import Solution
from reluopt.engines.base import ProgressCallback
from reluopt.method import Method
from reluopt.networks.network import ReLUNetwork
from reluopt.pipeline import solve
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

    def problem(self, unit: Instance) -> Classification:
        """What is asked of one image."""
        return Classification(unit.image)

    def run(
        self, unit: Instance, progress: ProgressCallback | None = None
    ) -> Finished[ClassifyRow]:
        """The row of one image; there is no image to keep."""
        return Finished(super().run(unit, progress).row)

    def row(self, unit: Instance, solution: Solution, seconds: float) -> ClassifyRow:
        """The row of an image: whether program and network agree."""
        blank = self.blank(unit, str(solution.status))
        same = solution.target == blank.predicted
        differ = "" if same else f"program answers {solution.target}, network {blank.predicted}"
        return replace(
            blank,
            program=solution.target,
            agrees=solution.certified and same,
            certified=solution.certified,
            seconds=seconds,
            **solved(solution) | {"message": solution.message or differ},
        )

    def blank(self, unit: Instance, status: str) -> ClassifyRow:
        """What is known before an image is classified; a crash agrees with nothing."""
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
