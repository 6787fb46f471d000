"""How far a run is, and how long it still takes, guessed from the durations of what is finished.

Times of exact solves have heavy tails: most take hundredths of a second, a few take minutes. Two
things follow. What is left is *means* times units, never medians, and finished units of earlier
sessions teach the mean as well. And a unit that has run for long is likely to run on: it is given
the mean of what the longer ones took beyond its age, or, when none was longer, as long again.
"""

from __future__ import annotations

import math
import time
from bisect import bisect_right, insort
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reluopt.runs.row import Row


@dataclass(frozen=True)
class Forecast:
    """What is left of a run at some moment.

    Attributes:
        pending: unfinished units.
        mean: seconds of one unit, on average; NaN when unknown.
        pace: wall-clock seconds of this session for each second of its units: below 1 where units
            run side by side, above 1 where something else takes time too.
        durations: those of finished units in rising order.
    """

    pending: int
    mean: float
    pace: float
    durations: Sequence[float]

    def after(self, age: float) -> float:
        """Seconds that are left ``age`` seconds after the last unit ended; NaN when unknown."""
        if not self.pending:
            return 0.0
        parallel = max(1.0 / self.pace, 1.0)
        waiting = max(self.pending - parallel, 0.0) * self.mean * self.pace
        return waiting + self._rest(age) * max(self.pace, 1.0)

    def _rest(self, age: float) -> float:
        """Seconds that a unit that has run for ``age`` seconds still takes."""
        longer = self.durations[bisect_right(self.durations, age) :]
        return sum(longer) / len(longer) - age if longer else age


UNKNOWN = Forecast(0, math.nan, 1.0, ())
"""Of a run that has not begun."""


class Forecaster:
    """Learns from finished units."""

    def __init__(self) -> None:
        self._durations: list[float] = []
        self._total = self._fresh = 0.0

    def add(self, seconds: float, *, fresh: bool = True) -> None:
        """Learn how long a unit took; ``fresh`` ones ran in this session."""
        insort(self._durations, seconds)
        self._total += seconds
        self._fresh += seconds if fresh else 0.0

    def now(self, pending: int, elapsed: float) -> Forecast:
        """What is left.

        Args:
            pending: unfinished units.
            elapsed: seconds from the beginning of this session to the end of its last unit.
        """
        count = len(self._durations)
        mean = self._total / count if count else math.nan
        pace = elapsed / self._fresh if self._fresh > 0.0 and elapsed > 0.0 else 1.0
        return Forecast(pending, mean, pace, self._durations)


RESUMED, FINISHED = "resumed", "finished"
"""Stages of a unit that an earlier session did, and of one that this session has done."""


@dataclass(frozen=True)
class RunProgress:
    """How far a run is.

    Attributes:
        done: finished units, those of earlier sessions included.
        total: all units.
        resumed: finished units of earlier sessions.
        counts: finished units by status.
        median_seconds: median of the rows' ``seconds`` (NaN without any).
        elapsed: seconds since this session began.
        remaining: seconds until the end (NaN before there are rows to learn from).
        forecast: what tells how that goes on while no row comes.
        stage: what happens to ``unit``: :data:`RESUMED`, :data:`FINISHED`, or what begins now.
        unit: key of the unit.
        row: its row, when it is finished.
    """

    done: int
    total: int
    resumed: int
    counts: Mapping[str, int]
    median_seconds: float
    elapsed: float
    remaining: float
    forecast: Forecast = UNKNOWN
    stage: str = FINISHED
    unit: str = ""
    row: Row | None = None


class Tracker:
    """Counts what is finished and guesses what remains."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._counts: Counter[str] = Counter()
        self._seconds: list[float] = []
        self._forecaster = Forecaster()
        self._done = self._resumed = 0
        self._started = time.perf_counter()
        self._ended = 0.0

    def start(self) -> None:
        """The clock runs from here on."""
        self._started = time.perf_counter()
        self._ended = 0.0

    def add(
        self,
        status: str,
        seconds: float | None = None,
        *,
        resumed: bool = False,
        unit: str = "",
        row: Row | None = None,
    ) -> RunProgress:
        """Count a finished unit."""
        self._done += 1
        self._resumed += resumed
        self._counts[status] += 1
        elapsed = time.perf_counter() - self._started
        if seconds is not None and math.isfinite(seconds):
            insort(self._seconds, seconds)
            self._forecaster.add(seconds, fresh=not resumed)
        elif not resumed:  # it failed, which took its time too
            self._forecaster.add(elapsed - self._ended)
        self._ended = elapsed
        return self.now(RESUMED if resumed else FINISHED, unit, row)

    def now(self, stage: str, unit: str, row: Row | None = None) -> RunProgress:
        """How far the run is when something happens to a unit."""
        forecast = self._forecaster.now(self._total - self._done, self._ended)
        return RunProgress(
            done=self._done,
            total=self._total,
            resumed=self._resumed,
            counts=dict(self._counts),
            median_seconds=self._median(),
            elapsed=self._ended,
            remaining=forecast.after(0.0),
            forecast=forecast,
            stage=stage,
            unit=unit,
            row=row,
        )

    def _median(self) -> float:
        """Median of the seconds, which are sorted: thousands of resumed rows should not wait."""
        middle, odd = divmod(len(self._seconds), 2)
        if not self._seconds:
            return math.nan
        upper = self._seconds[middle]
        return upper if odd else 0.5 * (self._seconds[middle - 1] + upper)
