r"""A task: what every engine understands.

.. math:: \min_{x^0 \in X} \|x^0 - image\| \quad\text{or}\quad \max_{x^0 \in X} c^\top x^K
          \quad\text{s.t.}\quad \exists i:\ C_i\, x^K \ge d_i ,

or :math:`\max_{x^0 \in X} \max_i \min_c (C_i\, x^K - d_i)_c`;
a verdict needs its sign alone.

Questions (:mod:`.minimal_perturbation` and its neighbours) are what people write down; each makes
a task, in which targets and margins have become linear conditions on the logits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike

from reluopt.errors import InputError
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray, frozen_array
from reluopt.questions.change_limits import ChangeLimits
from reluopt.questions.input_sets import Box, InputSet
from reluopt.questions.margins import LogitConditions
from reluopt.questions.norms.base import Norm
from reluopt.questions.overflow import refuse_overflow


@dataclass(frozen=True, eq=False)
class Alternative:
    """One way to satisfy a :class:`Task`.

    Attributes:
        target: the label that shall be answered.
        conditions: what its logit has to meet.
        bare: whether images that are not classified as the target can meet them.
        others: the targets of further images, where the logits are those of several.
    """

    target: int
    conditions: LogitConditions
    bare: bool = False
    others: tuple[int, ...] = ()

    @property
    def targets(self) -> tuple[int, ...]:
        """The label that shall be answered for each image; the logits stand one after another."""
        return (self.target, *self.others)

    def least_lead(self, logits: FloatArray) -> tuple[float, int, int]:
        """The smallest lead of a target over the other labels of its image, shape ``(n_K,)``.

        Returns:
            That lead, the target, and the label that is answered there.
        """
        found = []
        for target, own in zip(self.targets, np.split(logits, len(self.targets)), strict=True):
            rest = np.delete(own, target).max(initial=-np.inf)
            found.append((float(own[target] - rest), target, int(np.argmax(own))))
        return min(found)

    def weakened(self, row: int) -> Alternative:
        """The alternative with one of its conditions, or with all for a negative ``row``."""
        if row < 0:
            return self
        kept = LogitConditions(self.conditions.matrix[[row]], self.conditions.rhs[[row]])
        return replace(self, conditions=kept)


@dataclass(frozen=True, eq=False)
class Distance:
    """The size of the change from an image, to be minimised.

    Attributes:
        image: shape ``(n_0,)``.
        norm: how size is measured.
        tilt: k >= 0 adds ``2 k sum(x0 - image)``; nothing allowed may lie below the image then.
    """

    image: FloatArray
    norm: Norm
    tilt: float = 0.0
    trivial_bound: ClassVar[float] = 0.0

    def __call__(self, point: FloatArray) -> float:
        """Its value for the input ``point``, shape ``(n_0,)``."""
        delta = point - self.image
        value = self.norm.objective(delta)
        return value if self.tilt == 0.0 else float(value + 2.0 * self.tilt * delta.sum())


@dataclass(frozen=True)
class LinearForm:
    """A linear form of the logits, to be maximised.

    Attributes:
        terms: labels with the factors of their logits.
    """

    terms: tuple[tuple[int, float], ...]
    trivial_bound: ClassVar[float] = math.inf

    def __call__(self, logits: FloatArray) -> float:
        """Its value for ``logits``, shape ``(n_K,)``."""
        return float(sum(factor * logits[label] for label, factor in self.terms))

    @property
    def label(self) -> int | None:
        """The label whose logit is all that it is, or None."""
        return self.terms[0][0] if len(self.terms) == 1 and self.terms[0][1] == 1.0 else None


@dataclass(frozen=True)
class Logits(LinearForm):
    """The logits themselves, at the one input that is allowed: nothing has to be optimised."""

    terms: tuple[tuple[int, float], ...] = ((0, 1.0),)


@dataclass(frozen=True)
class LargestSlack:
    """The slack ``min_c (C_i x^K - d_i)_c`` of the best alternative i, to be maximised.

    It is >= 0 where an input meets an alternative, and below zero on an input set that holds none.

    Attributes:
        decides: whether its sign is all that is asked for.
    """

    decides: bool = False
    trivial_bound: ClassVar[float] = math.inf


@dataclass(frozen=True, eq=False)
class Task:
    """An objective over an input set, meeting one of some alternatives.

    Attributes:
        objective: what is optimised.
        inputs: inputs allowed; their box holds no more than their limits leave of it.
        alternatives: targets with their conditions ``(C_i, d_i)``; none where nothing has to be
            met, at least one for a distance or a slack.
        surroundings: where pre-activation bounds hold if in more than the box; None if not.

    Example:
        >>> import reluopt as ro
        >>> seven = ro.load_images("test").image(0)
        >>> task = ro.MinimalPerturbation(seven, 7, ro.AnyTarget()).task(ro.load_network("thesis"))
        >>> len(task.alternatives)  # any of nine other labels
        9
    """

    objective: Distance | LinearForm | LargestSlack
    inputs: InputSet
    alternatives: tuple[Alternative, ...] = ()
    surroundings: Box | None = None

    @classmethod
    def nearest(
        cls,
        image: FloatArray,
        box: Box,
        norm: Norm,
        alternatives: tuple[Alternative, ...],
        limits: ChangeLimits | None = None,
    ) -> Task:
        """The input of a box nearest to ``image`` that meets one of the alternatives."""
        inputs = InputSet(box, image, limits=limits)
        return cls(Distance(image, norm), inputs, alternatives)

    @classmethod
    def largest_logit(cls, label: int, box: Box) -> Task:
        """The largest logit of ``label`` over a box."""
        return cls(LinearForm(((label, 1.0),)), InputSet(box))

    @property
    def box(self) -> Box:
        """Elementwise limits of the inputs."""
        return self.inputs.box

    @property
    def limits(self) -> ChangeLimits | None:
        """Limits on the change besides the box."""
        return self.inputs.limits

    @property
    def distance(self) -> Distance:
        """The objective of a task that minimises one."""
        if not isinstance(self.objective, Distance):
            raise ValueError("task: expected one that minimises a distance")
        return self.objective

    @property
    def form(self) -> LinearForm:
        """The objective of a task that maximises one."""
        if not isinstance(self.objective, LinearForm):
            raise ValueError("task: expected one that maximises a form of the logits")
        return self.objective

    @property
    def maximises_slack(self) -> bool:
        """Whether the objective is the slack of an alternative."""
        return isinstance(self.objective, LargestSlack)

    @property
    def decides(self) -> bool:
        """Whether only the sign of the slack is asked for: is there an input at all?"""
        return isinstance(self.objective, LargestSlack) and self.objective.decides

    def best_alternative(self, logits: FloatArray) -> tuple[int, float]:
        """The alternative of the largest slack for ``logits``, shape ``(n_K,)``, and that slack.

        Without alternatives nothing has to be met: 0 and infinity.
        """
        slacks = self.slacks(logits)
        best = int(np.argmax(slacks)) if slacks else 0
        return best, slacks[best] if slacks else math.inf

    def slacks(self, logits: FloatArray) -> list[float]:
        """The slack of every alternative, of its least condition."""
        return [
            float(each.conditions.slack(logits).min(initial=math.inf)) for each in self.alternatives
        ]

    def value(self, logits: FloatArray) -> float:
        """What a task that maximises makes of ``logits``, shape ``(n_K,)``."""
        if isinstance(self.objective, LinearForm):
            return self.objective(logits)
        return self.best_alternative(logits)[1]

    def settles(self, value: float) -> bool:
        """Whether an input of this objective leaves nothing to look for."""
        return value == 0.0 if self.minimises_distance else self.decides and value >= 0.0

    @property
    def image(self) -> FloatArray:
        """The image from which a distance counts."""
        return self.distance.image

    @property
    def norm(self) -> Norm:
        """The norm of a distance."""
        return self.distance.norm

    @property
    def minimises_distance(self) -> bool:
        """Whether the objective is a distance, not a form of the logits."""
        return isinstance(self.objective, Distance)

    def only(self, alternative: Alternative) -> Task:
        """The same task with one alternative left."""
        return replace(self, alternatives=(alternative,))


class Question(Protocol):
    """What people ask. How its answer is judged follows from the objective of its task."""

    def task(self, network: ReLUNetwork) -> Task:
        """The task whose answer answers the question, or an InputError where it does not fit."""
        ...


@runtime_checkable
class PosedQuestion(Question, Protocol):
    """A question whose task is about another network than the given one."""

    def posed(self, network: ReLUNetwork) -> ReLUNetwork:
        """That network. Its ``forward`` runs the given one, so that checks are checks of it."""
        ...


def posed_network(question: Question, network: ReLUNetwork) -> ReLUNetwork:
    """The network that a question's task is about: ``network``, unless it poses another."""
    return question.posed(network) if isinstance(question, PosedQuestion) else network


def flat_image(network: ReLUNetwork, image: ArrayLike) -> FloatArray:
    """One finite image as a read-only vector of shape ``(n_0,)``, or an InputError."""
    batch, single = network.flat_inputs(image)
    if not single:
        raise InputError(f"image: expected one image, found a batch of {batch.shape[0]}")
    if not np.isfinite(batch).all():
        raise InputError("image: expected finite values, found NaN or infinity")
    return frozen_array(batch[0])


def fitting_box(network: ReLUNetwork, box: Box | None) -> Box:
    """``box``, or that of the network ([0, 1] for images): what every question asks about.

    Raises:
        InputError: its length does not fit, or the network may overflow over it
            (:mod:`reluopt.questions.overflow`).
    """
    chosen = Box(*network.metadata.input_ends()) if box is None else box
    if chosen.lower.size != network.input_size:
        raise InputError(
            f"box: expected {network.input_size} bounds (one for each input), "
            f"found {chosen.lower.size}"
        )
    refuse_overflow(network, chosen.lower, chosen.upper)
    return chosen


def check_label(network: ReLUNetwork, label: int, what: str = "label") -> None:
    """Raise an InputError, which begins with ``what``, unless ``label`` is one of the classes."""
    if not 0 <= label < network.output_size:
        raise InputError(
            f"{what}: expected a label from 0 to {network.output_size - 1}, found {label}"
        )
