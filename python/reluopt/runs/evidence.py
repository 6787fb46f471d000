"""What stands behind the bound of a row now: a proof, the root relaxation, or somebody's word.

A lower bound is proven by replaying the kept proof or, for engine ``bnb``, by solving the root
relaxation anew. Where neither shows it, a quick attack tries to refute it: an image below the bound
(or any image at all, where there is said to be none) shows that the bound is false.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

from reluopt.answers.check import check_perturbation
from reluopt.answers.solution import GAP_DENOMINATOR_FLOOR, Certificate, Incumbent
from reluopt.attacks.linear_regions import find_incumbent
from reluopt.engines.proving import proving_engine
from reluopt.errors import InputError
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.problems import Task

AGREEMENT = 1e-9
"""Allowed relative difference between stored and recomputed numbers. Both are float64 sums of the
same terms; another BLAS may add them in another order, which changes the last few bits."""

REFUTING_SLACK = 1e-9
"""How far an image that refutes a bound may miss a condition, relative to ``max(1, |logits|)``:
the rounding of a forward pass, not the thousand times larger tolerance of the check."""

REFUTING_SHARE = 1e-6
"""By what share of a bound an image must lie below it to refute it: what solvers' tolerances, and
:data:`REFUTING_SLACK` with logits of 1e-3, can explain."""


def at_most(left: float, right: float, least: float = 1.0) -> bool:
    """``left <= right`` up to rounding; numbers below ``least`` count as ``least``."""
    return left <= right or left - right <= AGREEMENT * max(least, abs(right))


def close(stored: float | None, value: float, least: float) -> bool:
    """Whether a stored number is the recomputed one, up to rounding.

    Numbers below ``least`` count as ``least``. What is NaN or infinite is stored as nothing.
    """
    if stored is None or not math.isfinite(value):
        return stored is None and not math.isfinite(value)
    return abs(stored - value) <= AGREEMENT * max(least, abs(value))


def fools_nobody(certificate: Certificate) -> bool:
    """Whether the network's own answer is all that is wrong with an image."""
    return certificate.lead <= 0.0 and len(certificate.failures) == 1


class Evidence(StrEnum):
    """What stands behind a row's bound now.

    * ``REPLAYED``: its proof was replayed and shows it.
    * ``ROOT``: the root relaxation, solved anew, shows it.
    * ``STORED``: nothing but the stored number; gap and status were recomputed from it, and an
      attack found nothing better than it.
    * ``WORD``: nothing but the engine's word that there is no answer; an attack found none.
    * ``NONE``: the row has no bound that says anything.
    """

    REPLAYED = "proof replayed"
    ROOT = "root solved"
    STORED = "stored number"
    WORD = "engine's word"
    NONE = "none"


@dataclass(frozen=True, eq=False)
class BoundClaim:
    """A bound that a row claims.

    Attributes:
        network: the run's network.
        task: what was asked.
        bound: the bound; infinite where there is said to be no answer, minus infinite where
            nothing is claimed.
        answer: the row's own answer, if it passes the check.
        gap: the gap that the run asked for.
        own: whether our own engine claims it, whose bounds know no tolerance.
    """

    network: ReLUNetwork
    task: Task
    bound: float
    answer: Incumbent | None
    gap: float
    own: bool

    @property
    def empty(self) -> bool:
        """Whether it claims nothing."""
        return self.bound <= 0.0

    def shown_by(self, shown: float | None) -> bool:
        """Whether a bound that was proven anew is no lower."""
        return shown is not None and at_most(self.bound, shown, GAP_DENOMINATOR_FLOOR)

    def root(self) -> float | None:
        """Safe bound of the root relaxation over the ball of the answer; None for other engines."""
        engine = proving_engine()
        if not self.own or not engine.keeps_proofs(self.task):
            return None
        return engine.root_bound(self.network, self.task, self.answer, self.gap)

    def replayed(self, path: Path) -> tuple[float | None, str]:
        """What a proof shows, and what is wrong with it (an empty text when nothing is).

        Raises:
            InputError: the file is damaged.
        """
        engine = proving_engine()
        proof = engine.read_proof(path)
        try:
            shown = engine.replay(proof, self.network, self.task)
        except InputError as error:
            return None, str(error)
        wrong = f"the proof shows {shown:.12g}, not the bound {self.bound:.12g}"
        return shown, "" if self.shown_by(shown) else wrong

    def unproven(self, seed: int) -> tuple[Evidence, str]:
        """What a bound that nothing shows rests on, and what refutes it (or an empty text)."""
        evidence = Evidence.WORD if self.bound == math.inf else Evidence.STORED
        found = find_incumbent(self.network, self.task, seed=seed)
        if found is None:
            return evidence, ""
        alternative = self.task.alternatives[found.alternative]
        certificate = check_perturbation(self.network, self.task, alternative, found.image)
        limit = self.bound
        if math.isfinite(limit):
            limit -= REFUTING_SHARE * max(limit, GAP_DENOMINATOR_FLOOR)
        if not (_exact(certificate) and certificate.objective < limit):
            return evidence, ""
        claim = "no answer" if self.bound == math.inf else f"a bound of {self.bound:.12g}"
        return evidence, f"{claim} is claimed, but there is one at {certificate.objective:.12g}"


def _exact(certificate: Certificate) -> bool:
    """Whether an image meets the conditions up to rounding alone.

    A bound is one for all that meet them, the images that fool nobody (bare condition) included.
    """
    allowed = REFUTING_SLACK * max(1.0, float(np.abs(certificate.logits).max()))
    return certificate.margin >= -allowed and (certificate.certified or fools_nobody(certificate))
