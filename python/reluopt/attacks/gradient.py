"""PGD on batches of images, with the calling habits of Foolbox.

It returns ``raw, clipped, success``: what the attack made, the same brought into the box and the
ball of radius epsilon, and whether ``clipped`` meets the criterion by a float64 forward pass. For a
list of epsilons ``raw`` and ``clipped`` are lists and ``success`` has one row for each. It finds
no optimum and proves nothing; see :func:`reluopt.pipeline.solve` for that. One step without a
random start is the fast gradient sign method (Goodfellow, Shlens and Szegedy 2015).

Epsilons are lengths in pixel units (L2: the length, not its square).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reluopt.attacks.criteria import (
    Misclassification,
    TargetedMisclassification,
    as_criterion,
)
from reluopt.attacks.steps import without_stuck
from reluopt.errors import InputError
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import BoolArray, FloatArray
from reluopt.questions.input_sets import Box
from reluopt.questions.norms.base import Norm
from reluopt.questions.tasks import fitting_box

Criterion = Misclassification | TargetedMisclassification

TOTAL_TRAVEL = 2.5
"""The steps of PGD add up to this many epsilons (Madry et al. 2018: 2.5 eps / steps), so
that an iterate can cross the ball and move along its border."""


SHRINKING = (1.0 - 1e-12, 1.0 - 1e-6, 0.0)
"""Factors of changes that rounding has made longer than the ball allows, until they are not: the
second one and the third are for balls that are hardly larger than the rounding of an image."""


class AttackResult(NamedTuple):
    """What an attack returns; unpacks as ``raw, clipped, success``.

    Attributes:
        raw: what the attack made, in the shape of the images; may leave the box.
        clipped: ``raw`` brought into the box and the ball.
        success: whether ``clipped`` meets the criterion, shape ``(batch,)``.
    """

    raw: FloatArray | list[FloatArray]
    clipped: FloatArray | list[FloatArray]
    success: BoolArray


def pgd(
    network: ReLUNetwork,
    images: ArrayLike,
    criterion: Criterion | ArrayLike,
    epsilons: float | Sequence[float],
    *,
    norm: Norm = Norm.LINF,
    steps: int = 40,
    step_size: float | None = None,
    restarts: int = 1,
    random_start: bool = True,
    seed: int | Sequence[int] = 0,
    box: Box | None = None,
) -> AttackResult:
    """Projected gradient descent on the loss, within the ball of radius epsilon and the box.

    Madry et al. (2018), section 2.1. An image counts as soon as any of its iterates is a success.
    L1 takes steps on the few largest gradient entries that can still move (Tramer and Boneh 2019)
    and projects onto {L1 ball ∩ box} exactly (Croce and Hein 2021).

    Args:
        network: the network.
        images: one image or a batch, flat or in ``network.input_shape``, inside the box.
        criterion: true labels, or a criterion.
        epsilons: radius of the ball, or several of them.
        norm: norm of the ball.
        steps: gradient steps of one run, >= 1.
        step_size: length of a step as a share of epsilon; None means ``2.5 / steps``.
        restarts: runs, >= 1; images already fooled are left alone.
        random_start: whether runs start at random points of the ball or at the image.
        seed: seed of the random starts, or one for each image, whose starts then do not depend on
            what else is in the batch.
        box: inputs allowed; None means [0, 1].

    Returns:
        ``raw, clipped, success``; here ``raw`` and ``clipped`` are equal.

    Raises:
        InputError: images, labels, epsilons or counts do not fit.
    """
    share = TOTAL_TRAVEL / steps if step_size is None and steps > 0 else step_size
    _refuse_counts(steps, restarts, share)
    several = not isinstance(epsilons, int | float | np.floating | np.integer)
    radii = [float(each) for each in np.atleast_1d(np.asarray(epsilons, dtype=np.float64))]
    batch = Batch(network, images, criterion, norm, box)
    if not all(np.isfinite(each) and each >= 0.0 for each in radii):
        raise InputError(f"epsilons: expected finite numbers >= 0, found {epsilons}")
    generators = batch.generators(seed) if random_start else []
    plan = (steps, share or 0.0)
    found = [batch.restarted(epsilon, restarts, plan, generators) for epsilon in radii]
    made = [best.reshape(np.shape(images)) for best in found]
    success = np.array([batch.success(best) for best in found])
    success = success[:, 0] if batch.single else success
    if several:
        return AttackResult(made, made, success)
    return AttackResult(made[0], made[0], success[0])


def _refuse_counts(steps: int, restarts: int, share: float | None) -> None:
    """Raise an InputError unless there are steps of some length, and runs."""
    for name, count in (("steps", steps), ("restarts", restarts)):
        if count < 1:
            raise InputError(f"{name}: expected at least 1, found {count}")
    if share is None or not share > 0.0:
        raise InputError(f"step size: expected a share of epsilon > 0, found {share}")


class Batch:
    """A checked batch and its criterion.

    Args: as those of :func:`pgd`.

    Attributes:
        images: shape ``(batch, n_0)``.
        single: whether it is one image without a batch axis.
        criterion: what counts as success.
    """

    def __init__(
        self,
        network: ReLUNetwork,
        images: ArrayLike,
        criterion: Criterion | ArrayLike,
        norm: Norm,
        box: Box | None,
    ) -> None:
        self._network = network
        self.images, self.single = network.flat_inputs(images)
        if not np.isfinite(self.images).all():
            raise InputError("images: expected finite values, found NaN or infinity")
        self._box = fitting_box(network, box)
        outside = max((self._box.violation(image) for image in self.images), default=0.0)
        if outside > 0.0:
            raise InputError(
                f"images: expected values inside the box, found one {outside:g} outside"
            )
        self._norm = norm
        self.criterion = as_criterion(criterion, len(self.images), network.output_size)
        self._low, self._high = self._box.lower - self.images, self._box.upper - self.images

    def success(self, points: FloatArray) -> BoolArray:
        """Which points meet the criterion, by a forward pass."""
        return self.criterion.success(self._network.forward(points))

    def generators(self, seed: int | Sequence[int]) -> list[np.random.Generator]:
        """One generator for all images, or one for each.

        Raises:
            InputError: there are several seeds, but not one for each image.
        """
        seeds = [seed] if isinstance(seed, int) else list(seed)
        if not isinstance(seed, int) and len(seeds) != len(self.images):
            raise InputError(
                f"seed: expected one for each of {len(self.images)} images, found {len(seeds)}"
            )
        return [np.random.default_rng(each) for each in seeds]

    def restarted(
        self,
        epsilon: float,
        restarts: int,
        plan: tuple[int, float],
        generators: Sequence[np.random.Generator],
    ) -> FloatArray:
        """The successes of several runs from random points, or from the images without any."""
        steps, share = plan
        best = self.images.copy()
        done = self.success(best)
        for _ in range(restarts):
            if done.all():
                break
            start = np.zeros_like(best)
            if generators:
                shape = (len(start) // len(generators), start.shape[1])
                draws = (self._norm.random_changes(each, shape, epsilon) for each in generators)
                start = np.concatenate(list(draws))
            self.run(start, epsilon, (steps, share * epsilon), best, done)
        return best

    def run(
        self,
        start: FloatArray,
        epsilon: float,
        plan: tuple[int, float],
        best: FloatArray,
        done: BoolArray,
    ) -> None:
        """One run of PGD; keeps successes in ``best`` and marks them in ``done``."""
        steps, length = plan
        rows = np.flatnonzero(~done)
        points = self.bring_back(start[rows], rows, epsilon)
        for step in range(steps + 1):
            logits = self._network.forward(points)
            fooled = self.criterion.of(rows).success(logits)
            best[rows] = points
            done[rows[fooled]] = True
            rows, points, logits = rows[~fooled], points[~fooled], logits[~fooled]
            if step == steps or not rows.size:
                break
            points = self.climb(points, logits, rows, epsilon, length)

    def climb(
        self,
        points: FloatArray,
        logits: FloatArray,
        rows: NDArray[np.intp],
        epsilon: float,
        length: float,
    ) -> FloatArray:
        """One step of ascent of the loss, of that length, inside box and ball.

        Args:
            points: where the images ``rows`` of the batch are now.
            logits: the network's at these points.
            rows: which images.
            epsilon: radius of the ball.
            length: of the step.
        """
        gradient = self._network.gradient(points, self.criterion.of(rows).ascent(logits))
        free = without_stuck(gradient, points, self._box.lower, self._box.upper)
        move = length * self._norm.steepest(free)
        return self.bring_back(points + move - self.images[rows], rows, epsilon)

    def bring_back(self, changes: FloatArray, rows: NDArray[np.intp], epsilon: float) -> FloatArray:
        """The images ``rows`` changed by the projection of ``changes``, inside box and ball."""
        images, low, high = self.images[rows], self._low[rows], self._high[rows]
        changes = self._norm.project(changes, low, high, epsilon)
        points = np.clip(images + changes, self._box.lower, self._box.upper)
        # Adding to the image and clipping round.
        for factor in SHRINKING:
            over = self._norm.lengths(points - images) > epsilon
            if not over.any():
                break
            changes[over] *= factor
            points = np.clip(images + changes, self._box.lower, self._box.upper)
        return points
