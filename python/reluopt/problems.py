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

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from reluopt.errors import InputError
from reluopt.network import FloatArray, ReLUNetwork, frozen_array

STRICT_GAP = 1e-4
"""Logit lead that :class:`RelativeMargin` asks for on top of its ratio. It excludes ties (an exact
tie is no success) and stands far above the 1e-6 to 1e-9 feasibility tolerances of MIP solvers,
while trained logits differ by 0.1 to 10."""


class Norm(StrEnum):
    """How the size of a change ``delta = x0 - image`` is measured."""

    L1 = "l1"
    L2 = "l2"
    LINF = "linf"

    def objective(self, delta: FloatArray) -> float:
        """What the program minimises: ``sum|delta|``, ``sum delta^2`` or ``max|delta|``."""
        if self is Norm.L1:
            return float(np.abs(delta).sum())
        if self is Norm.L2:
            return float(delta @ delta)
        return float(np.abs(delta).max(initial=0.0))

    def distance_of(self, objective: float) -> float:
        """Length of the change whose objective is given (the root of it for L2)."""
        return float(np.sqrt(objective)) if self is Norm.L2 else float(objective)


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
class LogitConditions:
    """Linear conditions ``matrix @ logits >= rhs`` that an answer must meet.

    Attributes:
        matrix: shape ``(conditions, n_K)``.
        rhs: shape ``(conditions,)``.
    """

    matrix: FloatArray
    rhs: FloatArray

    def __post_init__(self) -> None:
        matrix, rhs = frozen_array(self.matrix), frozen_array(self.rhs)
        if matrix.ndim != 2 or rhs.shape != (matrix.shape[0],):
            raise InputError(
                f"conditions: expected a matrix and one right-hand side a row, found shapes "
                f"{matrix.shape} and {rhs.shape}"
            )
        object.__setattr__(self, "matrix", matrix)
        object.__setattr__(self, "rhs", rhs)

    def slack(self, logits: FloatArray) -> FloatArray:
        """``matrix @ logits - rhs`` for ``(n_K,)`` or ``(batch, n_K)``; all >= 0 when met."""
        return logits @ self.matrix.T - self.rhs


class Margin(Protocol):
    """By how much the target's logit must lead the others."""

    def conditions(self, target: int, classes: int) -> LogitConditions:
        """The conditions for ``target`` among ``classes`` logits."""
        ...


def _leads(target: int, classes: int, factor: float) -> FloatArray:
    """Rows ``x_t - factor * x_j`` for every ``j != t``, shape ``(classes - 1, classes)``."""
    rows = -factor * np.eye(classes)
    rows[:, target] = 1.0
    return np.delete(rows, target, axis=0)


@dataclass(frozen=True)
class RelativeMargin:
    """``x_t >= (1 + fraction) x_j`` and ``x_t >= x_j + strict_gap`` for every other label j.

    The second condition matters: with negative logits the first alone allows ``x_t < x_j``, and an
    exact tie is no success.

    Attributes:
        fraction: relative lead; the thesis (Linkola 2023) uses 0.2, that is ``x_t >= 1.2 x_j``.
        strict_gap: absolute lead in logit units, > 0.
    """

    fraction: float = 0.2
    strict_gap: float = STRICT_GAP

    def __post_init__(self) -> None:
        if not (np.isfinite(self.fraction) and self.fraction >= 0.0):
            raise InputError(f"margin: expected a fraction >= 0, found {self.fraction}")
        if not (np.isfinite(self.strict_gap) and self.strict_gap > 0.0):
            raise InputError(f"margin: expected a strict gap > 0, found {self.strict_gap}")

    def conditions(self, target: int, classes: int) -> LogitConditions:
        """Both families of rows; the ratio rows are left out when ``fraction`` is 0."""
        leads = _leads(target, classes, 1.0)
        gaps = np.full(classes - 1, self.strict_gap)
        if self.fraction == 0.0:
            return LogitConditions(leads, gaps)
        ratios = _leads(target, classes, 1.0 + self.fraction)
        return LogitConditions(np.vstack([ratios, leads]), np.append(np.zeros(classes - 1), gaps))

    def __str__(self) -> str:
        return f"x{1.0 + self.fraction:g}"


@dataclass(frozen=True)
class BareRelativeMargin:
    """The thesis' condition to the letter: ``x_t >= (1 + fraction) x_j`` and nothing else.

    It allows images that the network does not classify as the target (negative logits, ties).
    It is kept to reproduce published figures; such images are never reported as a success.
    """

    fraction: float = 0.2

    def __post_init__(self) -> None:
        if not (np.isfinite(self.fraction) and self.fraction >= 0.0):
            raise InputError(f"margin: expected a fraction >= 0, found {self.fraction}")

    def conditions(self, target: int, classes: int) -> LogitConditions:
        """The ratio rows alone."""
        return LogitConditions(_leads(target, classes, 1.0 + self.fraction), np.zeros(classes - 1))

    def __str__(self) -> str:
        return f"bare-x{1.0 + self.fraction:g}"


@dataclass(frozen=True)
class AbsoluteMargin:
    """``x_t >= x_j + kappa`` for every other label j, with ``kappa > 0`` in logit units."""

    kappa: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.kappa) and self.kappa > 0.0):
            raise InputError(
                f"margin: expected kappa > 0 (0 would end in ties), found {self.kappa}"
            )

    def conditions(self, target: int, classes: int) -> LogitConditions:
        """One row for every other label."""
        return LogitConditions(_leads(target, classes, 1.0), np.full(classes - 1, self.kappa))

    def __str__(self) -> str:
        return f"+{self.kappa:g}"


def parse_margin(text: str) -> Margin:
    """Read ``x1.2`` (relative), ``+0.1`` (absolute) or ``bare-x1.2`` (the thesis' condition).

    Raises:
        InputError: anything else, or a number out of range.
    """
    kinds = (("bare-x", "bare"), ("x", "relative"), ("+", "absolute"))
    for prefix, kind in kinds:
        if not text.startswith(prefix):
            continue
        try:
            value = float(text.removeprefix(prefix))
        except ValueError:
            break
        # Decimal ratios such as 1.2 are meant exactly: without rounding 1.2 - 1 is not 0.2.
        fraction = round(value - 1.0, 12)
        if kind == "relative":
            return RelativeMargin(fraction)
        return BareRelativeMargin(fraction) if kind == "bare" else AbsoluteMargin(value)
    raise InputError(f"margin: expected x1.2, +0.1 or bare-x1.2, found {text!r}")


class Target(Protocol):
    """Which label the network shall answer."""

    def candidates(self, label: int, logits: FloatArray) -> tuple[int, ...]:
        """Labels that count as an answer, for a true ``label`` and the image's logits."""
        ...


@dataclass(frozen=True)
class FixedTarget:
    """One label for every image."""

    target: int

    def candidates(self, label: int, logits: FloatArray) -> tuple[int, ...]:
        """That label."""
        del label
        if not 0 <= self.target < logits.size:
            raise InputError(
                f"target: expected a label from 0 to {logits.size - 1}, found {self.target}"
            )
        return (self.target,)

    def __str__(self) -> str:
        return str(self.target)


@dataclass(frozen=True)
class ShiftTarget:
    """``(label + shift) mod classes``; the thesis uses a shift of 5."""

    shift: int = 5

    def candidates(self, label: int, logits: FloatArray) -> tuple[int, ...]:
        """The shifted label."""
        target = (label + self.shift) % logits.size
        if target == label:
            raise InputError(
                f"target: expected a shift that changes the label among {logits.size} classes, "
                f"found {self.shift:+d}"
            )
        return (target,)

    def __str__(self) -> str:
        return f"{self.shift:+d}"


@dataclass(frozen=True)
class RunnerUpTarget:
    """The label with the largest logit among all but the true one."""

    def candidates(self, label: int, logits: FloatArray) -> tuple[int, ...]:
        """The runner-up at the unchanged image (the lowest label among ties)."""
        others = logits.copy()
        others[label] = -np.inf
        return (int(np.argmax(others)),)

    def __str__(self) -> str:
        return "runner-up"


@dataclass(frozen=True)
class AnyTarget:
    """Any label but the true one (an *untargeted* attack); the nearest of them wins."""

    def candidates(self, label: int, logits: FloatArray) -> tuple[int, ...]:
        """All other labels, by falling logit at the unchanged image."""
        order = np.argsort(-logits, kind="stable")
        return tuple(int(j) for j in order if j != label)

    def __str__(self) -> str:
        return "any"


def parse_target(text: str) -> Target:
    """Read a label (``3``), a shift (``+5``, ``-1``), ``runner-up`` or ``any``.

    Raises:
        InputError: anything else.
    """
    if text == "runner-up":
        return RunnerUpTarget()
    if text == "any":
        return AnyTarget()
    try:
        value = int(text)
    except ValueError:
        raise InputError(
            f"target: expected a label, +5, runner-up or any, found {text!r}"
        ) from None
    return ShiftTarget(value) if text[0] in "+-" else FixedTarget(value)


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
        box: inputs allowed.
        norm: what is minimised.
        alternatives: at least one target with its conditions ``(C_i, d_i)``.
    """

    image: FloatArray
    box: Box
    norm: Norm
    alternatives: tuple[Alternative, ...]

    def only(self, alternative: Alternative) -> PerturbationTask:
        """The same task with one alternative left."""
        return PerturbationTask(self.image, self.box, self.norm, (alternative,))

    def objective(self, point: FloatArray) -> float:
        """Objective of the input ``point``, shape ``(n_0,)``."""
        return self.norm.objective(point - self.image)


@dataclass(frozen=True, eq=False)
class LogitTask:
    """Maximise the logit of ``label`` over ``box``.

    With ``lower == upper`` it evaluates the network at one point through the program
    (:class:`~reluopt.problems.Classification`).
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
        norm: L1 (``sum|delta|``), L2 (``sum delta^2``) or Linf.
        margin: by how much the target must lead.
        box: inputs allowed; None means [0, 1] for every input.
    """

    image: ArrayLike
    label: int
    target: Target = ShiftTarget(5)
    norm: Norm = Norm.L1
    margin: Margin = RelativeMargin(0.2)
    box: Box | None = None

    def task(self, network: ReLUNetwork) -> PerturbationTask:
        """Resolve target and margin for ``network``.

        Raises:
            InputError: image, label, target or box do not fit the network, or the image lies
                outside the box.
        """
        image = flat_image(network, self.image)
        box = fitting_box(network, self.box)
        if box.violation(image) > 0.0:
            raise InputError(
                f"image: expected values inside the box, found one {box.violation(image):g} outside"
            )
        check_label(network, self.label)
        candidates = self.target.candidates(self.label, network.forward(image))
        classes = network.output_size
        alternatives = tuple(Alternative(t, self.margin.conditions(t, classes)) for t in candidates)
        return PerturbationTask(image, box, Norm(self.norm), alternatives)


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


def flat_image(network: ReLUNetwork, image: ArrayLike) -> FloatArray:
    """One finite image as a read-only vector of shape ``(n_0,)``, or an InputError."""
    batch, single = network.flat_inputs(image)
    if not single:
        raise InputError(f"image: expected one image, found a batch of {batch.shape[0]}")
    if not np.isfinite(batch).all():
        raise InputError("image: expected finite values, found NaN or infinity")
    return frozen_array(batch[0])


def fitting_box(network: ReLUNetwork, box: Box | None) -> Box:
    """``box``, or [0, 1] for every input; an InputError when its length does not fit."""
    chosen = Box.unit(network.input_size) if box is None else box
    if chosen.lower.size != network.input_size:
        raise InputError(
            f"box: expected {network.input_size} bounds (one for each input), "
            f"found {chosen.lower.size}"
        )
    return chosen


def check_label(network: ReLUNetwork, label: int) -> None:
    """Raise an InputError unless ``label`` is one of the network's classes."""
    if not 0 <= label < network.output_size:
        raise InputError(
            f"label: expected a label from 0 to {network.output_size - 1}, found {label}"
        )
