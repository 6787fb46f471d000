"""Attacks within a ball on many images: what is left of the accuracy.

Every image that an attack returns is judged here, by a float64 forward pass and by its distance
from the original, whatever the attack says of it. A tie with the true label counts as fooled
throughout, as it does in questions over a ball
(:class:`~reluopt.questions.verification.Verification`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluopt.attacks.criteria import Misclassification
from reluopt.attacks.methods.base import AttackMethod
from reluopt.engines.base import ProgressCallback
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray
from reluopt.questions.problems import Box, Norm
from reluopt.questions.tasks import fitting_box
from reluopt.questions.verification import ball_of, misclassifications
from reluopt.runs.instances import Instance
from reluopt.runs.job import Finished
from reluopt.runs.row import BallAttackRow
from reluopt.runs.solving import ImageJob, NetworkJob, network_settings
from reluopt.runs.upper_bound import FOUND, NOTHING, REFUTED


class Attacked(StrEnum):
    """The label that an attack wants to be missed: the true one, or what the network answers.

    They differ for images that the network misreads. An attack on the true label leaves these
    alone; one on the predicted label may make them right.
    """

    TRUE = "true"
    PREDICTED = "predicted"


@dataclass(frozen=True, eq=False)
class BallAttackJob(ImageJob[BallAttackRow], NetworkJob[Instance, BallAttackRow]):
    """Attack images within a ball.

    Attributes:
        network: the network.
        attack: what attacks them.
        eps: radius of the ball, in the norm's own unit.
        norm: L1, L2 or Linf.
        clip: whether inputs stay in the network's box; else in the ball alone.
        attacked: which label shall be missed.
        float32: whether gradients are those of a loss in float32.
        network_path: bundled name or file of the network.
    """

    network: ReLUNetwork
    attack: AttackMethod
    eps: float
    norm: Norm = Norm.LINF
    clip: bool = True
    attacked: Attacked = Attacked.TRUE
    float32: bool = False
    network_path: str = ""

    row_class = BallAttackRow

    @property
    def together(self) -> int:
        """Images that the attack likes to be given at a time."""
        return self.attack.together

    def check(self, instances: Sequence[Instance]) -> None:
        """Refuse what fits no image before a folder is made.

        Raises:
            InputError: radius or norm are none, an image is outside the box, or the network has
                one output.
        """
        for instance in instances:
            misclassifications(self.network, instance.label)
            ball_of(self.network, instance.image, self.eps, self.norm, None)
        self._box()

    def describe(self) -> dict[str, Any]:
        """Everything that determines the results, JSON-serialisable."""
        return {
            "experiment": "ball-attack",
            **network_settings(self.network),
            "network_path": self.network_path or self.network.metadata.name,
            "method": self.attack.name,
            **self.attack.settings,
            "eps": self.eps,
            "norm": str(self.norm),
            "clip": self.clip,
            "attacked": str(self.attacked),
            "float32": self.float32,
        }

    def run(
        self, unit: Instance, progress: ProgressCallback | None = None
    ) -> Finished[BallAttackRow]:
        """Row and attacked image (in the network's input shape) of one instance."""
        return self.run_together([unit], progress)[0]

    def run_together(
        self, units: Sequence[Instance], progress: ProgressCallback | None = None
    ) -> list[Finished[BallAttackRow]]:
        """Rows and attacked images of several instances."""
        del progress
        originals = np.array([unit.image for unit in units])
        logits = self.network.forward(originals)
        aims = self._aims(units, logits)
        criterion = Misclassification(aims, ties=True, float32=self.float32)
        box = self._box()
        started = time.perf_counter()
        made = self.attack(self.network, originals, criterion, self.eps, norm=self.norm, box=box)
        seconds = (time.perf_counter() - started) / len(units)
        after = self.network.forward(made)
        fooled = criterion.success(after)
        results = []
        for i, unit in enumerate(units):
            row = replace(
                self.blank(unit, FOUND if fooled[i] else NOTHING),
                attacked=int(aims[i]),
                distance=float(self.norm.lengths((made[i] - originals[i])[None])[0]),
                original_predicted=int(np.argmax(logits[i])),
                original_lead=_lead(logits[i], unit.label),
                predicted=int(np.argmax(after[i])),
                lead=_lead(after[i], unit.label),
                certified=bool(fooled[i]),
                seconds=seconds,
            )
            row = self._refuted(row, box.violation(made[i]))
            results.append(Finished(row, made[i].reshape(self.network.input_shape)))
        return results

    def blank(self, unit: Instance, status: str) -> BallAttackRow:
        """What is known before an attack; the label that is attacked is not, unless it is true."""
        return BallAttackRow(
            image=unit.key,
            label=unit.label,
            attacked=unit.label,
            method=self.attack.name,
            norm=str(self.norm),
            eps=self.eps,
            clip=self.clip,
            status=status,
            certified=False,
            network=self.network.metadata.name,
            image_sha256=unit.fingerprint,
        )

    def _aims(self, units: Sequence[Instance], logits: FloatArray) -> NDArray[np.intp]:
        """The labels to be missed."""
        if self.attacked is Attacked.PREDICTED:
            return np.asarray(np.argmax(logits, axis=1), dtype=np.intp)
        return np.array([unit.label for unit in units], dtype=np.intp)

    def _box(self) -> Box:
        """Inputs allowed: the network's box, or one that holds every ball about its points."""
        box = fitting_box(self.network, None)
        return box if self.clip else Box(box.lower - self.eps, box.upper + self.eps)

    def _refuted(self, row: BallAttackRow, outside: float) -> BallAttackRow:
        """The row, which is no success where the image is outside of ball or box."""
        length = row.distance if row.distance is not None else np.inf
        if length <= self.eps and outside <= 0.0:
            return row
        message = f"the change has length {row.distance:g}, and {outside:g} is outside of the box"
        return replace(row, status=REFUTED, certified=False, message=message)


def _lead(logits: FloatArray, label: int) -> float:
    """By how much the logit of ``label`` exceeds every other one."""
    return float(logits[label] - np.delete(logits, label).max())


@dataclass(frozen=True)
class Accuracies:
    """What attacks on images left of the accuracy.

    Attributes:
        images: how many there are.
        clean: share that is answered correctly, in [0, 1].
        attacked: share that is answered correctly as attacked.
        fooled: share whose attacked label is missed.
        seconds_failed: mean seconds of an image that was not fooled, None without any.
        seconds_fooled: the same of those that were.
    """

    images: int
    clean: float
    attacked: float
    fooled: float
    seconds_failed: float | None
    seconds_fooled: float | None


def accuracies(rows: Sequence[BallAttackRow]) -> Accuracies:
    """Sum up rows with an answer, at least one."""
    found = [row for row in rows if row.certified]
    others = [row for row in rows if not row.certified]
    # What an attack is not certified to have changed is as it was before.
    leads = [row.lead if row.status != REFUTED else row.original_lead for row in rows]
    return Accuracies(
        len(rows),
        _share([(row.original_lead or 0.0) > 0.0 for row in rows]),
        _share([(lead or 0.0) > 0.0 for lead in leads]),
        len(found) / len(rows),
        _mean_seconds(others),
        _mean_seconds(found),
    )


def _share(flags: Sequence[bool]) -> float:
    return sum(flags) / len(flags)


def _mean_seconds(rows: Sequence[BallAttackRow]) -> float | None:
    seconds = [row.seconds for row in rows if row.seconds is not None]
    return sum(seconds) / len(seconds) if seconds else None
