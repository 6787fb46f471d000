"""When to stop: one instant that all steps of a solve share."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

LEAST_SECONDS = 1e-3
"""What a solver is given when the time is up already: every solver takes it as "stop at once"."""


def now() -> float:
    """Seconds since some fixed instant, the same for all processes of this machine."""
    return time.perf_counter()


@dataclass(frozen=True)
class Deadline:
    """An instant of a clock.

    Attributes:
        at: reading of ``clock`` at which to stop; infinity means never.
        clock: seconds since some fixed instant, as :func:`now`.
    """

    at: float = math.inf
    clock: Callable[[], float] = now

    @staticmethod
    def after(seconds: float, clock: Callable[[], float] = now) -> Deadline:
        """The instant ``seconds`` from now."""
        return Deadline(clock() + seconds, clock)

    def within(self, seconds: float) -> Deadline:
        """This instant, or the one ``seconds`` from now if that comes earlier."""
        return replace(self, at=min(self.at, self.clock() + seconds))

    def share(self, part: float) -> Deadline:
        """The instant at which ``part`` of the seconds that are left will have passed."""
        return self.within(part * self.left)

    @property
    def left(self) -> float:
        """Seconds left, at least 0."""
        return max(self.at - self.clock(), 0.0)

    @property
    def solver_seconds(self) -> float:
        """Seconds left as a limit for a solver, at least :data:`LEAST_SECONDS`."""
        return max(self.left, LEAST_SECONDS)

    @property
    def passed(self) -> bool:
        """Whether it is time to stop."""
        return self.clock() >= self.at


NEVER = Deadline()
"""No limit."""


class Laps:
    """How long the steps of a solve take, one after the other, under one deadline.

    Attributes:
        deadline: when all must end; its clock times the laps.
    """

    def __init__(self, deadline: Deadline) -> None:
        self.deadline = deadline
        self._last = deadline.clock()

    def lap(self) -> float:
        """Seconds since the last lap."""
        last, self._last = self._last, self.deadline.clock()
        return self._last - last
