"""Where units are done: in this process, in local worker processes, or on a Dask cluster.

All executors keep the same promises: every unit gets exactly one outcome, in whatever order they
finish; an unexpected exception is an outcome; a unit whose process dies is tried again elsewhere
and becomes an outcome with its error when that keeps happening.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TYPE_CHECKING, Protocol

from reluopt.errors import InputError
from reluopt.runs.job import Outcome, Procedure, ResultT, UnitT, attempt_together
from reluopt.runs.worker import Reserve, WorkerPool

if TYPE_CHECKING:  # workers should not load every engine before they know their work
    from reluopt.engines.base import ProgressCallback


class Executor(Protocol):
    """Does the units of some work somewhere."""

    def outcomes(
        self, work: Procedure[UnitT, ResultT], units: Sequence[UnitT]
    ) -> Iterator[Outcome[ResultT]]:
        """Outcomes as they come; closing the iterator ends what still runs.

        Raises:
            ReluoptError: the executor cannot work (a cluster out of reach, say).
        """
        ...

    def describe(self) -> str:
        """One line for the record."""
        ...


class SerialExecutor:
    """One unit after the other in this process, in order.

    Nothing can be killed here: a unit ends when its engine does (engines keep their time limit),
    and a solver that crashes takes the run with it, whose finished rows remain.

    Args:
        progress: called during each search.
    """

    def __init__(self, progress: ProgressCallback | None = None) -> None:
        self._progress = progress

    def outcomes(
        self, work: Procedure[UnitT, ResultT], units: Sequence[UnitT]
    ) -> Iterator[Outcome[ResultT]]:
        """Outcomes in the order of ``units``."""
        for first in range(0, len(units), work.together):
            part = units[first : first + work.together]
            yield from attempt_together(work, part, self._progress)

    def describe(self) -> str:
        """One line for the record."""
        return "serial"


class LocalExecutor:
    """Long-lived worker processes on this machine; see :mod:`reluopt.runs.worker`.

    They wait for more work as long as the executor lives.

    Args:
        workers: how many processes.

    Raises:
        InputError: fewer than one.
    """

    def __init__(self, workers: int) -> None:
        if workers < 1:
            raise InputError(f"workers: expected at least 1, found {workers}")
        self._workers, self._reserve = workers, Reserve()
        weakref.finalize(self, self._reserve.close)

    def outcomes(
        self, work: Procedure[UnitT, ResultT], units: Sequence[UnitT]
    ) -> Iterator[Outcome[ResultT]]:
        """Outcomes as units finish."""
        pool = WorkerPool(work, self._reserve)
        threads = ThreadPoolExecutor(min(self._workers, len(units)))
        try:
            for future in as_completed([threads.submit(pool.run, unit) for unit in units]):
                yield future.result()
        finally:
            threads.shutdown(wait=False, cancel_futures=True)
            pool.close()
            threads.shutdown()

    def describe(self) -> str:
        """One line for the record."""
        return f"{self._workers} local processes"


def choose_executor(
    workers: int | None, scheduler: str | None, progress: ProgressCallback | None = None
) -> Executor:
    """The executor that the options ``--workers`` and ``--scheduler`` ask for.

    Raises:
        InputError: both are given, or fewer than one worker.
        EngineUnavailableError: Dask is asked for and not installed.
    """
    if scheduler is not None:
        if workers is not None:
            raise InputError(
                "--workers: expected it without --scheduler (the cluster has its own workers), "
                "found both"
            )
        from reluopt.runs.dask_executor import DaskExecutor

        return DaskExecutor(scheduler)
    return SerialExecutor(progress) if workers is None else LocalExecutor(workers)
