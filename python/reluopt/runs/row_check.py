"""Everything that is wrong with one row of a run, recomputed from network, images and proofs."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import numpy as np

from reluopt.answers.check import OBJECTIVE_TOLERANCE, check_perturbation
from reluopt.answers.solution import (
    GAP_DENOMINATOR_FLOOR,
    Certificate,
    Incumbent,
    Status,
    relative_gap,
)
from reluopt.engines import engine_names
from reluopt.numerics.arrays import FloatArray
from reluopt.questions.problems import (
    BareRelativeMargin,
    MinimalPerturbation,
    Task,
    parse_margin,
    parse_norm,
    parse_target,
)
from reluopt.questions.tasks import Alternative
from reluopt.runs.checking import FolderCheck, StoredRow, Verified
from reluopt.runs.claims import CLAIMS, LENGTHS, Has, StatusClaim, keeps_proof
from reluopt.runs.column import TEXT
from reluopt.runs.distance_rows import AttackRow, DistanceRow
from reluopt.runs.evidence import BoundClaim, Evidence, at_most, close, fools_nobody
from reluopt.runs.instances import Instance
from reluopt.runs.job import FAILURES
from reluopt.runs.store import proof_path

RECORDED = {"margin_rule": "margin"} | {
    name: name for name in ("norm", "seed", "threads", "time_limit", "network")
}
"""Columns that repeat a setting of the run."""

_COLUMNS = {
    column.name: replace(column, empty="" if column.kind is TEXT else None)
    for column in DistanceRow.schema()
}


class RunCheck(FolderCheck[AttackRow]):
    """The check of every row of a run of smallest changes."""

    def check(self, unit: StoredRow[AttackRow]) -> Verified:
        """Check one row."""
        return _RowCheck(self, unit).verify()


@dataclass(frozen=True, eq=False)
class _Measured:
    """The stored image against the alternative that the row names."""

    image: FloatArray
    alternative: int
    certificate: Certificate

    @property
    def incumbent(self) -> Incumbent | None:
        """The image as an answer, if it is one."""
        if not self.certificate.certified:
            return None
        return Incumbent(self.image, self.certificate.objective, self.alternative)


RowT = TypeVar("RowT", bound=DistanceRow)
InstanceT = TypeVar("InstanceT")


class DistanceCheck(Generic[RowT, InstanceT]):
    """The check of one row of a smallest change, whatever it is one of.

    Args:
        run: the check of the run.
        stored: the row, and what it is about.
    """

    def __init__(self, run: FolderCheck[RowT], stored: StoredRow[RowT]) -> None:
        self._given = self._network = run.network
        self._settings, self._row = run.settings, stored.row
        self._instance: InstanceT = stored.instance
        image = stored.image
        self._image = None if image is None else image.reshape(-1)
        self._status, self._certified = self._row.status, self._row.certified
        self._proof = proof_path(run.folder, self._row.image)
        self._failures: list[str] = []

    def verify(self) -> Verified:
        """Check the row."""
        self._check_records()
        claim = CLAIMS.get(self._status)
        if claim is None:
            self._failures.append(f"there is no status {self._status}")
            return self._verified(Evidence.NONE)
        self._check_columns(claim)
        task = self._posed_task()
        measured = self._measure(task, claim)
        if measured is not None:
            self._check_numbers(measured.certificate)
        extra = _STATUS_CHECKS.get(self._status)
        if extra is not None:
            extra(self, measured)
        return self._check_bound(task, claim, measured)

    def fail_unless(self, holds: bool, failure: str) -> None:
        """Note a failure unless something holds."""
        if not holds:
            self._failures.append(failure)

    def _check_records(self) -> None:
        """What the row repeats of settings and instance."""
        row = self._row
        self._check_repeated()
        for column, name in RECORDED.items():
            asked, stored = _COLUMNS[column].keep(self._settings[name]), row[column]
            self.fail_unless(stored == asked, f"{column} is {asked}, not {stored}")
        self._check_method()

    @abstractmethod
    def _check_repeated(self) -> None:
        """What the row repeats of what it is about."""

    @abstractmethod
    def _posed_task(self) -> Task:
        """The task; ``self._network`` is the network that it is about, from then on."""

    @property
    @abstractmethod
    def _target(self) -> Any:
        """What the row says that it reached."""

    @abstractmethod
    def _name(self, alternative: Alternative) -> Any:
        """What rows call an alternative."""

    @abstractmethod
    def _check_answers(self, certificate: Certificate) -> None:
        """The network's answers to the stored image."""

    def _check_method(self) -> None:
        """The engine and the formulation that were asked for, or one that there is."""
        asked, found = str(self._settings["engine"]), self._row.engine
        if asked != "auto":
            self.fail_unless(found == asked, f"engine is {asked}")
        elif not (found == asked and self._status in FAILURES):  # nobody knows which one failed
            self.fail_unless(found in engine_names(), f"there is no engine {found}")
        formulation = self._settings.get("formulation")
        if formulation is not None:
            found = str(self._row.formulation)
            self.fail_unless(found == formulation, f"formulation is {formulation}, not {found}")

    def _check_columns(self, claim: StatusClaim) -> None:
        """Whether the row fills what its status claims, and no more."""
        status = self._status
        if claim.certified is False and self._certified:
            self._failures.append(f"a certified answer is claimed with status {status}")
        if claim.certified is True and not self._certified:
            self._failures.append(f"{status} is claimed without a certified answer")
        if self._image is None and (self._certified or claim.image is Has.YES):
            self._failures.append("an answer is claimed, but no image is stored")
        self._failures += claim.failures(self._row)
        if keeps_proof(self._settings, self._row) and not self._proof.exists():
            self._failures.append("a proof was to be kept, but there is none")

    def _measure(self, task: Task, claim: StatusClaim) -> _Measured | None:
        """The stored image, if it fits the network and names an alternative."""
        image = self._image
        targets = [self._name(alternative) for alternative in task.alternatives]
        target = self._target
        known = target in targets
        if target is not None or (image is not None and claim.image is not Has.NO):
            self.fail_unless(known, f"target {target} was not asked for")
        if image is None:
            return None
        if image.size != self._network.input_size:
            self._failures.append(f"the stored image has {image.size} pixels")
            return None
        if not np.isfinite(image).all():
            self._failures.append("the stored image holds NaN or infinity")
            return None
        if claim.image is Has.NO:
            self._refute(task, image)
            return None
        if target is None or not known:
            return None
        index = targets.index(target)
        certificate = check_perturbation(self._network, task, task.alternatives[index], image)
        return _Measured(image, index, certificate)

    def _refute(self, task: Task, image: FloatArray) -> None:
        """An image beside a row that claims none: is it even an answer?"""
        for alternative in task.alternatives:
            if check_perturbation(self._network, task, alternative, image).certified:
                self._failures.append(
                    f"{self._status} claims no answer, but the stored image is one: the network "
                    f"answers {self._name(alternative)}"
                )
                return
        self._failures.append(f"{self._status} claims no answer, but an image is stored")

    def _check_numbers(self, certificate: Certificate) -> None:
        """What the row says about its image."""
        if self._certified and not certificate.certified:
            self._failures += certificate.failures
        if certificate.certified and not self._certified:
            self._failures.append("the row denies an answer that passes the check")
        self._check_answers(certificate)
        recomputed = {
            "margin": certificate.lead,
            "slack": certificate.margin,
            "box_violation": certificate.box_violation,
        }
        if self._certified or CLAIMS[self._status].lengths is Has.YES:
            recomputed |= {
                "objective": certificate.objective,
                "distance": certificate.distance,
                "gap": relative_gap(certificate.objective, self._bound),
            }
        for name, value in recomputed.items():
            least = GAP_DENOMINATOR_FLOOR if name in LENGTHS else 1.0
            if not close(stored := self._row[name], value, least):
                self._failures.append(f"{name} is {value:.12g}, not {stored}")

    @property
    def _bound(self) -> float:
        """The bound that the row tells; an empty cell is an infinite one, or none at all."""
        if self._row.bound is not None:
            return self._row.bound
        infinite = self._status in (Status.INFEASIBLE, Status.NUMERICAL)
        return math.inf if infinite else -math.inf

    def _check_bound(self, task: Task, claim: StatusClaim, measured: _Measured | None) -> Verified:
        """Whether the bound is consistent with the answer, and what stands behind it."""
        if not claim.bounds:
            return self._verified(Evidence.NONE)
        answer = None if measured is None else measured.incumbent
        own = self._row.engine == "bnb"
        asked = BoundClaim(
            self._network, task, self._bound, answer, float(self._settings["gap"]), own
        )
        if measured is not None:
            # Solvers may be wrong by their tolerances; what our own engine proves may not.
            objective = measured.certificate.objective
            below = at_most(asked.bound, objective, GAP_DENOMINATOR_FLOOR if own else 1.0)
            if not own:
                below |= asked.bound - objective <= OBJECTIVE_TOLERANCE * max(1.0, objective)
            self.fail_unless(below, "the bound exceeds the objective")
        proven = self._replayed(asked)
        root = asked.root()
        if root is not None and answer is not None:
            self.fail_unless(
                at_most(root, answer.objective, GAP_DENOMINATOR_FLOOR),
                f"the root relaxation proves {root:.12g}, more than the objective",
            )
        if asked.empty:
            return self._verified(Evidence.NONE, root, proven)
        if asked.shown_by(proven):
            return self._verified(Evidence.REPLAYED, root, proven)
        if asked.shown_by(root):
            return self._verified(Evidence.ROOT, root, proven)
        evidence, refuted = asked.unproven(int(self._settings["seed"]))
        self.fail_unless(not refuted, refuted)
        return self._verified(evidence, root, proven)

    def _replayed(self, asked: BoundClaim) -> float | None:
        """What the kept proof shows, if there is one."""
        if not self._proof.exists():
            return None
        shown, wrong = asked.replayed(self._proof)
        self.fail_unless(not wrong, wrong)
        return shown

    def check_optimal(self, measured: _Measured | None) -> None:
        """OPTIMAL: a checked answer within the gap that was asked for."""
        gap = self._gap(measured)
        good = measured is not None and measured.certificate.certified
        proven = good and gap <= float(self._settings["gap"])
        self.fail_unless(proven, f"OPTIMAL is claimed with a gap of {gap:.3g}")

    def check_feasible(self, measured: _Measured | None) -> None:
        """FEASIBLE: the proof is not finished."""
        gap = self._gap(measured)
        unfinished = at_most(float(self._settings["gap"]), gap, 0.0)
        text = f"FEASIBLE is claimed with a gap of {gap:.3g}, which is OPTIMAL"
        self.fail_unless(unfinished, text)

    def check_infeasible(self, measured: _Measured | None) -> None:
        """INFEASIBLE: the bound is infinite."""
        del measured
        bound = self._bound
        self.fail_unless(bound == math.inf, f"INFEASIBLE is claimed with a bound of {bound:g}")

    def check_not_adversarial(self, measured: _Measured | None) -> None:
        """NOT_ADVERSARIAL: meets the bare condition, and the network's answer alone is wrong."""
        bare = isinstance(parse_margin(str(self._settings["margin"])), BareRelativeMargin)
        self.fail_unless(bare, "NOT_ADVERSARIAL is claimed, but no bare condition was asked for")
        if measured is None:
            return
        found = measured.certificate
        if not (found.certified or fools_nobody(found)):
            self._failures += found.failures

    def check_numerical(self, measured: _Measured | None) -> None:
        """NUMERICAL: a certified answer is no answer only where the engine's bound denies it."""
        if measured is None:
            unknown = self._row.margin is None
            self.fail_unless(unknown, "an answer is told, but no image is stored")
        if measured is None or not measured.certificate.certified:
            lengths = [n for n in (*LENGTHS, "gap") if self._row[n] is not None]
            if not self._certified:
                self._failures += [f"{n} is told of an answer that is refused" for n in lengths]
            return
        objective = measured.certificate.objective
        denied = self._bound - objective > OBJECTIVE_TOLERANCE * max(1.0, objective)
        text = f"a certified answer is claimed with status {self._status}, and no bound denies it"
        self.fail_unless(denied, text)

    def _gap(self, measured: _Measured | None) -> float:
        if measured is None:
            return math.inf
        return relative_gap(measured.certificate.objective, self._bound)

    def _verified(
        self, evidence: Evidence, root: float | None = None, proven: float | None = None
    ) -> Verified:
        bound = self._bound if self._status == Status.INFEASIBLE else self._row.bound
        failures = tuple(self._failures)
        return Verified(self._row.image, self._status, failures, evidence, bound, root, proven)


_STATUS_CHECKS: Mapping[str, Callable[[DistanceCheck[Any, Any], _Measured | None], None]] = {
    Status.OPTIMAL: DistanceCheck.check_optimal,
    Status.FEASIBLE: DistanceCheck.check_feasible,
    Status.INFEASIBLE: DistanceCheck.check_infeasible,
    Status.NOT_ADVERSARIAL: DistanceCheck.check_not_adversarial,
    Status.NUMERICAL: DistanceCheck.check_numerical,
}
"""What rows of a status claim beyond their columns (:data:`~.claims.CLAIMS`)."""


class _RowCheck(DistanceCheck[AttackRow, Instance]):
    """The check of the row of an image."""

    def _check_repeated(self) -> None:
        """Label, answer and pixels of the image."""
        row, instance = self._row, self._instance
        self.fail_unless(instance.label == row.label, f"the true label is {instance.label}")
        answered = int(self._given.predict(instance.image))
        same = row.original_predicted == answered
        self.fail_unless(same, f"original_predicted is {answered}")
        same = row.image_sha256 == instance.fingerprint
        self.fail_unless(same, "the original image has another SHA-256 now")

    def _posed_task(self) -> Task:
        settings, instance = self._settings, self._instance
        return MinimalPerturbation(
            instance.image,
            instance.label,
            parse_target(str(settings["target"])),
            parse_norm(str(settings["norm"])),
            parse_margin(str(settings["margin"])),
            smoothness=settings.get("smoothness"),
        ).task(self._given)

    @property
    def _target(self) -> int | None:
        return self._row.target

    def _name(self, alternative: Alternative) -> int:
        return alternative.target

    def _check_answers(self, certificate: Certificate) -> None:
        predicted, stored = certificate.predicted, self._row.predicted
        self.fail_unless(stored == predicted, f"predicted is {predicted}, not {stored}")
