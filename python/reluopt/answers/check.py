r"""Does the real network agree? The one place that decides whether an answer is true.

An engine's answer is a claim. This module runs the float64 forward pass on the claimed image and
recomputes everything that was asked: the norm, the box, limits on the change, every condition on
the logits, and the predicted label. Nothing the engine said about its own answer is used.

Every test asks for a comparison that is *true*. NaN compares as false with everything, so it fails
wherever it stands, and what is not finite is never certified.
"""

from __future__ import annotations

import numpy as np

from reluopt.answers.solution import Certificate
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray
from reluopt.questions.input_sets import Box, InputSet
from reluopt.questions.tasks import Alternative, Task

CONDITION_TOLERANCE = 1e-6
"""How much a condition may be violated, relative to the largest ``|logit|``. A float64 forward pass
of these networks is good to about 1e-12; solvers keep rows to 1e-6 to 1e-9. That the network
answers the target at all is checked without any tolerance."""

CLAIM_TOLERANCE = 1e-6
"""Largest difference between a claimed and a recomputed logit, relative to ``max(1, |logits|)``."""

BOX_TOLERANCE = 1e-9
"""How far a pixel may leave its box. Answers are clipped to the box, so this is rounding only."""

LIMIT_TOLERANCE = 1e-7
"""How much a limit on the change may be exceeded, in pixel units: a hundred times the tolerance of
1e-9 that solvers are asked for, and a 40,000th of a grey level of an 8-bit image."""

BALL_TOLERANCE = 1e-9
"""How much longer than the radius a change may be, relative to ``max(1, radius)``: rounding only,
since answers are brought into the ball."""

OBJECTIVE_TOLERANCE = 1e-6
"""Largest relative difference between a claimed and a recomputed objective."""


_overflow_is_a_failure = np.errstate(over="ignore", invalid="ignore")
"""What overflows fails the check, in words; a warning beside it would only be noise."""


@_overflow_is_a_failure
def check_perturbation(
    network: ReLUNetwork,
    task: Task,
    alternative: Alternative,
    image: FloatArray,
    claimed_objective: float | None = None,
) -> Certificate:
    """Check an image that claims to solve ``task`` by ``alternative``.

    Args:
        network: the real network.
        task: what was asked.
        alternative: the target (with its conditions) that the image claims to reach.
        image: shape ``(n_0,)``.
        claimed_objective: what the engine says the objective is, if it says so.

    Returns:
        A certificate; ``failures`` names every check that was not passed.
    """
    logits = network.forward(image)
    lead, target, predicted = alternative.least_lead(logits)
    margin = float(alternative.conditions.slack(logits).min(initial=np.inf))
    objective = task.distance(image)
    tolerance = CONDITION_TOLERANCE * float(np.abs(logits).max())
    failures = _input_failures(task.inputs, image) + _finite_failures(logits)
    if not lead > 0.0:
        failures.append(f"the network answers {predicted}, not {target} (lead {lead:.3g})")
    if not margin >= -tolerance:
        failures.append(f"a margin condition is violated by {-margin:.3g}")
    if not objective < np.inf:
        failures.append(f"the objective is {objective}, which is not finite")
    failures += _claim_failures(objective, claimed_objective)
    return Certificate(
        certified=not failures,
        failures=tuple(failures),
        predicted=predicted,
        objective=objective,
        distance=task.norm.distance_of(objective),
        margin=margin,
        lead=lead,
        box_violation=task.box.violation(image),
        logits=logits,
        activation=network.metadata.activation,
    )


def _claim_failures(objective: float, claimed: float | None) -> list[str]:
    """A claimed objective that is another one when recomputed."""
    allowed = OBJECTIVE_TOLERANCE * max(1.0, abs(objective))
    if claimed is None or abs(claimed - objective) <= allowed:
        return []
    return [f"the claimed objective {claimed:.9g} is {objective:.9g} when recomputed"]


@_overflow_is_a_failure
def check_maximum(network: ReLUNetwork, task: Task, image: FloatArray) -> Certificate:
    """Check an input of ``task``, which maximises a slack or a form of the logits.

    A form needs some alternative to be met, if there are any; what decides needs a slack >= 0.

    Returns:
        A certificate whose ``objective`` is the slack or the form; ``margin`` is the slack of the
        best alternative and ``lead`` that of its target (of a single logit: of its label).
    """
    logits = network.forward(image)
    best, slack = task.best_alternative(logits)
    value = task.value(logits)
    failures = _input_failures(task.inputs, image) + _finite_failures(logits)
    needed = 0.0 if task.decides else -CONDITION_TOLERANCE * float(np.abs(logits).max())
    if not (slack >= needed or (task.maximises_slack and not task.decides)):
        failures.append(f"no alternative is met: the best one lacks {-slack:.3g}")
    if not abs(value) < np.inf:
        failures.append(f"the objective is {value}, which is not finite")
    alone = None if task.maximises_slack else task.form.label
    named = task.alternatives[best].target if task.alternatives else task.form.terms[0][0]
    lead = _lead(logits, named if alone is None else alone)
    return Certificate(
        certified=not failures,
        failures=tuple(failures),
        predicted=int(np.argmax(logits)),
        objective=value,
        distance=task.inputs.length(image),
        margin=slack if task.alternatives else lead,
        lead=lead,
        box_violation=task.box.violation(image),
        logits=logits,
        activation=network.metadata.activation,
    )


@_overflow_is_a_failure
def check_logit(
    network: ReLUNetwork, box: Box, label: int, image: FloatArray, claimed: float | None = None
) -> Certificate:
    """Check an input that claims to give the logit of ``label`` the value ``claimed``.

    Returns:
        A certificate whose ``objective`` is the logit; ``margin`` and ``lead`` tell by how much
        ``label`` leads the other logits (an optimal input need not be classified as ``label``).
    """
    logits = network.forward(image)
    value = float(logits[label])
    failures = _box_failures(box, image) + _finite_failures(logits)
    allowed = CLAIM_TOLERANCE * max(1.0, float(np.abs(logits).max()))
    if claimed is not None and not abs(claimed - value) <= allowed:
        failures.append(f"the claimed logit {claimed:.9g} is {value:.9g} when recomputed")
    lead = _lead(logits, label)
    return Certificate(
        certified=not failures,
        failures=tuple(failures),
        predicted=int(np.argmax(logits)),
        objective=value,
        distance=0.0,
        margin=lead,
        lead=lead,
        box_violation=box.violation(image),
        logits=logits,
        activation=network.metadata.activation,
    )


def _finite_failures(logits: FloatArray) -> list[str]:
    """The check that the network answers numbers, in words."""
    wrong = int(np.count_nonzero(~np.isfinite(logits)))
    return [f"{wrong} of {logits.size} logits are NaN or infinite"] if wrong else []


def _lead(logits: FloatArray, label: int) -> float:
    """Logit of ``label`` minus the largest other one (infinite when there is no other)."""
    others = np.delete(logits, label)
    return float(logits[label] - others.max()) if others.size else float("inf")


def _input_failures(inputs: InputSet, image: FloatArray) -> list[str]:
    """The check that an image is one of the inputs allowed, in words."""
    failures = _box_failures(inputs.box, image)
    excess = inputs.length(image) - inputs.radius
    if not excess <= BALL_TOLERANCE * max(1.0, inputs.radius):
        failures.append(f"the change is {excess:.3g} longer than the radius of the ball")
    return failures + _limit_failures(inputs, image)


def _box_failures(box: Box, image: FloatArray) -> list[str]:
    """The box check, in words; NaN and infinity count as violations."""
    if not np.isfinite(image).all():
        return ["the image holds NaN or infinity"]
    violation = box.violation(image)
    if not violation <= BOX_TOLERANCE:
        return [f"the image leaves its box by {violation:.3g}"]
    return []


def _limit_failures(inputs: InputSet, image: FloatArray) -> list[str]:
    """The check of the limits on the change, in words."""
    if inputs.limits is None or inputs.center is None:
        return []
    violation = inputs.limits.violation(image - inputs.center)
    if not violation <= LIMIT_TOLERANCE:
        return [f"neighbouring changes differ by {violation:.3g} more than the limit allows"]
    return []
