"""Inputs that meet an alternative, or meet it best, looked for by projected gradients in float32.

Each alternative is asked for with its worst condition, from the middle of the box, from random
corners, and from the points at which a relaxation is least: the last find what hundreds of random
starts do not.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from reluopt.engines.branch_and_bound.dual.gradients import Asked, gradients_of, move
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import AnyFloat, FloatArray, IntArray, SingleMatrix
from reluopt.questions.tasks import Alternative

STEPS = 40
"""Gradient steps of a run, of falling length."""

LONGEST, SHORTEST = 0.5, 0.02
"""Steps as shares of the half widths of the box."""

CHECKED = 5
"""Most points of one look that are tried by a float64 forward pass."""

ROUNDING = 1e-3
"""By how much the slack in float64 may exceed that in float32, far above what is usual."""


@dataclass(frozen=True, eq=False)
class Witness:
    """An input that meets an alternative, or what it is weakened to, by a float64 forward pass.

    Attributes:
        image: shape ``(n_0,)``.
        alternative: which.
        slack: by how much, negative in the second case.
    """

    image: FloatArray
    alternative: int
    slack: float

    def among(self, left: Sequence[int]) -> Witness:
        """One for an alternative of some, renumbered by its place among all."""
        return replace(self, alternative=left[self.alternative])


class BoxAttack:
    """Gradient descent within a box.

    Args:
        network: the network.
        alternatives: what inputs may meet.
        lower, upper: the box.
        seed: of random corners.
        rising: most steps of the first runs; where there are some, the middle and the corners are
            left out, as somebody has looked there.
        weakened: what a search asks for in their place, fewer conditions of each; an input that
            meets these ends it.

    Attributes:
        lower, upper: the box.
        enough: slack that ends a run; infinite where the largest one is looked for.
        best: the input of the largest slack so far, of any sign, or None.
    """

    def __init__(
        self,
        network: ReLUNetwork,
        alternatives: Sequence[Alternative],
        lower: FloatArray,
        upper: FloatArray,
        seed: int,
        rising: Sequence[int] = (),
        weakened: Sequence[Alternative] = (),
    ) -> None:
        self._network = network
        self._alternatives, self._weakened = alternatives, weakened
        self.lower, self.upper = lower, upper
        self._low, self._high = lower.astype(np.float32), upper.astype(np.float32)
        self._half = (self._high - self._low) * np.float32(0.5)
        self._seed = seed
        self._gradients = gradients_of(network)
        conditions = [each.conditions for each in alternatives]
        counts = [each.rhs.size for each in conditions]
        self._asked = Asked(
            np.cumsum([0, *counts]),
            np.concatenate([each.matrix for each in conditions]),
            np.concatenate([each.rhs for each in conditions]),
        )
        self._from_starts = not rising
        self._steps = itertools.chain(rising, itertools.repeat(STEPS))
        self.enough = 0.0
        self.best: Witness | None = None

    @cached_property
    def _generator(self) -> np.random.Generator:
        """Of random corners; making one takes as long as a few gradient steps."""
        return np.random.default_rng(self._seed)

    def starts(self, alternatives: Sequence[int], restarts: int) -> tuple[SingleMatrix, IntArray]:
        """The middle of the box and random corners, for each alternative."""
        asked = alternatives if self._from_starts else []
        which = np.repeat(np.asarray(asked, dtype=np.int64), restarts)
        if which.size == 0:
            return np.zeros((0, self._low.size), dtype=np.float32), which
        shape = (which.size, self._low.size)
        share = self._generator.integers(0, 2, shape).astype(np.float32)
        share[::restarts] = 0.5
        return self._low + share * (self._high - self._low), which

    def run(
        self, points: SingleMatrix, which: IntArray, steps: int | None = None
    ) -> Witness | None:
        """Descend from some points, each towards an alternative; a witness ends it."""
        steps = next(self._steps) if steps is None else steps
        points = np.clip(points.astype(np.float32), self._low, self._high)
        for step in range(steps):
            slacks, gradient = self._gradients.slacks(points, which, self._asked)
            last = step == steps - 1
            if last or slacks.max(initial=-np.inf) >= self.enough:
                best = -math.inf if self.best is None else self.best.slack
                hope = slacks >= min(best, self.enough) - ROUNDING
                found = self.check(points[hope], which[hope], slacks[hope])
                if found is not None:
                    return found
            if not last:
                length = np.float32(LONGEST * (1.0 - step / steps) + SHORTEST)
                move(points, gradient, length * self._half, self._low, self._high)
        return None

    def check(self, points: AnyFloat, which: IntArray, slacks: FloatArray) -> Witness | None:
        """The first of the most promising points that is a witness, or meets what is weakened.

        In the second case it is a witness of any alternative, or else one whose slack is negative.
        """
        for b in np.argsort(-slacks)[:CHECKED]:
            image = np.clip(points[b].astype(np.float64), self.lower, self.upper)
            alternative, logits = int(which[b]), self._network.forward(image)
            slack = _slack(self._alternatives[alternative], logits)
            if math.isnan(slack):
                continue
            if self.best is None or slack > self.best.slack:
                self.best = Witness(image, alternative, slack)
            if slack >= self.enough:
                return self.best
            if self._weakened and _slack(self._weakened[alternative], logits) >= self.enough:
                slacks_of_all = [_slack(each, logits) for each in self._alternatives]
                alternative = int(np.argmax(slacks_of_all))
                return Witness(image, alternative, slacks_of_all[alternative])
        return None


def _slack(alternative: Alternative, logits: FloatArray) -> float:
    """By how much logits meet the condition that they meet least."""
    return float(alternative.conditions.slack(logits).min(initial=np.inf))
