r"""LiPPA, the linear program powered attack (Seck, Loosli and Canu 2021, Algorithm 1).

Two steps take turns. In the linear region of the current point, where all ReLUs are fixed, a
linear program finds the image nearest to the original with :math:`x_t \ge x_d` (inactive neurons
:math:`a \le 0`, active ones :math:`a \ge 0`, no big-M). If that is within eps, it is the answer.
Otherwise BIM climbs the loss from there until it enters a linear region that has not been seen.

The paper leaves the choice of the target t open. Here every target is tried whose lead, an affine
function in a linear region, is not negative throughout ball and box, the one with the largest
possible lead first; where there is none, the program of the best one alone is solved, for its
answer is where BIM starts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reluopt.attacks.criteria import Misclassification
from reluopt.attacks.gradient import Batch
from reluopt.attacks.linear_regions import solve_linear_region
from reluopt.attacks.methods.base import AttackMethod, refuse_below, refuse_step
from reluopt.deadline import NEVER, Deadline
from reluopt.errors import InputError
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import BoolArray, FloatArray
from reluopt.questions.input_sets import Box
from reluopt.questions.norms.base import Norm
from reluopt.questions.tasks import Alternative, Task, fitting_box
from reluopt.questions.verification import misclassifications, refuse_radius

Pattern: TypeAlias = tuple[BoolArray, ...]

PUBLISHED_STEP = 0.5 / 256.0
"""Length of a step of BIM, in pixel units."""


IMAGE, PROGRAM, CLIMB = "image", "program", "climb"
"""What a point of a search is, or what found it."""


@dataclass(frozen=True)
class Lippa(AttackMethod):
    """Linear programs of linear regions, and BIM from one to the next.

    Attributes:
        steps: of BIM in search of the next linear region, >= 1.
        step_size: length of each in pixel units, > 0.
        regions: linear regions whose programs are solved for an image, >= 1.
        time_limit: seconds for an image, > 0; None means none. One program may end after it.
    """

    steps: int = 50
    step_size: float = PUBLISHED_STEP
    regions: int = 100
    time_limit: float | None = None
    name = "lippa"
    together = 1

    def __post_init__(self) -> None:
        for setting in ("steps", "regions"):
            refuse_below(setting, 1, getattr(self, setting))
        refuse_step(self.step_size)
        if self.time_limit is not None and not self.time_limit > 0.0:
            raise InputError(f"time_limit: expected seconds > 0, found {self.time_limit}")

    def __call__(
        self,
        network: ReLUNetwork,
        images: ArrayLike,
        criterion: Misclassification,
        eps: float,
        *,
        norm: Norm = Norm.LINF,
        box: Box | None = None,
    ) -> FloatArray:
        """See :class:`~reluopt.attacks.methods.base.AttackMethod`."""
        allowed = fitting_box(network, box)
        batch = Batch(network, images, criterion, norm, allowed)
        made = batch.images.copy()
        refuse_radius(eps)
        for row in np.flatnonzero(~batch.success(made)):
            made[row] = self._walk(network, batch, int(row), (norm, eps), allowed).run(self)
        return made.reshape(np.shape(images))

    def path(
        self, network: ReLUNetwork, image: ArrayLike, label: int, eps: float
    ) -> list[tuple[str, FloatArray]]:
        """The points of a search about one image in Linf, and how each was found."""
        aims = Misclassification(np.array([label]), ties=True)
        norm, box = Norm.LINF, fitting_box(network, None)
        batch = Batch(network, np.ravel(image)[None], aims, norm, box)
        return list(self._walk(network, batch, 0, (norm, eps), box).path(self))

    def _walk(
        self, network: ReLUNetwork, batch: Batch, row: int, ball: tuple[Norm, float], box: Box
    ) -> _Walk:
        """The search about an image of a batch."""
        wrong = misclassifications(network, int(batch.criterion.answers[row]))
        task = Task.nearest(batch.images[row], box, ball[0], wrong)
        limit = NEVER if self.time_limit is None else Deadline.after(self.time_limit)
        return _Walk(network, task, batch, np.array([row]), ball[1], limit)


@dataclass(frozen=True, eq=False)
class _Walk:
    """The search about one image."""

    network: ReLUNetwork
    task: Task
    batch: Batch
    row: NDArray[np.intp]
    eps: float
    deadline: Deadline

    def run(self, plan: Lippa) -> FloatArray:
        """The first point that fools, else the last one; inside box and ball."""
        *_, (_, last) = self.path(plan)
        return last

    def path(self, plan: Lippa) -> Iterator[tuple[str, FloatArray]]:
        """All points in turn, and what found each of them."""
        point, seen = self.task.image, set[bytes]()
        yield IMAGE, point
        for _ in range(plan.regions):
            pattern = self.network.activation_pattern(point)
            seen.add(_key(pattern))
            solved = self._nearest(pattern)
            if solved is not None:
                change = (solved - self.task.image)[None]
                point = self.batch.bring_back(change, self.row, self.eps)[0]
                yield PROGRAM, point
            further = None if self._fools(point) else self._leave(point, seen, plan)
            if further is None:
                return
            point = further
            yield CLIMB, point
            if self.deadline.passed or self._fools(point):
                return

    def _fools(self, point: FloatArray) -> bool:
        """Whether the network's answer to ``point`` meets the criterion."""
        logits = self.network.forward(point[None])
        return bool(self.batch.criterion.of(self.row).success(logits)[0])

    def _leave(self, point: FloatArray, seen: set[bytes], plan: Lippa) -> FloatArray | None:
        """Climb until a point fools or lies in a new linear region; None if none does."""
        for _ in range(plan.steps):
            logits = self.network.forward(point[None])
            point = self.batch.climb(point[None], logits, self.row, self.eps, plan.step_size)[0]
            if _key(self.network.activation_pattern(point)) not in seen or self._fools(point):
                return point
        return None

    def _nearest(self, pattern: Pattern) -> FloatArray | None:
        """The nearest image of the linear region that is misread; the first within eps will do."""
        best, shortest = None, np.inf
        for alternative in self._promising(pattern):
            solved = solve_linear_region(
                self.network, self.task, alternative, pattern, deadline=self.deadline
            )
            if solved is None:
                continue
            length = float(self.task.norm.lengths((solved.image - self.task.image)[None])[0])
            if length < shortest:
                best, shortest = solved.image, length
            if length <= self.eps:
                break
        return best

    def _promising(self, pattern: Pattern) -> Sequence[Alternative]:
        """Targets that can lead in ball and box, by the affine map of the linear region."""
        slope, offset = self.network.region_map(pattern)[-1]
        image, box, norm = self.task.image, self.task.box, self.task.norm
        rows = np.vstack([each.conditions.matrix for each in self.task.alternatives])
        gradients = rows @ slope
        low = np.maximum(box.lower - image, -self.eps)  # no input changes by more in any norm
        high = np.minimum(box.upper - image, self.eps)
        gains = np.maximum(gradients * low, gradients * high).sum(axis=1)
        gains = np.minimum(gains, self.eps * norm.dual.lengths(gradients))
        leads = rows @ (slope @ image + offset) + gains
        order = np.argsort(-leads, kind="stable")
        chosen = order[leads[order] >= 0.0]
        return [self.task.alternatives[i] for i in (chosen if chosen.size else order[:1])]


def _key(pattern: Pattern) -> bytes:
    """What tells a linear region from others."""
    return np.packbits(np.concatenate(pattern)).tobytes()
