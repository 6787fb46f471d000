"""What may be claimed once an engine has spoken and the network was run.

Engines claim; :mod:`reluopt.check` measures; this module puts the two together into a status.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias

import numpy as np

from reluopt.check import OBJECTIVE_TOLERANCE, check_logit, check_perturbation
from reluopt.engines.base import EngineAnswer, EngineOptions
from reluopt.network import FloatArray, ReLUNetwork
from reluopt.problems import LogitTask, PerturbationTask
from reluopt.solution import Certificate, Status, relative_gap

Checked: TypeAlias = tuple[FloatArray, Certificate]
"""An image and what the network says about it."""

LOGIT_TOLERANCE = 1e-6
"""Allowed difference between the program's and the network's logits, relative to max(1, |logit|):
what solvers' feasibility tolerances leave."""


def best_certified(
    network: ReLUNetwork,
    task: PerturbationTask,
    alternative: int,
    images: list[FloatArray],
    known: Checked | None = None,
) -> Checked | None:
    """The certified image with the lowest objective; without any, the first that was refused."""
    asked = task.alternatives[alternative]
    checked = [] if known is None else [known]
    checked += [(image, check_perturbation(network, task, asked, image)) for image in images]
    certified = [pair for pair in checked if pair[1].certified]
    if certified:
        return min(certified, key=lambda pair: pair[1].objective)
    return checked[0] if checked else None


def verdict(
    answer: EngineAnswer, best: Checked | None, options: EngineOptions, bare: bool
) -> tuple[Status, str]:
    """What may be claimed after the check."""
    if best is None:
        # No image: the engine's word, except that nothing is optimal without an image.
        claims_image = answer.status in (Status.OPTIMAL, Status.FEASIBLE)
        return (Status.NUMERICAL if claims_image else answer.status), answer.message
    certificate = best[1]
    if not certificate.certified:
        reason = "; ".join(certificate.failures)
        meets_bare = certificate.lead <= 0.0 and len(certificate.failures) == 1
        if bare and meets_bare:
            return Status.NOT_ADVERSARIAL, f"meets the bare condition, but {reason}"
        return Status.NUMERICAL, f"the check refused the engine's image: {reason}"
    excess = answer.bound - certificate.objective
    if excess > OBJECTIVE_TOLERANCE * max(1.0, certificate.objective):
        return (
            Status.NUMERICAL,
            f"the engine's bound {answer.bound:.9g} exceeds the objective "
            f"{certificate.objective:.9g} of a checked image",
        )
    gap = relative_gap(certificate.objective, answer.bound)
    if gap <= options.gap:
        return Status.OPTIMAL, answer.message
    message = answer.message
    if answer.status is Status.OPTIMAL:
        message = f"the engine claims optimality, but the checked gap is {gap:.3g}"
    return Status.FEASIBLE, message


def verdict_of_maximum(
    answer: EngineAnswer, certificate: Certificate, options: EngineOptions
) -> tuple[Status, str]:
    """What may be claimed about a maximised logit."""
    if not certificate.certified:
        return Status.NUMERICAL, "; ".join(certificate.failures)
    value = certificate.objective
    if value - answer.bound > OBJECTIVE_TOLERANCE * max(1.0, abs(value)):
        return Status.NUMERICAL, f"the engine's bound {answer.bound:.9g} is below the logit"
    if relative_gap(value, answer.bound) <= options.gap:
        return Status.OPTIMAL, answer.message
    return Status.FEASIBLE, answer.message


def compare_logits(
    network: ReLUNetwork, task: LogitTask, image: FloatArray, outputs: FloatArray
) -> Certificate:
    """A certificate that also fails when the program's logits are not the network's."""
    certificate = check_logit(network, task.box, task.label, image)
    allowed = LOGIT_TOLERANCE * max(1.0, float(np.abs(certificate.logits).max()))
    worst = float(np.abs(outputs - certificate.logits).max())
    if worst <= allowed:
        return certificate
    failure = f"a logit of the program differs from the forward pass by {worst:.3g}"
    return replace(certificate, certified=False, failures=(*certificate.failures, failure))
