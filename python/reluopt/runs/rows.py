"""What rows and settings of several experiments have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from reluopt.runs.experiment import Row, hard_limit
from reluopt.networks.layers.dense import Dense
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.problems import Box, Task
from reluopt.pipeline import engine_for

if TYPE_CHECKING:
    from reluopt.engines.base import Engine, EngineOptions
    from reluopt.runs.instances import Instance
    from reluopt.answers.solution import Solution
    from reluopt.pipeline import Method


class ImageExperiment:
    """An experiment whose tasks are images."""

    def identify(self, task: Instance) -> dict[str, Any]:
        """A row stands for the image with these pixels and this true label only."""
        return {"image_sha256": task.fingerprint, "label": task.label}


class SolverExperiment(ABC):
    """An experiment whose tasks are solved under an engine's options."""

    @property
    @abstractmethod
    def options(self) -> EngineOptions:
        """Limits, gap, threads, seed."""

    @property
    def threads(self) -> int:
        """Solver threads."""
        return self.options.threads

    @property
    def hard_limit(self) -> float:
        """Seconds after which a worker process is killed."""
        return hard_limit(self.options.time_limit)


def check_method(
    network: ReLUNetwork, method: Method, task: Task | None = None
) -> Engine:
    """Refuse a method that cannot work before a folder is made or anything is compiled.

    Args:
        network: the network.
        method: how it shall be asked.
        task: what shall be asked; None means logits.

    Returns:
        The engine that will be asked.

    Raises:
        InputError: the engine cannot do what the method asks.
        UnsupportedProblemError: the engine cannot solve such tasks.
        EngineUnavailableError: the engine is not usable on this machine.
    """
    asked = Task.largest_logit(0, Box.unit(network.input_size)) if task is None else task
    return engine_for(method, asked, network)


def toy_network() -> ReLUNetwork:
    """Two inputs, three hidden neurons, two labels: for a solve that only loads what it needs."""
    return ReLUNetwork((Dense(np.eye(3, 2), np.zeros(3)), Dense(np.eye(2, 3), np.zeros(2))))


def network_settings(network: ReLUNetwork) -> dict[str, Any]:
    """Name and fingerprint of the network, as settings of a run."""
    return {"network": network.metadata.name, "network_sha256": network.fingerprint}


def method_settings(method: Method) -> dict[str, Any]:
    """Engine, formulation and bounds as asked, as settings of a run."""
    return {"engine": method.engine, "formulation": method.formulation_name,
            "bounds": method.bounds_name}


def limit_settings(options: EngineOptions) -> dict[str, Any]:
    """Limits, gap, threads and seed, as settings of a run."""
    return {
        "time_limit": options.time_limit,
        "gap": options.gap,
        "threads": options.threads,
        "seed": options.seed,
    }


def image_row(network: ReLUNetwork, instance: Instance) -> Row:
    """Columns that tell image and network."""
    return {
        "image": instance.key,
        "label": instance.label,
        "network": network.metadata.name,
        "image_sha256": instance.fingerprint,
    }


def limit_row(options: EngineOptions) -> Row:
    """Columns that tell the options."""
    return {
        "seed": options.seed,
        "threads": options.threads,
        "time_limit": options.time_limit,
    }


def solution_row(solution: Solution) -> Row:
    """Columns that tell how a problem was solved, the size of its program, and the message."""
    return {
        "engine": solution.engine,
        "formulation": solution.formulation,
        "bounds": solution.bounds,
        "status": str(solution.status),
        "nodes": solution.nodes,
        **{name: solution.size.get(name) for name in ("variables", "constraints", "binaries")},
        "message": solution.message,
    }
