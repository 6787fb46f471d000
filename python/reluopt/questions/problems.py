r"""What is asked of a network: classification, optimal inputs, smallest perturbations.

Frozen dataclasses with no solver in sight. Three questions can be asked:

* :class:`Classification`: which logits does the mixed-integer program compute for an image?
* :class:`OptimalInput`: which input in a box makes one logit as large as possible?
* :class:`MinimalPerturbation`: which image closest to a given one is classified as a target, with
  a margin?

A :class:`MinimalPerturbation` is what people write down; :meth:`MinimalPerturbation.task` turns it
into a :class:`PerturbationTask`, in which targets and margins have become linear conditions on the
logits and which every engine understands.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from reluopt.errors import InputError
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray, frozen_array
from reluopt.questions.change_limits import ChangeLimits, smoothness_limits
from reluopt.questions.margins import (
    STRICT_GAP,
    AbsoluteMargin,
    BareRelativeMargin,
    LogitConditions,
    Margin,
    RelativeMargin,
    parse_margin,
)
from reluopt.questions.norms import Blend, Measure, Norm, parse_norm
from reluopt.questions.overflow import refuse_large_conditions, refuse_overflow
from reluopt.questions.targets import (
    AnyTarget,
    FixedTarget,
    RunnerUpTarget,
    ShiftTarget,
    Target,
    parse_target,
)

__all__ = [
    "STRICT_GAP",
    "AbsoluteMargin",
    "Alternative",
    "AnyTarget",
    "BareRelativeMargin",
    "Blend",
    "Box",
    "ChangeLimits",
    "Classification",
    "FixedTarget",
    "LogitConditions",
    "LogitTask",
    "Margin",
    "Measure",
    "MinimalPerturbation",
    "Norm",
    "OptimalInput",
    "PerturbationTask",
    "Problem",
    "RelativeMargin",
    "RunnerUpTarget",
    "ShiftTarget",
    "Target",
    "check_label",
    "fitting_box",
    "flat_image",
    "parse_margin",
    "parse_norm",
    "parse_target",
]


@dataclass(frozen=True, eq=False)
class Box:
    """Inputs allowed by ``lower <= x0 <= upper``, elementwise; both of shape ``(n_0,)``.

    Raises:
        InputError: shapes differ, a bound is not finite, or a lower bound exceeds its upper bound.
    """

    lower: FloatArray
    upper: FloatArray

    def __post_init__(self) -> None:
        lower, upper = frozen_array(self.lower), frozen_array(self.upper)
        if lower.ndim != 1 or lower.shape != upper.shape:
            raise InputError(
                f"box: expected two vectors of one length, found {lower.shape} and {upper.shape}"
            )
        if not (np.isfinite(lower).all() and np.isfinite(upper).all()):
            raise InputError("box: expected finite bounds, found NaN or infinity")
        if (lower > upper).any():
            worst = int(np.argmax(lower - upper))
            raise InputError(
                f"box: expected lower <= upper, found {lower[worst]} > {upper[worst]} "
                f"at input {worst}"
            )
        object.__setattr__(self, "lower", lower)
        object.__setattr__(self, "upper", upper)

    @classmethod
    def unit(cls, size: int) -> Box:
        """The box [0, 1]^size of images."""
        return cls(np.zeros(size), np.ones(size))

    def violation(self, point: FloatArray) -> float:
        """How far ``point`` lies outside, in its worst coordinate (0 inside)."""
        outside = np.maximum(self.lower - point, point - self.upper)
        return float(np.maximum(outside, 0.0).max(initial=0.0))

    def clip(self, point: FloatArray) -> FloatArray:
        """The point of the box that is nearest to ``point``."""
        return np.clip(point, self.lower, self.upper)


@dataclass(frozen=True, eq=False)
class Alternative:
    """One way to satisfy a :class:`PerturbationTask`: a target and its conditions."""

    target: int
    conditions: LogitConditions


@dataclass(frozen=True, eq=False)
class PerturbationTask:
    r"""Minimise the norm of :math:`x^0 - image` over a box, meeting one of some alternatives.

    .. math:: \min_{x^0 \in [l, u]} \|x^0 - image\| \quad\text{s.t.}\quad
              \exists i:\ C_i\, x^K \ge d_i .

    Attributes:
        image: shape ``(n_0,)``, inside the box.
        box: inputs allowed, and no more than the limits leave of them.
        norm: what is minimised.
        alternatives: at least one target with its conditions ``(C_i, d_i)``.
        limits: what changes are allowed beside the box; None means all.
    """

    image: FloatArray
    box: Box
    norm: Measure
    alternatives: tuple[Alternative, ...]
    limits: ChangeLimits | None = None

    def only(self, alternative: Alternative) -> PerturbationTask:
        """The same task with one alternative left."""
        return replace(self, alternatives=(alternative,))

    def objective(self, point: FloatArray) -> float:
        """Objective of the input ``point``, shape ``(n_0,)``."""
        return self.norm.objective(point - self.image)


@dataclass(frozen=True, eq=False)
class LogitTask:
    """Maximise the logit of ``label`` over ``box``.

    With ``lower == upper`` it evaluates the network at one point through the program
    (:class:`~reluopt.questions.problems.Classification`).
    """

    label: int
    box: Box


@dataclass(frozen=True, eq=False)
class MinimalPerturbation:
    """The smallest change that makes the network answer a target, with a margin.

    Attributes:
        image: any shape that holds ``n_0`` values; kept flat.
        label: the true label d.
        target: which label shall be answered.
        norm: L1 (``sum|delta|``), L2 (``sum delta^2``), Linf, or a :class:`Blend` of L1 and L2.
        margin: by how much the target must lead.
        box: inputs allowed; None means [0, 1] for every input.
        smoothness: how much the change of a pixel may differ from that of the pixels beside, above
            and below it, in pixel units; None means without limit. It needs a network whose
            ``input_shape`` has rows and columns.
    """

    image: ArrayLike
    label: int
    target: Target = ShiftTarget(5)
    norm: Measure = Norm.L1
    margin: Margin = RelativeMargin(0.2)
    box: Box | None = None
    smoothness: float | None = None

    def task(self, network: ReLUNetwork) -> PerturbationTask:
        """Resolve target and margin for ``network``.

        Raises:
            InputError: image, label, target, box or smoothness do not fit the network, the
                image lies outside the box, or network or margin may overflow over it.
        """
        image = flat_image(network, self.image)
        box = fitting_box(network, self.box)
        if box.violation(image) > 0.0:
            raise InputError(
                f"image: expected values inside the box, found one {box.violation(image):g} outside"
            )
        check_label(network, self.label)
        if network.output_size < 2:
            raise InputError("network: expected at least two classes to choose from, found one")
        candidates = self.target.candidates(self.label, network.forward(image))
        classes = network.output_size
        alternatives = tuple(Alternative(t, self.margin.conditions(t, classes)) for t in candidates)
        for alternative in alternatives:
            refuse_large_conditions(alternative.conditions, network, box.lower, box.upper)
        limits = None
        if self.smoothness is not None:
            limits = smoothness_limits(network.input_shape, self.smoothness)
            box = _box_left(limits, box, image)
        measure = parse_norm(str(self.norm))
        if limits is not None and isinstance(measure, Blend):
            raise InputError("smoothness: expected norm l1, l2 or linf, found a blend")
        return PerturbationTask(image, box, measure, alternatives, limits)


@dataclass(frozen=True, eq=False)
class Classification:
    """Compute the logits of one image by the program: the input is fixed, nothing is optimised."""

    image: ArrayLike


@dataclass(frozen=True, eq=False)
class OptimalInput:
    """The input in a box that maximises the logit of ``label``; None means the box [0, 1]."""

    label: int
    box: Box | None = None


Problem: TypeAlias = Classification | OptimalInput | MinimalPerturbation


def _box_left(limits: ChangeLimits, box: Box, image: FloatArray) -> Box:
    """The box that limits on the change leave, rounded outward; ends that they spare stay exact."""
    low, high = box.lower - image, box.upper - image
    size = float(np.maximum(np.abs(box.lower), np.abs(box.upper)).max())
    least, most = limits.reach(low, high, size)
    lower = np.where(least > low, np.maximum(box.lower, image + least), box.lower)
    upper = np.where(most < high, np.minimum(box.upper, image + most), box.upper)
    return Box(lower, upper)


def flat_image(network: ReLUNetwork, image: ArrayLike) -> FloatArray:
    """One finite image as a read-only vector of shape ``(n_0,)``, or an InputError."""
    batch, single = network.flat_inputs(image)
    if not single:
        raise InputError(f"image: expected one image, found a batch of {batch.shape[0]}")
    if not np.isfinite(batch).all():
        raise InputError("image: expected finite values, found NaN or infinity")
    return frozen_array(batch[0])


def fitting_box(network: ReLUNetwork, box: Box | None) -> Box:
    """``box``, or [0, 1] for every input: what every question asks about.

    Raises:
        InputError: its length does not fit, or the network may overflow over it
            (:mod:`reluopt.questions.overflow`).
    """
    chosen = Box.unit(network.input_size) if box is None else box
    if chosen.lower.size != network.input_size:
        raise InputError(
            f"box: expected {network.input_size} bounds (one for each input), "
            f"found {chosen.lower.size}"
        )
    refuse_overflow(network, chosen.lower, chosen.upper)
    return chosen


def check_label(network: ReLUNetwork, label: int) -> None:
    """Raise an InputError unless ``label`` is one of the network's classes."""
    if not 0 <= label < network.output_size:
        raise InputError(
            f"label: expected a label from 0 to {network.output_size - 1}, found {label}"
        )
