"""What is answered: status, objective, bound, gap, image, and the certificate that backs them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np

from reluopt.networks.metadata import ActivationSource
from reluopt.numerics.arrays import FloatArray

GAP_DENOMINATOR_FLOOR = 1e-6
"""Smallest denominator of a relative gap; below it an objective counts as zero (a change of
1e-6 grey levels is far below what an 8-bit image can hold)."""


class Status(StrEnum):
    """How a solve ended; see "Rules for results" in CONTRIBUTING.

    * ``OPTIMAL``: the gap is at most the one asked for, and the checked network agrees.
    * ``FEASIBLE``: an image that passed the check, but the proof is not finished.
    * ``INFEASIBLE``: proven that no input in the box meets the conditions.
    * ``TIME_LIMIT``: a limit was reached before any image was found; the bound is still valid.
    * ``NOT_ADVERSARIAL``: the optimum of the asked conditions, which the network does not classify
      as the target (possible with :class:`~reluopt.questions.problems.BareRelativeMargin` only).
    * ``ROBUST``: proven that no input of the ball is answered otherwise.
    * ``NOT_ROBUST``: a checked input of the ball is answered otherwise.
    * ``UNDECIDED``: neither within the limits; the bound on other labels' lead still holds.
    * ``NUMERICAL``: the engine claims an answer that the check refused, or failed.

    Example:
        >>> import reluopt as ro
        >>> ro.Status("OPTIMAL") is ro.Status.OPTIMAL, str(ro.Status.ROBUST)
        (True, 'ROBUST')
    """

    OPTIMAL = "OPTIMAL"
    FEASIBLE = "FEASIBLE"
    INFEASIBLE = "INFEASIBLE"
    TIME_LIMIT = "TIME_LIMIT"
    NOT_ADVERSARIAL = "NOT_ADVERSARIAL"
    ROBUST = "ROBUST"
    NOT_ROBUST = "NOT_ROBUST"
    UNDECIDED = "UNDECIDED"
    NUMERICAL = "NUMERICAL"


def relative_gap(objective: float, bound: float) -> float:
    """MIP gap ``|objective - bound| / max(|objective|, 1e-6)``; infinite without either."""
    if not (math.isfinite(objective) and math.isfinite(bound)):
        return math.inf
    return abs(objective - bound) / max(abs(objective), GAP_DENOMINATOR_FLOOR)


@dataclass(frozen=True, eq=False)
class Incumbent:
    """The best image so far: it meets ``task.alternatives[alternative]``.

    Attributes:
        image: shape ``(n_0,)``, inside the box.
        objective: its objective.
        alternative: which alternative of the task it meets.
    """

    image: FloatArray
    objective: float
    alternative: int


@dataclass(frozen=True)
class Certificate:
    """What a float64 forward pass of the real network says about a claimed image.

    Attributes:
        certified: whether every check passed.
        failures: one sentence for each check that did not.
        predicted: the label the network gives to the image.
        objective: objective recomputed from the image.
        distance: length of the change, recomputed.
        margin: smallest slack of the asked conditions, in logit units.
        lead: logit of the target minus the largest other logit.
        box_violation: how far the image leaves the box.
        logits: the network's logits for the image, shape ``(n_K,)``.
        activation: how it is known that the network's layers have ReLUs between them.

    Example:
        >>> import reluopt as ro
        >>> seven = ro.load_images("test").image(0)
        >>> question = ro.MinimalPerturbation(seven, 7, ro.FixedTarget(2), ro.Norm.L1)
        >>> check = ro.solve(ro.load_network("thesis"), question).certificate
        >>> check.certified, check.predicted, check.failures
        (True, 2, ())
    """

    certified: bool
    failures: tuple[str, ...]
    predicted: int
    objective: float
    distance: float
    margin: float
    lead: float
    box_violation: float
    logits: FloatArray = field(repr=False, default_factory=lambda: np.zeros(0))
    activation: ActivationSource = ActivationSource.STATED


@dataclass(frozen=True)
class Timings:
    """Wall-clock seconds of every step of a solve; ``polish`` includes the check."""

    attack: float = 0.0
    bounds: float = 0.0
    build: float = 0.0
    search: float = 0.0
    polish: float = 0.0

    @property
    def total(self) -> float:
        """Sum of all steps."""
        return self.attack + self.bounds + self.build + self.search + self.polish


@dataclass(frozen=True)
class Solution:
    """The checked answer to a problem.

    Attributes:
        status: how the solve ended.
        objective: objective of ``image`` as recomputed by the check: a distance, a maximum, or for
            a verdict the slack ``max_t x_t - x_d`` at its witness. Without an image it is infinite,
            and minus infinity for what is maximised.
        bound: proven bound on the optimal objective (lower for minimisation, upper for what is
            maximised; a verdict is ROBUST when it lies below zero).
        gap: :func:`relative_gap` of the two.
        image: the answer, shape ``(n_0,)``, or None.
        target: the label that was asked for (the one reached, for untargeted problems), or None.
        others: those of further images, where one change was asked for several.
        certificate: the check of ``image``, or None without an image.
        engine: what solved it.
        formulation: how its program was written.
        bounds: how pre-activations were bounded.
        nodes: branch-and-bound nodes.
        timings: where the time went.
        seed: random seed that was used.
        threads: solver threads.
        time_limit: seconds that it might take.
        gap_tolerance: gap at which it counts as optimal.
        versions: versions of everything that computed, such as ``{"highspy": "1.15.1"}``.
        size: variables, constraints and binaries of the program, when one was built.
        message: one line in words when something needs saying.
        proof: what the bound can be verified from, if the engine was asked to keep it.

    Example:
        >>> import reluopt as ro
        >>> seven = ro.load_images("test").image(0)
        >>> question = ro.MinimalPerturbation(seven, 7, ro.FixedTarget(2), ro.Norm.L1)
        >>> found = ro.solve(ro.load_network("thesis"), question)
        >>> found.proven, found.certified, found.engine, found.gap <= 1e-6
        (True, True, 'bnb', True)
    """

    status: Status
    objective: float
    bound: float
    image: FloatArray | None = field(repr=False)
    target: int | None
    certificate: Certificate | None = field(repr=False)
    engine: str
    formulation: str
    bounds: str
    nodes: int
    timings: Timings
    seed: int = 0
    threads: int = 1
    time_limit: float = math.inf
    gap_tolerance: float = 0.0
    versions: Mapping[str, str] = field(default_factory=dict, repr=False)
    size: Mapping[str, int] = field(default_factory=dict, repr=False)
    message: str = ""
    proof: Any = field(default=None, repr=False, compare=False)
    others: tuple[int, ...] = ()

    @property
    def targets(self) -> tuple[int, ...]:
        """What was asked for of each image; none where it is not known."""
        return () if self.target is None else (self.target, *self.others)

    @property
    def gap(self) -> float:
        """Relative gap between objective and bound."""
        return relative_gap(self.objective, self.bound)

    @property
    def certified(self) -> bool:
        """Whether there is an image and it passed every check."""
        return self.certificate is not None and self.certificate.certified

    @property
    def proven(self) -> bool:
        """Whether the question is settled."""
        return self.status in _SETTLED


VERDICTS = (Status.ROBUST, Status.NOT_ROBUST, Status.UNDECIDED)
"""Statuses of questions whose answer is a verdict."""

_SETTLED = (Status.OPTIMAL, Status.INFEASIBLE, Status.ROBUST, Status.NOT_ROBUST)
