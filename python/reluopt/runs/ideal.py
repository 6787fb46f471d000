"""Optimal inputs: for each label, the input that makes its logit as large as possible."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

from reluopt.engines.base import ProgressCallback
from reluopt.networks.network import ReLUNetwork
from reluopt.pipeline import Method, solve
from reluopt.questions.problems import OptimalInput
from reluopt.runs.job import Finished
from reluopt.runs.row import IdealRow
from reluopt.runs.solving import SolverJob, solved, toy_network


@dataclass(frozen=True)
class LabelUnit:
    """One label whose logit is maximised."""

    label: int

    @property
    def key(self) -> str:
        """``label:3``."""
        return f"label:{self.label}"


@dataclass(frozen=True, eq=False)
class IdealJob(SolverJob[LabelUnit, IdealRow]):
    """Find optimal inputs."""

    network: ReLUNetwork
    method: Method

    row_class = IdealRow

    def identify(self, unit: LabelUnit) -> dict[str, Any]:
        """A row stands for its label."""
        return {"label": unit.label}

    def warm_up(self) -> None:
        """Imports, licences and compilation."""
        solve(toy_network(), OptimalInput(0), self.method)

    def describe(self) -> dict[str, Any]:
        """Everything that determines the results, JSON-serialisable."""
        return {"experiment": "ideal", **self.asked()}

    def run(self, unit: LabelUnit, progress: ProgressCallback | None = None) -> Finished[IdealRow]:
        """Row and optimal input (in the network's input shape) of one label."""
        started = time.perf_counter()
        solution = solve(self.network, OptimalInput(unit.label), self.method, progress=progress)
        certificate = solution.certificate
        row = replace(
            self._row(unit, str(solution.status)),
            objective=solution.objective,
            bound=solution.bound,
            gap=solution.gap,
            seconds=time.perf_counter() - started,
            predicted=None if certificate is None else certificate.predicted,
            margin=None if certificate is None else certificate.lead,
            certified=solution.certified,
            **solved(solution),
        )
        image = solution.image
        return Finished(row, None if image is None else image.reshape(self.network.input_shape))

    def failed(
        self, unit: LabelUnit, status: str, message: str, seconds: float | None = None
    ) -> Finished[IdealRow]:
        """The row of a label whose solve crashed."""
        return Finished(replace(self._row(unit, status), message=message))

    def _row(self, unit: LabelUnit, status: str) -> IdealRow:
        """What is known before a label is solved."""
        return IdealRow(
            image=unit.key,
            label=unit.label,
            engine=self.method.engine,
            status=status,
            certified=False,
            **self.limits(),
        )
