"""Recompute a finished run from its files alone, trusting none of its numbers.

For every row the network is loaded anew (and must be the very same one, by its fingerprint), the
original image is read again, the stored answer goes through the forward pass, and norm, box,
margins, label, gap and status are compared with what the row says.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reluopt.check import check_perturbation
from reluopt.errors import InputError
from reluopt.experiments.instances import load_instances
from reluopt.experiments.store import Row, read_store
from reluopt.network import FloatArray, ReLUNetwork
from reluopt.problems import (
    MinimalPerturbation,
    Norm,
    PerturbationTask,
    parse_margin,
    parse_target,
)
from reluopt.solution import Certificate, Status, relative_gap
from reluopt.zoo import open_network

AGREEMENT = 1e-9
"""Allowed relative difference between stored and recomputed numbers. Both are float64 sums of the
same terms; another BLAS may add them in another order, which changes the last few bits."""


@dataclass(frozen=True)
class Verified:
    """What verification found out about one row.

    Attributes:
        image: key of the instance.
        status: status that the row claims.
        failures: one sentence for each thing that is not as the row says; empty when all is well.
    """

    image: str
    status: str
    failures: tuple[str, ...]


def verify_run(
    folder: Path, network_name: str | None = None, data_dir: Path | None = None
) -> Iterator[Verified]:
    """Verify all rows of a run.

    Args:
        folder: a folder written by ``reluopt attack --out``.
        network_name: weights to use; by default what the run recorded.
        data_dir: folder of idx files, if the run used one.

    Raises:
        InputError: the folder holds no such run, or the network is another one.
    """
    settings = _settings(folder)
    network = open_network(network_name or str(settings["network_path"]))
    if network.fingerprint != settings["network_sha256"]:
        raise InputError(
            f"{folder}: expected the network with SHA-256 {settings['network_sha256']}, found "
            f"{network.fingerprint}"
        )
    for row, image in read_store(folder):
        failures = _verify_row(network, settings, row, image, data_dir)
        yield Verified(str(row["image"]), str(row["status"]), tuple(failures))


def _settings(folder: Path) -> dict[str, Any]:
    path = folder / "run.json"
    try:
        settings: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["settings"]
        if settings["experiment"] == "attack":
            return settings
    except FileNotFoundError:
        raise InputError(f"{folder}: expected a result folder, found no run.json") from None
    except (ValueError, KeyError, TypeError):
        pass
    raise InputError(f"{path}: expected the record of an attack, found something else")


def _verify_row(
    network: ReLUNetwork,
    settings: dict[str, Any],
    row: Row,
    image: FloatArray | None,
    data_dir: Path | None,
) -> list[str]:
    """Everything that is wrong with one row."""
    certified = _flag(row["certified"])
    if image is None:
        claims = certified or row["status"] in (Status.OPTIMAL, Status.FEASIBLE)
        return ["an answer is claimed, but no image is stored"] if claims else []
    label = int(float(row["label"]))
    instance = load_instances(network, [str(row["image"])], data_dir, label)[0]
    failures = [] if instance.label == label else [f"the true label is {instance.label}"]
    norm = Norm(settings["norm"])
    task = MinimalPerturbation(
        instance.image,
        label,
        parse_target(settings["target"]),
        norm,
        parse_margin(settings["margin"]),
    ).task(network)
    certificate = _certificate(network, task, row, image.reshape(-1))
    if certificate is None:
        return [*failures, f"target {row['target']} was not asked for"]
    if certified and not certificate.certified:
        failures += certificate.failures
    if certificate.certified and not certified:
        failures.append("the row denies an answer that passes the check")
    recomputed = {
        "predicted": float(certificate.predicted),
        "margin": certificate.lead,
        "slack": certificate.margin,
        **({"objective": certificate.objective, "distance": certificate.distance} if certified
           else {}),
    }  # fmt: skip
    for name, value in recomputed.items():
        if not _close(row[name], value):
            failures.append(f"{name} is {value:.12g}, not {row[name]}")
    return failures + _status_failures(row, certificate, float(settings["gap"]))


def _certificate(
    network: ReLUNetwork, task: PerturbationTask, row: Row, image: FloatArray
) -> Certificate | None:
    """The check of the answer against the alternative that the row names."""
    target = int(float(row["target"]))
    for alternative in task.alternatives:
        if alternative.target == target:
            return check_perturbation(network, task, alternative, image)
    return None


def _status_failures(row: Row, certificate: Certificate, gap_tolerance: float) -> list[str]:
    """Whether status and gap follow from objective and bound."""
    failures = []
    bound = math.inf if row["bound"] is None else float(row["bound"])
    gap = relative_gap(certificate.objective, bound)
    if _flag(row["certified"]) and row["gap"] is not None and not _close(row["gap"], gap):
        failures.append(f"gap is {gap:.3g}, not {row['gap']}")
    if row["status"] == Status.OPTIMAL and not (certificate.certified and gap <= gap_tolerance):
        failures.append(f"OPTIMAL is claimed with a gap of {gap:.3g}")
    return failures


def _flag(value: Any) -> bool:
    return str(value) == "True"


def _close(stored: Any, value: float) -> bool:
    """Whether a stored number is the recomputed one, up to rounding."""
    return stored is not None and abs(float(stored) - value) <= AGREEMENT * max(1.0, abs(value))
