"""What may be claimed once an engine has spoken and the network was run.

Engines claim; :mod:`reluopt.answers.check` measures; this module puts the two together into a
status.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
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
from reluopt.questions.tasks import Distance, LargestSlack, LinearForm, Logits, Task

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
    """What may be claimed about a maximum."""
    if math.isnan(answer.bound):
        return Status.NUMERICAL, NO_NUMBER
    if not certificate.certified:
        return Status.NUMERICAL, "; ".join(certificate.failures)
    value = certificate.objective
    if not value - answer.bound <= OBJECTIVE_TOLERANCE * max(1.0, abs(value)):
        return Status.NUMERICAL, (
            f"the engine's bound {answer.bound:.9g} is below {value:.9g}, which a checked input has"
        )
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
        nothing: the objective where none was reached.
        others: the targets of further images, where one change was asked for several.
    """

    status: Status
    message: str
    target: int | None
    image: FloatArray | None = None
    certificate: Certificate | None = None
    nothing: float = math.inf
    others: tuple[int, ...] = ()

    @property
    def certified(self) -> bool:
        """Whether there is an image that passed every check."""
        return self.certificate is not None and self.certificate.certified

    @property
    def objective(self) -> float:
        """The checked objective; infinite where none was reached, negative of a maximum."""
        certificate = self.certificate
        if certificate is None:
            return self.nothing
        counts = certificate.certified or self.status is Status.NOT_ADVERSARIAL
        return certificate.objective if counts else self.nothing


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
    if claim.task.decides:
        return _judge_sign(claim)
    return _JUDGES[type(claim.task.objective)](claim)


def _judge_distance(claim: Claim) -> Verdict:
    """The best image that passes the check."""
    alternatives = claim.task.alternatives
    bare = any(alternative.bare for alternative in alternatives)
    best = best_answer(claim.network, claim.task, claim.found, bare)
    status, message = verdict(claim.answer, best, claim.gap, bare)
    if best is None and len(alternatives) > 1:
        return Verdict(status, message, None)
    met = alternatives[0 if best is None else best.alternative]
    image, certificate = (None, None) if best is None else (best.image, best.certificate)
    return Verdict(status, message, met.target, image, certificate, others=met.others)


def _judge_maximum(claim: Claim) -> Verdict:
    """The checked input of the largest slack or form."""
    task, answer = claim.task, claim.answer
    label = None if task.maximises_slack else task.form.terms[0][0]
    best = _largest(claim)
    if best is None:
        return Verdict(*verdict_without_image(answer), label, nothing=-math.inf)
    image, certificate = best
    status, message = verdict_of_maximum(answer, certificate, claim.gap)
    if task.maximises_slack:
        label = _met(task, certificate)
    return Verdict(status, message, label, image, certificate, nothing=-math.inf)


def _judge_sign(claim: Claim) -> Verdict:
    """Whether a slack is >= 0 at a checked input, or proven to be below zero at all of them."""
    task, answer = claim.task, claim.answer
    excluded = answer.bound < 0.0 and answer.status is not Status.NUMERICAL
    best = _largest(claim)
    if best is not None and best[1].certified:
        image, certificate = best
        message = ALREADY_ANSWERED if certificate.distance == 0.0 else answer.message
        found = Verdict(Status.NOT_ROBUST, message, _met(task, certificate), image, certificate)
        if not excluded:
            return found
        return replace(
            found,
            status=Status.NUMERICAL,
            message=(
                f"the engine's bound {answer.bound:.9g} excludes a checked input, whose slack is "
                f"{certificate.objective:.9g}"
            ),
        )
    status, message = _without_witness(answer, excluded)
    if best is not None and answer.objective >= 0.0 and status is Status.UNDECIDED:
        reason = "; ".join(best[1].failures)
        status, message = Status.NUMERICAL, f"the check refused the engine's image: {reason}"
    return Verdict(status, message, None, nothing=-math.inf)


def _without_witness(answer: EngineAnswer, excluded: bool) -> tuple[Status, str]:
    """What a bound on the slack alone says."""
    if excluded:
        return Status.ROBUST, answer.message
    if math.isnan(answer.bound):
        return Status.NUMERICAL, NO_NUMBER
    if answer.status is Status.INFEASIBLE:
        return Status.NUMERICAL, f"the engine claims a proof, but its bound is {answer.bound:.9g}"
    if answer.status is Status.NUMERICAL:
        return Status.NUMERICAL, answer.message
    return Status.UNDECIDED, answer.message


def _largest(claim: Claim) -> tuple[FloatArray, Certificate] | None:
    """The certified input of the largest objective; without any, the first that was refused."""
    checked = [
        (each.image, check_maximum(claim.network, claim.task, each.image)) for each in claim.found
    ]
    certified = [each for each in checked if each[1].certified]
    if certified:
        return max(certified, key=lambda each: each[1].objective)
    return checked[0] if checked else None


def _met(task: Task, certificate: Certificate) -> int:
    """The target of the alternative that fits the logits best."""
    return task.alternatives[task.best_alternative(certificate.logits)[0]].target


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


_JUDGES: Mapping[type, Callable[[Claim], Verdict]] = {
    Distance: _judge_distance,
    Logits: _judge_logits,
    LinearForm: _judge_maximum,
    LargestSlack: _judge_maximum,
}
"""Who judges answers to a task, by its objective."""
