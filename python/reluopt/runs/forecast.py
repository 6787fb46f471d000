"""How long a run still takes, guessed from the durations of what is finished.

Times of exact solves have heavy tails: most take hundredths of a second, a few take minutes. Two
things follow. What is left is *means* times tasks, never medians, and finished tasks of earlier
sessions teach the mean as well. And a task that has run for long is likely to run on: it is given
the mean of what the longer ones took beyond its age, or, when none was longer, as long again.
"""

from __future__ import annotations

import math
from bisect import bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Forecast:
    """What is left of a run at some moment.

    Attributes:
        pending: unfinished tasks.
        mean: seconds of one task, on average; NaN when unknown.
        pace: wall-clock seconds of this session for each second of its tasks: below 1 where tasks
            run side by side, above 1 where something else takes time too.
        durations: those of finished tasks in rising order.
    """

    pending: int
    mean: float
    pace: float
    durations: Sequence[float]

    def after(self, age: float) -> float:
        """Seconds that are left ``age`` seconds after the last task ended; NaN when unknown."""
        if not self.pending:
            return 0.0
        parallel = max(1.0 / self.pace, 1.0)
        waiting = max(self.pending - parallel, 0.0) * self.mean * self.pace
        return waiting + self._rest(age) * max(self.pace, 1.0)

    def _rest(self, age: float) -> float:
        """Seconds that a task that has run for ``age`` seconds still takes."""
        longer = self.durations[bisect_right(self.durations, age) :]
        return sum(longer) / len(longer) - age if longer else age


UNKNOWN = Forecast(0, math.nan, 1.0, ())
"""Of a run that has not begun."""


class Forecaster:
    """Learns from finished tasks."""

    def __init__(self) -> None:
        self._durations: list[float] = []
        self._total = self._fresh = 0.0

    def add(self, seconds: float, *, fresh: bool = True) -> None:
        """Learn how long a task took; ``fresh`` ones ran in this session."""
        insort(self._durations, seconds)
        self._total += seconds
        self._fresh += seconds if fresh else 0.0

    def now(self, pending: int, elapsed: float) -> Forecast:
        """What is left.

        Args:
            pending: unfinished tasks.
            elapsed: seconds from the beginning of this session to the end of its last task.
        """
        count = len(self._durations)
        mean = self._total / count if count else math.nan
        pace = elapsed / self._fresh if self._fresh > 0.0 and elapsed > 0.0 else 1.0
        return Forecast(pending, mean, pace, self._durations)
