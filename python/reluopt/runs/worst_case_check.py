"""Everything that is wrong with one row of a worst case, recomputed from network and images."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from reluopt.answers.check import OBJECTIVE_TOLERANCE, check_maximum
from reluopt.answers.solution import Certificate, Status, relative_gap
from reluopt.attacks.slack import largest_found
from reluopt.bounds import BOUNDING_METHODS
from reluopt.bounds.conditions import slack_ceilings
from reluopt.questions.tasks import Task
from reluopt.runs.checking import FolderCheck, StoredRow, Verified
from reluopt.runs.evidence import Evidence, at_most, close
from reluopt.runs.job import FAILURES
from reluopt.runs.row import WorstCaseRow
from reluopt.runs.worst_case import settings_of

RECORDED = ("eps", "norm", "seed", "threads", "time_limit", "network")
"""Columns that repeat a setting of the run."""


ANSWERED: Mapping[str, bool | None] = {
    Status.OPTIMAL: True,
    Status.FEASIBLE: True,
    Status.INFEASIBLE: False,
    Status.TIME_LIMIT: False,
    Status.NUMERICAL: None,
    **dict.fromkeys(FAILURES, False),
}
"""Whether a certified answer is stored (None: either), by status."""


class WorstCaseCheck(FolderCheck[WorstCaseRow]):
    """The check of every row of a run about worst cases."""

    def check(self, unit: StoredRow[WorstCaseRow]) -> Verified:
        """Check one row."""
        return _RowCheck(self, unit).verify()


class _RowCheck:
    """The check of one row."""

    def __init__(self, run: WorstCaseCheck, stored: StoredRow[WorstCaseRow]) -> None:
        self._run, self._network, self._settings = run, run.network, run.settings
        self._stored, self._row = stored, stored.row
        self._image = None if stored.image is None else stored.image.reshape(-1)

    def verify(self) -> Verified:
        """Check the row."""
        row, instance = self._row, self._stored.instance
        failures = list(self._run.unlike_records(self._stored, RECORDED))
        if row.status not in ANSWERED:
            failures.append(f"there is no status {row.status}")
            return Verified(row.image, row.status, tuple(failures))
        task = (
            settings_of(self._settings).problem(instance.image, instance.label).task(self._network)
        )
        certificate = None
        if self._image is not None and self._image.size == self._network.input_size:
            certificate = check_maximum(self._network, task, self._image)
        failures += self._answer_failures(ANSWERED[row.status], certificate)
        evidence, wrong = self._bound(task, certificate)
        return Verified(row.image, row.status, (*failures, *wrong), evidence, row.bound)

    def _answer_failures(
        self, answered: bool | None, certificate: Certificate | None
    ) -> Iterator[str]:
        """What the row says about its image, if it has one."""
        row = self._row
        if answered is not None and answered is not row.certified:
            yield f"{row.status} is claimed with certified = {row.certified}"
        if certificate is None:
            if row.certified or self._image is not None:
                yield "an answer is claimed, but no image that fits is stored"
            return
        if answered is False:
            yield f"{row.status} claims no answer, but an image is stored"
        if row.certified is not certificate.certified:
            yield from certificate.failures or ("the row denies an answer that passes the check",)
        recomputed: dict[str, float] = {
            "predicted": certificate.predicted,
            "margin": certificate.lead,
            "slack": certificate.margin,
            "distance": certificate.distance,
            "box_violation": certificate.box_violation,
        }
        if row.certified:
            recomputed["objective"] = certificate.objective
        for name, value in recomputed.items():
            if not close(row[name], value, 1.0):
                yield f"{name} is {value:.12g}, not {row[name]}"

    def _bound(self, task: Task, certificate: Certificate | None) -> tuple[Evidence, list[str]]:
        """What stands behind the bound, and what is wrong with it."""
        row, wrong = self._row, []
        bound = math.inf if row.bound is None else row.bound
        empty = row.status == Status.INFEASIBLE and row.bound is None
        if row.status == Status.NUMERICAL or row.status in FAILURES:
            return Evidence.NONE, []
        if row.status == Status.INFEASIBLE and not empty:
            wrong.append(f"INFEASIBLE is claimed with a bound of {bound:g}")
        if certificate is not None and certificate.certified:
            wrong += self._against(certificate.objective, bound)
        if bound == math.inf and not empty:
            return Evidence.NONE, wrong
        found = largest_found(self._network, task, int(self._settings["seed"]))
        if found is not None and (empty or not at_most(found.objective, bound)):
            wrong.append(f"an attack found {found.objective:.12g}, which the bound excludes")
        ceiling = self._ceiling(task) if task.maximises_slack else math.inf
        if ceiling <= bound:
            return Evidence.ROOT, wrong
        answered = certificate is not None
        return Evidence.STORED if answered else Evidence.WORD, wrong

    def _against(self, objective: float, bound: float) -> Iterator[str]:
        """The bound beside a checked answer."""
        row = self._row
        if not objective - bound <= OBJECTIVE_TOLERANCE * max(1.0, abs(objective)):
            yield f"the bound {bound:.12g} excludes the answer"
        gap, asked = relative_gap(objective, bound), float(self._settings["gap"])
        if row.status == Status.OPTIMAL and not gap <= asked:
            yield f"OPTIMAL is claimed with a gap of {gap:.3g}"
        if row.status == Status.FEASIBLE and not at_most(asked, gap, 0.0):
            yield f"FEASIBLE is claimed with a gap of {gap:.3g}, which is OPTIMAL"

    def _ceiling(self, task: Task) -> float:
        """What linear bounds prove of the slack, here and now."""
        bounds = BOUNDING_METHODS.get("linear").compute(self._network, task.inputs)
        return float(slack_ceilings(self._network, task.inputs, bounds, task).max())
