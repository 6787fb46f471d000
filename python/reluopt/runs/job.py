"""What a job is to the runner: tasks in, rows out.

A :class:`Unit` is one unit of work with a key of its own (an image, say). An :class:`Job`
turns a task into a row and perhaps an image. Both must be picklable, since they travel to worker
processes, perhaps on other machines. This module is light on imports: workers load it first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from reluopt.errors import ReluoptError
from reluopt.runs.schema import Row as Row
from reluopt.numerics.arrays import FloatArray

if TYPE_CHECKING:  # workers should not load every engine before they know their work
    from reluopt.engines.base import ProgressCallback

PROOF = "proof"
"""Entry of a fresh row that is no column: the bytes of a proof, which become a file."""

ERROR, CRASHED, KILLED = "ERROR", "CRASHED", "KILLED"
"""Statuses of rows without an answer: an unexpected exception, a worker process that died (again
and again), and one that was killed because it kept running far beyond its time limit."""

FAILURES = (ERROR, CRASHED, KILLED)

GRACE_FACTOR, GRACE_SECONDS = 1.5, 60.0
"""A worker is killed after ``GRACE_FACTOR * limit + GRACE_SECONDS``: bounds and polish come on top
of the search's limit, but a run that long keeps no limit at all."""


def hard_limit(time_limit: float) -> float:
    """Seconds after which a task with this time limit is killed."""
    return GRACE_FACTOR * time_limit + GRACE_SECONDS


class Unit(Protocol):
    """One unit of work."""

    @property
    def key(self) -> str:
        """What tells this task from all others of its run."""
        ...


UnitT = TypeVar("UnitT", bound=Unit)
_UnitIn = TypeVar("_UnitIn", bound=Unit, contravariant=True)


class Job(Protocol[_UnitIn]):
    """What is done to every task; picklable, sent once to each worker."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the rows; the first holds the task's key."""
        ...

    @property
    def threads(self) -> int:
        """Threads of solvers and numerical libraries in a worker process."""
        ...

    @property
    def hard_limit(self) -> float:
        """Seconds after which a worker process is killed (infinite: never)."""
        ...

    def identify(self, task: _UnitIn) -> Mapping[str, Any]:
        """Columns that a row of an earlier session must agree on to stand for ``task``."""
        ...

    def warm_up(self) -> None:
        """Do once in each process what must not count into the first task's time."""
        ...

    def run(
        self, task: _UnitIn, progress: ProgressCallback | None = None
    ) -> tuple[Row, FloatArray | None]:
        """The row of a task, and its image if it has one.

        Raises:
            ReluoptError: the job cannot work for any task; the run ends.
        """
        ...

    def failed(self, task: _UnitIn, status: str, message: str) -> Row:
        """The row of a task that ended without an answer (see :data:`FAILURES`)."""
        ...


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of a task: a row, or an error that ends the run."""

    key: str
    row: Row
    image: FloatArray | None = None
    error: ReluoptError | None = None


def attempt(
    job: Job[UnitT], task: UnitT, progress: ProgressCallback | None = None
) -> Outcome:
    """Run one task; an unexpected exception is a row of its own, not the end of the run."""
    try:
        row, image = job.run(task, progress)
    except ReluoptError as error:
        return Outcome(task.key, {}, error=error)
    except Exception as error:
        message = " ".join(f"{type(error).__name__}: {error}".split())
        return Outcome(task.key, job.failed(task, ERROR, message))
    return Outcome(task.key, row, image)
