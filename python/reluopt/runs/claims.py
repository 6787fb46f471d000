"""What a row claims by its status: which columns it fills, and whether an answer is stored.

One table (:data:`CLAIMS`) for every status that a smallest change can have. Who writes rows
(:class:`~reluopt.runs.attack.AttackJob`), who resumes runs and who verifies them follow it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from reluopt.answers.solution import Status
from reluopt.questions.norms.base import Norm
from reluopt.runs.distance_rows import DistanceRow
from reluopt.runs.job import FAILURES
from reluopt.runs.row import Row

MEASURED = ("predicted", "answers", "margin", "slack", "box_violation")
"""What the check measures on an image."""

LENGTHS = ("objective", "distance")
"""How far the image is."""

WORK = (
    "nodes",
    "seconds",
    "attack_seconds",
    "bounds_seconds",
    "build_seconds",
    "search_seconds",
    "polish_seconds",
)
"""What a solve took."""

HOW = ("engine", "formulation", "bounds")
"""How it was solved."""

SIZE = ("variables", "constraints", "binaries")
"""The size of the program, if one was written."""


class Has(Enum):
    """Whether a row of a status has something."""

    YES = "yes"
    NO = "no"
    MAYBE = "maybe"


@dataclass(frozen=True)
class StatusClaim:
    """What a row of one status says.

    Attributes:
        certified: whether its answer passed every check (None: either).
        image: whether an answer is stored.
        lengths: whether objective and distance are told.
        bound: whether a finite bound is told.
        gap: whether a gap is told.
        solved: whether a solve ended, so that it tells what it took (and, if asked, its proof).
        bounds: whether its bound is claimed to be one; ``NUMERICAL`` claims nothing.
    """

    certified: bool | None
    image: Has
    lengths: Has
    bound: Has
    gap: Has
    solved: bool = True
    bounds: bool = True

    def failures(self, row: DistanceRow) -> Iterator[str]:
        """Columns that are empty and must not be, or the other way round, a sentence each."""
        yield from _presence(row, LENGTHS, self.lengths)
        yield from _presence(row, ("gap",), self.gap)
        measured = Has.NO if self.image is Has.NO else Has.MAYBE
        yield from _presence(row, MEASURED, measured)
        yield from _presence(row, ("bound",), self.bound)
        yield from _presence(row, WORK, Has.YES if self.solved else Has.NO)
        yield from _presence(row, HOW, Has.YES if self.solved else Has.MAYBE)
        if not self.solved:
            yield from _presence(row, ("target", "targets", *SIZE), Has.NO)
        for name in (*WORK, *SIZE):
            value = getattr(row, name)
            if value is not None and value < 0:
                yield f"{name} is {value}, below 0"


def _presence(row: DistanceRow, columns: tuple[str, ...], has: Has) -> Iterator[str]:
    for name in columns:
        value = row.get(name)
        if has is Has.YES and value is None:
            yield f"{name} is empty, but {row.status} claims one"
        if has is Has.NO and value is not None:
            yield f"{name} is {value}, but {row.status} claims none"


_FAILED = StatusClaim(False, Has.NO, Has.NO, Has.NO, Has.NO, solved=False, bounds=False)

CLAIMS: Mapping[str, StatusClaim] = {
    Status.OPTIMAL: StatusClaim(True, Has.YES, Has.YES, Has.YES, Has.YES),
    Status.FEASIBLE: StatusClaim(True, Has.YES, Has.YES, Has.YES, Has.YES),
    Status.NOT_ADVERSARIAL: StatusClaim(False, Has.YES, Has.YES, Has.YES, Has.YES),
    # Nothing at all meets the conditions: the bound is infinite, which a cell shows as nothing.
    Status.INFEASIBLE: StatusClaim(False, Has.NO, Has.NO, Has.NO, Has.NO),
    Status.TIME_LIMIT: StatusClaim(False, Has.NO, Has.NO, Has.MAYBE, Has.NO),
    Status.NUMERICAL: StatusClaim(None, Has.MAYBE, Has.MAYBE, Has.MAYBE, Has.MAYBE, bounds=False),
    **dict.fromkeys(FAILURES, _FAILED),
}
"""Claims by status."""

UNPROVEN = (Status.NOT_ROBUST, Status.UNDECIDED)
"""Verdicts that no proof stands behind: a witness does, or nothing. ROBUST has no answer."""

_WITH_ANSWERS = ("attack", "ideal", "estimate", "ball-attack", "verify", "worst-case", "universal")
"""Jobs that store an image beside every row that tells what the network answers to it."""


def keeps_answer(settings: Mapping[str, Any], row: Row, any_answers: bool) -> bool:
    """Whether an answer must be stored beside a row.

    Args:
        settings: of the run.
        row: the row.
        any_answers: whether the folder stores any; a job that is not known here is taken
            to store the certified ones then.
    """
    certified = row.get("certified") is True and row.get("status") != Status.ROBUST
    if settings.get("experiment") is None:
        return any_answers and certified
    answered = certified or row.get("predicted", row.get("answers")) is not None
    return answered and settings["experiment"] in _WITH_ANSWERS


def keeps_proof(settings: Mapping[str, Any], row: Row) -> bool:
    """Whether a proof must be kept beside a row.

    A bound of 0 needs none, and searches in Linf that end early have none.
    """
    wanted = bool((settings.get("extra") or {}).get("proof"))
    status = str(row.get("status"))
    claim = CLAIMS.get(status)
    if claim is None:
        return wanted and status not in UNPROVEN
    early = settings.get("norm") == str(Norm.LINF) and status not in (
        Status.OPTIMAL,
        Status.INFEASIBLE,
    )
    bound = row.get("bound")
    trivial = bound is not None and not bound > 0.0
    return wanted and claim.solved and not (early or trivial)
