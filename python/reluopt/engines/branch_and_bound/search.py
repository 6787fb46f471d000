"""What all trees of one task share: incumbent, cutoff, clock, counters and progress."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import numpy as np

from reluopt.answers.solution import GAP_DENOMINATOR_FLOOR, Incumbent
from reluopt.deadline import Deadline
from reluopt.engines.base import Progress, ProgressCallback
from reluopt.engines.branch_and_bound.frame import Frame
from reluopt.engines.branch_and_bound.repair import repaired
from reluopt.numerics.arrays import FloatArray
from reluopt.numerics.input_sets import enclosing_radius
from reluopt.numerics.passes import forward

REPAIRABLE = 1e-9
"""How much an image may miss a condition, relative to ``max(1, |logits|)``, for being worth a
repair (:mod:`.repair`): the primal tolerance of the relaxations. Incumbents miss nothing."""

SMALLEST_GAP = 1e-9
"""Gaps below it are not asked for: safe bounds lose about 1e-11 to outward rounding."""

BELOW_ZERO = -1e-290
"""The bound on a slack of which no more than its sign is proven."""

GAP_SHARE = 0.999
"""Share of the asked gap that searches aim at: the gap of the answer is recomputed from rounded
numbers and must not come out a last digit above what was asked."""

PROGRESS_EVERY = 0.05
"""Seconds between two calls of the progress callback."""


@dataclass(eq=False)
class Search:
    """Shared state of a running search.

    Attributes:
        frame: network, task, box.
        gap: relative gap that is good enough, at least :data:`SMALLEST_GAP`.
        deadline: when to stop.
        progress: callback or None.
        best: incumbent or None.
        ceiling: objective from which on nothing is of interest for now, incumbent or not.
        nodes: nodes processed.
        started: when the search began.
        steps: calls and seconds of every step, see :func:`timed`.
    """

    frame: Frame
    gap: float
    deadline: Deadline
    progress: ProgressCallback | None = None
    best: Incumbent | None = None
    ceiling: float = math.inf
    nodes: int = 0
    started: float = field(default_factory=time.perf_counter)
    steps: dict[str, tuple[int, float]] = field(default_factory=dict)
    _next_report: float = 0.0

    def __post_init__(self) -> None:
        self.gap = max(self.gap, SMALLEST_GAP)
        if self.best is not None and not self.best.objective < math.inf:
            self.best = None

    @property
    def objective(self) -> float:
        """Objective of the incumbent, infinite without one."""
        return math.inf if self.best is None else self.best.objective

    @property
    def cutoff(self) -> float:
        """Nodes with a bound from here on need no further work."""
        return self._below(min(self.objective, self.ceiling))

    @property
    def final_cutoff(self) -> float:
        """The cutoff of the incumbent, whatever the ceiling: with it the gap is closed."""
        return self._below(self.objective)

    @property
    def reach(self) -> float:
        """Radius of the incumbent's ball, whatever the ceiling."""
        return enclosing_radius(self.frame.inputs, self.final_cutoff)

    def _below(self, objective: float) -> float:
        """What is better than an objective by more than the gap."""
        if objective == math.inf:
            return math.inf
        return max(objective - self.gap * max(objective, GAP_DENOMINATOR_FLOOR), 0.0)

    @property
    def radius(self) -> float:
        """Radius of the ball that holds everything worth finding."""
        return enclosing_radius(self.frame.inputs, self.cutoff)

    @property
    def wants_bounds(self) -> bool:
        """Whether a bound below the cutoff is of interest."""
        return True

    @property
    def out_of_time(self) -> bool:
        """Whether the deadline has passed."""
        return self.deadline.passed

    def pre_activations(self, image: FloatArray) -> FloatArray:
        """Pre-activations of all neurons at ``image`` (logits last)."""
        values = np.empty(self.frame.flat.biases.size)
        forward(self.frame.flat, image, values)
        return values

    def offer(self, image: FloatArray, alternative: int) -> bool:
        """Take ``image`` as incumbent if it meets ``alternative`` and is better.

        An image that misses a condition by a solver's tolerance is repaired first; what becomes the
        incumbent meets all of them in a float64 forward pass, so that its objective is an upper
        bound on the optimum, up to the rounding of that pass.
        """
        network, task = self.frame.judge
        if not task.distance(image) < self.objective:
            return False
        asked = task.alternatives[alternative]
        slack = float(asked.conditions.slack(network.forward(image)).min(initial=0.0))
        if not slack >= 0.0:
            scale = max(1.0, float(np.abs(self.pre_activations(image)).max()))
            if not slack >= -(REPAIRABLE * scale + self.frame.room):
                return False
            better = repaired(network, task, asked, image)
            if better is None:
                return False
            image = better
        objective = task.distance(image)
        if not objective < self.objective:
            return False
        self.best = Incumbent(image.copy(), objective, alternative)
        return True

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Count what happens inside as one call of a step."""
        started = time.perf_counter()
        try:
            yield
        finally:
            calls, seconds = self.steps.get(name, (0, 0.0))
            self.steps[name] = (calls + 1, seconds + time.perf_counter() - started)

    def report(self, bound: float) -> None:
        """Call the progress callback if it is time."""
        if self.progress is None:
            return
        now = time.perf_counter()
        if now >= self._next_report:
            self._next_report = now + PROGRESS_EVERY
            self.progress(
                Progress(self.objective, min(bound, self.objective), self.nodes, now - self.started)
            )


_Method = TypeVar("_Method", bound=Callable[..., Any])


def timed(name: str) -> Callable[[_Method], _Method]:
    """A method whose calls count as a step of its ``search``; steps must not nest."""

    def decorate(method: _Method) -> _Method:
        @functools.wraps(method)
        def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
            with self.search.step(name):
                return method(self, *args, **kwargs)

        return cast("_Method", wrapper)

    return decorate
