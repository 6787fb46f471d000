"""Exact attacks with the calling habits of Foolbox 3 (``foolbox/attacks/base.py`` there)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Unpack

import numpy as np

from reluopt.asking.ask import How, known_settings, nearest
from reluopt.asking.given import Inputs, as_network, chosen, number, plain
from reluopt.attacks.criteria import TargetedMisclassification
from reluopt.attacks.gradient import AttackResult, Batch
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray
from reluopt.questions.problems import Margin, Norm
from reluopt.questions.verification import refuse_radius


class ExactAttack:
    """Nearest images as an attack: ``raw, clipped, success = attack(model, x, y, epsilons=None)``.

    The settings are those of :func:`~.ask.nearest`. The minimum does not depend on epsilons, so a
    list of them takes no longer than one.

    Example:
        >>> import reluopt as ro
        >>> digits = ro.load_images("test").subset([0, 1])
        >>> raw, clipped, success = ro.ExactAttack("l1")(
        ...     "thesis", digits.images, digits.labels, epsilons=[1.0, 3.0, None])
        >>> raw[0].shape, success.tolist()
        ((2, 28, 28), [[False, False], [True, True], [True, True]])
    """

    def __init__(
        self, norm: str | float | Norm = "l2", margin: str | Margin = "x1", **how: Unpack[How]
    ) -> None:
        self._norm, self._margin, self._how = norm, margin, known_settings(how)

    def __call__(
        self,
        model: Any,
        inputs: Any,
        criterion: Any,
        *,
        epsilons: float | Sequence[float | None] | None = None,
    ) -> AttackResult:
        """Attack a batch.

        Args:
            model: what :func:`~.ask.nearest` takes.
            inputs: one input or a batch of them, arrays or tensors.
            criterion: true labels, or one of :mod:`reluopt.attacks.criteria`.
            epsilons: None, a radius, or several of either; None sets no limit.

        Returns:
            ``raw``, the nearest images in the kind and shape of ``inputs`` (these themselves where
            none was found); ``clipped``, the same brought into the ball of radius epsilon and the
            box; ``success``, whether ``clipped`` meets the criterion by a float64 forward pass,
            shape ``(batch,)``. For a list of epsilons ``raw`` and ``clipped`` are lists, and
            ``success`` has a row for each.

        Raises:
            InputError: something does not fit.
        """
        network = as_network(model, inputs, self._how.get("box"))
        read = Inputs.read(network, inputs)
        batch = Batch(network, read.flat, plain(criterion), chosen("norm", self._norm), None)
        epsilons = plain(epsilons)
        several = np.ndim(epsilons) > 0  # type: ignore[arg-type]
        radii: list[Any] = list(epsilons) if several else [epsilons]  # type: ignore[arg-type]
        for radius in radii:
            refuse_radius(0.0 if radius is None else number("epsilons", radius))
        results = self._nearest(network, batch)
        raw = batch.images.copy()
        for row, each in zip(raw, results, strict=True):
            row[:] = row if each.solution.image is None else each.solution.image
        made = [raw, *(_within(batch, raw, results, radius) for radius in radii)]
        made = [read.rounded(points) for points in made]
        success = np.array([batch.success(points) for points in made[1:]])
        first, *clipped = (read.back(points) for points in made)
        if read.single:
            first, clipped, success = first[0], [each[0] for each in clipped], success[:, 0]
        if several:
            return AttackResult([first] * len(radii), clipped, read.like(success))
        return AttackResult(first, clipped[0], read.like(np.array(success[0])))

    def _nearest(self, network: ReLUNetwork, batch: Batch) -> list[Any]:
        """The nearest image of each of the batch."""
        name = "target" if isinstance(batch.criterion, TargetedMisclassification) else "label"
        how = self._how.copy()
        how.pop("box", None)  # the network has it, and is made once
        ask = partial(nearest, network, norm=self._norm, margin=self._margin, **how)
        labels = batch.criterion.answers.tolist()
        return [ask(x, **{name: each}) for x, each in zip(batch.images, labels, strict=True)]


def _within(batch: Batch, raw: FloatArray, results: list[Any], radius: float | None) -> FloatArray:
    """Nearest images where they are near enough; others on the way there, inside box and ball."""
    most = np.inf if radius is None else radius
    far = np.flatnonzero([each.distance > most for each in results])
    points = raw.copy()
    if most < np.inf:
        points[far] = batch.bring_back(raw[far] - batch.images[far], far, most)
    return points
