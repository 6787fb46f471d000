"""What may be claimed once an engine has spoken and the network was run.

Engines claim; :mod:`reluopt.answers.check` measures; this module puts the two together into a
status.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from reluopt.answers.answer import EngineAnswer
from reluopt.answers.check import (
    OBJECTIVE_TOLERANCE,
    check_logit,
    check_maximum,
    check_perturbation,
)
from reluopt.answers.solution import Certificate, Incumbent, Status, relative_gap
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray
from reluopt.questions.input_sets import Box
from reluopt.questions.tasks import Logits, Task

ALREADY_ANSWERED = "the unchanged image is an answer already"
"""Message of problems whose answer is no change at all."""

NO_NUMBER = "the engine's bound is not a number"
"""Message of answers from which nothing follows."""

LOGIT_TOLERANCE = 1e-6
"""Allowed difference between the program's and the network's logits, relative to max(1, |logit|):
what solvers' feasibility tolerances leave."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """An image with the alternative it claims to meet, and what the network says.

    Attributes:
        image: shape ``(n_0,)``.
        alternative: index of the alternative.
        certificate: the check of the image against that alternative.
    """

    image: FloatArray
    alternative: int
    certificate: Certificate

    @property
    def only_fools_nobody(self) -> bool:
        """Whether the network's own answer is all that is wrong."""
        return self.certificate.lead <= 0.0 and len(self.certificate.failures) == 1


def best_answer(
    network: ReLUNetwork, task: Task, found: Sequence[Incumbent], bare: bool
) -> Candidate | None:
    """The certified image with the lowest objective; without any, the first that was refused.

    Args:
        network: the network.
        task: what was asked.
        found: images with the alternatives they claim to meet, the engine's first.
        bare: whether the bare condition was asked for; an image that meets it counts then, even
            if it fools nobody, so that such optima are seen and not hidden by worse images.
    """
    checked = [
        Candidate(
            item.image,
            item.alternative,
            check_perturbation(network, task, task.alternatives[item.alternative], item.image),
        )
        for item in found
    ]
    counted = [c for c in checked if c.certificate.certified or (bare and c.only_fools_nobody)]
    if counted:
        return min(counted, key=lambda candidate: candidate.certificate.objective)
    return checked[0] if checked else None


def verdict(
    answer: EngineAnswer, best: Candidate | None, tolerated: float, bare: bool
) -> tuple[Status, str]:
    """What may be claimed after the check; ``bare`` as for :func:`best_answer`."""
    if best is None:
        return verdict_without_image(answer)
    if math.isnan(answer.bound):
        return Status.NUMERICAL, NO_NUMBER
    certificate = best.certificate
    reason = "; ".join(certificate.failures)
    if not certificate.certified and not (bare and best.only_fools_nobody):
        return Status.NUMERICAL, f"the check refused the engine's image: {reason}"
    objective = certificate.objective
    if not answer.bound - objective <= OBJECTIVE_TOLERANCE * max(1.0, objective):
        return Status.NUMERICAL, (
            f"the engine's bound {answer.bound:.9g} exceeds the objective {objective:.9g} of a "
            "checked image"
        )
    gap = relative_gap(objective, answer.bound)
    if not certificate.certified:
        proven = "the optimum of" if gap <= tolerated else "an image that meets"
        return Status.NOT_ADVERSARIAL, f"{proven} the bare condition, but {reason}"
    if not gap <= tolerated:
        claimed = f"the engine claims optimality, but the checked gap is {gap:.3g}"
        return Status.FEASIBLE, claimed if answer.status is Status.OPTIMAL else answer.message
    return Status.OPTIMAL, ALREADY_ANSWERED if objective == 0.0 else answer.message


def verdict_without_image(answer: EngineAnswer) -> tuple[Status, str]:
    """The engine's word, except that nothing is optimal without an image."""
    if math.isnan(answer.bound):
        return Status.NUMERICAL, NO_NUMBER
    claims_image = answer.status in (Status.OPTIMAL, Status.FEASIBLE)
    return (Status.NUMERICAL if claims_image else answer.status), answer.message


def verdict_of_maximum(
    answer: EngineAnswer, certificate: Certificate, tolerated: float
) -> tuple[Status, str]:
    """What may be claimed about a maximised logit."""
    if math.isnan(answer.bound):
        return Status.NUMERICAL, NO_NUMBER
    if not certificate.certified:
        return Status.NUMERICAL, "; ".join(certificate.failures)
    value = certificate.objective
    if not value - answer.bound <= OBJECTIVE_TOLERANCE * max(1.0, abs(value)):
        return Status.NUMERICAL, f"the engine's bound {answer.bound:.9g} is below the logit"
    if relative_gap(value, answer.bound) <= tolerated:
        return Status.OPTIMAL, answer.message
    return Status.FEASIBLE, answer.message


def compare_logits(
    network: ReLUNetwork, box: Box, image: FloatArray, outputs: FloatArray
) -> Certificate:
    """A certificate that also fails when the program's logits are not the network's."""
    certificate = check_logit(network, box, 0, image)
    allowed = LOGIT_TOLERANCE * max(1.0, float(np.abs(certificate.logits).max()))
    with np.errstate(invalid="ignore"):  # a difference of infinities is no agreement
        worst = float(np.abs(outputs - certificate.logits).max())
    if worst <= allowed:
        return certificate
    failure = f"a logit of the program differs from the forward pass by {worst:.3g}"
    return replace(certificate, certified=False, failures=(*certificate.failures, failure))


@dataclass(frozen=True, eq=False)
class Verdict:
    """What may be told of an answer.

    Attributes:
        status: what may be claimed.
        message: one line in words when something needs saying.
        target: the label that was asked for or reached, or None.
        image: the answer, or None.
        certificate: the check of ``image``.
        without: the objective where no image was found.
    """

    status: Status
    message: str
    target: int | None
    image: FloatArray | None = None
    certificate: Certificate | None = None
    without: float = math.inf

    @property
    def certified(self) -> bool:
        """Whether there is an image that passed every check."""
        return self.certificate is not None and self.certificate.certified

    @property
    def objective(self) -> float:
        """The checked objective; infinite (minus infinity of a maximum) where none was reached."""
        certificate = self.certificate
        if certificate is None:
            return self.without
        counts = certificate.certified or self.status is Status.NOT_ADVERSARIAL
        return certificate.objective if counts else self.without


@dataclass(frozen=True, eq=False)
class Claim:
    """What is to be judged.

    Attributes:
        network: the real network.
        task: what was asked of the engine.
        answer: what it claims.
        found: images with the alternatives that they claim to meet, the engine's first.
        gap: the relative gap that was asked for.
    """

    network: ReLUNetwork
    task: Task
    answer: EngineAnswer
    found: Sequence[Incumbent]
    gap: float


def judged(claim: Claim) -> Verdict:
    """What may be told of an answer, by what was optimised."""
    if claim.task.minimises_distance:
        return _judge_distance(claim)
    if claim.task.maximises_slack:
        return _judge_slack(claim)
    return (_judge_logits if isinstance(claim.task.objective, Logits) else _judge_form)(claim)


def _judge_distance(claim: Claim) -> Verdict:
    """The best image that passes the check."""
    alternatives = claim.task.alternatives
    bare = any(alternative.bare for alternative in alternatives)
    best = best_answer(claim.network, claim.task, claim.found, bare)
    status, message = verdict(claim.answer, best, claim.gap, bare)
    if best is None:
        return Verdict(status, message, None if len(alternatives) > 1 else alternatives[0].target)
    target = alternatives[best.alternative].target
    return Verdict(status, message, target, best.image, best.certificate)


def _judge_form(claim: Claim) -> Verdict:
    """What the network gives to the engine's input."""
    answer, task = claim.answer, claim.task
    label = task.form.label
    if answer.image is None:
        return Verdict(*verdict_without_image(answer), label, without=-math.inf)
    image = task.box.clip(answer.image)
    if label is None or task.alternatives or task.inputs.center is not None:
        certificate = check_maximum(claim.network, task, image)
    else:
        certificate = check_logit(claim.network, task.box, label, image)
    status, message = verdict_of_maximum(answer, certificate, claim.gap)
    return Verdict(status, message, label, image, certificate)


def _judge_slack(claim: Claim) -> Verdict:
    """The slack of the engine's input, or of an input that was found before."""
    answer, task = claim.answer, claim.task
    images = [task.box.clip(item.image) for item in claim.found]
    images += [] if answer.image is None else [task.box.clip(answer.image)]
    checked = [(check_maximum(claim.network, task, image), image) for image in images]
    checked.sort(key=lambda each: (each[0].certified, each[0].objective), reverse=True)
    certificate, image = checked[0] if checked else (None, None)
    status, message = _verdict_of_slack(claim, certificate)
    target = None
    if certificate is not None and certificate.certified:
        met = [each.conditions.slack(certificate.logits).min() for each in task.alternatives]
        target = task.alternatives[int(np.argmax(met))].target
    return Verdict(status, message, target, image, certificate, without=-math.inf)


def _verdict_of_slack(claim: Claim, certificate: Certificate | None) -> tuple[Status, str]:
    """What may be claimed about a slack, of which perhaps the sign alone is asked."""
    answer, decides = claim.answer, claim.task.decides
    if math.isnan(answer.bound):
        return Status.NUMERICAL, NO_NUMBER
    if certificate is not None and not certificate.certified:
        return Status.NUMERICAL, "; ".join(certificate.failures)
    if not decides:
        if certificate is None:
            return verdict_without_image(answer)
        return verdict_of_maximum(answer, certificate, claim.gap)
    if certificate is not None and certificate.objective >= 0.0:
        if answer.bound < certificate.objective:
            return Status.NUMERICAL, (
                f"the engine's bound {answer.bound:.9g} is below the slack "
                f"{certificate.objective:.9g} of a checked input"
            )
        return Status.NOT_ROBUST, answer.message
    if answer.bound < 0.0:
        return Status.ROBUST, answer.message
    refused = "" if certificate is None else "the engine's input meets no alternative"
    return Status.UNDECIDED, answer.message or refused


def _judge_logits(claim: Claim) -> Verdict:
    """Whether the program's logits are the network's."""
    answer, box = claim.answer, claim.task.box
    if answer.outputs is None:
        return Verdict(*verdict_without_image(answer), None)
    certificate = compare_logits(claim.network, box, box.lower, answer.outputs)
    status, message = answer.status, answer.message
    if not certificate.certified:
        status, message = Status.NUMERICAL, "; ".join(certificate.failures)
    return Verdict(status, message, int(np.argmax(answer.outputs)), box.lower, certificate)
