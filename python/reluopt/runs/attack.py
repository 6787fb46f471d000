"""Smallest perturbations for many images: instances in, checked rows out."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from reluopt.answers.solution import Solution
from reluopt.method import Method
from reluopt.networks.layers.base import Dense
from reluopt.networks.metadata import NetworkMetadata
from reluopt.networks.network import ReLUNetwork
from reluopt.pipeline import solve
from reluopt.questions.problems import (
    Margin,
    MinimalPerturbation,
    Norm,
    ShiftTarget,
    Target,
)
from reluopt.runs.instances import Instance
from reluopt.runs.row import AttackRow
from reluopt.runs.solving import (
    ImageJob,
    SolverJob,
    limit_settings,
    nearest,
    network_settings,
)

TOY_SIZES, TOY_SEED, TOY_SHIFT = (8, 8, 6, 3), 14, 2
"""The toy of the warm-up: gradient attacks find an image, and the proof needs 11 nodes in L1, 9 in
L2."""

WARM_UP_SECONDS = 600.0
"""Time limit of the warm-up: a search that compiles until its time is up reaches no further
kernels, and they would be compiled within the first instance's time."""


@dataclass(frozen=True)
class AttackSettings:
    """What is asked of every image, and where the network was loaded from.

    Attributes:
        target, norm, margin, smoothness: see
            :class:`~reluopt.questions.problems.MinimalPerturbation`.
        method: how it is solved.
        network_path: bundled name or file of the network.
    """

    target: Target
    norm: Norm
    margin: Margin
    method: Method
    network_path: str = ""
    smoothness: float | None = None

    def problem(self, instance: Instance) -> MinimalPerturbation:
        """What is asked of one image."""
        return MinimalPerturbation(
            instance.image,
            instance.label,
            self.target,
            self.norm,
            self.margin,
            smoothness=self.smoothness,
        )

    def describe(self, network: ReLUNetwork) -> dict[str, Any]:
        """Everything that determines the results, JSON-serialisable."""
        method = self.method
        return {
            "experiment": "attack",
            **network_settings(network),
            "network_path": self.network_path or network.metadata.name,
            "target": str(self.target),
            "norm": str(self.norm),
            "margin": str(self.margin),
            "engine": method.engine,
            "formulation": method.formulation_name,
            "bounds": method.bounds_name,
            "attack": method.wants_attack,
            **limit_settings(method.options),
            "extra": dict(method.options.extra),
            # Folders of runs without it were written before there was such a setting.
            **({} if self.smoothness is None else {"smoothness": self.smoothness}),
        }


@dataclass(frozen=True, eq=False)
class AttackJob(ImageJob[AttackRow], SolverJob[Instance, AttackRow]):
    """Find smallest perturbations."""

    network: ReLUNetwork
    settings: AttackSettings

    row_class = AttackRow

    @property
    def method(self) -> Method:
        """How each image is solved."""
        return self.settings.method

    def describe(self) -> dict[str, Any]:
        """Everything that determines the results, JSON-serialisable."""
        return self.settings.describe(self.network)

    def warm_up(self) -> None:
        """Solve a toy problem by the same method.

        Imports, licences, and the compilation of kernels (once on a machine) then happen before
        the clock of the first instance runs. The toy needs branching in L1 and in L2, so that
        every kernel of a search is reached.
        """
        generator = np.random.default_rng(TOY_SEED)
        layers = tuple(
            Dense(generator.normal(size=(outputs, inputs)), generator.normal(size=outputs))
            for inputs, outputs in itertools.pairwise(TOY_SIZES)
        )
        toy = ReLUNetwork(layers, NetworkMetadata(input_shape=(2, TOY_SIZES[0] // 2)))
        image = np.random.default_rng(TOY_SEED).random(TOY_SIZES[0])
        settings, label = self.settings, int(toy.predict(image))
        problem = MinimalPerturbation(
            image, label, ShiftTarget(TOY_SHIFT), settings.norm, smoothness=settings.smoothness
        )
        options = replace(self.options, time_limit=WARM_UP_SECONDS)
        solve(toy, problem, replace(self.method, options=options))

    def problem(self, unit: Instance) -> MinimalPerturbation:
        """What is asked of one image."""
        return self.settings.problem(unit)

    def row(self, unit: Instance, solution: Solution, seconds: float) -> AttackRow:
        """The row of a solved instance."""
        certificate = solution.certificate
        return replace(
            self.blank(unit, str(solution.status)),
            target=solution.target,
            predicted=None if certificate is None else certificate.predicted,
            **nearest(solution, self.settings.norm, seconds),
        )

    def blank(self, unit: Instance, status: str) -> AttackRow:
        """All that is known without an answer."""
        return AttackRow(
            image=unit.key,
            label=unit.label,
            norm=str(self.settings.norm),
            margin_rule=str(self.settings.margin),
            engine=self.method.engine,
            formulation=self.method.formulation_name,
            status=status,
            original_predicted=int(self.network.predict(unit.image)),
            certified=False,
            image_sha256=unit.fingerprint,
            **self.limits(),
        )

    def check_targets(self, instances: Sequence[Instance]) -> None:
        """Refuse what cannot work before anything is compiled or solved.

        Raises:
            InputError: see :meth:`~reluopt.questions.problems.MinimalPerturbation.task`, or the
                engine cannot do what the method asks.
            UnsupportedProblemError: the engine cannot solve such problems, or not keep proofs of
                them.
            EngineUnavailableError: the engine is not usable on this machine.
        """
        one_of_each_label = {instance.label: instance for instance in instances}
        problems = [self.settings.problem(each) for each in one_of_each_label.values()]
        tasks = [problem.task(self.network) for problem in problems]
        for task in tasks[:1]:  # which engine can solve them is the same for all
            self.refuse_engine(task)
