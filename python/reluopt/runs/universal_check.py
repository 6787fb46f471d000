"""Everything that is wrong with the row of a change for several images, recomputed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from reluopt.answers.solution import Certificate
from reluopt.errors import InputError
from reluopt.questions.problems import (
    Task,
    UniversalPerturbation,
    parse_margin,
    parse_norm,
    parse_target,
)
from reluopt.questions.tasks import Alternative
from reluopt.runs.checking import FolderCheck, StoredRow, Verified
from reluopt.runs.instances import load_by_key
from reluopt.runs.row import UniversalRow
from reluopt.runs.row_check import DistanceCheck
from reluopt.runs.universal import ImageSet, in_words


class UniversalCheck(FolderCheck[UniversalRow]):
    """The check of a run that looked for one change."""

    def check(self, unit: StoredRow[UniversalRow]) -> Verified:
        """Check one row."""
        return _RowCheck(self, unit).verify()

    def instances(
        self, rows: Sequence[UniversalRow], data_dir: Path | None = None
    ) -> Mapping[str, ImageSet]:
        """The images that the run was about, for every row.

        Raises:
            InputError: there is not one label for each, or an image cannot be read.
        """
        keys, labels = self.settings["images"], self.settings["labels"]
        if len(keys) != len(labels):
            found = f"{len(labels)} for {len(keys)} images"
            raise InputError(f"{self.folder}: settings: labels: expected one each, found {found}")
        known = load_by_key(self.network, dict(zip(keys, map(int, labels), strict=True)), data_dir)
        images = ImageSet(tuple(known[key] for key in keys))
        return {row.image: images for row in rows}


class _RowCheck(DistanceCheck[UniversalRow, ImageSet]):
    """The check of one row."""

    def _check_repeated(self) -> None:
        """What the row repeats of images and labels."""
        row, images = self._row, self._instance
        told = {
            "image": images.key,
            "labels": in_words(images.labels),
            "original_answers": images.answers(self._given),
            "images_sha256": images.fingerprint,
        }
        for name, value in told.items():
            self.fail_unless(row[name] == value, f"{name} is {value}, not {row[name]}")

    def _posed_task(self) -> Task:
        settings, images = self._settings, self._instance
        asked = UniversalPerturbation(
            images.images,
            images.labels,
            parse_target(str(settings["target"])),
            parse_norm(str(settings["norm"])),
            parse_margin(str(settings["margin"])),
        )
        self._network = asked.posed(self._given)
        return asked.task(self._given)

    @property
    def _target(self) -> str | None:
        return self._row.targets

    def _name(self, alternative: Alternative) -> str:
        return in_words(alternative.targets)

    def _check_answers(self, certificate: Certificate) -> None:
        answers = in_words(certificate.logits.reshape(len(self._instance.instances), -1).argmax(1))
        self.fail_unless(
            self._row.answers == answers, f"answers is {answers}, not {self._row.answers}"
        )
