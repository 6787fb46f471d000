r"""Correct a network's answers to some inputs by small changes of its weights.

.. math:: \min_W \|W - \hat W\|^2 \quad\text{s.t.}\quad
          f_{y_i}(x_i; W) \ge f_j(x_i; W)\ \ (j \ne y_i), \qquad loss(W) \le loss(\hat W),

by linear conditions at :math:`W^0 = \hat W`, and then at the optimum of the last program, again and
again. Every program keeps the conditions of all points before; of these only what its solutions
violate is ever written down. Which of the points between is taken is chosen by how much answers are
violated and by the loss.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reluopt.errors import InputError
from reluopt.networks.finetuning.least_change import Conditions
from reluopt.networks.finetuning.parameters import (
    loss_gradient,
    mean_loss,
    pulled_back,
    pushed_forward,
    weights_of,
    with_weights,
)
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray

TOLERANCE = 1e-4
"""How much a linear condition may be violated, in logit units."""

STILL = 1e-3
"""An iteration that moves the weights by less than this share of their whole change is the last."""

ROUNDS = 30
"""How often violated conditions are added to one program."""

SHARES = tuple(round(0.1 * step, 1) for step in range(1, 11))
"""Shares alpha of the way from the weights given to an optimum that are looked at."""


@dataclass(frozen=True, eq=False)
class Examples:
    """Inputs with the labels that shall be answered.

    Attributes:
        inputs: shape ``(n, n_0)``.
        labels: shape ``(n,)``.
        margin: by how much their logits shall lead.
    """

    inputs: FloatArray
    labels: NDArray[np.intp]
    margin: float = 0.0

    def leads(self, logits: FloatArray) -> FloatArray:
        """Leads of the labels over every class, infinite over themselves: ``(n, classes)``."""
        rows = np.arange(len(self.labels))
        leads = logits[rows, self.labels][:, None] - logits - self.margin
        leads[rows, self.labels] = np.inf
        return leads

    def violation(self, network: ReLUNetwork) -> float:
        """By how much the worst answer is missed, 0 where all are given."""
        return max(0.0, -float(self.leads(network.forward(self.inputs)).min()))


@dataclass(frozen=True, eq=False)
class _Anchor:
    """Where conditions are linearised.

    Attributes:
        network: with its weights.
        change: those less the weights given.
        leads: of the adversaries.
        loss: on the examples that must not become worse.
        slope: the loss' gradient.
    """

    network: ReLUNetwork
    change: FloatArray
    leads: FloatArray
    loss: float
    slope: FloatArray


@dataclass(frozen=True)
class Candidate:
    """Weights between those given and an optimum.

    Attributes:
        iteration, share: which, and how far.
        violation: of the adversaries' answers.
        loss: mean cross-entropy.
    """

    iteration: int
    share: float
    violation: float
    loss: float


@dataclass(frozen=True, eq=False)
class Correction:
    """What came out.

    Attributes:
        network: as given.
        before: how it answers as it is, as a candidate.
        optima: weights of all iterations.
        candidates: all that were looked at.
    """

    network: ReLUNetwork
    before: Candidate
    optima: Sequence[FloatArray]
    candidates: Sequence[Candidate]

    def corrected(self, candidate: Candidate) -> ReLUNetwork:
        """The network of a candidate."""
        before = weights_of(self.network)
        after = self.optima[candidate.iteration - 1]
        return with_weights(self.network, before + candidate.share * (after - before))

    def chosen(self, omega: float) -> Candidate:
        """The least ``(1 - omega) violation + omega loss``, each as a share of its range.

        Raises:
            InputError: omega is no number from 0 to 1.
        """
        if not 0.0 <= omega <= 1.0:
            raise InputError(f"omega: expected a number from 0 to 1, found {omega}")
        both = np.array([(each.violation, each.loss) for each in self.candidates])
        spans = np.maximum(np.ptp(both, axis=0), np.finfo(np.float64).tiny)
        scores = ((both - both.min(axis=0)) / spans) @ np.array([1.0 - omega, omega])
        return self.candidates[int(np.argmin(scores))]


def correct(
    network: ReLUNetwork,
    adversaries: Examples,
    training: Examples,
    iterations: int = 20,
    judged: Examples | None = None,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Correction:
    """Fine-tune a network.

    Args:
        network: dense layers and convolutions.
        adversaries: inputs that shall be answered right.
        training: examples whose loss must not rise.
        iterations: quadratic programs at most, >= 1.
        judged: examples that tell the loss of candidates; None means those of the training.
        on_progress: called with the number of each that is solved.

    Raises:
        InputError: the network has other layers, or a number does not fit.
    """
    if iterations < 1 or not len(adversaries.labels) or not len(training.labels):
        raise InputError("finetune: expected iterations, adversaries and training images, found 0")
    before, judges = weights_of(network), judged or training
    anchors: list[_Anchor] = []
    conditions, change = Conditions(before.size), np.zeros_like(before)
    optima, candidates = [], []
    for iteration in range(1, iterations + 1):
        anchors.append(_anchor(network, before, change, adversaries, training))
        change = _shortest(conditions, anchors, adversaries)
        optima.append(before + change)
        for share in SHARES:
            made = with_weights(network, before + share * change)
            loss = mean_loss(made, judges.inputs, judges.labels)
            candidates.append(Candidate(iteration, share, adversaries.violation(made), loss))
        on_progress(iteration)
        if np.linalg.norm(change - anchors[-1].change) <= STILL * np.linalg.norm(change):
            break
    loss = mean_loss(network, judges.inputs, judges.labels)
    given = Candidate(0, 0.0, adversaries.violation(network), loss)
    return Correction(network, given, optima, candidates)


def _anchor(
    network: ReLUNetwork,
    before: FloatArray,
    change: FloatArray,
    adversaries: Examples,
    training: Examples,
) -> _Anchor:
    at = with_weights(network, before + change)
    loss = mean_loss(at, training.inputs, training.labels)
    slope = loss_gradient(at, training.inputs, training.labels)
    return _Anchor(at, change, adversaries.leads(at.forward(adversaries.inputs)), loss, slope)


def _shortest(
    conditions: Conditions, anchors: Sequence[_Anchor], adversaries: Examples
) -> FloatArray:
    """The shortest change that meets the conditions of all anchors."""
    for _ in range(ROUNDS):
        change, multipliers = conditions.shortest()
        violated = [each for anchor in anchors for each in _violated(anchor, change, adversaries)]
        violated += _losses(anchors, change)
        if not violated:
            break
        conditions.keep(multipliers > 0.0)
        rows, right = zip(*violated, strict=True)
        conditions.add(rows, right)
    return change


def _violated(
    anchor: _Anchor, change: FloatArray, adversaries: Examples
) -> list[tuple[FloatArray, float]]:
    """Of every adversary the condition that a change violates most, at one anchor."""
    moved = pushed_forward(anchor.network, adversaries.inputs, change - anchor.change)
    own = moved[np.arange(len(moved)), adversaries.labels][:, None]
    leads = anchor.leads + own - moved
    found = []
    for number, rival in enumerate(leads.argmin(axis=1)):
        if leads[number, rival] < -TOLERANCE:
            factors = np.zeros((1, leads.shape[1]))
            factors[0, adversaries.labels[number]], factors[0, rival] = 1.0, -1.0
            row = pulled_back(anchor.network, adversaries.inputs[[number]], factors)
            found.append((row, float(row @ anchor.change - anchor.leads[number, rival])))
    return found


def _losses(anchors: Sequence[_Anchor], change: FloatArray) -> list[tuple[FloatArray, float]]:
    """Conditions on the loss that a change violates."""
    allowed = anchors[0].loss
    return [
        (-each.slope, each.loss - allowed - float(each.slope @ each.change))
        for each in anchors
        if each.loss + float(each.slope @ (change - each.change)) > allowed + TOLERANCE * allowed
    ]
