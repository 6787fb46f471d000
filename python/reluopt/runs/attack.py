"""Smallest perturbations for many images: instances in, checked rows out."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from reluopt.engines.base import Engine, EngineOptions, ProgressCallback
from reluopt.engines.proving import ProvingEngine, proving_engine
from reluopt.errors import UnsupportedProblemError
from reluopt.runs.executors import Executor, SerialExecutor
from reluopt.runs.experiment import PROOF, Row
from reluopt.runs.instances import Instance, data_fingerprint
from reluopt.runs.rows import (
    ImageExperiment,
    SolverExperiment,
    check_method,
    image_row,
    limit_row,
    limit_settings,
    method_settings,
    solution_row,
)
from reluopt.runs.runner import Finished as Finished
from reluopt.runs.runner import RunProgress, run_experiment
from reluopt.numerics.arrays import FloatArray
from reluopt.networks.layers.dense import Dense
from reluopt.networks.metadata import NetworkMetadata
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.problems import (
    Margin,
    Measure,
    MinimalPerturbation,
    Blend,
    PerturbationTask,
    ShiftTarget,
    Target,
)
from reluopt.answers.solution import Solution
from reluopt.pipeline import Method, solve

if TYPE_CHECKING:
    from reluopt.runs.store import ResultStore

COLUMNS = (
    "image",
    "label",
    "target",
    "norm",
    "margin_rule",
    "engine",
    "formulation",
    "bounds",
    "status",
    "objective",
    "distance",
    "bound",
    "gap",
    "seconds",
    "nodes",
    "original_predicted",
    "predicted",
    "margin",
    "slack",
    "box_violation",
    "certified",
    "attack_seconds",
    "bounds_seconds",
    "build_seconds",
    "search_seconds",
    "polish_seconds",
    "variables",
    "constraints",
    "binaries",
    "seed",
    "threads",
    "time_limit",
    "network",
    "image_sha256",
    "message",
)
"""Columns of an attack's results; ``margin`` is the lead of the target's logit as measured,
``slack`` the smallest slack of the asked conditions, ``image_sha256`` that of the original."""


TOY_SIZES, TOY_SEED, TOY_SHIFT = (8, 8, 6, 3), 14, 2
"""The toy of :func:`warm_up`: gradient attacks find an image, and the proof needs 11 nodes in L1,
9 in L2."""

WARM_UP_SECONDS = 600.0
"""Time limit of :func:`warm_up`: a search that compiles until its time is up reaches no further
kernels, and they would be compiled within the first instance's time."""


@dataclass(frozen=True)
class AttackSettings:
    """What is asked of every image, and where the network was loaded from.

    Attributes:
        target, norm, margin, smoothness: see :class:`~reluopt.questions.problems.MinimalPerturbation`.
        method: how it is solved.
        network_path: bundled name or file of the network.
    """

    target: Target
    norm: Measure
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
        options = self.method.options
        return {
            "experiment": "attack",
            "network": network.metadata.name,
            "network_path": self.network_path or network.metadata.name,
            "network_sha256": network.fingerprint,
            "target": str(self.target),
            "norm": str(self.norm),
            "margin": str(self.margin),
            **method_settings(self.method),
            "attack": self.method.wants_attack,
            **limit_settings(options),
            "extra": dict(options.extra),
            # Folders of runs without it were written before there was such a setting.
            **({} if self.smoothness is None else {"smoothness": self.smoothness}),
        }

    def asked(self, network: ReLUNetwork, instance: Instance) -> Row:
        """The columns that are known before an instance is solved."""
        return {
            **image_row(network, instance),
            **limit_row(self.method.options),
            "norm": str(self.norm),
            "margin_rule": str(self.margin),
            "original_predicted": int(network.predict(instance.image)),
        }


def solve_instance(
    network: ReLUNetwork,
    instance: Instance,
    settings: AttackSettings,
    progress: ProgressCallback | None = None,
) -> tuple[Row, FloatArray | None]:
    """Solve one instance and write its row."""
    started = time.perf_counter()
    solution = solve(network, settings.problem(instance), settings.method, progress=progress)
    seconds = time.perf_counter() - started
    row = attack_row(network, instance, settings, solution, seconds)
    if solution.proof is not None:
        row[PROOF] = proving_engine(solution.engine).proof_bytes(solution.proof)
    return row, solution.image


def attack_row(
    network: ReLUNetwork,
    instance: Instance,
    settings: AttackSettings,
    solution: Solution,
    seconds: float,
) -> Row:
    """The row of a solved instance."""
    certificate, timings = solution.certificate, solution.timings
    checked: Mapping[str, Any] = (
        {}
        if certificate is None
        else {
            "predicted": certificate.predicted,
            "margin": certificate.lead,
            "slack": certificate.margin,
            "box_violation": certificate.box_violation,
        }
    )
    distance = (
        settings.norm.distance_of(solution.objective)
        if math.isfinite(solution.objective)
        else math.inf
    )
    return {
        **settings.asked(network, instance),
        **solution_row(solution),
        "target": solution.target,
        "objective": solution.objective,
        "distance": distance,
        "bound": solution.bound,
        "gap": solution.gap,
        "seconds": seconds,
        **checked,
        "certified": solution.certified,
        **{
            f"{step}_seconds": getattr(timings, step)
            for step in ("attack", "bounds", "build", "search", "polish")
        },
    }


def warm_up(settings: AttackSettings) -> None:
    """Solve a toy problem by the same method.

    Imports, licences, and the compilation of kernels (once on a machine) then happen before the
    clock of the first instance runs. The toy needs branching in L1 and in L2, so that every kernel
    of a search is reached.
    """
    generator = np.random.default_rng(TOY_SEED)
    layers = tuple(
        Dense(generator.normal(size=(outputs, inputs)), generator.normal(size=outputs))
        for inputs, outputs in itertools.pairwise(TOY_SIZES)
    )
    toy = ReLUNetwork(layers, NetworkMetadata(input_shape=(2, TOY_SIZES[0] // 2)))
    image = np.random.default_rng(TOY_SEED).random(TOY_SIZES[0])
    label = int(toy.predict(image))
    problem = MinimalPerturbation(
        image, label, ShiftTarget(TOY_SHIFT), settings.norm, smoothness=settings.smoothness
    )
    options = replace(settings.method.options, time_limit=WARM_UP_SECONDS)
    solve(toy, problem, replace(settings.method, options=options))


@dataclass(frozen=True, eq=False)
class AttackExperiment(ImageExperiment, SolverExperiment):
    """Smallest perturbations as the runner knows them (:mod:`reluopt.runs.runner`)."""

    network: ReLUNetwork
    settings: AttackSettings

    columns = COLUMNS

    @property
    def options(self) -> EngineOptions:
        """Limits, gap, threads, seed."""
        return self.settings.method.options

    def warm_up(self) -> None:
        """See :func:`warm_up`."""
        warm_up(self.settings)

    def run(
        self, task: Instance, progress: ProgressCallback | None = None
    ) -> tuple[Row, FloatArray | None]:
        """Row and answer (in the network's input shape) of one instance."""
        row, image = solve_instance(self.network, task, self.settings, progress)
        return row, None if image is None else image.reshape(self.network.input_shape)

    def failed(self, task: Instance, status: str, message: str) -> Row:
        """The row of an instance whose solve crashed."""
        return {
            **self.settings.asked(self.network, task),
            "engine": self.settings.method.engine,
            "formulation": self.settings.method.formulation_name,
            "status": status,
            "certified": False,
            "message": message,
        }


def _keeps_proofs(engine: Engine, task: PerturbationTask) -> bool:
    """Whether the engine can write down a proof of such tasks."""
    return isinstance(engine, ProvingEngine) and engine.keeps_proofs(task)


def check_targets(
    network: ReLUNetwork, instances: Sequence[Instance], settings: AttackSettings
) -> None:
    """Refuse what cannot work before anything is compiled or solved.

    Raises:
        InputError: see :meth:`~reluopt.questions.problems.MinimalPerturbation.task`, or the engine cannot do
            what the method asks.
        UnsupportedProblemError: the engine cannot solve such problems, or not keep proofs of them.
        EngineUnavailableError: the engine is not usable on this machine.
    """
    method = settings.method
    one_of_each_label = {instance.label: instance for instance in instances}
    tasks = [settings.problem(each).task(network) for each in one_of_each_label.values()]
    for task in tasks[:1]:  # which engine can solve them is the same for all
        engine = check_method(network, method, task)
        if method.options.extra.get("proof") and not _keeps_proofs(engine, task):
            found = "" if method.engine == engine.name else f", which is {engine.name} here"
            raise UnsupportedProblemError(
                f"--proof: expected an engine that keeps proofs (bnb, for L1 and L2), found engine "
                f"{method.engine}{found} for {task.norm.label}"
            )


def run_attack(
    network: ReLUNetwork,
    instances: Sequence[Instance],
    settings: AttackSettings,
    store: ResultStore | None,
    on_finished: Callable[[Finished], None] = lambda _: None,
    progress: ProgressCallback | None = None,
    *,
    executor: Executor | None = None,
    session: Mapping[str, Any] | None = None,
    on_progress: Callable[[RunProgress], None] = lambda _: None,
) -> list[Finished]:
    """Run all instances that ``store`` does not hold yet.

    Args:
        network: the network.
        instances: what to run.
        settings: what is asked.
        store: where finished rows go; None keeps them in memory only.
        on_finished: called for each instance, first for those of an earlier session.
        progress: called during each solve, unless an ``executor`` is given.
        executor: where to compute; None means one after the other in this process.
        session: what else ``run.json`` shall tell of this session.
        on_progress: called after each instance with counts, median and time to go.

    Returns:
        One entry for each instance, in their order.

    Raises:
        ReluoptError: see :func:`~reluopt.runs.runner.run_experiment`.
    """
    check_targets(network, instances, settings)
    return run_experiment(
        AttackExperiment(network, settings),
        instances,
        store,
        SerialExecutor(progress) if executor is None else executor,
        session={"data_sha256": data_fingerprint(instances), **(session or {})},
        on_finished=on_finished,
        on_progress=on_progress,
    )
