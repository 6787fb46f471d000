"""Worst cases over balls for many images: instances in, checked rows out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

from reluopt.answers.solution import Solution
from reluopt.errors import InputError, shown
from reluopt.method import Method
from reluopt.networks.network import ReLUNetwork
from reluopt.pipeline import solve
from reluopt.questions.problems import Norm, WorstCase, parse_norm
from reluopt.questions.tasks import Question
from reluopt.runs.instances import Instance
from reluopt.runs.row import WorstCaseRow
from reluopt.runs.solving import ImageJob, SolverJob, solved, toy_network


@dataclass(frozen=True)
class WorstCaseSettings:
    """How wrong can the network get within eps, or how large one logit?

    Attributes:
        eps, norm, objective, fooled, target: see
            :class:`~reluopt.questions.worst_case.WorstCase`.
    """

    eps: float
    norm: Norm
    objective: int | None = None
    fooled: float | None = None
    target: int | None = None

    experiment: ClassVar[str] = "worst-case"

    def problem(self, image: Any, label: int) -> WorstCase:
        """What is asked of one image."""
        asked = (self.eps, self.norm, self.objective, self.fooled, self.target)
        return WorstCase(image, label, *asked)


def recorded(settings: WorstCaseSettings) -> dict[str, Any]:
    """Settings as a record tells them."""
    values = {each.name: getattr(settings, each.name) for each in fields(settings)}
    return {**values, "experiment": settings.experiment, "norm": str(settings.norm)}


def settings_of(record: Mapping[str, Any]) -> WorstCaseSettings:
    """Settings from a record.

    Raises:
        InputError: the norm cannot be read, or the target is no label.
    """
    labels = {name: record.get(name) for name in ("objective", "target")}
    for name, value in labels.items():
        if not (value is None or isinstance(value, int)):
            raise InputError(f"settings: {name}: expected a label, found {shown(repr(value))}")
    return WorstCaseSettings(
        float(record["eps"]),
        parse_norm(str(record["norm"])),
        labels["objective"],
        record.get("fooled"),
        labels["target"],
    )


@dataclass(frozen=True, eq=False)
class WorstCaseJob(ImageJob[WorstCaseRow], SolverJob[Instance, WorstCaseRow]):
    """Look for the worst in balls.

    Attributes:
        network: the network.
        settings: what is asked.
        method: how it is solved.
        network_path: bundled name or file of the network.
    """

    network: ReLUNetwork
    settings: WorstCaseSettings
    method: Method
    network_path: str = ""

    row_class = WorstCaseRow

    def describe(self) -> dict[str, Any]:
        """Everything that determines the results, JSON-serialisable."""
        path = self.network_path or self.network.metadata.name
        extra = dict(self.method.options.extra)
        asked = {**self.asked(), "attack": self.method.wants_attack, "extra": extra}
        return {**recorded(self.settings), **asked, "network_path": path}

    def warm_up(self) -> None:
        """Imports, licences and compilation."""
        solve(toy_network(), WorstCase([0.5, 0.4], 0, 0.1, self.settings.norm), self.method)

    def problem(self, unit: Instance) -> Question:
        """What is asked of one image."""
        return self.settings.problem(unit.image, unit.label)

    def row(self, unit: Instance, solution: Solution, seconds: float) -> WorstCaseRow:
        """The row of a solved instance."""
        certificate = solution.certificate
        measured: dict[str, Any] = {}
        if certificate is not None:
            measured = {"predicted": certificate.predicted, "margin": certificate.lead}
            measured |= {"slack": certificate.margin, "distance": certificate.distance}
            measured |= {"box_violation": certificate.box_violation}
        return replace(
            self.blank(unit, str(solution.status)),
            target=solution.target,
            objective=solution.objective,
            bound=solution.bound,
            seconds=seconds,
            certified=solution.certified,
            **measured,
            **solved(solution),
        )

    def blank(self, unit: Instance, status: str) -> WorstCaseRow:
        """All that is known without an answer."""
        return WorstCaseRow(
            image=unit.key,
            label=unit.label,
            eps=self.settings.eps,
            norm=str(self.settings.norm),
            engine=self.method.engine,
            formulation=self.method.formulation_name,
            status=status,
            original_predicted=int(self.network.predict(unit.image)),
            certified=False,
            image_sha256=unit.fingerprint,
            **self.limits(),
        )

    def check_units(self, units: Sequence[Instance]) -> None:
        """Refuse what cannot work before a folder is made or anything is compiled.

        Raises:
            InputError: an image, eps, norm or label does not fit, or the engine cannot do what the
                method asks.
            UnsupportedProblemError: the engine cannot solve such problems.
            EngineUnavailableError: the engine is not usable on this machine.
        """
        for task in [self.problem(unit).task(self.network) for unit in units][:1]:
            self.refuse_engine(task)
