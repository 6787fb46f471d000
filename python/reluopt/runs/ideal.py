"""Optimal inputs: for each label, the input that makes its logit as large as possible."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from reluopt.answers.solution import Solution
from reluopt.method import Method
from reluopt.networks.network import ReLUNetwork
from reluopt.pipeline import solve
from reluopt.questions.problems import OptimalInput
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

    def problem(self, unit: LabelUnit) -> OptimalInput:
        """What is asked of one label."""
        return OptimalInput(unit.label)

    def row(self, unit: LabelUnit, solution: Solution, seconds: float) -> IdealRow:
        """The row of a label."""
        certificate = solution.certificate
        return replace(
            self.blank(unit, str(solution.status)),
            objective=solution.objective,
            bound=solution.bound,
            gap=solution.gap,
            seconds=seconds,
            predicted=None if certificate is None else certificate.predicted,
            margin=None if certificate is None else certificate.lead,
            certified=solution.certified,
            **solved(solution),
        )

    def blank(self, unit: LabelUnit, status: str) -> IdealRow:
        """What is known before a label is solved."""
        return IdealRow(
            image=unit.key,
            label=unit.label,
            engine=self.method.engine,
            status=status,
            certified=False,
            **self.limits(),
        )
