"""Smallest perturbations for many images: instances in, checked rows out."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from reluopt.engines.base import ProgressCallback
from reluopt.errors import ReluoptError
from reluopt.experiments.instances import Instance
from reluopt.experiments.store import ResultStore, Row
from reluopt.network import Dense, FloatArray, ReLUNetwork
from reluopt.problems import FixedTarget, Margin, MinimalPerturbation, Norm, Target
from reluopt.solution import Solution
from reluopt.solve import Method, solve

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
    "message",
)
"""Columns of an attack's results; ``margin`` is the lead of the target's logit as measured,
``slack`` the smallest slack of the asked conditions."""


@dataclass(frozen=True)
class AttackSettings:
    """What is asked of every image, and where the network was loaded from."""

    target: Target
    norm: Norm
    margin: Margin
    method: Method
    network_path: str = ""

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
            "engine": self.method.engine,
            "formulation": self.method.formulation,
            "bounds": self.method.bounds,
            "attack": self.method.wants_attack,
            "time_limit": options.time_limit,
            "gap": options.gap,
            "threads": options.threads,
            "seed": options.seed,
            "extra": dict(options.extra),
        }


@dataclass(frozen=True, eq=False)
class Finished:
    """One finished instance."""

    row: Row
    image: FloatArray | None
    resumed: bool


def solve_instance(
    network: ReLUNetwork,
    instance: Instance,
    settings: AttackSettings,
    progress: ProgressCallback | None = None,
) -> tuple[Row, FloatArray | None]:
    """Solve one instance and write its row; a failure of its own becomes a row as well."""
    problem = MinimalPerturbation(
        instance.image, instance.label, settings.target, settings.norm, settings.margin
    )
    started = time.perf_counter()
    solution = solve(network, problem, settings.method, progress=progress)
    seconds = time.perf_counter() - started
    return attack_row(network, instance, settings, solution, seconds), solution.image


def attack_row(
    network: ReLUNetwork,
    instance: Instance,
    settings: AttackSettings,
    solution: Solution,
    seconds: float,
) -> Row:
    """The row of a solved instance."""
    certificate, timings, options = solution.certificate, solution.timings, settings.method.options
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
        "image": instance.key,
        "label": instance.label,
        "target": solution.target,
        "norm": str(settings.norm),
        "margin_rule": str(settings.margin),
        "engine": solution.engine,
        "formulation": solution.formulation,
        "bounds": solution.bounds,
        "status": str(solution.status),
        "objective": solution.objective,
        "distance": distance,
        "bound": solution.bound,
        "gap": solution.gap,
        "seconds": seconds,
        "nodes": solution.nodes,
        "original_predicted": int(network.predict(instance.image)),
        **checked,
        "certified": solution.certified,
        **{
            f"{step}_seconds": getattr(timings, step)
            for step in ("attack", "bounds", "build", "search", "polish")
        },
        **{name: solution.size.get(name) for name in ("variables", "constraints", "binaries")},
        "seed": options.seed,
        "threads": options.threads,
        "time_limit": options.time_limit,
        "network": network.metadata.name,
        "message": solution.message,
    }


def warm_up(settings: AttackSettings) -> None:
    """Solve a toy problem by the same method.

    Imports, licences, and the compilation of kernels (once on a machine) then happen before the
    clock of the first instance runs.
    """
    layers = (Dense(np.eye(3, 2), np.zeros(3)), Dense(np.eye(2, 3), np.array([0.0, 0.1])))
    toy = ReLUNetwork(layers)
    problem = MinimalPerturbation(np.array([0.2, 0.6]), 1, FixedTarget(0), settings.norm)
    solve(toy, problem, settings.method)


def run_attack(
    network: ReLUNetwork,
    instances: Sequence[Instance],
    settings: AttackSettings,
    store: ResultStore | None,
    on_finished: Callable[[Finished], None],
    progress: ProgressCallback | None = None,
) -> None:
    """Run all instances that ``store`` does not hold yet.

    Args:
        network: the network.
        instances: what to run, in order.
        settings: what is asked.
        store: where finished rows go; None keeps nothing.
        on_finished: called after each instance, in order, also for those of an earlier run.
        progress: called during each solve.

    Raises:
        ReluoptError: the settings cannot work for any instance (a wrong engine, say). Finished
            rows are in the store by then.
    """
    done = {} if store is None else store.done
    if any(instance.key not in done for instance in instances):
        warm_up(settings)
    for instance in instances:
        if instance.key in done and store is not None:
            on_finished(Finished(done[instance.key], store.image(instance.key), resumed=True))
            continue
        row, image = _isolated(network, instance, settings, progress)
        shaped = None if image is None else image.reshape(network.input_shape)
        if store is not None:
            store.append(row, shaped)
        on_finished(Finished(row, shaped, resumed=False))


def _isolated(
    network: ReLUNetwork,
    instance: Instance,
    settings: AttackSettings,
    progress: ProgressCallback | None,
) -> tuple[Row, FloatArray | None]:
    """Solve one instance; an unexpected failure is a row with its error, not the end."""
    try:
        return solve_instance(network, instance, settings, progress)
    except ReluoptError:
        raise
    except Exception as error:
        row: Row = {
            "image": instance.key,
            "label": instance.label,
            "norm": str(settings.norm),
            "margin_rule": str(settings.margin),
            "engine": settings.method.engine,
            "status": "NUMERICAL",
            "certified": False,
            "network": network.metadata.name,
            "message": f"{type(error).__name__}: {error}",
        }
        return row, None
