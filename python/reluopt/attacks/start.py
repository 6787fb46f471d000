"""Starting points: images that meet a task's conditions, found by gradients in milliseconds."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from reluopt.answers.solution import Incumbent
from reluopt.attacks.descent import (
    decoupled_steps,
    greedy_pixels,
    least_slack,
    soft_gradient,
    undo_pixels,
    walk,
)
from reluopt.attacks.minimum_norm import minimum_norm_starts
from reluopt.deadline import NEVER, Deadline
from reluopt.errors import InputError
from reluopt.networks.flattening import flatten
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray
from reluopt.numerics.flat import FlatNetwork
from reluopt.questions.margins import LogitConditions
from reluopt.questions.tasks import Task

CONDITION_SAFETY = 1e-9
"""Conditions are tightened by this times ``max(1, |rhs|)``: a thousand times the rounding of a
forward pass, so that another order of summation still finds them met, and a thousandth of what
the check allows."""

HEATS = (0.5, 1.0, 2.0)
"""Temperatures of the soft minimum, relative to the worst slack. The first is tried on every
alternative, the others on the promising ones."""

LARGEST_MOVES = (0.5, 0.25)
"""Largest move of one input in a greedy step, as a share of its box; two are tried for L1."""

PROMISING = 1.3
"""Alternatives whose first objective is within this factor of the best get all variants."""

WIDE = 500
"""Hidden neurons from which on a pass is dear, and all alternatives take their steps together
(:mod:`.minimum_norm`) before the promising ones are tried by themselves."""

MAX_GREEDY_STEPS = 300
"""Greedy steps before giving up; optimal L1 images change 5 to 40 inputs."""

MAX_WALK_STEPS = 200
"""Gradient steps before giving up; 5 to 20 are usual."""

WALK_STRETCH = 25
"""Gradient steps between two looks at the clock."""

UNDO_STRETCH = 16
"""Inputs moved back between two looks at the clock: up to 13 forward passes for each of them."""

NEARING_STEPS = 30
"""Steps along the border of the conditions: within 0.5 % of where 120 steps end."""

RANDOM_STARTS = 8
"""Random inputs tried when no walk from the image itself succeeds (dead neurons, flat regions)."""


def starting_points(
    network: ReLUNetwork,
    task: Task,
    *,
    seed: int = 0,
    flat: FlatNetwork | None = None,
    deadline: Deadline = NEVER,
) -> list[Incumbent]:
    """Images that meet an alternative of ``task`` each, the nearest first.

    Greedy moves of single inputs for L1; for L2 and Linf normalised gradient steps on a soft
    minimum of the slacks, then steps along the border (Rony et al. 2019). 1 to 3 ms for one
    alternative of 784-32-16-10. Where there are many neurons the minimum-norm attack comes first
    (:mod:`.minimum_norm`), and tells which alternatives are tried so.

    Args:
        network: the network.
        task: what is asked.
        seed: for the random starts that are a last resort.
        flat: ``flatten(network)``, when the caller has it.
        deadline: when to stop with what was found; one kernel may end after it.

    Returns:
        At most one incumbent for each alternative (those that are clearly farther than another
        are given up); empty when nothing was found, which proves nothing.

    Raises:
        InputError: the task was made for another network.
    """
    search = _Search(flatten(network) if flat is None else flat, task, seed, deadline)
    found: list[Incumbent] = []
    indices, wide = [*range(len(task.alternatives))], sum(network.hidden_sizes) > WIDE
    if wide:
        found, indices = search.minimum_norm(network)
    for index in indices:
        incumbent = search.attempt(index, HEATS[:1], search.cutoff(found), nearing=0)
        found += [] if incumbent is None else [incumbent]
    if not found:
        found = search.random_attempts()
    found = _best_of_each(found)
    if wide and task.norm.moves_few:  # greedy moves at other temperatures take long
        return found
    limit = search.cutoff(found)
    improved = [search.improved(each) if each.objective <= limit else each for each in found]
    return _best_of_each(improved)


def _best_of_each(found: list[Incumbent]) -> list[Incumbent]:
    """The best incumbent of each alternative, the nearest first."""
    best: dict[int, Incumbent] = {}
    for each in sorted(found, key=_objective):
        best.setdefault(each.alternative, each)
    return list(best.values())


class _Search:
    """The arrays of one task, writable as the kernels want them."""

    def __init__(self, flat: FlatNetwork, task: Task, seed: int, deadline: Deadline) -> None:
        _check_sizes(flat, task)
        self._flat = flat
        self._task = task
        self._seed = seed
        self._deadline = deadline
        self._image = np.array(task.image)
        self._lower, self._upper = np.array(task.box.lower), np.array(task.box.upper)
        self._conditions = [
            (np.array(each.conditions.matrix), safe_sides(each.conditions))
            for each in task.alternatives
        ]

    def cutoff(self, found: list[Incumbent]) -> float:
        """The objective beyond which an alternative is no longer promising."""
        return PROMISING * min((each.objective for each in found), default=np.inf)

    def minimum_norm(self, network: ReLUNetwork) -> tuple[list[Incumbent], list[int]]:
        """What the minimum-norm attack finds, and the alternatives that other attempts may gain."""
        tightened = [LogitConditions(*each) for each in self._conditions]
        given = (network, self._task, tightened, PROMISING, self._deadline)
        made, missed = minimum_norm_starts(*given)
        found = []
        for each in made:  # of one image by itself, sums are rounded otherwise
            slack = tightened[each.alternative].slack(network.forward(each.image))
            if (slack >= 0.0).all():
                found.append(each)
            else:
                missed.append(each.alternative)
        limit = self.cutoff(found)
        return found, [each.alternative for each in found if each.objective <= limit] + missed

    def attempt(
        self, index: int, heats: tuple[float, ...], cutoff: float, nearing: int
    ) -> Incumbent | None:
        """The best of the attempts from the image at the given temperatures."""
        best: Incumbent | None = None
        for heat in heats:
            for point in self._points(index, heat, cutoff, nearing):
                best = _better(best, self._incumbent(point, index))
                if best is not None and best.objective == 0.0:
                    return best
        return best

    def improved(self, incumbent: Incumbent) -> Incumbent:
        """The better of ``incumbent`` and attempts at the other temperatures."""
        if incumbent.objective == 0.0:
            return incumbent
        cutoff = self.cutoff([incumbent])
        # A second greedy walk at the first temperature would repeat itself.
        heats = HEATS[1:] if self._task.norm.moves_few else HEATS
        other = self.attempt(incumbent.alternative, heats, cutoff, NEARING_STEPS)
        return _better(incumbent, other) or incumbent

    def random_attempts(self) -> list[Incumbent]:
        """Attempts from random inputs, for every alternative."""
        generator = np.random.default_rng(self._seed)
        found = []
        for _ in range(RANDOM_STARTS):
            if self._deadline.passed:
                break
            start = generator.uniform(self._lower, self._upper)
            for index in range(len(self._conditions)):
                walked = self._walked(index, HEATS[0], start, NEARING_STEPS)
                found += [self._incumbent(point, index) for point in walked]
        return [incumbent for incumbent in found if incumbent is not None]

    def _points(self, index: int, heat: float, cutoff: float, nearing: int) -> Iterator[FloatArray]:
        """What one temperature finds from the image."""
        if not self._task.norm.moves_few:
            yield from self._walked(index, heat, self._image, nearing)
            return
        matrix, rhs = self._conditions[index]
        found = False
        for largest in LARGEST_MOVES:
            if self._deadline.passed:
                return
            point = np.empty(self._image.size)
            if greedy_pixels(
                self._flat,
                self._image,
                self._lower,
                self._upper,
                matrix,
                rhs,
                heat,
                largest,
                MAX_GREEDY_STEPS,
                cutoff,
                point,
            ):
                self._undo(index, point)
                found = True
                yield point
        if not found and cutoff == np.inf:
            yield from self._walked(index, heat, self._image, NEARING_STEPS)

    def _walked(
        self, index: int, heat: float, start: FloatArray, nearing: int
    ) -> Iterator[FloatArray]:
        """Walk from ``start`` until feasible, then come nearer to the image; one point or none."""
        matrix, rhs = self._conditions[index]
        point = start.copy()
        largest = self._task.norm.moves_all
        limits = (self._lower, self._upper)
        for _ in range(0, MAX_WALK_STEPS, WALK_STRETCH):
            if self._deadline.passed:
                return
            if walk(self._flat, *limits, matrix, rhs, heat, largest, WALK_STRETCH, point):
                break
        else:
            return
        if not (point == self._image).all() and not self._deadline.passed:
            decoupled_steps(
                self._flat, self._image, *limits, matrix, rhs, heat, largest, nearing, point
            )
            if self._task.norm.moves_few:
                self._undo(index, point)
        yield point

    def _undo(self, index: int, point: FloatArray) -> None:
        """Move changed inputs back while the conditions and the time allow, the idlest first."""
        matrix, rhs = self._conditions[index]
        values, slacks = np.empty(self._flat.biases.size), np.empty(rhs.size)
        gradient = np.empty(point.size)
        least_slack(self._flat, point, matrix, rhs, values, slacks)
        soft_gradient(self._flat, values, slacks, matrix, 1.0, gradient)
        changed = np.flatnonzero(point != self._image)
        order = changed[np.argsort(np.abs(gradient[changed]), kind="stable")]
        for first in range(0, order.size, UNDO_STRETCH):
            if self._deadline.passed:
                return
            part = order[first : first + UNDO_STRETCH]
            undo_pixels(self._flat, self._image, matrix, rhs, part, point)

    def _incumbent(self, point: FloatArray, index: int) -> Incumbent | None:
        """``point`` as an incumbent, once a forward pass has agreed."""
        matrix, rhs = self._conditions[index]
        values, slacks = np.empty(self._flat.biases.size), np.empty(rhs.size)
        if not least_slack(self._flat, point, matrix, rhs, values, slacks) >= 0.0:
            return None
        return Incumbent(point, self._task.distance(point), index)


def _check_sizes(flat: FlatNetwork, task: Task) -> None:
    """Compiled kernels do not look: a task made for another network is refused here."""
    columns = {each.conditions.matrix.shape[1] for each in task.alternatives}
    if task.image.size != flat.sizes[0] or not columns <= {int(flat.sizes[-1])}:
        raise InputError(
            f"task: expected {flat.sizes[0]} inputs and {flat.sizes[-1]} logits, "
            f"found {task.image.size} and {sorted(columns)}"
        )


def safe_sides(conditions: LogitConditions) -> FloatArray:
    """Right-hand sides tightened by :data:`CONDITION_SAFETY`."""
    rhs = np.array(conditions.rhs)
    return rhs + CONDITION_SAFETY * np.maximum(1.0, np.abs(rhs))


def safety_of(conditions: LogitConditions) -> float:
    """By how much all conditions are tightened alike where they are rows of one program."""
    return CONDITION_SAFETY * max(1.0, float(np.abs(conditions.rhs).max(initial=0.0)))


def _objective(incumbent: Incumbent) -> float:
    return incumbent.objective


def _better(first: Incumbent | None, second: Incumbent | None) -> Incumbent | None:
    """The incumbent with the lower objective."""
    if first is None or second is None:
        return first or second
    return second if second.objective < first.objective else first
