"""Rows of smallest changes: of one image, and of several at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from reluopt.runs.row_base import BY_WHAT, LIMITS, PROGRAM, ProgramRow

_SOLVED = (
    *("norm", "margin_rule", *BY_WHAT, "objective"),
    *("distance", "bound", "gap", "seconds", "nodes"),
)
_MEASURED = ("margin", "slack", "box_violation", "certified")
_WORK = (
    *("attack_seconds", "bounds_seconds", "build_seconds", "search_seconds", "polish_seconds"),
    *(*PROGRAM, *LIMITS),
)


@dataclass(frozen=True, kw_only=True)
class DistanceRow(ProgramRow):
    """What rows of smallest changes share.

    ``margin`` is the lead of the target's logit as measured, ``slack`` the smallest slack of the
    asked conditions, ``seconds`` those of the whole solve.
    """

    image: str
    norm: str
    margin_rule: str
    objective: float | None = None
    distance: float | None = None
    bound: float | None = None
    gap: float | None = None
    margin: float | None = None
    slack: float | None = None
    box_violation: float | None = None
    certified: bool
    attack_seconds: float | None = None
    bounds_seconds: float | None = None
    build_seconds: float | None = None
    search_seconds: float | None = None
    polish_seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class AttackRow(DistanceRow):
    """A smallest change of an image; ``image_sha256`` is that of the original."""

    file_order: ClassVar[tuple[str, ...]] = (
        *("image", "label", "target", *_SOLVED, "original_predicted", "predicted"),
        *(*_MEASURED, *_WORK, "image_sha256", "message"),
    )

    label: int
    target: int | None = None
    original_predicted: int | None = None
    predicted: int | None = None
    image_sha256: str


@dataclass(frozen=True, kw_only=True)
class UniversalRow(DistanceRow):
    """The smallest change that several images share.

    Labels stand in the order of the images, as ``7 2 1``: the true ones, those that were asked
    for, and the network's answers before and after. ``margin`` is the least lead of a target,
    ``images_sha256`` tells images and labels.
    """

    file_order: ClassVar[tuple[str, ...]] = (
        *("image", "labels", "targets", *_SOLVED, "original_answers", "answers"),
        *(*_MEASURED, *_WORK, "images_sha256", "message"),
    )

    labels: str
    targets: str | None = None
    original_answers: str | None = None
    answers: str | None = None
    images_sha256: str

    def by_image(self, name: str) -> list[int | None]:
        """One of the columns of labels, image by image; None for what is not known."""
        count, text = len(self.labels.split()), self.get(name)
        return [None] * count if text is None else list(map(int, text.split()))
