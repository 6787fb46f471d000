"""One smallest change for several images: a set of instances in, one checked row out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from reluopt.answers.solution import Solution
from reluopt.method import Method
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray
from reluopt.questions.problems import UniversalPerturbation
from reluopt.runs.attack import AttackJob, AttackSettings
from reluopt.runs.instances import Instance, data_fingerprint
from reluopt.runs.row import UniversalRow
from reluopt.runs.solving import SolverJob, nearest

MOST_NAMED = 3
"""Images that the key of a set names; the settings of a run name all of them."""


@dataclass(frozen=True, eq=False)
class ImageSet:
    """The images that one change is for, with a name of their own."""

    instances: tuple[Instance, ...]

    @property
    def key(self) -> str:
        """``test:0 + test:1``, of many images ``test:0 + 5 more``."""
        keys = [each.key for each in self.instances]
        shown = keys if len(keys) <= MOST_NAMED else [keys[0], f"{len(keys) - 1} more"]
        return " + ".join(shown)

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of keys, labels and pixels."""
        return data_fingerprint(self.instances)

    @property
    def labels(self) -> list[int]:
        """The true label of each."""
        return [each.label for each in self.instances]

    @property
    def images(self) -> list[FloatArray]:
        """The pixels of each, shape ``(n_0,)``."""
        return [each.image for each in self.instances]

    def answers(self, network: ReLUNetwork, change: FloatArray | float = 0.0) -> str:
        """What the network answers to each after a change, as rows tell it."""
        return in_words(network.predict(np.stack(self.images) + change))


def in_words(labels: Iterable[Any]) -> str:
    """Labels as a cell holds them: ``7 2 1``."""
    return " ".join(str(int(label)) for label in labels)


@dataclass(frozen=True, eq=False)
class UniversalJob(SolverJob[ImageSet, UniversalRow]):
    """Find the smallest change that all images share.

    Attributes:
        network: the network.
        settings: what is asked of every image, and how it is solved.
        images: the images. They determine the answer, and are settings of the run.
    """

    network: ReLUNetwork
    settings: AttackSettings
    images: ImageSet

    row_class = UniversalRow

    @property
    def method(self) -> Method:
        """How it is solved."""
        return self.settings.method

    def describe(self) -> dict[str, Any]:
        """Everything that determines the results, JSON-serialisable."""
        keys = [each.key for each in self.images.instances]
        told = {"experiment": "universal", "images": keys, "labels": self.images.labels}
        return {**self.settings.describe(self.network), **told}

    def identify(self, unit: ImageSet) -> dict[str, Any]:
        """A row stands for images with these pixels and these true labels only."""
        return {"images_sha256": unit.fingerprint, "labels": in_words(unit.labels)}

    def warm_up(self) -> None:
        """Imports, licences and compilation."""
        AttackJob(self.network, self.settings).warm_up()

    def problem(self, unit: ImageSet) -> UniversalPerturbation:
        """What is asked of the images."""
        asked = self.settings
        return UniversalPerturbation(
            unit.images, unit.labels, asked.target, asked.norm, asked.margin
        )

    def row(self, unit: ImageSet, solution: Solution, seconds: float) -> UniversalRow:
        """The row of a solved set."""
        change = solution.image
        return replace(
            self.blank(unit, str(solution.status)),
            targets=in_words(solution.targets),
            answers=None if change is None else unit.answers(self.network, change),
            **nearest(solution, self.settings.norm, seconds),
        )

    def blank(self, unit: ImageSet, status: str) -> UniversalRow:
        """All that is known without an answer."""
        return UniversalRow(
            image=unit.key,
            labels=in_words(unit.labels),
            norm=str(self.settings.norm),
            margin_rule=str(self.settings.margin),
            engine=self.method.engine,
            formulation=self.method.formulation_name,
            status=status,
            original_answers=unit.answers(self.network),
            certified=False,
            images_sha256=unit.fingerprint,
            **self.limits(),
        )

    def check(self) -> None:
        """Refuse what cannot work before a folder is made or anything is compiled.

        Raises:
            InputError: see :meth:`~reluopt.questions.problems.UniversalPerturbation.task`, or the
                engine cannot do what the method asks.
            UnsupportedProblemError: the engine cannot solve such problems, or not keep proofs of
                them.
            EngineUnavailableError: the engine is not usable on this machine.
        """
        asked = self.problem(self.images)
        self.refuse_engine(asked.task(self.network), asked.posed(self.network))
