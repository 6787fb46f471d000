"""How far attacks think an image is from misclassification: distances without proof.

The rows answer the same question as an untargeted :mod:`~reluopt.runs.attack`, by an attack
that proves nothing, so that its distance can be held against the exact one. Every image that an
attack returns goes through the same check as an engine's answer.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np

from reluopt.answers.check import check_perturbation
from reluopt.attacks import shortest
from reluopt.attacks.linear_regions import find_incumbent
from reluopt.engines.base import ProgressCallback
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray
from reluopt.questions.problems import (
    AnyTarget,
    Margin,
    MinimalPerturbation,
    Norm,
    Task,
)
from reluopt.runs.instances import Instance
from reluopt.runs.job import Finished
from reluopt.runs.row import UpperBoundRow
from reluopt.runs.solving import ImageJob, network_settings

FOUND, NOTHING, REFUTED = "FOUND", "NOTHING", "REFUTED"
"""Statuses: an image that passed the check, no image, an image that did not pass."""


class Attack(StrEnum):
    """Which attack looks for the nearest image.

    * ``PGD``: :func:`~reluopt.attacks.shortest.shortest_pgd`.
    * ``REGION``: :func:`~reluopt.attacks.linear_regions.find_incumbent`.
    """

    PGD = "pgd"
    REGION = "region"


@dataclass(frozen=True, eq=False)
class UpperBoundJob(ImageJob[UpperBoundRow]):
    """Find distances by an attack.

    Attributes:
        network: the network.
        attack: what looks for images.
        norm: how distance is measured.
        margin: by how much a wrong label must lead.
        seed: seed of random starts.
    """

    network: ReLUNetwork
    attack: Attack
    norm: Norm
    margin: Margin
    seed: int = 0

    row_class = UpperBoundRow

    def describe(self) -> dict[str, Any]:
        """Everything that determines the results, JSON-serialisable."""
        settings = {
            "experiment": "estimate",
            **network_settings(self.network),
            "attack": str(self.attack),
            "target": "any",
            "norm": str(self.norm),
            "margin": str(self.margin),
            "seed": self.seed,
        }
        if self.attack is Attack.PGD:
            settings |= {
                "steps": shortest.STEPS,
                "restarts": shortest.RESTARTS,
                "precision": shortest.PRECISION,
            }
        return settings

    def warm_up(self) -> None:
        """Load (or compile) kernels before the clock of the first image runs."""
        toy = Instance("warm up", np.zeros(self.network.input_size), 0)
        self._find(toy, self._task(toy))

    def run(
        self, unit: Instance, progress: ProgressCallback | None = None
    ) -> Finished[UpperBoundRow]:
        """Row and image (in the network's input shape) of one instance.

        Nothing ends it: both attacks stop after a fixed number of steps.
        """
        del progress
        asked = self._task(unit)
        started = time.perf_counter()
        found = self._find(unit, asked)
        row = replace(self.blank(unit, NOTHING), seconds=time.perf_counter() - started)
        if found is None:
            return Finished(row)
        return Finished(self._checked(row, asked, found), found.reshape(self.network.input_shape))

    def blank(self, unit: Instance, status: str) -> UpperBoundRow:
        """What is known before an attack."""
        return UpperBoundRow(
            image=unit.key,
            label=unit.label,
            norm=str(self.norm),
            margin_rule=str(self.margin),
            attack=str(self.attack),
            status=status,
            certified=False,
            seed=self.seed,
            network=self.network.metadata.name,
            image_sha256=unit.fingerprint,
        )

    def _task(self, instance: Instance) -> Task:
        problem = MinimalPerturbation(
            instance.image, instance.label, AnyTarget(), self.norm, self.margin
        )
        return problem.task(self.network)

    def _find(self, instance: Instance, task: Task) -> FloatArray | None:
        """The image that the attack finds."""
        if self.attack is Attack.REGION:
            incumbent = find_incumbent(self.network, task, seed=self.seed)
            return None if incumbent is None else incumbent.image
        return shortest.shortest_pgd(
            self.network,
            instance.image,
            instance.label,
            norm=self.norm,
            margin=self.margin,
            seed=self.seed,
        )

    def _checked(self, row: UpperBoundRow, task: Task, image: FloatArray) -> UpperBoundRow:
        """What the check says about an image: its answer is the label that leads."""
        target = int(self.network.predict(image))
        alternatives = [each for each in task.alternatives if each.target == target]
        if not alternatives:
            return replace(row, status=REFUTED, predicted=target)
        certificate = check_perturbation(self.network, task, alternatives[0], image)
        return replace(
            row,
            target=target,
            status=FOUND if certificate.certified else REFUTED,
            distance=certificate.distance,
            predicted=certificate.predicted,
            margin=certificate.lead,
            certified=certificate.certified,
            message="; ".join(certificate.failures),
        )
