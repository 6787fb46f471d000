"""What a job is to the runner: units in, finished rows out.

A :class:`Unit` is one piece of work with a key of its own (an image, say). A :class:`Job` turns it
into a row and perhaps an image. Both must be picklable, since they travel to worker processes,
perhaps on other machines. This module is light on imports: workers load it first.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias

from typing_extensions import TypeVar

from reluopt.errors import ReluoptError
from reluopt.numerics.arrays import FloatArray
from reluopt.runs.row import Row

if TYPE_CHECKING:  # workers should not load every engine before they know their work
    from reluopt.engines.base import ProgressCallback

ERROR, CRASHED, KILLED = "ERROR", "CRASHED", "KILLED"
"""Statuses of rows without an answer: an unexpected exception, a worker process that died (again
and again), and one that was killed because it kept running far beyond its time limit."""

FAILURES = (ERROR, CRASHED, KILLED)

GRACE_FACTOR, GRACE_SECONDS = 1.5, 60.0
"""A worker is killed after ``GRACE_FACTOR * limit + GRACE_SECONDS``: bounds and polish come on top
of the search's limit, but a run that long keeps no limit at all."""


def hard_limit(time_limit: float) -> float:
    """Seconds after which a solve with this time limit is killed."""
    return GRACE_FACTOR * time_limit + GRACE_SECONDS


class Unit(Protocol):
    """One piece of work."""

    @property
    def key(self) -> str:
        """What tells it from all others of its run."""
        ...


UnitT = TypeVar("UnitT", bound=Unit, default=Any)
RowT = TypeVar("RowT", bound=Row, default=Any)
ResultT = TypeVar("ResultT", default=Any)


@dataclass(frozen=True, eq=False)
class Finished(Generic[RowT]):
    """What became of a unit.

    Attributes:
        row: its row.
        image: its image, if it has one.
        proof: the proof that its engine kept, as the bytes of a file.
        resumed: whether an earlier session computed it.
    """

    row: RowT
    image: FloatArray | None = None
    proof: bytes | None = None
    resumed: bool = False


class Procedure(ABC, Generic[UnitT, ResultT]):
    """What is done to every unit, here or in worker processes; sent once to each of them."""

    @property
    def threads(self) -> int:
        """Threads of solvers and numerical libraries in a worker process."""
        return 1

    @property
    def hard_limit(self) -> float:
        """Seconds after which a worker process is killed."""
        return math.inf

    @property
    def together(self) -> int:
        """Units that are best done at a time, where they are done one after the other."""
        return 1

    def warm_up(self) -> None:
        """Do once in each process what must not count into the first unit's time."""

    @abstractmethod
    def run(self, unit: UnitT, progress: ProgressCallback | None = None) -> ResultT:
        """Do one unit.

        Raises:
            ReluoptError: this works for no unit; the run ends.
        """

    def run_together(
        self, units: Sequence[UnitT], progress: ProgressCallback | None = None
    ) -> list[ResultT]:
        """Do several units, one result for each; what gains by it does them at a time.

        Raises:
            ReluoptError: this works for no unit; the run ends.
        """
        return [self.run(unit, progress) for unit in units]

    @abstractmethod
    def failed(
        self, unit: UnitT, status: str, message: str, seconds: float | None = None
    ) -> ResultT | ReluoptError:
        """What becomes of a unit without an answer (see :data:`FAILURES`) after that time.

        An error that is returned ends the run.
        """


class Job(Procedure[UnitT, Finished[RowT]], Generic[UnitT, RowT]):
    """A procedure whose results are rows of one table."""

    row_class: type[RowT]
    """What its rows are."""

    @abstractmethod
    def blank(self, unit: UnitT, status: str) -> RowT:
        """The row of a unit of which nothing is known but what is asked."""

    def failed(
        self, unit: UnitT, status: str, message: str, seconds: float | None = None
    ) -> Finished[RowT]:
        """The row of a unit without an answer."""
        del seconds
        return Finished(self.blank(unit, status).but(message=message))

    @abstractmethod
    def describe(self) -> Mapping[str, Any]:
        """Everything that determines the results, JSON-serialisable."""

    def identify(self, unit: UnitT) -> Mapping[str, Any]:
        """Columns that a row of an earlier session must agree on to stand for ``unit``."""
        del unit
        return {}

    def session(self, units: Sequence[UnitT]) -> Mapping[str, Any]:
        """What ``run.json`` tells of the units of a session."""
        del units
        return {}


Outcome: TypeAlias = tuple[str, ResultT | ReluoptError]
"""The key of a unit, and what became of it, or an error that ends the run."""


def attempt(
    work: Procedure[UnitT, ResultT], unit: UnitT, progress: ProgressCallback | None = None
) -> Outcome[ResultT]:
    """Do one unit; an unexpected exception is a result of its own, not the end of the run."""
    return attempt_together(work, [unit], progress)[0]


def attempt_together(
    work: Procedure[UnitT, ResultT],
    units: Sequence[UnitT],
    progress: ProgressCallback | None = None,
) -> list[Outcome[ResultT]]:
    """Do several units; an unexpected exception is the result of each of them."""
    try:
        results = work.run_together(units, progress)
        return [(unit.key, result) for unit, result in zip(units, results, strict=True)]
    except ReluoptError as error:
        return [(units[0].key, error)]
    except Exception as error:
        message = " ".join(f"{type(error).__name__}: {error}".split())
        return [(unit.key, work.failed(unit, ERROR, message)) for unit in units]
